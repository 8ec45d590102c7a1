"""The page on which staff add up the books."""

import pgtrigger
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.payments import reconciling
from apps.payments.admin import reconciliation
from apps.payments.models import Wallet
from tests.boxoffice.staff import clerk
from tests.factories.accounts import CustomerFactory, browser_of
from tests.factories.payments import WalletFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def wallets() -> list[Wallet]:
    return [WalletFactory(balance=50_000), WalletFactory(balance=9_000)]


@pytest.fixture
def browser() -> Client:
    return browser_of(CustomerFactory(admin=True))


def url(**query: str) -> str:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return f"{reverse('admin:payments_reconciliation')}?{asked}"


@pytest.mark.parametrize("days", ["1", "7", "31", "all"])
def test_says_that_sound_books_balance(browser, days):
    page = browser.get(url(days=days)).content.decode()

    assert "The books balance." in page
    assert "59,000 won" in page
    assert "Sums of 2 movements" in page


@pytest.mark.parametrize("days", ["1", "all"])
def test_names_what_differs(browser, wallets, days):
    with pgtrigger.ignore():
        Wallet.objects.filter(pk=wallets[0].pk).update(balance=50_001)
        connection.check_constraints()

    page = browser.get(url(days=days)).content.decode()

    assert "The books do not balance" in page
    assert f"customer {wallets[0].pk}: balance 50,001, ledger 50,000" in page


def test_reads_nothing_before_it_is_asked_to(browser):
    page = browser.get(url())

    assert "found" not in page.context


@pytest.mark.parametrize("days", ["", "x", "0", "-1", "9" * 30])
def test_refuses_what_is_no_choice(browser, days):
    page = browser.get(url(days=days))

    assert page.status_code == 200
    assert page.context["form"].errors


def test_stops_when_it_takes_too_long(browser, monkeypatch):
    def slowly(**_since):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1)")

    monkeypatch.setattr(reconciliation, "SECONDS", 0.05)
    monkeypatch.setattr(reconciling.selectors, "wallet_differences", slowly)

    page = browser.get(url(days="all"))

    assert "This took too long and was stopped." in page.content.decode()
    assert browser.get(url(days="x")).status_code == 200


def test_is_done_for_one_colleague_at_a_time(browser):
    with reconciliation._is_busy:
        page = browser.get(url(days="1")).content.decode()

    assert "being added up for a colleague" in page
    assert "The books balance." in browser.get(url(days="1")).content.decode()


def test_needs_the_right_to_see_money():
    assert clerk("view_wallet").get(url(days="1")).status_code == 403
    assert clerk("view_ledgertransaction").get(url(days="1")).status_code == 200
