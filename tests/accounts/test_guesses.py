"""Limits of guessing: failures wait longer and longer, successes are free, and no account is locked out by others for good."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from apps.accounts.errors import InvalidCredentials, TooManyFailures
from apps.accounts.guesses import Entrance, Guess
from apps.accounts.models import AccessToken, User
from apps.core.errors import TooBusy
from tests.accounts.entrances import (
    api_login,
    api_register,
    page_login,
    page_register,
    staff_login,
)
from tests.factories.accounts import PASSWORD, CustomerFactory, browser_of
from tests.protections import COUNTING_A_GUESS, replace
from tests.storefront.rules import StrictClient

FREE = 10  # failures of an account
FREE_OF_NETWORK = 30
# Longer than the defaults, so that no slow machine makes a difference.
FIRST_WAIT, LONGEST_WAIT = 60, 900
FORGET_AFTER = 600
RIVALS = 50
MINA = "mina@example.com"


@pytest.fixture(autouse=True)
def _enabled(settings) -> None:
    settings.RATE_LIMIT_ENABLED = True
    settings.LOGIN_FAILURES = ((FREE, FORGET_AFTER), (FREE_OF_NETWORK, FORGET_AFTER))
    settings.LOGIN_WAITS = (FIRST_WAIT, LONGEST_WAIT)


def begin(account: str = MINA, network: str = "192.0.2.1", entrance: Any = Entrance.SHOP) -> Guess:
    return Guess(entrance, account=account, network=network)


def fail(account: str = MINA, network: str = "192.0.2.1", entrance: Any = Entrance.SHOP) -> int:
    """Return 0 for a guess that was wrong, and the seconds to wait for one that was not made."""
    try:
        with begin(account, network, entrance):
            pass
    except TooManyFailures as refusal:
        return refusal.retry_after or -1
    return 0


def succeed(account: str = MINA, network: str = "192.0.2.1", entrance: Any = Entrance.SHOP) -> None:
    with begin(account, network, entrance) as guess:
        guess.was_right()


def elsewhere(number: int) -> str:
    return f"198.51.100.{number}"


def flood(times: int) -> None:
    """Guess at one account, each time from another network."""
    for number in range(times):
        fail(network=elsewhere(number))


@pytest.fixture
def let_pass(store) -> Callable[[int], None]:
    """Move all that was counted into the past, by seconds."""

    def shift(seconds: int) -> None:
        for key in store.scan_iter("guesses:*"):
            for field in ("since", "until"):
                if moment := store.hget(key, field):
                    store.hset(key, field, int(moment) - seconds * 1_000_000)

    return shift


@pytest.fixture
def mina() -> User:
    return CustomerFactory(email=MINA, password=PASSWORD, is_staff=True)


class TestAccount:
    def test_waits_after_its_free_failures_wherever_they_come_from(self):
        waits = [fail(network=elsewhere(number)) for number in range(FREE + 1)]

        assert waits == [0] * FREE + [FIRST_WAIT]

    def test_waits_longer_with_each_further_failure_and_never_without_end(self, let_pass):
        flood(FREE)

        waits = []
        for number in range(10):
            waits.append(fail(network=elsewhere(number)))
            # Just long enough: hardly anything is forgotten meanwhile.
            let_pass(waits[-1])
            assert fail(network=elsewhere(number)) == 0

        assert waits[:4] == [60, 120, 240, 480]
        assert max(waits) <= LONGEST_WAIT

    def test_forgets_one_failure_after_another(self, let_pass):
        flood(FREE)

        let_pass(3 * FORGET_AFTER)

        assert [fail(network=elsewhere(number)) for number in range(4)] == [0, 0, 0, FIRST_WAIT]

    def test_is_forgotten_in_the_end(self, store):
        fail()

        lives = [store.ttl(key) for key in store.scan_iter("guesses:*")]
        assert len(lives) == 3
        assert all(0 < life <= FORGET_AFTER for life in lives)

    def test_is_the_same_however_its_name_is_written(self):
        names = [MINA, " Mina@Example.com ", "MINA@EXAMPLE.COM"]

        waits = [fail(names[n % 3], elsewhere(n)) for n in range(FREE + 1)]

        assert waits[-1] == FIRST_WAIT

    def test_refuses_without_counting(self, let_pass):
        flood(FREE)
        for _ in range(50):
            fail()

        let_pass(FIRST_WAIT)

        assert fail() == 0

    def test_bears_a_clock_that_was_set_back(self, let_pass):
        flood(FREE)
        let_pass(-10 * LONGEST_WAIT)

        assert fail() == LONGEST_WAIT

    @pytest.mark.parametrize("name", ["", "\ud800", "미나", "x" * 10_000])
    def test_may_have_any_name(self, name):
        assert fail(name) == 0


class TestNetwork:
    def test_waits_after_its_free_failures_at_whatever_accounts(self):
        waits = [fail(f"customer{n}@example.com") for n in range(FREE_OF_NETWORK + 1)]

        assert waits == [0] * FREE_OF_NETWORK + [FIRST_WAIT]
        assert fail("another@example.com", elsewhere(1)) == 0

    def test_spends_nothing_on_logins(self, store):
        for number in range(200):
            succeed(f"customer{number}@example.com")

        assert begin("new@example.com").quota.remaining == FREE - 1  # type: ignore[union-attr]
        assert [fail(f"other{n}@example.com") for n in range(FREE_OF_NETWORK - 1)] == [0] * 29

    def test_forgives_slips_before_a_login(self):
        for number in range(100):
            for _ in range(3):
                assert fail(f"customer{number}@example.com") == 0
            succeed(f"customer{number}@example.com")

    def test_is_not_redeemed_by_a_login_to_another_account(self):
        """A customer does not buy guesses at other accounts with an own one."""
        waits = []
        for number in range(FREE_OF_NETWORK + 1):
            waits.append(fail(f"victim{number}@example.com"))
            if not waits[-1]:
                with suppress(TooManyFailures):
                    succeed("mine@example.com")

        assert FIRST_WAIT in waits

    def test_is_not_redeemed_by_slips_that_it_was_not_charged_with(self):
        """Wrong passwords at an account that knows the network are counted there alone, so a login takes none back here."""
        succeed("mine@example.com")
        waits = []
        for number in range(FREE_OF_NETWORK + 1):
            waits.append(fail(f"victim{number}@example.com"))
            if not waits[-1]:
                for _ in range(FREE):
                    fail("mine@example.com")
                with suppress(TooManyFailures):
                    succeed("mine@example.com")

        assert waits[-1] == FIRST_WAIT


@pytest.mark.django_db
class TestOwner:
    def test_waits_elsewhere_and_gets_in_after_the_wait(self, let_pass):
        flood(100)
        wait = fail()
        assert wait == FIRST_WAIT
        let_pass(wait)

        succeed()

        # And leaves what strangers have done as it was, from here on apart.
        assert fail(network=elsewhere(1)) == 0
        assert fail(network=elsewhere(2)) > 0
        assert fail() == 0

    def test_gets_in_at_once_from_a_known_network(self):
        succeed()
        flood(100)

        succeed()
        assert fail(network=elsewhere(1)) > 0

    def test_gets_in_at_once_while_the_known_network_is_flooding_others(self):
        succeed()
        for number in range(100):
            fail(f"victim{number}@example.com")

        succeed()
        assert fail("another@example.com") > 0

    def test_gets_in_at_once_on_a_known_device_wherever_it_is(self, mina):
        browser = StrictClient()
        at_home: Any = {"REMOTE_ADDR": "192.0.2.1"}
        fields = {"email": MINA, "password": PASSWORD}
        assert browser.post("/login/", fields, **at_home).status_code == 302
        browser.post("/logout/")
        flood(100)

        on_the_road: Any = {"REMOTE_ADDR": "203.0.113.9"}
        assert StrictClient().post("/login/", fields, **on_the_road).status_code == 429
        assert browser.post("/login/", fields, **on_the_road).status_code == 302

    def test_has_no_more_guesses_on_a_known_device_than_anywhere(self):
        def guess(number: int, device: str) -> int:
            try:
                with Guess(
                    Entrance.SHOP, account=MINA, network=elsewhere(number), device=device
                ) as made:
                    if number == 0:
                        made.was_right()
            except TooManyFailures as refusal:
                return refusal.retry_after or -1
            return 0

        guess(0, "known")
        waits = [guess(number, "known") for number in range(1, 3 * FREE + 1)]

        assert waits.count(0) == 2 * FREE
        assert guess(99, "another") > 0

    def test_is_not_known_by_a_device_that_has_only_failed(self):
        for number in range(FREE):
            with Guess(
                Entrance.SHOP, account=MINA, network=elsewhere(number), device="a guesser's"
            ):
                pass

        with (
            pytest.raises(TooManyFailures),
            Guess(Entrance.SHOP, account=MINA, network=elsewhere(99), device="a guesser's"),
        ):
            pass

    def test_has_no_more_guesses_at_a_known_network_than_anywhere(self):
        succeed()

        waits = [fail() for _ in range(3 * FREE)]

        # Its own, and those of a stranger.
        assert waits.count(0) == 2 * FREE

    def test_is_known_for_a_while(self, store):
        succeed()

        [key] = store.scan_iter("guesses:*")
        assert store.hkeys(key) == [b"known"]
        assert 29 * 86_400 < store.ttl(key) <= 30 * 86_400

    def test_is_known_nowhere_if_the_settings_say_so(self, settings, store):
        settings.LOGIN_KNOWN_DAYS = 0

        succeed()

        assert list(store.scan_iter("guesses:*")) == []


class TestGuess:
    def test_at_one_entrance_is_none_at_the_other(self):
        for number in range(100):
            fail(f"customer{number}@example.com")
            fail("admin@example.com", elsewhere(number))

        assert fail("admin@example.com", entrance=Entrance.STAFF) == 0

    @pytest.mark.parametrize("trouble", [TooBusy(), ZeroDivisionError()])
    def test_of_which_nothing_was_learned_does_not_count(self, trouble, store):
        for _ in range(FREE + 5):
            with pytest.raises(type(trouble)), begin():
                raise trouble

        assert list(store.scan_iter("guesses:*")) == []

    def test_that_is_refused_counts(self):
        for _ in range(FREE):
            with pytest.raises(InvalidCredentials), begin():
                raise InvalidCredentials

        assert fail() == FIRST_WAIT

    def test_says_what_is_left(self):
        quota = begin().quota

        assert quota is not None
        assert quota.headers() == {
            "RateLimit-Policy": '"login";q=10;w=6000',
            "RateLimit": '"login";r=9;t=600',
        }

    def test_that_was_right_has_cost_nothing(self):
        fail()
        guess = begin()
        with guess:
            guess.was_right()

        assert guess.quota is not None
        assert (guess.quota.remaining, guess.quota.is_exceeded) == (FREE, False)

    def test_can_go_uncounted(self, settings, store):
        settings.RATE_LIMIT_ENABLED = False

        assert [fail() for _ in range(50)] == [0] * 50
        assert begin().quota is None
        assert list(store.scan_iter("guesses:*")) == []

    def test_keeps_no_names(self, store):
        fail()
        succeed("joon@example.com")

        kept = b" ".join(store.scan_iter("guesses:*"))
        assert b"example" not in kept
        assert b"192.0.2" not in kept

    @pytest.mark.parametrize("trouble", ["stop", "pause"])
    def test_is_free_while_the_store_is_down(self, trouble, valkey_server, settings):
        server = valkey_server()
        settings.CACHE_URL = server.url
        for _ in range(FREE):
            fail()
        guess = begin("other@example.com")
        getattr(server, trouble)()

        with guess:
            guess.was_right()

        assert [fail() for _ in range(20)] == [0] * 20

    def test_costs_one_round_trip_and_a_right_one_two(self, store):
        succeed()
        fail()
        before = store.info("stats")["total_reads_processed"]
        fail()
        succeed()

        assert store.info("stats")["total_reads_processed"] - before == 3 + 1

    @pytest.mark.parametrize(
        ("seconds", "is_of_account", "language", "words"),
        [
            (1, True, "en", "for this email address. Try again in 1 second."),
            (60, False, "en", "from your network. Try again in 60 seconds."),
            (61, True, "en", "Try again in 2 minutes."),
            (20, True, "ko", "20초"),
            (900, False, "ko", "15분"),
        ],
    )
    def test_refused_says_which_limit_and_for_how_long(
        self, seconds, is_of_account, language, words
    ):
        refusal = TooManyFailures(is_of_account=is_of_account, retry_after=seconds)

        with translation.override(language):
            assert words in refusal.message


class CheckFirst:
    """Hold what a limiter would be that looks first and counts afterwards."""

    def __init__(self, all_have_looked: threading.Barrier) -> None:
        self.all_have_looked = all_have_looked

    def run(self, client: Any, keys: list[str], what: str, free: int, *_: Any) -> list[int]:
        failures = int(client.execute_command("HGET", keys[0], "failures") or 0)
        self.all_have_looked.wait(30)
        client.execute_command("HINCRBY", keys[0], "failures", 1)
        return [int(failures < free), 0, max(0, free - failures), 1]


class TestRace:
    def test_lets_as_many_through_as_are_free(self, race):
        waits = race([fail] * RIVALS)

        assert waits.count(0) == FREE

    def test_without_atomic_counting_lets_more_through(self, monkeypatch):
        replace(monkeypatch, COUNTING_A_GUESS, by=CheckFirst(threading.Barrier(RIVALS)))

        with ThreadPoolExecutor(RIVALS) as pool:
            waits = list(pool.map(lambda _: fail(), range(RIVALS)))

        assert waits == [0] * RIVALS


# --- The doors --------------------------------------------------------------------------------------------------------


DOORS = [api_login, page_login, staff_login]
Door = Callable[..., Any]


@pytest.mark.slow
@pytest.mark.django_db
class TestDoor:
    @pytest.mark.parametrize("door", DOORS)
    @pytest.mark.parametrize("email", [MINA, "nobody@example.com"])
    def test_refuses_the_eleventh_guess_at_an_account_from_eleven_addresses(
        self, door, email, mina
    ):
        answers = [door(email, "wrong", REMOTE_ADDR=elsewhere(n)) for n in range(FREE + 1)]

        assert {answer.status_code for answer in answers[:-1]} <= {200, 400, 401}
        assert answers[-1].status_code == 429
        assert answers[-1].headers["Retry-After"] == str(FIRST_WAIT)
        assert "email address" in answers[-1].content.decode()
        assert f"{FIRST_WAIT} seconds" in answers[-1].content.decode()
        # The right one has to wait as well: the answer must not tell that it is.
        assert door(email, PASSWORD, REMOTE_ADDR=elsewhere(99)).status_code == 429
        mina.refresh_from_db()
        assert mina.last_login is None
        assert not AccessToken.objects.exists()

    @pytest.mark.parametrize("door", DOORS)
    def test_counts_addresses_of_one_64_as_one_network(self, door):
        answers = [
            door(f"customer{n}@example.com", "wrong", REMOTE_ADDR=f"2001:db8:1:2:{n + 1:x}::1")
            for n in range(40)
        ]

        statuses = [answer.status_code for answer in answers]
        assert 429 not in statuses[:FREE_OF_NETWORK]
        assert statuses[FREE_OF_NETWORK:] == [429] * 10
        assert "your network" in answers[-1].content.decode()
        other = door("another@example.com", "wrong", REMOTE_ADDR="2001:db8:1:3::1")
        assert other.status_code != 429

    @pytest.mark.parametrize("door", DOORS)
    def test_lets_two_hundred_in_from_one_address(self, door, mina):
        others = [CustomerFactory(password=PASSWORD, staff=True) for _ in range(9)]
        emails = [mina.email, *(other.email for other in others)]

        statuses = {door(emails[n % 10], PASSWORD).status_code for n in range(200)}

        assert statuses <= {200, 302}

    def test_of_the_shop_locks_no_staff_out(self, mina):
        for number in range(FREE_OF_NETWORK + 20):
            page_login(f"customer{number}@example.com", "wrong")
            api_login(MINA, "wrong", REMOTE_ADDR=elsewhere(number))

        assert page_login("customer@example.com", "wrong").status_code == 429
        assert staff_login(MINA, PASSWORD).status_code == 302

    def test_of_pages_and_api_is_one(self, mina):
        for _ in range(FREE // 2):
            page_login(MINA, "wrong")
            api_login(MINA, "wrong")

        assert page_login(MINA, "wrong").status_code == 429
        assert api_login(MINA, "wrong").status_code == 429

    def test_of_the_api_answers_with_its_envelope(self, mina):
        for _ in range(FREE):
            answer = api_login(MINA, "wrong")
        assert answer.headers["RateLimit"] == f'"login";r=0;t={FIRST_WAIT}'

        answer = api_login(MINA, "wrong")

        body = answer.json()
        assert body["code"] == "RATE_LIMITED"
        assert set(body["data"]) == {"retryable", "request_id"}
        assert body["data"]["retryable"] is True
        assert body["message"] == (
            "Too many failed attempts for this email address. Try again in 60 seconds."
        )
        assert answer.headers["RateLimit-Policy"] == '"login";q=10;w=6000'

    @pytest.mark.parametrize("door", [page_login, staff_login])
    def test_of_the_pages_keeps_a_number_in_browsers_that_got_in(self, door, mina, settings):
        settings.SESSION_COOKIE_SECURE = True

        cookie = door(MINA, PASSWORD).cookies["device"]

        assert len(cookie.value) == 22
        assert (cookie["httponly"], cookie["secure"]) == (True, True)
        assert cookie["samesite"] == "Lax"
        assert cookie["max-age"] == 30 * 86_400
        assert "device" not in door(MINA, "wrong").cookies
        settings.LOGIN_KNOWN_DAYS = 0
        assert "device" not in door(MINA, PASSWORD).cookies

    @pytest.mark.parametrize("device", ["", "x", "x" * 5_000, "x" * 21 + "é"])
    def test_of_the_pages_takes_no_number_that_it_did_not_draw(self, device, mina):
        client = StrictClient()
        client.cookies["device"] = device

        answer = client.post("/login/", {"email": MINA, "password": PASSWORD})

        assert answer.cookies["device"].value != device

    def test_of_the_pages_gives_the_form_back(self, mina):
        for _ in range(FREE):
            page_login(MINA, "wrong")

        page = page_login(MINA, PASSWORD)

        assert f'value="{MINA}"' in page.content.decode()
        assert PASSWORD not in page.content.decode()

    def test_counts_nothing_that_is_no_guess(self):
        answers = [api_login("", "") for _ in range(FREE + 5)]
        answers += [page_login(MINA, "") for _ in range(FREE + 5)]

        assert {answer.status_code for answer in answers} == {400}

    def test_of_registering_counts_addresses_that_are_taken(self, mina):
        others = [CustomerFactory() for _ in range(FREE_OF_NETWORK)]

        # The other limit counts all calls by address, five a minute.
        from_one_64 = [
            [page_register, api_register][n % 2](other.email, REMOTE_ADDR=f"2001:db8::{n + 1:x}")
            for n, other in enumerate(others[:6])
        ]
        for other in others[5:]:
            with pytest.raises(InvalidCredentials), begin(other.email, "192.0.2.1"):
                raise InvalidCredentials
        for _ in range(5):
            with begin("one@example.com", "192.0.2.1"):
                pass

        assert [answer.status_code for answer in from_one_64] == [409] * 5 + [429]
        for register in (api_register, page_register):
            assert register("new@example.com", REMOTE_ADDR="192.0.2.1").status_code == 429
        assert not User.objects.filter(email="new@example.com").exists()
        assert api_register("new@example.com", REMOTE_ADDR="192.0.2.2").status_code == 201

    def test_of_registering_makes_the_network_known(self, store):
        page_register(MINA)

        flood(50)

        assert page_login(MINA, PASSWORD).status_code == 302

    def test_of_a_new_password_of_ones_own_counts_wrong_old_ones(self, mina):
        client = browser_of(mina)

        def change(old: str, new: str = "three-red-cups", again: str = "three-red-cups") -> int:
            fields = {"old_password": old, "new_password1": new, "new_password2": again}
            return client.post("/admin/password_change/", fields).status_code

        assert {change(PASSWORD, "x", "y") for _ in range(FREE + 5)} == {200}
        # From here on known, as after a login.
        assert [change("wrong") for _ in range(FREE)] == [200] * FREE
        assert [change("wrong") for _ in range(FREE)] == [200] * FREE
        assert change("wrong") == 429
        assert change(PASSWORD) == 429
        mina.refresh_from_db()
        assert mina.check_password(PASSWORD)
        assert client.get("/admin/password_change/").status_code == 200

    def test_of_a_new_password_is_for_staff(self):
        answer = Client().post("/admin/password_change/", {"old_password": "x"})

        assert answer.status_code == 302
        assert "/admin/login/" in answer.headers["Location"]
