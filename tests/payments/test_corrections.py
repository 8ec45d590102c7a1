"""Corrections of balances: small ones at once, large ones after a second person's approval, and no large one made of small ones."""

import threading
from collections import Counter
from functools import partial
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.boxoffice.base.jobs.models import StaffJob, StaffJobRow
from apps.boxoffice.base.jobs.services import run_jobs
from apps.core.transactions import run_in_transaction
from apps.payments.corrections import ApprovalNeeded, correct_wallet
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.selectors import wallet_balance
from tests.boxoffice.sending import send
from tests.boxoffice.staff import clerk, page_of
from tests.factories.accounts import CustomerFactory, browser_of
from tests.factories.payments import WalletFactory
from tests.protections import LOCK_OF_THE_WALLET, without

pytestmark = pytest.mark.django_db(transaction=True)

FORM = "admin:payments_ledgertransaction_add"


@pytest.fixture(autouse=True)
def _limit(settings) -> None:
    settings.CORRECTION_APPROVAL_ABOVE = 10_000


@pytest.fixture
def wallet() -> Wallet:
    return WalletFactory(balance=50_000)


@pytest.fixture
def asker() -> User:
    return CustomerFactory(admin=True)


@pytest.fixture
def browser(asker) -> Client:
    return browser_of(asker)


def correct(browser: Client, wallet: Wallet, amount: str) -> Any:
    entered = {"customer": wallet.pk, "amount": amount, "reason": "Charged twice"}
    return send(browser, reverse(FORM), entered)


def decide(browser: Client, job: StaffJob, decision: str, **values: str) -> Any:
    page = reverse(f"admin:boxoffice_staffjob_{decision}", args=[job.pk])
    answer = send(browser, page, values)
    run_jobs()
    return answer


def corrections() -> list[int]:
    found = LedgerTransaction.objects.filter(type="ADJUSTMENT").order_by("pk")
    return list(found.values_list("amount", flat=True))


class TestSmallCorrection:
    @pytest.mark.parametrize("amount", ["10,000", "-10,000"])
    def test_is_booked_at_once(self, browser, wallet, amount):
        correct(browser, wallet, amount)

        assert corrections() == [int(amount.replace(",", ""))]
        assert not StaffJob.objects.exists()


class TestLargeCorrection:
    @pytest.fixture
    def job(self, browser, wallet) -> StaffJob:
        answer = correct(browser, wallet, "-10,001")
        job = StaffJob.objects.get()
        assert answer["Location"] == page_of(job)
        return job

    def test_waits_for_a_second_person(self, job, wallet):
        run_jobs()

        assert corrections() == []
        assert wallet_balance(customer_id=wallet.pk) == 50_000
        assert not LogEntry.objects.filter(content_type__model="ledgertransaction").exists()

    def test_says_what_it_will_do(self, browser, job, wallet):
        page = browser.get(page_of(job)).content.decode()

        assert wallet.customer.email in page
        assert "-10,001 won" in page
        assert "39,999 won" in page

    def test_is_booked_once_when_it_is_approved(self, job, wallet, asker):
        approver = CustomerFactory(admin=True)

        for _ in range(2):
            decide(browser_of(approver), job, "approve")

        [booked] = LedgerTransaction.objects.filter(type="ADJUSTMENT")
        assert (booked.amount, booked.balance_after) == (-10_001, 39_999)
        assert (booked.reason, booked.adjusted_by) == ("Charged twice", asker)
        [entry] = LogEntry.objects.filter(content_type__model="ledgertransaction")
        assert entry.user == approver
        assert "Charged twice" in entry.get_change_message()

    def test_has_both_entries(self, job):
        decide(browser_of(CustomerFactory(admin=True)), job, "approve")

        [booked] = LedgerTransaction.objects.filter(type="ADJUSTMENT")
        entries = booked.entries.order_by("amount").values_list("account", "amount")
        assert list(entries) == [("CUSTOMER_LIABILITY", -10_001), ("ADJUSTMENTS", 10_001)]

    def test_is_not_approved_by_whoever_asked(self, browser, job):
        decide(browser, job, "approve")

        assert corrections() == []

    def test_is_not_booked_when_it_is_rejected(self, job):
        decide(browser_of(CustomerFactory(admin=True)), job, "reject", reason="No")

        assert corrections() == []
        job.refresh_from_db()
        assert job.status == StaffJob.Status.REJECTED

    def test_is_refused_when_the_money_is_gone_by_then(self, job, wallet):
        from tests.factories.payments import pay

        pay(customer_id=wallet.pk, amount=45_000, reference=job.pk)

        decide(browser_of(CustomerFactory(admin=True)), job, "approve")

        assert corrections() == []
        assert StaffJobRow.objects.get().outcome == StaffJobRow.Outcome.REFUSED

    def test_needs_the_right_to_be_approved(self, job):
        onlooker = clerk("view_staffjob", "view_ledgertransaction")
        page = reverse("admin:boxoffice_staffjob_approve", args=[job.pk])

        assert onlooker.get(page).status_code == 403
        assert corrections() == []

    @pytest.mark.parametrize("amount", ["-50,001", "9,950,001"])
    def test_that_cannot_be_is_refused_before_it_is_asked_for(self, browser, wallet, amount):
        answer = correct(browser, wallet, amount)

        assert answer.status_code == 302
        assert "amount=" in answer["Location"]
        assert not StaffJob.objects.exists()

    def test_sent_twice_is_asked_for_once(self, browser, wallet):
        from tests.boxoffice.sending import shown_by

        url = reverse(FORM)
        entered = {"customer": wallet.pk, "amount": "20,000", "reason": "Charged twice"}
        form = {"_shown": shown_by(browser, url), **entered}

        first, second = browser.post(url, form), browser.post(url, form)

        assert StaffJob.objects.count() == 1
        assert first["Location"] == second["Location"]


def test_small_corrections_of_one_customer_add_up(browser, wallet):
    other = WalletFactory(balance=50_000)
    correct(browser, wallet, "6,000")

    correct(browser, other, "6,000")
    correct(browser, wallet, "-4,001")

    assert corrections() == [6_000, 6_000]
    assert StaffJob.objects.get().parameters["customer_id"] == wallet.pk


def test_corrections_of_days_ago_do_not_count(browser, wallet, monkeypatch):
    from datetime import timedelta

    from apps.payments import corrections as module

    correct(browser, wallet, "6,000")
    monkeypatch.setattr(module, "ADDED_UP", timedelta(0))

    correct(browser, wallet, "6,000")

    assert corrections() == [6_000, 6_000]


class TestCorrectionsAtOnce:
    """Each of them alone is small enough, and all look for the others before any is booked."""

    @pytest.fixture
    def wallets(self, wallet) -> list[Any]:
        """One that has moved before, and one that is yet to be opened."""
        return [wallet.pk, CustomerFactory().pk]

    def book(self, race, wallets, asker) -> list[Any]:
        by = {"amount": 6_000, "reason": "x", "staff_id": asker.pk}
        calls = [partial(correct_wallet, customer_id=pk, **by) for pk in wallets for _ in range(4)]
        return race([partial(run_in_transaction, call) for call in calls])

    def test_are_no_way_around_the_limit(self, race, wallets, asker):
        outcomes = self.book(race, wallets, asker)

        assert corrections() == [6_000, 6_000]
        assert Counter(map(type, outcomes)) == {LedgerTransaction: 2, ApprovalNeeded: 6}

    def test_without_the_lock_they_would_be(self, race, wallets, asker, monkeypatch):
        from apps.payments import corrections as module

        barrier, read = threading.Barrier(8), module._refuse_if_large

        def read_together(**asked: Any) -> None:
            read(**asked)
            barrier.wait(20)

        without(monkeypatch, LOCK_OF_THE_WALLET)
        monkeypatch.setattr(module, "_refuse_if_large", read_together)

        outcomes = self.book(race, wallets, asker)

        assert ApprovalNeeded not in map(type, outcomes)
