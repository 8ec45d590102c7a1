from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pgtrigger
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.payments.selectors import (
    LedgerTotals,
    WalletDifference,
    broken_histories,
    ledger_totals,
    negative_wallets,
    unbalanced_transactions,
    wallet_differences,
)
from apps.payments.services import adjust_wallet
from tests.factories.accounts import CustomerFactory
from tests.factories.payments import WalletFactory, pay, refund

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def wallets() -> list[Wallet]:
    """Two customers who moved money in every way there is."""
    first, second = WalletFactory(balance=50_000), WalletFactory(balance=9_000)
    reference = uuid4()
    with transaction.atomic():
        pay(customer_id=first.pk, amount=20_000, reference=reference)
        refund(customer_id=first.pk, amount=20_000, reference=reference)
        pay(customer_id=first.pk, amount=7_000, reference=uuid4())
        adjust_wallet(
            customer_id=second.pk,
            amount=-1_000,
            reason="A mistake",
            staff_id=CustomerFactory(staff=True).pk,
        )
        connection.check_constraints()
    return [first, second]


def reconcile() -> tuple[str, str]:
    printed, complaints = StringIO(), StringIO()
    try:
        call_command("reconcile", stdout=printed, stderr=complaints, no_color=True)
    except CommandError as error:
        complaints.write(str(error))
    return printed.getvalue(), complaints.getvalue()


class TestSoundBooks:
    def test_add_up(self):
        totals = ledger_totals()

        assert totals == LedgerTotals(
            charged=59_000,
            till=0,
            comps=0,
            adjusted=-1_000,
            paid=27_000,
            refunded=20_000,
            owed=51_000,
            balances=51_000,
            wallets=2,
            transactions=6,
        )
        assert totals.adds_up

    def test_have_no_differences(self):
        assert wallet_differences() == []
        assert negative_wallets() == []
        assert unbalanced_transactions() == []
        assert broken_histories() == []

    def test_are_reported_as_sound(self):
        printed, complaints = reconcile()

        assert "51,000 won" in printed
        assert "6 transactions, 2 wallets" in printed
        assert "The books balance." in printed
        assert complaints == ""

    def test_are_sound_when_empty(self):
        with pgtrigger.ignore(), connection.cursor() as cursor:
            cursor.execute(
                "TRUNCATE payments_ledgerentry, payments_ledgertransaction, payments_wallet"
            )

        assert ledger_totals() == LedgerTotals(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        assert "The books balance." in reconcile()[0]


class TestBreach:
    """Every one is planted past the triggers, as a superuser of the database could."""

    def test_of_a_balance_is_found(self, wallets):
        with pgtrigger.ignore():
            Wallet.objects.filter(pk=wallets[0].pk).update(balance=43_001)
            connection.check_constraints()

        assert wallet_differences() == [WalletDifference(wallets[0].pk, 43_001, 43_000)]
        assert not ledger_totals().adds_up
        printed, complaints = reconcile()
        assert f"customer {wallets[0].pk}: balance 43,001, ledger 43,000" in complaints
        assert "the totals differ" in complaints
        assert "The books do not balance: 2 differences." in complaints
        assert "The books balance." not in printed

    def test_of_a_wallet_that_is_gone_is_found(self, wallets):
        with pgtrigger.ignore():
            Wallet.objects.filter(pk=wallets[1].pk).delete()
            connection.check_constraints()

        assert wallet_differences() == [WalletDifference(wallets[1].pk, 0, 8_000)]
        assert not ledger_totals().adds_up

    def test_of_an_entry_is_found(self, wallets):
        broken = LedgerEntry.objects.filter(account="CASH").order_by("pk")[0]
        with pgtrigger.ignore():
            LedgerEntry.objects.filter(pk=broken.pk).update(amount=-1)
            connection.check_constraints()

        assert unbalanced_transactions() == [broken.transaction_id]
        assert f"transaction {broken.transaction_id}: unbalanced" in reconcile()[1]

    def test_of_a_transaction_without_entries_is_found(self, wallets):
        with pgtrigger.ignore():
            booked = LedgerTransaction.objects.create(
                customer_id=wallets[0].pk, sequence=5, type="CHARGE", amount=5, balance_after=43_005
            )
            connection.check_constraints()

        assert unbalanced_transactions() == [booked.pk]
        assert ledger_totals().difference == 5
        assert not ledger_totals().adds_up

    def test_of_a_history_is_found(self, wallets):
        with pgtrigger.ignore():
            LedgerTransaction.objects.filter(customer=wallets[0].pk, sequence=2).update(
                balance_after=1
            )
            connection.check_constraints()

        assert broken_histories() == [wallets[0].pk]

    def test_of_the_bound_of_a_balance_is_found(self, wallets):
        name = "wallet_balance_never_negative"
        [constraint] = [limit for limit in Wallet._meta.constraints if limit.name == name]
        with pgtrigger.ignore(), connection.schema_editor() as editor:
            editor.remove_constraint(Wallet, constraint)
            Wallet.objects.filter(pk=wallets[0].pk).update(balance=-1)
            connection.check_constraints()

        assert negative_wallets() == [wallets[0].pk]
        assert f"customer {wallets[0].pk}: balance below zero" in reconcile()[1]


class TestWhatHasMoved:
    def test_is_expected_to_be_a_small_part(self):
        """Room for a third of twenty million entries takes longer to make than the check."""
        with transaction.atomic():
            for _ in range(40):
                WalletFactory(balance=1_000)
            connection.check_constraints()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE payments_ledgerentry, payments_ledgertransaction")
        with CaptureQueriesContext(connection) as queries:
            assert unbalanced_transactions(since=timezone.now() + timedelta(days=1)) == []

        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {queries[-1]['sql']}")
            [[plan]] = cursor.fetchone()

        sets = [node["Plan Rows"] for node in nodes(plan["Plan"]) if node["Node Type"] == "Append"]
        assert len(sets) == 2
        assert max(sets) <= LedgerEntry.objects.count() // 20
        hashed = [
            node["Plan Rows"] for node in nodes(plan["Plan"]) if "Aggregate" in node["Node Type"]
        ]
        assert max(hashed) <= 20


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
