"""The client of the hot paths: quick to refuse, never wrong about the server process it talks to."""

import hashlib
import os
import socket
import threading
import time
from contextlib import suppress

import pytest
import redis

from apps.core.lean_store import LeanStoreClient, script_client
from apps.core.store import BREAK_SECONDS, ClusterStoreClient, StoreUnavailable
from tests.core.test_store import AT_MOST, recovered
from tests.servers import start_cluster

RETURN_RUN_ID = "return ARGV[1]"
COUNT = "return redis.call('INCR', KEYS[1])"


def sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def run_id_of(server) -> bytes:
    with redis.Redis.from_url(server.url) as plain:
        return plain.info("server")["run_id"].encode()


@pytest.fixture
def server(valkey_server):
    return valkey_server(append_only=True)


@pytest.fixture
def client(server):
    return LeanStoreClient(server.url)


@pytest.fixture
def dripping():
    """The address of a server that takes every command, and answers GET with a byte at a time, without end."""
    is_over = threading.Event()

    def serve(listener):
        peer, _address = listener.accept()
        with peer, suppress(OSError):
            while b"GET" not in (commands := peer.recv(65_536)):
                peer.sendall(b"+OK\r\n" * commands.count(b"*"))
            peer.sendall(b"$1000000\r\n")
            while not is_over.wait(0.02):
                peer.sendall(b".")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        is_over.set()
        thread.join()


def wait_for_the_breaker():
    time.sleep(BREAK_SECONDS + 0.1)


class TestCommand:
    def test_is_answered_as_the_server_does(self, client):
        client.execute_command("SET", "a", 1.5)

        assert client.execute_command("GET", "a") == b"1.5"

    def test_reads_streams_like_redis_py(self, client, server):
        with redis.Redis.from_url(server.url) as plain:
            ids = [plain.xadd("s", {"end": str(number)}) for number in range(3)]

            assert client.xrange("s", count=2) == plain.xrange("s", count=2)
            assert client.xdel("s", ids[0]) == 1
            assert client.xrange("s") == plain.xrange("s")

    def test_that_is_a_mistake_leaves_the_connection_usable(self, client):
        client.execute_command("SET", "a", "1")

        for _ in range(2):
            with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
                client.execute_command("LPUSH", "a", "2")

        assert client.execute_command("GET", "a") == b"1"

    def test_honours_login_and_database_of_the_address(self, valkey_server):
        server = valkey_server(password="sesame")
        client = LeanStoreClient(f"redis://:sesame@127.0.0.1:{server.port}/3")
        client.execute_command("SET", "a", "1")

        with redis.Redis(port=server.port, password="sesame", db=3) as plain:
            assert plain.get("a") == b"1"
        with pytest.raises(StoreUnavailable):
            LeanStoreClient(f"redis://:wrong@127.0.0.1:{server.port}/0").execute_command("PING")

    def test_is_kept_apart_by_thread(self, client, server, race):
        def count():
            return [client.execute_command("INCR", "calls") for _ in range(50)]

        answers = race([count] * 8)

        assert sorted(number for of_one in answers for number in of_one) == list(range(1, 401))
        assert all(of_one == sorted(of_one) for of_one in answers)

    def test_of_a_forked_process_has_a_connection_of_its_own(self, client):
        client.execute_command("SET", "a", "parent")
        reading, writing = os.pipe()

        child = os.fork()
        if child == 0:
            os.write(writing, client.execute_command("CLIENT", "ID").to_bytes(8, "big"))
            os._exit(0)
        os.waitpid(child, 0)

        of_child = int.from_bytes(os.read(reading, 8), "big")
        assert client.execute_command("CLIENT", "ID") != of_child
        assert client.execute_command("GET", "a") == b"parent"

    def test_closes_its_connection_with_its_thread(self, client, server):
        thread = threading.Thread(target=client.execute_command, args=("PING",))
        thread.start()
        thread.join()

        with redis.Redis.from_url(server.url) as plain:
            deadline = time.monotonic() + 10
            while len(plain.client_list()) > 1 and time.monotonic() < deadline:
                time.sleep(0.05)
            assert len(plain.client_list()) == 1


class TestRunId:
    def test_is_put_in_its_place_in_the_arguments(self, client, server):
        assert client.eval(RETURN_RUN_ID, 0, client.run_id) == run_id_of(server)
        assert client.evalsha(sha(RETURN_RUN_ID), 0, client.run_id) == run_id_of(server)

    def test_is_learned_once_for_a_connection(self, client, server):
        for _ in range(5):
            client.eval(RETURN_RUN_ID, 0, client.run_id)

        with redis.Redis.from_url(server.url) as plain:
            assert plain.info("commandstats")["cmdstat_info"]["calls"] == 1

    @pytest.mark.parametrize("is_asked_between", [True, False])
    def test_is_that_of_the_process_that_runs_the_script(self, client, server, is_asked_between):
        first = client.eval(RETURN_RUN_ID, 0, client.run_id)

        server.stop()
        if is_asked_between:
            with pytest.raises(StoreUnavailable):
                client.eval(RETURN_RUN_ID, 0, client.run_id)
            wait_for_the_breaker()
        server.start()

        second = client.eval(RETURN_RUN_ID, 0, client.run_id)
        assert second == run_id_of(server) != first


class TestTrouble:
    @pytest.mark.parametrize("trouble", ["stop", "pause"])
    @pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
    def test_is_refused_quickly(self, server, client, trouble, is_warm):
        if is_warm:
            client.execute_command("PING")
        getattr(server, trouble)()

        started_at = time.monotonic()
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                client.execute_command("GET", "a")

        assert time.monotonic() - started_at < AT_MOST

    def test_is_an_answer_that_comes_byte_by_byte(self, dripping):
        with pytest.raises(StoreUnavailable, match="too long"):
            LeanStoreClient(dripping).execute_command("GET", "a")

    def test_leaves_no_late_answer_to_the_next_call(self, server, client):
        client.execute_command("SET", "a", "late")
        server.pause()
        with pytest.raises(StoreUnavailable):
            client.execute_command("GET", "a")
        server.resume()

        assert recovered(lambda: client.execute_command("PING"))
        assert client.execute_command("ECHO", "mine") == b"mine"

    def test_of_a_connection_that_was_idle_is_not_noticed(self, server, client):
        """The server hangs up on whom it has not heard of for a while."""
        client.execute_command("PING")
        with redis.Redis.from_url(server.url) as plain:
            plain.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        assert client.execute_command("PING") == b"PONG"

    def test_sends_nothing_twice(self, server, client):
        """Its answer is lost, but it was counted."""
        slow = """
            redis.call('INCR', KEYS[1])
            local started = os.clock()
            repeat until os.clock() - started > 0.6
        """
        with pytest.raises(StoreUnavailable):
            client.eval(slow, 1, "calls")

        assert recovered(lambda: client.execute_command("PING"))
        assert client.execute_command("GET", "calls") == b"1"

    def test_counts_a_full_memory_as_unavailable(self, server, client):
        with redis.Redis.from_url(server.url) as operator:
            operator.config_set("maxmemory", "1")
            with pytest.raises(StoreUnavailable):
                client.execute_command("SET", "key", "value")
            wait_for_the_breaker()
            operator.config_set("maxmemory", "0")

        assert recovered(lambda: client.execute_command("SET", "key", "value"))


class TestScriptClient:
    def test_is_one_for_an_address(self, server):
        assert script_client(server.url) is script_client(server.url)

    def test_of_a_cluster_is_that_of_redis_py(self):
        nodes = start_cluster(2)

        client = script_client(nodes[0].url.replace("redis://", "redis+cluster://"))

        assert isinstance(client, ClusterStoreClient)
        assert not hasattr(client, "run_id")
        for node in nodes:
            node.stop()
