"""A store that does not answer is refused quickly, and taken up again by itself."""

import threading
import time

import pytest
import redis

from apps.core.store import (
    Breaker,
    StoreUnavailable,
    connect,
)
from tests.servers import start_valkey

AT_MOST = 2.0  # the contract says well under a second; this is for busy machines


@pytest.fixture
def server(valkey_server):
    return valkey_server()


@pytest.fixture
def client(server):
    with connect(server.url) as client:
        yield client


def recovered(call) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            call()
        except StoreUnavailable:
            time.sleep(0.05)
        else:
            return True
    return False


class TestConnect:
    def test_speaks_with_the_server(self, client):
        client.set("a", "1")

        assert client.get("a") == b"1"

    def test_lets_an_error_of_the_command_through(self, client):
        client.set("a", "1")

        for _ in range(2):
            with pytest.raises(redis.ResponseError):
                client.lpush("a", "2")


class TestTrouble:
    @pytest.mark.parametrize("trouble", ["stop", "pause"])
    @pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
    def test_is_refused_quickly(self, server, client, trouble, is_warm):
        if is_warm:
            client.ping()
        getattr(server, trouble)()

        started_at = time.monotonic()
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                client.get("a")

        assert time.monotonic() - started_at < AT_MOST

    @pytest.mark.parametrize("trouble", ["restart", "pause"])
    def test_ends_by_itself(self, server, client, trouble):
        client.set("a", "1")
        getattr(server, trouble)()
        if trouble == "pause":
            with pytest.raises(StoreUnavailable):
                client.get("a")
            server.resume()

        assert recovered(client.ping)

    def test_of_one_server_is_no_concern_of_another(self, server, client, valkey_server):
        with connect(valkey_server().url) as other:
            server.pause()
            with pytest.raises(StoreUnavailable):
                client.ping()

            assert other.ping()

    def test_holds_up_no_thread_for_long(self, server, client, race):
        client.ping()
        server.pause()

        started_at = time.monotonic()
        outcomes = race([client.ping] * 8)

        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        assert time.monotonic() - started_at < AT_MOST

    def test_is_what_scripts_meet_too(self, server, client):
        script = client.register_script("return 1")
        assert script() == 1
        server.pause()

        with pytest.raises(StoreUnavailable):
            script()


@pytest.fixture(scope="module")
def node():
    """A cluster of one node with all the slots; it takes two seconds to agree with itself."""
    node = start_valkey(options={"cluster-enabled": "yes"})
    with redis.Redis.from_url(node.url) as plain:
        plain.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    yield node
    node.stop()


class TestAServerThatIsNotFit:
    @pytest.mark.parametrize(
        ("option", "unfit", "fit"), [("min-replicas-to-write", "1", "0"), ("maxmemory", "1", "0")]
    )
    def test_counts_as_unavailable(self, client, server, option, unfit, fit):
        with redis.Redis.from_url(server.url) as operator:
            operator.config_set(option, unfit)

            with pytest.raises(StoreUnavailable):
                client.set("key", "value")

            operator.config_set(option, fit)
        assert recovered(lambda: client.set("key", "value"))


class TestCluster:
    @pytest.fixture
    def url(self, node):
        return node.url.replace("redis://", "redis+cluster://")

    @pytest.fixture
    def client(self, url):
        with connect(url) as client:
            assert recovered(lambda: client.get("a"))
            yield client

    def test_is_known_by_its_scheme(self, client):
        client.set("a", "1")

        assert client.get("a") == b"1"
        assert client.register_script("return redis.call('GET', KEYS[1])")(keys=["a"]) == b"1"

    def test_does_not_hide_a_mistake_of_ours(self, client):
        with pytest.raises(redis.exceptions.RedisClusterException, match="slot"):
            client.register_script("return 1")(keys=["a", "b"])

    def test_that_is_lost_is_refused_quickly_and_taken_up_again(self, node, url, client):
        node.pause()

        started_at = time.monotonic()
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                client.get("a")
        with pytest.raises(StoreUnavailable):
            connect(url)
        assert time.monotonic() - started_at < 2 * AT_MOST

        node.resume()
        assert recovered(client.ping)

    def test_that_lacks_slots_is_refused(self, node, client):
        with redis.Redis.from_url(node.url) as plain:
            plain.execute_command("CLUSTER", "DELSLOTSRANGE", 0, 100)

            with pytest.raises(StoreUnavailable):
                _until_refused(client)

            plain.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 100)


def _until_refused(client):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        client.get("a")


class TestBreaker:
    def test_refuses_without_trying_after_a_failure(self):
        breaker, tries = Breaker(rest_seconds=60), []

        def attempt():
            with breaker:
                tries.append(1)
                raise redis.TimeoutError

        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                attempt()

        assert len(tries) == 1

    @pytest.mark.parametrize("error", [redis.ConnectionError, redis.TimeoutError, OSError])
    def test_opens_when_there_is_no_answer(self, error):
        breaker = Breaker(rest_seconds=60)

        with pytest.raises(StoreUnavailable), breaker:
            raise error("away")

        assert breaker.is_open

    @pytest.mark.parametrize("error", [redis.ResponseError, ValueError])
    def test_stays_closed_when_there_is_one(self, error):
        breaker = Breaker(rest_seconds=60)

        with pytest.raises(error), breaker:
            raise error("no")

        assert not breaker.is_open

    def test_closes_by_itself(self):
        breaker = Breaker(rest_seconds=0)
        breaker.trip()

        with breaker:
            pass

    def test_is_not_kept_open_by_those_it_refuses(self):
        breaker = Breaker(rest_seconds=0.2)
        breaker.trip()
        closed = threading.Event()

        deadline = time.monotonic() + 30
        while not closed.is_set() and time.monotonic() < deadline:
            try:
                with breaker:
                    closed.set()
            except StoreUnavailable:
                time.sleep(0.01)

        assert closed.is_set()
