"""The line in front of the hashes of passwords: how many are computed at once, who waits, and who is told to come back."""

import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher as DjangoArgon2PasswordHasher
from django.contrib.auth.hashers import check_password as matches
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session

from apps.accounts import hashers
from apps.accounts.hashers import Line
from apps.accounts.models import AccessToken, User
from apps.core.errors import TooBusy
from concert_project.settings import base
from tests.accounts.entrances import (
    api_login,
    api_register,
    page_login,
    page_register,
    staff_login,
)
from tests.factories.accounts import PASSWORD, CustomerFactory, browser_of
from tests.storefront.rules import Page

AT_ONCE = 1


@pytest.fixture
def line(settings, monkeypatch) -> Generator[Line]:
    """The project's own hashers, and a line of one in which waiting is short."""
    settings.PASSWORD_HASHERS = base.PASSWORD_HASHERS
    made = Line(AT_ONCE, patience=0.05)
    monkeypatch.setattr(hashers, "LINE", made)
    yield made
    assert (made._working._value, made._standing) == (AT_ONCE, 0)


@pytest.fixture
def full(line, monkeypatch) -> Generator[None]:
    """A password is being hashed, and another one waits: in threads of their own."""
    release = threading.Event()
    with monkeypatch.context() as patience:
        patience.setattr(line, "_patience", 30)
        threads = [stand(line, release, []) for _ in range(2 * AT_ONCE)]
        wait_until(lambda: line._standing == 2 * AT_ONCE and line._working._value == 0)
    yield
    release.set()
    for thread in threads:
        thread.join(10)


def stand(line: Line, release: threading.Event, outcomes: list[str]) -> threading.Thread:
    """Start a thread that takes its turn and keeps it until `release`."""

    def hashing() -> None:
        try:
            with line.turn():
                outcomes.append("working")
                release.wait(30)
            outcomes.append("done")
        except TooBusy:
            outcomes.append("refused")

    thread = threading.Thread(target=hashing, daemon=True)
    thread.start()
    return thread


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if is_so():
            return
        time.sleep(0.01)
    raise TimeoutError


class TestLine:
    @pytest.mark.parametrize("at_once", [1, 2])
    def test_lets_some_work_as_many_wait_and_no_others_in(self, at_once):
        line, release, outcomes = Line(at_once, patience=30), threading.Event(), list[str]()
        threads = [stand(line, release, outcomes) for _ in range(2 * at_once)]
        wait_until(lambda: line._standing == 2 * at_once and len(outcomes) == at_once)

        with pytest.raises(TooBusy):
            line.refuse_if_full()
        with pytest.raises(TooBusy) as refusal, line.turn():
            pass

        assert outcomes == ["working"] * at_once
        assert refusal.value.retry_after is not None
        assert 1 <= refusal.value.retry_after <= hashers.RETRY_SECONDS_MAX
        release.set()
        for thread in threads:
            thread.join(10)
        # Those who waited got in.
        assert sorted(outcomes) == ["done"] * (2 * at_once) + ["working"] * (2 * at_once)
        line.refuse_if_full()
        with line.turn():
            pass

    def test_ends_the_patience_of_who_waits(self):
        line, release, outcomes = Line(1, patience=0.01), threading.Event(), list[str]()
        first = stand(line, release, outcomes)
        wait_until(lambda: outcomes == ["working"])

        with pytest.raises(TooBusy), line.turn():
            pass

        release.set()
        first.join(10)
        with line.turn():
            pass

    def test_is_left_by_who_fails(self):
        line = Line(1, patience=0.01)

        for _ in range(3):
            with pytest.raises(ZeroDivisionError), line.turn():
                raise ZeroDivisionError

    def test_without_it_all_of_them_work_at_once(self):
        """The twin: eight threads in the hasher, all of them at the same moment."""
        all_of_them = threading.Barrier(8)

        def hashing() -> None:
            all_of_them.wait(10)

        threads = [threading.Thread(target=hashing) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert not all_of_them.broken

    def test_of_this_process_is_as_long_as_the_settings_say(self, settings):
        assert settings.PASSWORD_HASHES_AT_ONCE == 1
        assert (hashers.LINE._working._value, hashers.LINE._places) == (1, 2)


@pytest.mark.usefixtures("full")
class TestHasherInAFullLine:
    @pytest.fixture
    def hashed(self, monkeypatch) -> Callable[[str], str]:
        """A hash that was made before the line was full."""

        def make(algorithm: str) -> str:
            with monkeypatch.context() as patch:
                patch.setattr(hashers, "LINE", Line(1))
                return make_password(PASSWORD, hasher=algorithm)

        return make

    @pytest.mark.parametrize("algorithm", ["argon2", "pbkdf2_sha256"])
    def test_makes_no_hash(self, algorithm):
        with pytest.raises(TooBusy):
            make_password(PASSWORD, hasher=algorithm)

    @pytest.mark.parametrize("algorithm", ["argon2", "pbkdf2_sha256"])
    @pytest.mark.parametrize("password", [PASSWORD, "wrong"])
    def test_compares_with_none(self, algorithm, password, hashed):
        encoded = hashed(algorithm)

        with pytest.raises(TooBusy):
            matches(password, encoded)

    @pytest.mark.parametrize("encoded", ["!unusable", "gibberish"])
    def test_takes_a_place_for_what_cannot_match(self, encoded):
        """An answer from outside the line would tell which addresses have accounts."""
        with pytest.raises(TooBusy):
            matches(PASSWORD, encoded)


class TestUpgrade:
    @pytest.mark.django_db
    def test_of_an_old_hash_stands_in_line(self, line, monkeypatch):
        customer: User = CustomerFactory()
        User.objects.update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
        customer.refresh_from_db()
        encode, working = DjangoArgon2PasswordHasher.encode, []

        def counted(self: Any, password: str, salt: str) -> str:
            working.append(AT_ONCE - line._working._value)
            return encode(self, password, salt)

        monkeypatch.setattr(DjangoArgon2PasswordHasher, "encode", counted)

        assert customer.check_password(PASSWORD)

        assert working == [1]
        customer.refresh_from_db()
        assert customer.password.startswith("argon2")
        assert customer.check_password(PASSWORD)


LOGINS = [api_login, page_login, staff_login]
ENTRANCES = [*LOGINS, api_register, page_register]


@pytest.fixture
def customer(line) -> User:
    """With a password that the project's own hasher has made."""
    found: User = CustomerFactory(email="mina@example.com", password=PASSWORD, is_staff=True)
    assert found.password.startswith("argon2")
    return found


def _see_it_late(line: Line) -> None:
    """Refuse a caller who asks for a turn, and none before that."""
    if line._lock.locked():
        raise hashers._too_busy()


@pytest.mark.django_db
class TestEntranceInAFullLine:
    @pytest.fixture(autouse=True, params=["early", "late"])
    def moment(
        self,
        customer,
        full,
        request,
        monkeypatch,
    ) -> str:
        """Found full before anything was done, or only when it comes to the hash."""
        if request.param == "late":
            monkeypatch.setattr(Line, "refuse_if_full", _see_it_late)
        return str(request.param)

    @pytest.mark.parametrize("enter", ENTRANCES)
    def test_refuses_changes_nothing_and_says_when_to_come_back(self, enter, customer):
        before = User.objects.values().get()
        email = "new@example.com" if "register" in enter.__name__ else customer.email

        answer = enter(email)

        assert answer.status_code == 503
        assert 1 <= int(answer.headers["Retry-After"]) <= hashers.RETRY_SECONDS_MAX
        assert "no-store" in answer.headers.get("Cache-Control", "no-store")
        assert User.objects.values().get() == before
        assert not AccessToken.objects.exists()
        assert not Session.objects.exists()

    @pytest.mark.parametrize("enter", LOGINS)
    def test_does_not_tell_which_addresses_have_accounts(self, enter):
        CustomerFactory(email="nopassword@example.com")
        CustomerFactory(email="gone@example.com", is_active=False)

        for email in ("mina@example.com", "nobody@example.com", "nopassword@example.com"):
            assert enter(email).status_code == 503

    @pytest.mark.parametrize("enter", [api_login, api_register])
    def test_is_an_envelope_of_the_api(self, enter):
        answer = enter("new@example.com").json()

        assert answer["code"] == "SERVICE_UNAVAILABLE"
        assert answer["data"]["retryable"] is True

    @pytest.mark.parametrize("enter", [page_login, page_register])
    def test_gives_the_form_back_without_the_password(self, enter):
        answer = enter("new@example.com")

        page = Page(answer)
        assert "Very many people are logging in" in answer.content.decode()
        assert (page.value("email"), page.value("next")) == ("new@example.com", "/wallet/")
        assert PASSWORD not in answer.content.decode()

    def test_of_staff_offers_to_try_again(self):
        answer = staff_login("mina@example.com")

        assert 'href="/admin/login/"' in answer.content.decode()

    @pytest.mark.parametrize("enter", LOGINS)
    def test_is_no_failed_login(self, enter, settings, store):
        settings.RATE_LIMIT_ENABLED = True

        enter("mina@example.com")

        assert list(store.scan_iter("guesses:*")) == []

    @pytest.mark.parametrize("enter", [api_register, page_register])
    def test_is_counted_by_the_limiter_once_at_most(self, enter, moment, settings):
        settings.RATE_LIMIT_ENABLED = True
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "register": 2}

        statuses = [enter("new@example.com").status_code for _ in range(3)]

        assert statuses == [503, 503, 503 if moment == "early" else 429]

    def test_is_no_failure_to_be_logged(self, caplog):
        for enter in ENTRANCES:
            enter("new@example.com")

        assert "request_finished" in caplog.text
        assert "request_failed" not in caplog.text
        assert "Traceback" not in caplog.text

    def test_of_a_new_password_in_the_admin_is_told_as_a_page(self, customer):
        customer.is_superuser = True
        customer.save()
        client = browser_of(customer)
        client.raise_request_exception = False
        before = User.objects.get().password

        answer = client.post(
            f"/admin/accounts/user/{customer.pk}/password/",
            {
                "usable_password": "true",
                "password1": "three-red-cups",
                "password2": "three-red-cups",
            },
        )

        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert "Try again" in answer.content.decode()
        assert User.objects.get().password == before


@pytest.mark.django_db
@pytest.mark.parametrize("enter", LOGINS)
def test_a_login_gets_in_when_the_line_is_free(enter, customer):
    assert enter(customer.email).status_code in (200, 302)
    assert AccessToken.objects.exists() or Session.objects.exists()
