"""A hold that expires while its customer pays for it: the moment decides, neither the waiting nor the sweep."""

import time
from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone

from apps.concerts.models import Concert
from apps.core.transactions import database_now, run_steps
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.services import lock_or_open_wallet
from apps.reservations.errors import (
    HoldExpired,
    SeatAlreadyHeld,
    SeatAlreadyReserved,
    SeatLimitExceeded,
)
from apps.reservations.models import Hold, Reservation, SeatClaim
from apps.reservations.services import HeldSeats, expire_holds, release_hold
from tests.clocks import DatabaseClock
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import confirm, hold
from tests.protections import (
    CONDITION_OF_A_SWEEP,
    LOCK_OF_THE_CUSTOMER,
    LOCKS_OF_A_SWEEP,
    TIME_OF_A_SWEEP,
    before,
    replace,
    stop_clock,
    without,
)
from tests.reservations.racing import (
    breaches,
    outcome,
    outcome_of,
    refusals,
    wait_until_blocked,
    winners,
)

MICROSECOND = timedelta(microseconds=1)


def nothing_was_paid(customer):
    assert not Reservation.objects.exists()
    assert not LedgerTransaction.objects.filter(amount__lt=0).exists()
    assert Wallet.objects.get(pk=customer.pk).balance == 1_000_000
    return True


@pytest.mark.django_db
class TestTheInstant:
    """With a clock that stands still: until the last microsecond the hold is its owner's, from `expires_at` on it is over."""

    @pytest.fixture
    def clock(self):
        return DatabaseClock()

    def test_one_microsecond_before_it_is_paid(self, clock, held):
        clock.set(held.expires_at - MICROSECOND)

        reserved = confirm(held).reservation

        assert reserved.reserved_at == held.expires_at - MICROSECOND

    @pytest.mark.parametrize("late", [timedelta(0), MICROSECOND, timedelta(hours=1)])
    def test_from_then_on_it_is_refused(self, clock, customer, held, late):
        clock.set(held.expires_at + late)

        with pytest.raises(HoldExpired):
            confirm(held)

        assert nothing_was_paid(customer)

    @pytest.mark.parametrize("late", [-MICROSECOND, timedelta(0), MICROSECOND])
    @pytest.mark.parametrize("is_swept_first", [False, True])
    def test_there_is_none_at_which_both_the_owner_and_a_stranger_may_have_the_seat(
        self, clock, seats, held, late, is_swept_first
    ):
        clock.set(held.expires_at + late)
        if is_swept_first:
            assert expire_holds() == (late >= timedelta(0))

        payment = outcome(partial(confirm, held))
        taken = outcome(partial(hold, CustomerFactory(), seats[:1]))

        kinds = type(payment).__name__, type(taken).__name__
        if late < timedelta(0):
            assert kinds == ("Confirmation", SeatAlreadyReserved.__name__)
        else:
            assert kinds == (HoldExpired.__name__, "Hold")

    @pytest.mark.parametrize("late", [-MICROSECOND, timedelta(0)])
    def test_is_the_same_for_a_release_and_for_a_stranger(self, clock, customer, seats, held, late):
        clock.set(held.expires_at + late)

        taken = outcome(partial(hold, CustomerFactory(), seats[:1]))
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
                payment = elsewhere(partial(confirm, held))
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
        stop_clock(monkeypatch, began_at, "time_and_number")

        paid = outcome_of_waiting()

        assert paid.reservation.status == Reservation.Status.CONFIRMED
        assert database_now() > paid.hold.hold.expires_at


@pytest.mark.django_db(transaction=True)
class TestHoldThatIsCountedWhileItIsPaid:
    """Another hold request of the same customer must not take the hold for overdue while its payment is about to commit."""

    @pytest.fixture
    def outcomes(self, elsewhere, stopped_before, customer, seats, held, monkeypatch):
        Concert.objects.update(seats_per_customer=1)

        def meet(*, until):
            # The payment has read its time; for the request that comes after it the hold is over.
            stop_clock(monkeypatch, held.expires_at, "count_seats_of_customer", "read_seats")
            payment = stopped_before("book", partial(confirm, held))
            another = elsewhere(partial(hold, customer, seats[1:2]))
            until(another)
            return payment.finish(), outcome_of(another)

        return meet

    def test_the_limit_holds(self, outcomes):
        paid, another = outcomes(until=lambda _request: wait_until_blocked())

        assert paid.reservation.status == Reservation.Status.CONFIRMED
        assert isinstance(another, SeatLimitExceeded)
        assert breaches() == []

    def test_without_the_lock_the_customer_gets_both(self, outcomes, monkeypatch):
        without(monkeypatch, LOCK_OF_THE_CUSTOMER)

        assert len(winners(outcomes(until=outcome_of))) == 2
        assert breaches() == ["seat_limit_kept"]


@pytest.mark.django_db(transaction=True)
class TestSweepAndPayment:
    @pytest.fixture
    def sweep_says_overdue(self, held, monkeypatch):
        """For the sweep the hold is over; the payment has read its time a moment before."""
        replace(monkeypatch, TIME_OF_A_SWEEP, by=lambda: held.expires_at)

    @pytest.mark.usefixtures("sweep_says_overdue")
    def test_a_sweep_leaves_what_is_being_paid(self, stopped_before, held):
        payment = stopped_before("book", partial(confirm, held))

        assert expire_holds() == 0

        assert payment.finish().reservation.status == Reservation.Status.CONFIRMED
        assert expire_holds() == 0
        held.refresh_from_db()
        assert held.status == Hold.Status.CONFIRMED
        assert SeatClaim.objects.open().get().hold_id == held.pk
        assert breaches() == []

    def test_a_payment_waits_for_the_sweep_and_is_refused(
        self, elsewhere, stopped_before, customer, held
    ):
        Hold.objects.filter(pk=held.pk).update(
            held_at=timezone.now() - timedelta(minutes=5), expires_at=timezone.now()
        )
        sweep = stopped_before("end_overdue_holds", expire_holds)
        payment = elsewhere(partial(confirm, held))
        wait_until_blocked()

        assert sweep.finish() == 1
        assert isinstance(outcome_of(payment), HoldExpired)
        assert nothing_was_paid(customer)
        assert breaches() == []

    @pytest.mark.usefixtures("sweep_says_overdue")
    def test_without_lock_and_condition_a_sweep_gives_the_seats_of_a_paid_hold_away(
        self, stopped_before, seats, held, monkeypatch
    ):
        without(monkeypatch, LOCKS_OF_A_SWEEP, CONDITION_OF_A_SWEEP)
        payment = stopped_before("book", partial(confirm, held))
        before(monkeypatch, "end_overdue_holds", lambda _: payment.finish())

        expire_holds()

        assert Reservation.objects.get().status == Reservation.Status.CONFIRMED
        assert not SeatClaim.objects.open().exists()
        assert hold(CustomerFactory(), seats[:1])
        assert "reservation_is_its_hold" in breaches()

    def test_many_sweeps_at_once_end_each_hold_once(self, race):
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
