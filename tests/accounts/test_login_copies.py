"""Copies of logins: one statement a minute, and no login lives on in one after it has ended."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import redis
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts import ended_logins
from apps.accounts.ended_logins import COPY_LIFE_MAX, END_LIFE
from apps.accounts.login_copies import FILL_LONGEST, customer_id_of
from apps.accounts.models import AccessToken, User, token_digest
from apps.accounts.selectors import TOKEN_FIELDS, USER_FIELDS, live_customer, live_login
from apps.accounts.services import issue_access_tokens, log_out, revoke_access_tokens
from apps.core.store import connect
from dev.stack.servers import ValkeyServer
from tests.boxoffice.sending import send
from tests.factories.accounts import PASSWORD, CustomerFactory, browser_of
from tests.protections import ENDING_COPIES_OF_LOGINS, READING_A_LOGIN, after, replace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def customer() -> User:
    return CustomerFactory()


@pytest.fixture
def token(customer) -> AccessToken:
    issue_access_tokens(user_ids=[customer.pk])
    return customer.access_tokens.get()


@pytest.fixture
def token_hash(token) -> bytes:
    return bytes(token.token_hash)


def keys(store: redis.Redis) -> list[bytes]:
    return list(store.scan_iter("login:*"))


class TestLiveLogin:
    def test_is_the_token_with_its_account(self, customer, token):
        found = live_login(bytes(token.token_hash))

        assert found == token
        assert found is not None
        assert found.user == customer
        for name in TOKEN_FIELDS:
            assert getattr(found, name) == getattr(token, name)
        for name in USER_FIELDS:
            assert getattr(found.user, name) == getattr(customer, name)
        assert not found.user._state.adding

    def test_of_who_needs_the_customer_only_is_that(self, token):
        found = live_customer(bytes(token.token_hash))

        assert found is not None
        assert found[0] == token.user_id
        assert found[1] == pytest.approx(token.expires_at.timestamp(), abs=1e-5)

    def test_has_every_field_there_is(self):
        """A field without a value would be read by a statement of its own."""
        assert set(TOKEN_FIELDS) == {field.attname for field in AccessToken._meta.concrete_fields}
        assert set(USER_FIELDS) == {field.attname for field in User._meta.concrete_fields}

    def test_takes_one_statement(self, token_hash, django_assert_num_queries):
        with django_assert_num_queries(1):
            found = live_login(token_hash)
            assert found is not None
            assert found.user.email

    @pytest.mark.parametrize(
        "change",
        [
            {"revoked_at": timezone.now()},
            {
                "created_at": timezone.now() - timedelta(hours=2),
                "expires_at": timezone.now() - timedelta(hours=1),
            },
        ],
    )
    def test_is_none_of_a_dead_token(self, token, change):
        AccessToken.objects.filter(pk=token.pk).update(**change)

        assert live_login(bytes(token.token_hash)) is None
        assert live_customer(bytes(token.token_hash)) is None

    def test_is_none_of_an_inactive_account(self, customer, token_hash):
        User.objects.filter(pk=customer.pk).update(is_active=False)

        assert live_login(token_hash) is None
        assert live_customer(token_hash) is None
        assert customer_id_of(token_hash) is None

    def test_survives_a_connection_that_was_cut(self, token_hash, rival):
        assert live_login(token_hash)
        with rival.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid]
            )

        assert live_login(token_hash)

    def test_does_not_hide_that_the_database_is_away(self, token_hash, monkeypatch):
        monkeypatch.setitem(connection.settings_dict, "PORT", "1")
        connection.close()

        with pytest.raises(OperationalError):
            live_login(token_hash)


class TestCopy:
    def test_saves_the_statement(self, customer, token_hash, django_assert_num_queries):
        with django_assert_num_queries(1):
            assert customer_id_of(token_hash) == customer.pk
        with django_assert_num_queries(0):
            assert customer_id_of(token_hash) == customer.pk

    def test_lives_a_minute_at_most(self, token_hash, store):
        customer_id_of(token_hash)

        [key] = keys(store)
        assert 0 < store.ttl(key) <= COPY_LIFE_MAX <= 60

    def test_does_not_outlive_the_token(self, token, store):
        AccessToken.objects.filter(pk=token.pk).update(
            expires_at=timezone.now() + timedelta(seconds=2)
        )
        assert customer_id_of(bytes(token.token_hash)) == token.user_id
        [key] = keys(store)
        store.persist(key)

        time.sleep(2.1)

        assert customer_id_of(bytes(token.token_hash)) is None

    def test_of_an_unknown_token_is_not_made(self, store):
        assert customer_id_of(token_digest("guessed")) is None
        assert keys(store) == []

    def test_names_the_token_by_its_digest_only(self, customer, store):
        [issued] = issue_access_tokens(user_ids=[customer.pk])
        customer_id_of(token_digest(issued.token))

        [key] = keys(store)
        assert issued.token.encode() not in key
        assert issued.token.encode() not in (store.get(key) or b"")


def end_by_logging_out(token: AccessToken) -> None:
    log_out(access_token_id=token.pk)


def end_by_the_api(token: AccessToken) -> None:
    [issued] = issue_access_tokens(user_ids=[token.user_id])
    # The token of the fixture is not known in the clear.
    AccessToken.objects.filter(token_hash=token_digest(issued.token)).delete()
    AccessToken.objects.filter(pk=token.pk).update(token_hash=token_digest(issued.token))
    customer_id_of(token_digest(issued.token))
    headers = {"Authorization": f"Bearer {issued.token}"}
    assert Client().post("/api/v1/accounts/logout", headers=headers).status_code == 200
    token.refresh_from_db()


def end_by_revoking(token: AccessToken) -> None:
    revoke_access_tokens(access_token_ids=[token.pk])


def staff() -> Client:
    return browser_of(CustomerFactory(admin=True))


def end_by_a_new_password(token: AccessToken) -> None:
    path = reverse("admin:auth_user_password_change", args=[token.user_id])
    form = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert staff().post(path, form).status_code == 302


def end_by_deactivation(token: AccessToken) -> None:
    path = reverse("admin:accounts_user_change", args=[token.user_id])
    form = {"email": token.user.email, "name": token.user.name}  # `is_active` is not ticked
    assert send(staff(), path, form).status_code == 302
    assert not User.objects.get(pk=token.user_id).is_active


END_BY = [
    end_by_logging_out,
    end_by_the_api,
    end_by_revoking,
    end_by_a_new_password,
    end_by_deactivation,
]


class TestEnd:
    @pytest.mark.parametrize("end", END_BY)
    def test_is_felt_at_once(self, token, end):
        assert customer_id_of(bytes(token.token_hash)) == token.user_id

        end(token)

        assert customer_id_of(bytes(token.token_hash)) is None

    def test_of_one_login_is_no_end_of_another(self, customer, token):
        issue_access_tokens(user_ids=[customer.pk])
        other = customer.access_tokens.exclude(pk=token.pk).get()
        customer_id_of(bytes(other.token_hash))

        log_out(access_token_id=token.pk)

        assert customer_id_of(bytes(other.token_hash)) == customer.pk

    def test_that_is_rolled_back_ends_nothing(self, token, store):
        customer_id_of(bytes(token.token_hash))
        before = store.get(keys(store)[0])

        with transaction.atomic():
            revoke = AccessToken.objects.filter(pk=token.pk)
            revoke.update(revoked_at=timezone.now())
            transaction.on_commit(lambda: ended_logins.end_login_copies([token.token_hash]))
            transaction.set_rollback(True)

        assert store.get(keys(store)[0]) == before

    def test_is_felt_when_a_store_that_was_away_is_back(self, token, valkey_server, settings):
        server = valkey_server()
        settings.CACHE_URL = server.url
        key = ended_logins.copy_key(token.token_hash)
        with redis.Redis.from_url(server.url) as plain:
            plain.set(key, f"{token.user_id}:{time.time() + 60}", ex=COPY_LIFE_MAX)
            server.pause()
            log_out(access_token_id=token.pk)
            server.resume()

            deadline = time.monotonic() + 10
            while plain.get(key) != ended_logins.ENDED:
                assert time.monotonic() < deadline
                time.sleep(0.05)

        assert customer_id_of(bytes(token.token_hash)) is None

    def test_outlives_every_read_under_way(self):
        assert 2 * FILL_LONGEST < END_LIFE

    def test_makes_every_call_ask_the_database(self, token, token_hash, django_assert_num_queries):
        ended_logins.end_login_copies([token_hash])

        for _ in range(2):
            with django_assert_num_queries(1):
                assert customer_id_of(token_hash) == token.user_id


class TestRace:
    """A reader has asked the database, and the login ends before the copy is written."""

    @pytest.fixture
    def slow_reader(self, monkeypatch, token) -> Callable[[], None]:
        def read() -> None:
            after(monkeypatch, READING_A_LOGIN, partial(log_out, access_token_id=token.pk))
            assert customer_id_of(bytes(token.token_hash)) == token.user_id

        return read

    def test_brings_no_ended_login_back(self, slow_reader, token_hash):
        slow_reader()

        assert customer_id_of(token_hash) is None

    def test_would_without_an_end_that_stays(
        self, slow_reader, token, token_hash, store, monkeypatch
    ):
        """The twin: the copy is deleted, as caches usually are invalidated."""

        def delete(token_hashes: list[bytes]) -> None:
            store.delete(*map(ended_logins.copy_key, token_hashes))

        replace(monkeypatch, ENDING_COPIES_OF_LOGINS, by=delete)

        slow_reader()

        assert customer_id_of(token_hash) == token.user_id

    def test_of_a_reader_that_was_away_for_long_leaves_no_copy(
        self, token_hash, store, monkeypatch
    ):
        def be_away() -> None:
            now = time.monotonic() + FILL_LONGEST
            monkeypatch.setattr("apps.accounts.login_copies.time.monotonic", lambda: now)

        after(monkeypatch, READING_A_LOGIN, be_away)

        customer_id_of(token_hash)

        assert keys(store) == []


class TestStoreTrouble:
    @pytest.fixture
    def server(self, valkey_server, settings) -> ValkeyServer:
        server = valkey_server()
        settings.CACHE_URL = server.url
        return server

    @pytest.mark.parametrize("trouble", ["stop", "pause"])
    def test_leaves_the_database_to_answer(self, token, server, trouble):
        customer_id_of(bytes(token.token_hash))
        getattr(server, trouble)()

        assert customer_id_of(bytes(token.token_hash)) == token.user_id
        started_at = time.monotonic()
        log_out(access_token_id=token.pk)
        assert time.monotonic() - started_at < 5
        assert customer_id_of(bytes(token.token_hash)) is None

    def test_is_tried_again_once(self, token, server, monkeypatch):
        """The store was away for the first try only."""
        customer_id_of(bytes(token.token_hash))
        tries = iter([redis.ConnectionError("away")])

        def connect_second_time(url: str) -> Any:
            if error := next(tries, None):
                raise error
            return connect(url)

        monkeypatch.setattr(ended_logins, "connect", connect_second_time)

        log_out(access_token_id=token.pk)

        assert customer_id_of(bytes(token.token_hash)) is None

    def test_is_bounded_by_the_life_of_a_copy(self, token, server):
        customer_id_of(bytes(token.token_hash))
        server.pause()
        log_out(access_token_id=token.pk)
        server.resume()

        with redis.Redis.from_url(server.url) as plain:
            [key] = plain.scan_iter("login:*")
            assert plain.ttl(key) <= 60

    def test_is_never_carried_to_another_store(self, token, valkey_server, settings, monkeypatch):
        """The thread that goes on trying means the store whose copies it has to end."""
        monkeypatch.setattr(ended_logins, "RETRY_SECONDS", 0.01)
        away, other = valkey_server(), valkey_server()
        away.stop()
        settings.CACHE_URL = away.url
        log_out(access_token_id=token.pk)
        settings.CACHE_URL = other.url
        time.sleep(0.5)

        with redis.Redis.from_url(other.url) as plain:
            assert keys(plain) == []
