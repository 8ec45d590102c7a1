"""Money under contention. Each race has a twin without its protection that shows what it is good for."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Sum

from apps.payments.errors import BalanceLimitExceeded, InsufficientBalance
from apps.payments.models import LedgerEntry, LedgerTransaction
from apps.payments.selectors import (
    ledger_totals,
    unbalanced_transactions,
    wallet_balance,
    wallet_differences,
)
from apps.payments.services import charge_wallet
from tests.factories.accounts import CustomerFactory
from tests.factories.payments import WalletFactory, pay, refund
from tests.protections import (
    LOCK_OF_THE_WALLET,
    without,
    without_constraints,
    without_triggers,
)
from tests.reservations.racing import meet_before, with_own_connection

pytestmark = pytest.mark.django_db(transaction=True)

RIVALS = 20


def kinds(outcomes: list[Any]) -> Counter[str]:
    return Counter(type(outcome).__name__ for outcome in outcomes)


def assert_books_balance() -> None:
    assert wallet_differences() == []
    assert unbalanced_transactions() == []
    assert ledger_totals().adds_up


@pytest.fixture
def without_lock(monkeypatch) -> Callable[[int], None]:
    """Read wallets without a lock, and let none be written before all `rivals` have read."""

    def remove(rivals: int) -> None:
        without(monkeypatch, LOCK_OF_THE_WALLET)
        meet_before(monkeypatch, "book", rivals)

    return remove


class TestParallelCharges:
    def test_all_of_them_count(self, race):
        wallet = WalletFactory(balance=1_000)
        charge = partial(charge_wallet, customer_id=wallet.pk, amount=700)

        outcomes = race([charge] * RIVALS)

        assert kinds(outcomes) == {"LedgerTransaction": RIVALS}
        assert wallet_balance(customer_id=wallet.pk) == 1_000 + RIVALS * 700
        assert {outcome.sequence for outcome in outcomes} == set(range(2, RIVALS + 2))
        assert_books_balance()

    def test_open_one_wallet(self, race):
        customer = CustomerFactory()
        charge = partial(charge_wallet, customer_id=customer.pk, amount=700)

        outcomes = race([charge] * RIVALS)

        assert kinds(outcomes) == {"LedgerTransaction": RIVALS}
        assert wallet_balance(customer_id=customer.pk) == RIVALS * 700
        assert_books_balance()

    def test_without_the_lock_all_but_one_are_refused_and_none_is_lost(self, race, without_lock):
        wallet = WalletFactory(balance=1_000)
        charge = partial(charge_wallet, customer_id=wallet.pk, amount=700)
        without_lock(RIVALS)

        outcomes = race([charge] * RIVALS)

        assert kinds(outcomes) == {"LedgerTransaction": 1, "IntegrityError": RIVALS - 1}
        assert wallet_balance(customer_id=wallet.pk) == 1_700
        assert_books_balance()

    def test_without_lock_and_constraints_money_is_lost(self, race, without_lock):
        wallet = WalletFactory(balance=1_000)
        charge = partial(charge_wallet, customer_id=wallet.pk, amount=700)
        without_lock(RIVALS)

        with without_constraints("ledger_transaction_sequence_unique"), without_triggers():
            outcomes = race([charge] * RIVALS)

            assert kinds(outcomes) == {"LedgerTransaction": RIVALS}
            assert wallet_balance(customer_id=wallet.pk) == 1_700
            booked = LedgerEntry.objects.filter(customer=wallet.pk).aggregate(Sum("amount"))
            assert booked == {"amount__sum": 1_000 + RIVALS * 700}
            assert [difference.customer_id for difference in wallet_differences()] == [wallet.pk]

    def test_stop_at_the_limit(self, race):
        wallet = WalletFactory(balance=9_000_000)
        charge = partial(charge_wallet, customer_id=wallet.pk, amount=200_000)

        outcomes = race([charge] * RIVALS)

        assert kinds(outcomes) == {"LedgerTransaction": 5, "BalanceLimitExceeded": RIVALS - 5}
        assert {
            outcome.details["balance"]
            for outcome in outcomes
            if isinstance(outcome, BalanceLimitExceeded)
        } == {10_000_000}
        assert wallet_balance(customer_id=wallet.pk) == 10_000_000
        assert_books_balance()


class TestParallelPayments:
    def test_spend_what_there_is_and_no_more(self, race):
        wallet = WalletFactory(balance=7_000)

        outcomes = race(
            [
                partial(pay, customer_id=wallet.pk, amount=1_000, reference=uuid4())
                for _ in range(RIVALS)
            ]
        )

        assert kinds(outcomes) == {"LedgerTransaction": 7, "InsufficientBalance": RIVALS - 7}
        assert {
            outcome.details["balance"]
            for outcome in outcomes
            if isinstance(outcome, InsufficientBalance)
        } == {0}
        assert wallet_balance(customer_id=wallet.pk) == 0
        assert_books_balance()

    def test_without_lock_and_constraints_more_is_spent_than_there_is(self, race, without_lock):
        wallet = WalletFactory(balance=1_000)
        without_lock(2)

        with without_constraints("ledger_transaction_sequence_unique"), without_triggers():
            outcomes = race(
                [
                    partial(pay, customer_id=wallet.pk, amount=1_000, reference=uuid4())
                    for _ in range(2)
                ]
            )

            assert kinds(outcomes) == {"LedgerTransaction": 2}
            assert wallet_balance(customer_id=wallet.pk) == 0
            assert ledger_totals().paid == 2_000

    def test_and_charges_lose_no_update(self, race):
        wallet = WalletFactory(balance=10_000)
        charges = [partial(charge_wallet, customer_id=wallet.pk, amount=300)] * 10
        debits = [
            partial(pay, customer_id=wallet.pk, amount=1_000, reference=uuid4()) for _ in range(10)
        ]

        outcomes = race([step for pair in zip(charges, debits, strict=True) for step in pair])

        assert kinds(outcomes) == {"LedgerTransaction": 20}
        assert wallet_balance(customer_id=wallet.pk) == 3_000
        balances = LedgerTransaction.objects.order_by("sequence").values_list(
            "amount", "balance_after"
        )
        running = 0
        for amount, balance_after in balances:
            running += amount
            assert balance_after == running
        assert_books_balance()

    def test_of_one_reference_happen_once(self, race):
        wallet = WalletFactory(balance=10_000)
        payment = partial(pay, customer_id=wallet.pk, amount=100, reference=uuid4())

        outcomes = race([payment] * RIVALS)

        assert kinds(outcomes) == {"LedgerTransaction": 1, "IntegrityError": RIVALS - 1}
        assert wallet_balance(customer_id=wallet.pk) == 9_900
        assert_books_balance()

    def test_without_the_constraint_one_reference_is_paid_many_times(self, race):
        wallet = WalletFactory(balance=10_000)
        payment = partial(pay, customer_id=wallet.pk, amount=100, reference=uuid4())

        with without_constraints("ledger_one_payment_per_reference"):
            outcomes = race([payment] * RIVALS)

            assert kinds(outcomes) == {"LedgerTransaction": RIVALS}
            assert wallet_balance(customer_id=wallet.pk) == 10_000 - RIVALS * 100


class TestParallelRefunds:
    @pytest.fixture
    def paid(self):
        """A wallet that something was paid from, and what gives it back."""
        wallet, reference = WalletFactory(balance=10_000), uuid4()
        pay(customer_id=wallet.pk, amount=4_000, reference=reference)
        return wallet, partial(refund, customer_id=wallet.pk, amount=4_000, reference=reference)

    def test_give_back_once(self, race, paid):
        wallet, give_back = paid

        outcomes = race([give_back] * RIVALS)

        assert kinds(outcomes) == {"LedgerTransaction": 1, "IntegrityError": RIVALS - 1}
        assert wallet_balance(customer_id=wallet.pk) == 10_000
        assert_books_balance()

    def test_give_back_parts_up_to_what_was_paid(self, race, paid):
        wallet, give_back = paid

        outcomes = race([partial(give_back, amount=1_500)] * RIVALS)

        assert kinds(outcomes) == {"LedgerTransaction": 2, "IntegrityError": RIVALS - 2}
        assert wallet_balance(customer_id=wallet.pk) == 9_000
        assert_books_balance()

    def test_without_the_lock_give_back_one_part(self, race, paid, without_lock):
        wallet, give_back = paid
        without_lock(2)

        outcomes = race([partial(give_back, amount=2_500)] * 2)

        assert kinds(outcomes) == {"LedgerTransaction": 1, "IntegrityError": 1}
        assert wallet_balance(customer_id=wallet.pk) == 8_500
        assert_books_balance()

    def test_without_the_lock_and_the_numbers_the_trigger_counts_both(
        self, race, paid, without_lock
    ):
        _wallet, give_back = paid
        without_lock(2)

        with without_constraints("ledger_transaction_sequence_unique"):
            outcomes = race([partial(give_back, amount=2_500)] * 2)

            assert kinds(outcomes) == {"LedgerTransaction": 1, "IntegrityError": 1}
            [refusal] = [outcome for outcome in outcomes if isinstance(outcome, IntegrityError)]
            assert "refunds what was not paid" in str(refusal)
            assert ledger_totals().refunded == 2_500

    def test_without_the_triggers_give_back_many_times(self, race, paid):
        wallet, give_back = paid

        with without_constraints(), without_triggers():
            outcomes = race([give_back] * RIVALS)

            assert kinds(outcomes) == {"LedgerTransaction": RIVALS}
            assert wallet_balance(customer_id=wallet.pk) == 6_000 + RIVALS * 4_000


def test_transactions_of_different_customers_do_not_wait_for_each_other(race):
    first, second = WalletFactory(balance=1_000), WalletFactory(balance=1_000)
    charge = partial(charge_wallet, customer_id=second.pk, amount=100)

    with transaction.atomic():
        charge_wallet(customer_id=first.pk, amount=100)
        with ThreadPoolExecutor(1) as pool:
            outcome = pool.submit(with_own_connection(charge)).result(30)

    assert outcome.balance_after == 1_100
    assert_books_balance()
