"""Counters in the cache's store: exact under a race, kept apart by caller, and never in the way when they are gone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.test import Client

from apps.api import throttling
from apps.api.throttling import COUNTED_QUOTA, hit_limit, hit_limit_of_caller
from tests.factories.accounts import CustomerFactory, bearer
from tests.probes import API, LIMIT_NAMES

pytestmark = pytest.mark.urls("tests.probes")

PER_MINUTE = {"register": 5, "join": 60, "hold": 30, "charge": 30, "write": 60}
RIVALS = 12
KEY = "ratelimit:hold:customer-1"


@pytest.fixture(autouse=True)
def _enabled(settings):
    settings.RATE_LIMIT_ENABLED = True


@pytest.fixture
def few(settings):
    """Make a limit so small that a test reaches it in no time."""

    def allow(name: str, calls: int) -> str:
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, name: calls}
        return f"{API}/limited/{name}"

    return allow


def test_the_limits_are_those_of_the_contract():
    assert settings.RATE_LIMITS == PER_MINUTE
    assert set(LIMIT_NAMES) == set(PER_MINUTE)


class TestLimit:
    @pytest.mark.parametrize("name", LIMIT_NAMES)
    def test_lets_through_as_many_as_it_says_and_not_one_more(self, api, name):
        url, limit = f"{API}/limited/{name}", PER_MINUTE[name]

        statuses = [api.post(url).status_code for _ in range(limit + 1)]

        assert statuses == [200] * limit + [429]

    def test_says_what_is_left(self, api, few):
        url = few("hold", 2)

        answers = [api.post(url) for _ in range(3)]

        assert [answer["RateLimit-Policy"] for answer in answers] == ['"hold";q=2;w=60'] * 3
        remaining = [answer["RateLimit"].split(";t=")[0] for answer in answers]
        assert remaining == ['"hold";r=1', '"hold";r=0', '"hold";r=0']
        for answer in answers:
            assert 1 <= int(answer["RateLimit"].split(";t=")[1]) <= 60

    def test_refuses_with_the_time_to_wait(self, api, few):
        url = few("hold", 1)
        api.post(url)

        response = api.post(url)

        assert response.json()["code"] == "RATE_LIMITED"
        assert response.json()["data"]["retryable"] is True
        assert response["Retry-After"] == response["RateLimit"].split(";t=")[1]

    def test_counts_refused_calls_too(self, api, few):
        few("write", 2)
        url = f"{API}/body"

        statuses = [api.post(url, {"count": "x"}, "application/json").status_code for _ in "123"]

        assert statuses == [400, 400, 429]

    def test_is_kept_apart_from_the_others(self, api, few):
        first, second = few("hold", 1), few("charge", 1)

        statuses = [api.post(url).status_code for url in (first, first, second, second)]

        assert statuses == [200, 429, 200, 429]

    def test_is_no_concern_of_reading(self, api, few):
        few("write", 1)

        answers = [api.get(f"{API}/numbers/1") for _ in range(3)]

        assert [answer.status_code for answer in answers] == [200] * 3
        assert "RateLimit" not in answers[0]

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_of_writes_is_the_default_of_writing(self, api, few, method):
        few("write", 1)

        answers = [getattr(api, method)(f"{API}/numbers/1") for _ in range(2)]

        assert [answer.status_code for answer in answers] == [405, 429]

    def test_can_be_turned_off(self, api, few, settings):
        url = few("hold", 1)
        settings.RATE_LIMIT_ENABLED = False

        answers = [api.post(url) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [200] * 3
        assert "RateLimit" not in answers[0]


class TestCaller:
    @pytest.mark.django_db
    def test_is_the_customer_whatever_the_login_and_the_address(self, api, few):
        url, customer = few("hold", 1), CustomerFactory()
        calls = [(customer, "192.0.2.1"), (customer, "192.0.2.2"), (CustomerFactory(), "192.0.2.1")]

        statuses = [
            api.post(url, headers=bearer(caller), REMOTE_ADDR=address).status_code
            for caller, address in calls
        ]

        assert statuses == [200, 429, 200]

    @pytest.mark.django_db
    def test_is_the_network_of_a_registration_with_or_without_a_login(self, api, few):
        url = few("register", 2)
        logins = [bearer(CustomerFactory()), bearer(CustomerFactory()), {}]

        statuses = [api.post(url, headers=login).status_code for login in logins]

        assert statuses == [200, 200, 429]

    def test_is_the_network_of_an_anonymous_call(self, api, few):
        url = few("hold", 1)
        addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2"]

        statuses = [api.post(url, REMOTE_ADDR=address).status_code for address in addresses]

        assert statuses == [200, 200, 429, 200, 429]

    @pytest.mark.parametrize(("proxies", "statuses"), [(0, [200, 429]), (1, [200, 200])])
    def test_is_who_our_own_proxies_say(self, api, few, settings, proxies, statuses):
        """See `test_addresses.py` for the part of the header that counts."""
        url = few("hold", 1)
        settings.NUM_PROXIES = proxies

        answers = [
            api.post(url, headers={"X-Forwarded-For": sender}, REMOTE_ADDR="198.51.100.7")
            for sender in ("192.0.2.1", "192.0.2.2")
        ]

        assert [answer.status_code for answer in answers] == statuses


class TestRace:
    def test_lets_exactly_the_limit_through(self, race, few):
        url = few("hold", 5)

        statuses = race([lambda: Client().post(url).status_code] * RIVALS)

        assert sorted(statuses) == [200] * 5 + [429] * (RIVALS - 5)

    def test_without_atomic_counting_lets_more_through(self, few, monkeypatch):
        url = few("hold", 5)
        monkeypatch.setattr(throttling, "_HIT", CheckFirst(threading.Barrier(RIVALS)))

        with ThreadPoolExecutor(RIVALS) as pool:
            calls = [pool.submit(Client().post, url) for _ in range(RIVALS)]

        assert [call.result().status_code for call in calls] == [200] * RIVALS


class CheckFirst:
    """Hold what a limiter would be that looks first and counts afterwards."""

    def __init__(self, all_have_looked: threading.Barrier) -> None:
        self.all_have_looked = all_have_looked

    def run(self, client, keys, limit, span):
        is_allowed = int(client.execute_command("LLEN", *keys)) < limit
        self.all_have_looked.wait(30)
        client.execute_command("LPUSH", *keys, time.time_ns() // 1000)
        return [int(is_allowed), 0, span]


class TestWindow:
    @pytest.fixture
    def calls(self, store):
        """The moments of one caller's calls, to be moved into the past, in microseconds."""

        def shift(by: int) -> None:
            moments = [int(moment) - by for moment in store.lrange(KEY, 0, -1)]
            store.delete(KEY)
            store.rpush(KEY, *moments)

        return shift

    def hit(self):
        return hit_limit_of_caller("hold", "customer-1")

    def test_moves_with_every_call(self, settings, calls):
        settings.RATE_LIMITS = {"hold": 3}
        self.hit()
        calls(40_000_000)
        self.hit()
        calls(15_000_000)

        third, refused = self.hit(), self.hit()
        calls(6_000_000)
        fourth, refused_again = self.hit(), self.hit()

        assert (third.remaining, third.resets_in, third.is_exceeded) == (0, 5, False)
        assert (refused.remaining, refused.resets_in, refused.is_exceeded) == (0, 5, True)
        assert (fourth.remaining, fourth.resets_in, fourth.is_exceeded) == (0, 39, False)
        assert refused_again.is_exceeded

    def test_does_not_wait_for_a_clock_that_was_set_back(self, settings, calls):
        settings.RATE_LIMITS = {"hold": 1}
        self.hit()
        calls(-3_600_000_000)

        assert not self.hit().is_exceeded
        assert self.hit().is_exceeded

    def test_is_forgotten_with_its_last_call(self, store):
        self.hit()

        assert 0 < store.ttl(KEY) <= 60

    def test_of_a_limit_of_nothing_lets_no_call_through(self, settings):
        settings.RATE_LIMITS = {"hold": 0}

        quota = self.hit()

        assert (quota.is_exceeded, quota.remaining, quota.resets_in) == (True, 0, 60)

    def test_costs_one_round_trip(self, store):
        self.hit()
        before = store.info("stats")["total_reads_processed"]

        self.hit()

        assert store.info("stats")["total_reads_processed"] - before == 2  # and the question itself


class TestCountedBefore:
    def test_is_not_counted_again(self, rf):
        counted = hit_limit_of_caller("hold", "customer-1")
        request = rf.post("/", **{COUNTED_QUOTA: counted})
        request.user = AnonymousUser()

        assert hit_limit("hold", request) is counted

    def test_of_another_limit_is_counted(self, rf):
        request = rf.post("/", **{COUNTED_QUOTA: hit_limit_of_caller("join", "customer-1")})
        request.user = AnonymousUser()

        assert hit_limit("hold", request).name == "hold"


class TestStoreTrouble:
    @pytest.fixture
    def counters(self, valkey_server, settings):
        server = valkey_server()
        settings.CACHE_URL = server.url
        return server

    @pytest.mark.parametrize("trouble", ["stop", "pause"])
    def test_lets_through(self, api, few, counters, trouble):
        url = few("hold", 1)
        assert [api.post(url).status_code for _ in "12"] == [200, 429]

        getattr(counters, trouble)()
        started_at = time.monotonic()
        answers = [api.post(url) for _ in range(20)]

        assert [answer.status_code for answer in answers] == [200] * 20
        assert "RateLimit" not in answers[0]
        # The breaker: only one call in a second waits for the store.
        assert time.monotonic() - started_at < 5

    def test_goes_on_counting_when_it_is_back(self, rf, few, counters):
        few("hold", 1)
        stranger = rf.post("/")
        stranger.user = AnonymousUser()
        counters.pause()
        assert hit_limit("hold", stranger) is None

        counters.resume()

        deadline = time.monotonic() + 30
        while (quota := hit_limit("hold", stranger)) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert quota is not None
        assert quota.limit == 1
