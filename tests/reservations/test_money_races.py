"""Top-ups and payments of few customers, all at once: no won is lost, none is spent twice."""

import random
from functools import partial

import pytest
from django.conf import settings
from django.utils import timezone

from apps.payments.errors import InsufficientBalance
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.selectors import ledger_totals, wallet_differences
from apps.payments.services import charge_wallet
from apps.reservations.models import Hold, Reservation, SeatClaim
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import confirm
from tests.protections import (
    LOCK_OF_THE_WALLET,
    without,
    without_constraints,
    without_triggers,
)
from tests.reservations.racing import breaches, meet_before, refusals

pytestmark = pytest.mark.django_db(transaction=True)

CUSTOMERS, SALES, TOP_UPS, RIVALS = 10, 50, 50, 20  # 1,000 operations
PRICE = 1_000


def many_holds(customers, each):
    """Live holds of one seat, `each` for every customer, in one statement for each table."""
    performance = PerformanceFactory(seats=len(customers) * each, seats__price=PRICE)
    now = timezone.now()
    holds = Hold.objects.bulk_create(
        Hold(
            customer=customer,
            performance=performance,
            total_price=PRICE,
            seat_limit=each,
            held_at=now,
            expires_at=now + settings.HOLD_TIME,
        )
        for customer in customers
        for _ in range(each)
    )
    SeatClaim.objects.bulk_create(
        SeatClaim(hold=hold, performance=performance, seat=seat, price=PRICE)
        for hold, seat in zip(holds, performance.seats.all(), strict=True)
    )
    return holds


def top_up(customer_id):
    return charge_wallet(customer_id=customer_id, amount=PRICE)


class TestTopUpsAndPayments:
    def test_a_thousand_of_them_leave_books_that_balance(self, race):
        customers = CustomerFactory.create_batch(CUSTOMERS)
        operations = [partial(confirm, hold) for hold in many_holds(customers, SALES)]
        operations += [
            partial(top_up, customer.pk) for customer in customers for _ in range(TOP_UPS)
        ]
        random.Random(4).shuffle(operations)
        refused: list[Exception] = []

        def work_through(share):
            for operation in share:
                try:
                    operation()
                except InsufficientBalance as refusal:
                    refused.append(refusal)

        outcomes = race([partial(work_through, operations[n::RIVALS]) for n in range(RIVALS)])

        assert len(operations) == 1_000
        assert outcomes == [None] * RIVALS
        assert refused
        sold = Reservation.objects.count()
        assert sold == CUSTOMERS * SALES - len(refused)
        assert Hold.objects.filter(status=Hold.Status.CONFIRMED).count() == sold
        assert breaches() == []
        totals = ledger_totals()
        assert (totals.charged, totals.paid) == (CUSTOMERS * TOP_UPS * PRICE, sold * PRICE)

    @pytest.fixture
    def unlocked_pair(self, race, monkeypatch):
        """A top-up and a payment of one customer that have both read the balance before either writes it."""
        customer = WalletFactory(balance=10_000).customer
        [held] = many_holds([customer], 1)
        without(monkeypatch, LOCK_OF_THE_WALLET)
        meet_before(monkeypatch, "book", 2)

        def meet():
            return customer, race([partial(top_up, customer.pk), partial(confirm, held)])

        return meet

    def test_without_the_lock_one_of_them_is_refused_and_the_books_balance(self, unlocked_pair):
        _customer, outcomes = unlocked_pair()

        assert [kind.__name__ for kind in refusals(outcomes)] == ["IntegrityError"]
        assert breaches() == []

    def test_without_lock_and_constraints_one_of_them_is_lost(self, unlocked_pair):
        with without_constraints("ledger_transaction_sequence_unique"), without_triggers():
            customer, outcomes = unlocked_pair()

            assert refusals(outcomes) == []
            booked = LedgerTransaction.objects.filter(customer=customer)
            assert sorted(booked.values_list("amount", flat=True)) == [-PRICE, PRICE, 10_000]
            assert Wallet.objects.get(pk=customer.pk).balance in (9_000, 11_000)
            assert [difference.customer_id for difference in wallet_differences()] == [customer.pk]
            assert "balance_is_ledger" in breaches()
