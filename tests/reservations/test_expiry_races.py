"""A hold that expires while somebody pays for it: the moment decides, neither the waiting nor the sweep."""

import time
from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone

from apps.concerts.models import Seat
from apps.core.database import Statement
from apps.core.transactions import database_now, run_in_transaction, run_steps
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.services import lock_or_open_wallet
from apps.reservations.errors import (
    HoldExpired,
    SeatAlreadyHeld,
    SeatAlreadyReserved,
    SeatLimitExceeded,
)
from apps.reservations.models import Hold, HoldQuerySet, Reservation, SeatClaim
from apps.reservations.services import (
    HeldSeats,
    confirm_reservation,
    confirming,
    expire_holds,
    expiring,
    release_hold,
)
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold
from tests.protections import change, stop_clock, unlock
from tests.reservations.clock import DatabaseClock
from tests.reservations.racing import (
    breaches,
    outcome_of,
    pause_before,
    refusals,
    wait_until_blocked,
    winners,
)

MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def seats():
    performance = PerformanceFactory(seats=2, concert__seats_per_customer=1)
    return list(Seat.objects.of_performance(performance.pk).in_map_order())


@pytest.fixture
def customer():
    return WalletFactory(balance=1_000_000).customer


@pytest.fixture
def held(customer, seats):
    return hold(customer, seats[:1])


def pay(customer, held):
    call = partial(confirm_reservation, customer_id=customer.pk, hold_id=held.pk)
    return run_in_transaction(call)


def outcome(call):
    try:
        return call()
    except Exception as refusal:
        return refusal


def nothing_was_paid(customer):
    assert not Reservation.objects.exists()
    assert not LedgerTransaction.objects.filter(amount__lt=0).exists()
    assert Wallet.objects.get(pk=customer.pk).balance == 1_000_000
    return True


@pytest.mark.django_db
class TestTheInstant:
    """With a clock that stands still: until the last microsecond the hold is its owner's, from `expires_at` on it is nobody's."""

    @pytest.fixture
    def clock(self):
        return DatabaseClock()

    def test_one_microsecond_before_it_is_paid(self, clock, customer, held):
        clock.set(held.expires_at - MICROSECOND)

        reserved = pay(customer, held).reservation

        assert reserved.reserved_at == held.expires_at - MICROSECOND

    @pytest.mark.parametrize("late", [timedelta(0), MICROSECOND, timedelta(hours=1)])
    def test_from_then_on_it_is_refused(self, clock, customer, held, late):
        clock.set(held.expires_at + late)

        with pytest.raises(HoldExpired):
            pay(customer, held)

        assert nothing_was_paid(customer)

    @pytest.mark.parametrize("late", [-MICROSECOND, timedelta(0), MICROSECOND])
    @pytest.mark.parametrize("is_swept_first", [False, True])
    def test_there_is_none_at_which_both_the_owner_and_a_stranger_may_have_the_seat(
        self, clock, customer, seats, held, late, is_swept_first
    ):
        clock.set(held.expires_at + late)
        if is_swept_first:
            assert expire_holds() == (late >= timedelta(0))

        payment = outcome(lambda: pay(customer, held))
        taken = outcome(lambda: hold(CustomerFactory(), seats[:1]))

        kinds = type(payment).__name__, type(taken).__name__
        if late < timedelta(0):
            assert kinds == ("Confirmation", SeatAlreadyReserved.__name__)
        else:
            assert kinds == (HoldExpired.__name__, "Hold")

    @pytest.mark.parametrize("late", [-MICROSECOND, timedelta(0)])
    def test_is_the_same_for_a_release_and_for_a_stranger(self, clock, customer, seats, held, late):
        clock.set(held.expires_at + late)

        taken = outcome(lambda: hold(CustomerFactory(), seats[:1]))
        released = outcome(partial(release_hold, customer_id=customer.pk, hold_id=held.pk))

        kinds = type(taken), type(released)
        assert kinds == ((SeatAlreadyHeld, HeldSeats) if late else (Hold, HoldExpired))


@pytest.mark.django_db(transaction=True)
class TestHoldThatExpiresWhileItsPaymentWaits:
    """A rival has the last lock, the wallet, until the hold is over."""

    @pytest.fixture
    def outcome_of_waiting(self, elsewhere, customer, held):
        def wait():
            end = timezone.now() + timedelta(seconds=0.5)
            Hold.objects.filter(pk=held.pk).update(expires_at=end)
            with transaction.atomic():
                run_steps(lock_or_open_wallet(customer_id=customer.pk))
                payment = elsewhere(partial(pay, customer, held))
                wait_until_blocked()
                while database_now() <= end:
                    time.sleep(0.02)
            return outcome_of(payment)

        return wait

    def test_it_is_refused(self, outcome_of_waiting, customer):
        assert isinstance(outcome_of_waiting(), HoldExpired)
        assert nothing_was_paid(customer)

    def test_with_the_time_at_which_it_began_an_expired_hold_would_be_sold(
        self, outcome_of_waiting, monkeypatch
    ):
        began_at = timezone.now()
        stopped = f"SELECT '{began_at.isoformat()}'::timestamptz"
        monkeypatch.setattr(confirming, "CLOCK", Statement("clock", stopped))

        paid = outcome_of_waiting()

        assert paid.reservation.status == Reservation.Status.CONFIRMED
        assert database_now() > paid.hold.hold.expires_at


@pytest.mark.django_db(transaction=True)
class TestHoldThatIsCountedWhileItIsPaid:
    """Another hold request of the same customer must not take the hold for overdue while its payment is about to commit."""

    @pytest.fixture
    def outcomes(self, elsewhere, customer, seats, held, monkeypatch):
        def meet(*, until):
            # The payment has read its time; for the request that comes after it the hold is over.
            stop_clock(monkeypatch, held.expires_at, "count_seats_of_customer", "read_seats")
            is_paying, may_go_on = pause_before(monkeypatch, "book")
            payment = elsewhere(partial(pay, customer, held))
            assert is_paying.wait(20)
            another = elsewhere(partial(hold, customer, seats[1:]))
            until(another)
            may_go_on.set()
            return outcome_of(payment), outcome_of(another)

        return meet

    def test_the_limit_holds(self, outcomes):
        paid, another = outcomes(until=lambda _request: wait_until_blocked())

        assert paid.reservation.status == Reservation.Status.CONFIRMED
        assert isinstance(another, SeatLimitExceeded)
        assert breaches() == []

    def test_without_the_lock_the_customer_gets_both(self, outcomes, monkeypatch):
        unlock(monkeypatch, "lock_customer")

        assert len(winners(outcomes(until=outcome_of))) == 2
        assert breaches() == ["seat_limit_kept"]


@pytest.mark.django_db(transaction=True)
class TestSweepAndPayment:
    @pytest.fixture
    def sweep_says_overdue(self, held, monkeypatch):
        """For the sweep the hold is over; the payment has read its time a moment before."""
        monkeypatch.setattr(expiring, "database_now", lambda: held.expires_at)

    def test_a_sweep_leaves_what_is_being_paid(
        self, elsewhere, customer, held, sweep_says_overdue, monkeypatch
    ):
        is_paying, may_go_on = pause_before(monkeypatch, "book")
        payment = elsewhere(partial(pay, customer, held))
        assert is_paying.wait(20)

        assert expire_holds() == 0
        may_go_on.set()

        assert outcome_of(payment).reservation.status == Reservation.Status.CONFIRMED
        assert expire_holds() == 0
        held.refresh_from_db()
        assert held.status == Hold.Status.CONFIRMED
        assert SeatClaim.objects.open().get().hold_id == held.pk
        assert breaches() == []

    def test_a_payment_waits_for_the_sweep_and_is_refused(
        self, elsewhere, customer, held, monkeypatch
    ):
        Hold.objects.filter(pk=held.pk).update(
            held_at=timezone.now() - timedelta(minutes=5), expires_at=timezone.now()
        )
        has_locked, may_go_on = pause_before(monkeypatch, "end_overdue_holds")
        sweep = elsewhere(expire_holds)
        assert has_locked.wait(20)
        payment = elsewhere(partial(pay, customer, held))
        wait_until_blocked()
        may_go_on.set()

        assert outcome_of(sweep) == 1
        assert isinstance(outcome_of(payment), HoldExpired)
        assert nothing_was_paid(customer)
        assert breaches() == []

    @pytest.mark.usefixtures("sweep_says_overdue")
    def test_without_lock_and_condition_a_sweep_gives_the_seats_of_a_paid_hold_away(
        self, elsewhere, customer, seats, held, monkeypatch
    ):
        def find(self, **_lock):
            found = list(self.values_list("pk", flat=True))
            may_go_on.set()
            outcome_of(payment)
            return Hold.objects.filter(pk__in=found)

        monkeypatch.setattr(HoldQuerySet, "select_for_update", find)
        change(
            monkeypatch,
            "end_overdue_holds",
            ("AND status = 'HELD' AND expires_at <= %(at)s", ""),
        )
        is_paying, may_go_on = pause_before(monkeypatch, "book")
        payment = elsewhere(partial(pay, customer, held))
        assert is_paying.wait(20)

        expire_holds()

        assert Reservation.objects.get().status == Reservation.Status.CONFIRMED
        assert not SeatClaim.objects.open().exists()
        assert hold(CustomerFactory(), seats[:1])
        assert "reservation_is_its_hold" in breaches()

    def test_many_sweeps_at_once_end_each_hold_once(self, race, seats):
        performance = PerformanceFactory(seats=40, concert__seats_per_customer=1)
        crowd = CustomerFactory.create_batch(40)
        for customer, seat in zip(crowd, performance.seats.all(), strict=True):
            hold(customer, [seat])
        Hold.objects.update(
            held_at=timezone.now() - timedelta(minutes=5), expires_at=timezone.now()
        )

        outcomes = race([expire_holds] * 6)

        assert refusals(outcomes) == []
        assert sum(outcomes) == 40
        assert not SeatClaim.objects.open().exists()
