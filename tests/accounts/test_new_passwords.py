"""Every way of setting a password ends the logins that there are; a better hash of the same one ends none."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.ended_logins import ENDED, copy_key
from apps.accounts.login_copies import customer_id_of
from apps.accounts.models import AccessToken, User
from apps.accounts.services import issue_access_tokens
from apps.accounts.triggers import same_password
from concert_project.settings import base
from tests.factories.accounts import PASSWORD, CustomerFactory, browser_of
from tests.reservations.racing import wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)

NEW_PASSWORD = "three-red-cups"
Way = Callable[[User, pytest.MonkeyPatch], None]


@pytest.fixture
def mina() -> User:
    return CustomerFactory(email="mina@example.com", password=PASSWORD, admin=True)


@pytest.fixture
def session(mina) -> Client:
    """A browser in which she is logged in."""
    client = browser_of(mina)
    assert is_logged_in(client)
    return client


def is_logged_in(client: Client) -> bool:
    return client.get("/wallet/").status_code == 200


def log_in_anew(mina: User) -> bytes:
    """Return the digest of a token with a copy, which only customers have: she is one when it is made."""
    account = User.objects.filter(pk=mina.pk)
    account.update(is_staff=False)
    issue_access_tokens(user_ids=[mina.pk])
    token = AccessToken.objects.filter(user=mina).latest("pk")
    assert customer_id_of(bytes(token.token_hash)) == mina.pk
    account.update(is_staff=True)
    return bytes(token.token_hash)


def by_command(mina: User, monkeypatch: pytest.MonkeyPatch) -> None:
    asks = "django.contrib.auth.management.commands.changepassword.getpass.getpass"
    monkeypatch.setattr(asks, lambda prompt: NEW_PASSWORD)
    call_command("changepassword", mina.email)


def by_a_colleague(mina: User, _: Any, **takes_away: str) -> None:
    new = {"usable_password": "true", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    path = f"/admin/accounts/user/{mina.pk}/password/"
    answer = browser_of(CustomerFactory(admin=True)).post(path, new | takes_away)
    assert answer.status_code == 302


def by_a_colleague_who_takes_it_away(mina: User, _: Any) -> None:
    none = {"usable_password": "false", "unset-password": "1", "password1": "", "password2": ""}
    by_a_colleague(mina, _, **none)


def by_herself(mina: User, _: Any) -> None:
    client = browser_of(mina)
    new = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    answer = client.post("/admin/password_change/", {"old_password": PASSWORD, **new})
    assert answer.status_code == 302
    assert client.get("/admin/").status_code == 200


def by_code(mina: User, _: Any) -> None:
    mina.set_password(NEW_PASSWORD)
    mina.save()


def by_code_for_the_field(mina: User, _: Any) -> None:
    mina.set_password(NEW_PASSWORD)
    mina.save(update_fields=["password"])


def by_code_that_leaves_none(mina: User, _: Any) -> None:
    mina.set_unusable_password()
    mina.save()


def by_code_that_sets_none(mina: User, _: Any) -> None:
    mina.set_password(None)
    mina.save()


def by_update(mina: User, _: Any) -> None:
    User.objects.filter(pk=mina.pk).update(password=make_password(NEW_PASSWORD))


def by_bulk_update(mina: User, _: Any) -> None:
    mina.password = make_password(NEW_PASSWORD)
    User.objects.bulk_update([mina], ["password"])


def by_sql(mina: User, _: Any) -> None:
    with connection.cursor() as cursor:
        hashed = make_password(NEW_PASSWORD)
        cursor.execute("UPDATE accounts_user SET password = %s WHERE id = %s", [hashed, mina.pk])


BY_SAVING: list[Way] = [
    by_command,
    by_a_colleague,
    by_a_colleague_who_takes_it_away,
    by_herself,
    by_code,
    by_code_for_the_field,
    by_code_that_leaves_none,
    by_code_that_sets_none,
]
AROUND_SAVING: list[Way] = [by_update, by_bulk_update, by_sql]


class TestNewPassword:
    @pytest.mark.parametrize("way", [*BY_SAVING, *AROUND_SAVING])
    def test_ends_all_logins_of_the_account(self, way, mina, session, monkeypatch):
        other = CustomerFactory()
        issue_access_tokens(user_ids=[mina.pk, mina.pk, other.pk])

        way(mina, monkeypatch)

        [live] = AccessToken.objects.live(at=timezone.now())
        assert live.user == other
        assert not User.objects.get(pk=mina.pk).check_password(PASSWORD)
        assert not is_logged_in(session)

    @pytest.mark.parametrize("way", BY_SAVING)
    def test_ends_copies_of_logins_at_once(self, way, mina, monkeypatch):
        token_hash = log_in_anew(mina)

        way(mina, monkeypatch)

        assert customer_id_of(token_hash) is None

    @pytest.mark.parametrize("way", AROUND_SAVING)
    def test_leaves_copies_their_minute_where_it_goes_around_saving(
        self, way, mina, monkeypatch, store
    ):
        token_hash = log_in_anew(mina)

        way(mina, monkeypatch)

        assert store.ttl(copy_key(token_hash)) <= 60
        store.delete(copy_key(token_hash))
        assert customer_id_of(token_hash) is None

    def test_that_is_rolled_back_ends_nothing(self, mina, store):
        token_hash = log_in_anew(mina)

        with transaction.atomic():
            mina.set_password(NEW_PASSWORD)
            mina.save()
            transaction.set_rollback(True)

        assert store.get(copy_key(token_hash)) != ENDED
        assert AccessToken.objects.live(at=timezone.now()).count() == 1

    def test_keeps_the_end_of_what_had_ended(self, mina):
        issue_access_tokens(user_ids=[mina.pk])
        ended_at = timezone.now()
        AccessToken.objects.update(revoked_at=ended_at)

        mina.set_password(NEW_PASSWORD)
        mina.save()

        assert AccessToken.objects.get().revoked_at == ended_at

    def test_ends_a_login_that_was_under_way(self, mina, rival):
        """The login has locked the account, and is committed while the new password waits for it."""
        now = timezone.now()
        with rival.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("UPDATE accounts_user SET last_login = now() WHERE id = %s", [mina.pk])
            cursor.execute(
                "INSERT INTO accounts_accesstoken (user_id, token_hash, created_at, expires_at) "
                "VALUES (%s, 'x', %s, %s)",
                [mina.pk, now, now + base.ACCESS_TOKEN_LIFETIME],
            )
            mina.set_password(NEW_PASSWORD)

            def save() -> None:
                mina.save()
                connection.close()

            saving = threading.Thread(target=save)
            saving.start()
            wait_until_blocked()
            cursor.execute("COMMIT")
            saving.join(30)

        assert not AccessToken.objects.live(at=timezone.now()).exists()


class TestBetterHash:
    @pytest.fixture
    def token_hash(self, mina, settings) -> bytes:
        """Of a login to an account whose hash was made by an older hasher."""
        settings.PASSWORD_HASHERS = base.PASSWORD_HASHERS
        User.objects.update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
        return log_in_anew(mina)

    def by_api(self, mina: User) -> None:
        body = {"email": mina.email, "password": PASSWORD}
        path = "/api/v1/accounts/login"
        assert Client().post(path, body, "application/json").status_code == 200

    def by_page(self, mina: User) -> None:
        fields = {"email": mina.email, "password": PASSWORD}
        assert Client().post("/login/", fields).status_code == 302

    def by_admin(self, mina: User) -> None:
        fields = {"username": mina.email, "password": PASSWORD}
        assert Client().post("/admin/login/", fields).status_code == 302

    @pytest.mark.parametrize("door", [by_api, by_page, by_admin])
    def test_at_a_login_ends_no_login(self, door, mina, token_hash, store):
        door(self, mina)

        mina.refresh_from_db()
        assert mina.password.startswith("argon2")
        token = AccessToken.objects.get(token_hash=token_hash)
        assert token.revoked_at is None
        assert store.get(copy_key(token_hash)) != ENDED

    def test_leaves_the_next_password_to_end_them(self, mina, token_hash):
        mina.refresh_from_db()
        with transaction.atomic():
            assert mina.check_password(PASSWORD)
            mina.set_password(NEW_PASSWORD)
            mina.save()

        assert customer_id_of(token_hash) is None
        assert not AccessToken.objects.live(at=timezone.now()).exists()

    def test_does_not_bring_back_a_password_that_has_been_replaced(self, mina, token_hash):
        mina.refresh_from_db()
        by_update(mina, None)

        assert mina.check_password(PASSWORD)

        assert User.objects.get(pk=mina.pk).check_password(NEW_PASSWORD)

    def test_is_told_for_no_longer_than_it_takes(self, mina, token_hash):
        with pytest.raises(ZeroDivisionError), same_password():
            raise ZeroDivisionError

        by_update(mina, None)

        assert not AccessToken.objects.live(at=timezone.now()).exists()
