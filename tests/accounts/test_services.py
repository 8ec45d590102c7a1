from typing import Any

import pytest
import time_machine
from django.contrib.auth.hashers import get_hasher, make_password
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.accounts.errors import EmailTaken, InvalidCredentials
from apps.accounts.models import AccessToken, User, token_digest
from apps.accounts.services import (
    issue_access_tokens,
    log_in,
    log_out,
    register_customer,
    revoke_access_tokens,
)
from tests.factories.accounts import PASSWORD, CustomerFactory
from tests.protections import COMPARING_A_PASSWORD, after

pytestmark = pytest.mark.django_db


class TestRegisterCustomer:
    def test_opens_an_account(self):
        customer = register_customer(email="mina@example.com", password=PASSWORD, name="Mina")

        kept = User.objects.get()
        assert kept == customer
        assert (kept.email, kept.name) == ("mina@example.com", "Mina")
        assert kept.check_password(PASSWORD)
        assert kept.password != PASSWORD
        assert (kept.is_active, kept.is_staff, kept.is_superuser) == (True, False, False)

    def test_keeps_the_address_in_lower_case(self):
        customer = register_customer(email=" Mina@Example.COM ", password=PASSWORD, name="Mina")

        assert customer.email == "mina@example.com"

    @pytest.mark.parametrize("email", ["mina@example.com", "MINA@example.com", "mina@EXAMPLE.com"])
    def test_refuses_an_address_that_is_taken_in_any_case(self, email):
        CustomerFactory(email="mina@example.com", name="The first")

        with pytest.raises(EmailTaken):
            register_customer(email=email, password=PASSWORD, name="The second")

        assert User.objects.get().name == "The first"


class TestUser:
    def test_cannot_share_an_address(self):
        CustomerFactory(email="mina@example.com")

        with pytest.raises(IntegrityError, match="user_email_unique"), transaction.atomic():
            User.objects.bulk_create([User(email="mina@example.com")])

    def test_cannot_have_an_address_in_upper_case(self):
        with pytest.raises(IntegrityError, match="user_email_lower_case"), transaction.atomic():
            User.objects.bulk_create([User(email="Mina@example.com")])

    def test_without_a_password_cannot_log_in(self):
        customer = User.objects.create_user("mina@example.com", name="Mina")

        assert not customer.has_usable_password()

    def test_may_be_a_superuser(self):
        admin = User.objects.create_superuser("Admin@example.com", PASSWORD, name="Admin")

        assert (admin.is_staff, admin.is_superuser) == (True, True)
        assert User.objects.get_by_natural_key("ADMIN@example.com") == admin


class TestLogIn:
    def test_gives_a_token_that_lives_its_time(self, settings):
        customer = CustomerFactory(password=PASSWORD)

        with time_machine.travel(timezone.now(), tick=False):
            now = timezone.now()
            issued = log_in(email=customer.email, password=PASSWORD)

        assert issued.user_id == customer.pk
        assert issued.expires_at == now + settings.ACCESS_TOKEN_LIFETIME
        kept = AccessToken.objects.get()
        assert (kept.user, kept.created_at, kept.expires_at) == (customer, now, issued.expires_at)
        customer.refresh_from_db()
        assert customer.last_login == now

    @pytest.mark.parametrize("change", ["password", "is_active"])
    def test_gives_none_to_an_account_that_changes_meanwhile(self, monkeypatch, change):
        """Keep out a caller whose account changes while an old password is compared."""
        customer = CustomerFactory(password=PASSWORD)

        changed = {change: make_password("another") if change == "password" else False}
        account = User.objects.filter(pk=customer.pk)
        after(monkeypatch, COMPARING_A_PASSWORD, lambda: account.update(**changed))

        with pytest.raises(InvalidCredentials):
            log_in(email=customer.email, password=PASSWORD)

        assert not AccessToken.objects.exists()

    def test_takes_the_address_in_any_case(self):
        customer = CustomerFactory(email="mina@example.com", password=PASSWORD)

        assert log_in(email=" MINA@example.com", password=PASSWORD).user_id == customer.pk

    def test_keeps_a_digest_of_the_token_only(self):
        customer = CustomerFactory(password=PASSWORD)

        issued = log_in(email=customer.email, password=PASSWORD)

        with connection.cursor() as cursor:
            cursor.execute("SELECT t::text FROM accounts_accesstoken t")
            [[row]] = cursor.fetchall()
        assert issued.token not in row
        assert issued.token.encode().hex() not in row
        assert token_digest(issued.token).hex() in row

    def test_gives_every_login_a_token_of_256_bits_of_its_own(self):
        customer = CustomerFactory(password=PASSWORD)

        tokens = {log_in(email=customer.email, password=PASSWORD).token for _ in range(5)}

        assert len(tokens) == 5
        assert {len(token) for token in tokens} == {43}

    @pytest.mark.parametrize(
        ("email", "password"),
        [
            ("mina@example.com", "wrong"),
            ("mina@example.com", PASSWORD.upper()),
            ("mina@example.com", PASSWORD + " "),
            ("mina@example.com", ""),
            ("nobody@example.com", PASSWORD),
            ("", PASSWORD),
            ("gone@example.com", PASSWORD),
            ("nopassword@example.com", PASSWORD),
        ],
    )
    def test_refuses_all_others_and_works_as_hard_for_each(self, email, password, monkeypatch):
        """Otherwise the time of the answer would tell which addresses have accounts."""
        CustomerFactory(email="mina@example.com", password=PASSWORD)
        CustomerFactory(email="gone@example.com", password=PASSWORD, is_active=False)
        CustomerFactory(email="nopassword@example.com")

        hasher = type(get_hasher())
        encode, hashed = hasher.encode, []

        def counted(self: Any, password: str, salt: str, *more: object) -> str:
            hashed.append(password)
            return encode(self, password, salt, *more)

        monkeypatch.setattr(hasher, "encode", counted)

        with pytest.raises(InvalidCredentials):
            log_in(email=email, password=password)

        assert len(hashed) == 1
        assert not AccessToken.objects.exists()


class TestLogOut:
    def test_kills_this_login_and_no_other(self):
        customer = CustomerFactory()
        issue_access_tokens(user_ids=[customer.pk, customer.pk])
        first, second = AccessToken.objects.order_by("pk")

        log_out(access_token_id=first.pk)

        assert list(AccessToken.objects.live(at=timezone.now())) == [second]

    def test_keeps_the_time_of_the_first(self):
        issue_access_tokens(user_ids=[CustomerFactory().pk])
        token = AccessToken.objects.get()
        log_out(access_token_id=token.pk)
        token.refresh_from_db()

        log_out(access_token_id=token.pk)

        assert AccessToken.objects.get().revoked_at == token.revoked_at is not None


class TestRevokeAccessTokens:
    def test_counts_those_that_were_alive(self):
        issue_access_tokens(user_ids=[CustomerFactory().pk for _ in range(3)])
        ids = list(AccessToken.objects.order_by("pk").values_list("pk", flat=True))
        log_out(access_token_id=ids[0])

        assert revoke_access_tokens(access_token_ids=ids[:2]) == 1

        assert [token.pk for token in AccessToken.objects.live(at=timezone.now())] == [ids[2]]


class TestIssueAccessTokens:
    def test_serves_many_customers_in_one_statement(self, django_assert_num_queries):
        customers = CustomerFactory.create_batch(5)

        with django_assert_num_queries(3) as statements:
            issued = issue_access_tokens(user_ids=[customer.pk for customer in customers])

        verbs = [query["sql"].split()[0] for query in statements.captured_queries]
        assert verbs == ["SAVEPOINT", "INSERT", "RELEASE"]
        for login, customer in zip(issued, customers, strict=True):
            assert login.user_id == customer.pk
            assert AccessToken.objects.get(token_hash=token_digest(login.token)).user == customer
