"""What happens when everybody clicks at once; each race has a twin that takes its protection away and shows the breach."""

import threading
import time
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from apps.concerts.models import Seat, SeatQuerySet
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.services import debit_wallet
from apps.reservations.errors import (
    AlreadyCancelled,
    HoldNotLive,
    NotEnoughSeats,
    SeatAlreadyHeld,
    SeatLimitExceeded,
)
from apps.reservations.models import Hold, HoldQuerySet, Reservation, SeatClaim
from apps.reservations.services import cancel_reservation, confirm_reservation, holding
from apps.shared.transactions import run_in_transaction
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, reservation

pytestmark = pytest.mark.django_db(transaction=True)

CROWD = 12


@pytest.fixture
def seats():
    performance = PerformanceFactory(seats=2, concert__seats_per_customer=1)
    return list(Seat.objects.of_performance(performance.pk).in_map_order())


def winners(outcomes):
    return [outcome for outcome in outcomes if not isinstance(outcome, Exception)]


def refusals(outcomes):
    return [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)]


def unlocked(self, *, nowait=False):
    """Stands in for `lock` where a test takes the lock away."""
    return self.order_by("pk")


def meet_before(monkeypatch, target, name, parties):
    """Make every thread wait for the others just before `target.name` runs: the moment the lock would have guarded."""
    barrier = threading.Barrier(parties)
    original = getattr(target, name)

    def met(*args, **kwargs):
        barrier.wait(timeout=20)
        return original(*args, **kwargs)

    monkeypatch.setattr(target, name, met)


class TestOneSeatAndManyCustomers:
    def test_one_gets_it_and_the_others_are_refused_politely(self, race, seats):
        crowd = CustomerFactory.create_batch(CROWD)

        outcomes = race([partial(hold, customer, seats[:1]) for customer in crowd])

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [SeatAlreadyHeld] * (CROWD - 1)
        assert SeatClaim.objects.live(at=timezone.now()).count() == 1

    def test_without_the_lock_the_constraint_still_lets_one_through(self, race, seats, monkeypatch):
        monkeypatch.setattr(SeatQuerySet, "lock", unlocked)
        meet_before(monkeypatch, holding, "_claim", CROWD)
        crowd = CustomerFactory.create_batch(CROWD)

        outcomes = race([partial(hold, customer, seats[:1]) for customer in crowd])

        # All of them had found the seat free, so the race is real: only the unique index was left to refuse them.
        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [SeatAlreadyHeld] * (CROWD - 1)
        assert SeatClaim.objects.open().count() == 1


class TestSeatsInOppositeOrder:
    def test_nobody_waits_for_the_other(self, race):
        performance = PerformanceFactory(seats=2, concert__seats_per_customer=2)
        first, second = Seat.objects.of_performance(performance.pk).in_map_order()
        pair = CustomerFactory.create_batch(2)

        outcomes = race(
            [partial(hold, pair[0], [first, second]), partial(hold, pair[1], [second, first])]
        )

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [SeatAlreadyHeld]
        assert Hold.objects.count() == 1


class TestOneCustomerAndTwoRequests:
    def test_the_limit_holds(self, race, seats):
        customer = CustomerFactory()

        outcomes = race([partial(hold, customer, [seat]) for seat in seats])

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [SeatLimitExceeded]

    def test_without_the_lock_both_pass_the_limit(self, race, seats, monkeypatch):
        monkeypatch.setattr(holding, "_lock", lambda *args: None)
        meet_before(monkeypatch, holding, "_lock_seats", 2)
        customer = CustomerFactory()

        outcomes = race([partial(hold, customer, [seat]) for seat in seats])

        assert len(winners(outcomes)) == 2


def pay(customer, held):
    call = partial(confirm_reservation, customer_id=customer.pk, hold_id=held.pk)
    return run_in_transaction(call)


class TestOneHoldPaidManyTimesAtOnce:
    def test_one_payment_is_taken(self, race, seats):
        customer = WalletFactory(balance=1_000_000).customer
        held = hold(customer, seats[:1])

        outcomes = race([partial(pay, customer, held)] * CROWD)

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [HoldNotLive] * (CROWD - 1)
        assert Wallet.objects.get(pk=customer.pk).balance == 950_000
        assert Reservation.objects.count() == 1

    def test_without_locks_the_constraint_keeps_it_at_one(self, race, seats, monkeypatch):
        customer = WalletFactory(balance=1_000_000).customer
        held = hold(customer, seats[:1])
        monkeypatch.setattr(holding, "_lock", lambda *args: None)
        monkeypatch.setattr(SeatQuerySet, "lock", unlocked)
        monkeypatch.setattr(HoldQuerySet, "lock", unlocked)
        monkeypatch.setattr("apps.reservations.services.confirming.locked_wallet", lambda **_: None)
        from apps.reservations.services import confirming

        meet_before(monkeypatch, confirming, "debit_wallet", 2)

        outcomes = race([partial(pay, customer, held)] * 2)

        # Both had found the hold live. The reservation's unique hold undoes the second, money and all.
        assert len(winners(outcomes)) == 1
        assert [kind.__name__ for kind in refusals(outcomes)] == ["IntegrityError"]
        assert Wallet.objects.get(pk=customer.pk).balance == 950_000
        assert LedgerTransaction.objects.filter(amount__lt=0).count() == 1


class TestHoldThatExpiresWhileItIsPaid:
    """Another hold request of the same customer must not take the hold for overdue while its payment is about to commit."""

    @pytest.fixture
    def outcomes(self, race, seats, monkeypatch):
        from apps.reservations.services import confirming

        customer = WalletFactory(balance=1_000_000).customer
        held = hold(customer, seats[:1])
        Hold.objects.filter(pk=held.pk).update(expires_at=timezone.now() + timedelta(seconds=2))
        held.refresh_from_db()
        is_overdue, is_answered = threading.Event(), threading.Event()

        def debit_slowly(**arguments):
            time.sleep(max(0.0, (held.expires_at - timezone.now()).total_seconds()) + 0.05)
            is_overdue.set()
            is_answered.wait(timeout=1)
            return debit_wallet(**arguments)

        def hold_another():
            assert is_overdue.wait(timeout=20)
            try:
                return hold(customer, seats[1:])
            finally:
                is_answered.set()

        monkeypatch.setattr(confirming, "debit_wallet", debit_slowly)
        return lambda: race([partial(pay, customer, held), hold_another])

    def test_the_limit_holds(self, outcomes):
        paid, another = outcomes()

        assert paid.reservation.status == Reservation.Status.CONFIRMED
        assert isinstance(another, SeatLimitExceeded)

    def test_without_the_lock_the_customer_gets_both(self, outcomes, monkeypatch):
        monkeypatch.setattr(holding, "_lock", lambda *args: None)

        assert len(winners(outcomes())) == 2


class TestBestAvailableAndManyCustomers:
    def test_everybody_gets_seats_while_there_are_enough(self, race):
        performance = PerformanceFactory(seats=4 * CROWD, concert__seats_per_customer=4)
        crowd = CustomerFactory.create_batch(CROWD)

        outcomes = race([partial(best_four, customer, performance) for customer in crowd])

        assert refusals(outcomes) == []
        assert SeatClaim.objects.live(at=timezone.now()).count() == 4 * CROWD

    def test_without_the_lock_some_are_sent_away(self, race, monkeypatch):
        performance = PerformanceFactory(seats=4 * CROWD, concert__seats_per_customer=4)
        monkeypatch.setattr(holding, "_lock", lambda *args: None)
        meet_before(monkeypatch, holding, "best_available_seat_ids", CROWD)
        crowd = CustomerFactory.create_batch(CROWD)

        outcomes = race([partial(best_four, customer, performance) for customer in crowd])

        assert NotEnoughSeats in refusals(outcomes)


def best_four(customer, performance):
    arguments = {"customer_id": customer.pk, "performance": performance, "quantity": 4}
    call = partial(holding.hold_best_available, **arguments, grade=None, admission=None)
    return run_in_transaction(call)


class TestOneReservationCancelledManyTimesAtOnce:
    def test_one_refund_is_given(self, race, seats):
        customer = WalletFactory(balance=1_000_000).customer
        reserved = reservation(customer, seats[:1])
        call = partial(cancel_reservation, customer_id=customer.pk, reservation_id=reserved.pk)

        outcomes = race([partial(run_in_transaction, call)] * CROWD)

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [AlreadyCancelled] * (CROWD - 1)
        assert Wallet.objects.get(pk=customer.pk).balance == 1_000_000
