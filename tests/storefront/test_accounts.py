"""Registering, logging in and out, the wallet."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.payments.selectors import wallet_balance
from tests.factories.accounts import PASSWORD, CustomerFactory
from tests.storefront.rules import EVIL, HUGE, Page, StrictClient
from tests.storefront.visits import form

pytestmark = pytest.mark.django_db


class TestRegistering:
    FIELDS = {"name": "Mina", "email": "mina@example.com", "password": PASSWORD}

    def test_logs_in_and_goes_on(self):
        client = StrictClient()

        response = client.post("/register/", {**self.FIELDS, "next": "/wallet/"})

        assert response.headers["Location"] == "/wallet/"
        assert client.get("/wallet/").status_code == 200

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("password", "12345678"),
            ("email", "mina"),
            ("name", ""),
            ("name", "a\x00b"),
            ("email", "\x00@example.com"),
        ],
    )
    def test_says_what_is_wrong(self, field: str, value: str):
        response = StrictClient().post("/register/", {**self.FIELDS, field: value})

        assert response.status_code == 400
        assert f'id="id_{field}_error"' in response.content.decode()
        assert User.objects.count() == 0

    def test_refuses_an_address_that_is_taken(self):
        CustomerFactory(email="mina@example.com")

        response = StrictClient().post("/register/", self.FIELDS)

        assert response.status_code == 409

    def test_never_shows_the_password_again(self):
        response = StrictClient().post("/register/", {**self.FIELDS, "email": "mina"})

        assert PASSWORD not in response.content.decode()


def log_in(email: str, password: str = PASSWORD, **fields: str) -> Any:
    return StrictClient().post("/login/", {"email": email, "password": password, **fields})


class TestLoggingIn:
    def test_goes_on_to_where_the_visitor_was_going(self, customer: User):
        response = log_in(customer.email, next="/reservations/?page=2")

        assert response.headers["Location"] == "/reservations/?page=2"

    @pytest.mark.parametrize("wanted", EVIL)
    def test_never_leads_elsewhere(self, wanted: str, customer: User, browser: Client):
        response = log_in(customer.email, next=wanted)

        assert response.headers["Location"] == "/"
        assert browser.get("/login/", {"next": wanted}).headers["Location"] == "/"
        assert Page(StrictClient().get("/login/", {"next": wanted})).value("next") == "/"

    def test_refuses_a_wrong_password(self, customer: User):
        response = log_in(customer.email, "wrong")

        assert response.status_code == 400
        assert "wrong" in response.content.decode()

    @pytest.mark.parametrize(
        "data", [{}, {"email": "\x00", "password": "\x00"}, {"email": "x" * 9_999}]
    )
    def test_bears_odd_forms(self, data: dict[str, str]):
        assert StrictClient().post("/login/", data).status_code == 400

    def test_out_ends_the_session(self, browser: Client):
        browser.post("/logout/")

        assert browser.get("/wallet/").status_code == 302


class TestWallet:
    def test_tops_up_once_however_often_it_is_sent(self, browser: Client, customer: User):
        key = Page(browser.get("/wallet/")).value("key")

        answers = [browser.post("/wallet/", {"amount": "50000", "key": key}) for _ in range(2)]

        assert [answer.headers["Location"] for answer in answers] == ["/wallet/"] * 2
        assert wallet_balance(customer_id=customer.pk) == 250_000
        page = browser.get("/wallet/").content.decode()
        assert "₩250,000" in page
        assert "+₩50,000" in page

    @pytest.mark.parametrize("amount", ["50,000", "₩50,000", "50,000원", "５０，０００"])
    def test_takes_an_amount_as_pages_print_it(self, amount: str, browser: Client, customer: User):
        browser.post("/wallet/", form(amount=amount))

        assert wallet_balance(customer_id=customer.pk) == 250_000

    @pytest.mark.parametrize("amount", ["50.000", "50,00"])
    def test_says_how_to_write_an_amount(self, amount: str, browser: Client, customer: User):
        page = browser.post("/wallet/", form(amount=amount))

        assert "as in 100,000." in page.content.decode()
        assert f'value="{amount}"' in page.content.decode()
        assert wallet_balance(customer_id=customer.pk) == 200_000

    def test_says_when_a_form_comes_back_with_another_amount(self, browser: Client, customer: User):
        key = str(uuid4())
        browser.post("/wallet/", {"amount": "50000", "key": key})

        response = browser.post("/wallet/", {"amount": "70000", "key": key})

        assert response.status_code == 409
        assert "sent before" in response.content.decode()
        assert wallet_balance(customer_id=customer.pk) == 250_000
        assert Page(response).value("key") != key

    @pytest.mark.parametrize("amount", ["", "0", "-5", "1000001", "1.5", "x", "\x00", HUGE])
    def test_refuses_odd_amounts(self, amount: str, browser: Client, customer: User):
        response = browser.post("/wallet/", form(amount=amount))

        assert response.status_code == 400
        assert wallet_balance(customer_id=customer.pk) == 200_000

    @pytest.mark.parametrize("key", [{}, {"key": ""}, {"key": "x"}])
    def test_refuses_a_form_without_its_key(
        self, key: dict[str, str], browser: Client, customer: User
    ):
        response = browser.post("/wallet/", {"amount": "50000", **key})

        assert response.status_code == 400
        assert "out of date" in response.content.decode()
        assert wallet_balance(customer_id=customer.pk) == 200_000

    def test_refuses_more_than_a_balance_may_be(self, browser: Client, settings: Any):
        settings.BALANCE_LIMIT = 210_000

        response = browser.post("/wallet/", form(amount="50000"))

        assert response.status_code == 409

    @pytest.mark.parametrize("wanted", EVIL)
    def test_never_leads_elsewhere(self, wanted: str, browser: Client):
        response = browser.post("/wallet/", form(amount="1", next=wanted))

        assert response.headers["Location"] == "/wallet/"
