"""Test what happens when a crowd clicks at once; each race has twins that take its protection away and show the breach."""

import threading
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from apps.concerts.models import Concert, Seat
from apps.core.errors import ServiceUnavailable
from apps.core.transactions import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, sqlstate
from apps.payments.models import LedgerTransaction, Wallet
from apps.reservations.errors import (
    AlreadyCancelled,
    HoldNotLive,
    NotEnoughSeats,
    SeatAlreadyHeld,
    SeatAlreadyReserved,
    SeatLimitExceeded,
    UnpaidLimitExceeded,
)
from apps.reservations.models import Hold, Reservation, SeatClaim
from apps.reservations.services import best_available
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, keep_back
from tests.factories.reservations import cancel, confirm, hold, hold_best, reservation
from tests.protections import (
    LOCK_OF_THE_BEST_SEATS,
    LOCK_OF_THE_CUSTOMER,
    LOCK_OF_THE_CUSTOMER_FOR_ALL_DATES,
    LOCK_OF_THE_KEY,
    LOCK_OF_THE_WALLET,
    LOCKS_OF_A_HOLD,
    LOCKS_OF_SEATS,
    LOCKS_OF_THE_FREE_SEATS,
    LOCKS_OF_UNCLAIMED_SEATS_ONLY,
    PATIENCE_OF_A_PAYMENT,
    RETRY_OF_A_DEADLOCK,
    before,
    without,
    without_constraints,
    without_triggers,
)
from tests.reservations.racing import (
    PATIENCE,
    breaches,
    meet_before,
    outcome_of,
    refusals,
    wait_until_blocked,
    winners,
)

pytestmark = pytest.mark.django_db(transaction=True)

CROWD = 50
CLICKS = 24


@pytest.fixture
def seats(seats):
    """Two, of which a customer may have one."""
    Concert.objects.update(seats_per_customer=1)
    return seats[:2]


def balance(customer):
    return Wallet.objects.get(pk=customer.pk).balance


class TestOneSeatAndManyCustomers:
    @pytest.fixture
    def outcomes(self, race, seats):
        crowd = CustomerFactory.create_batch(CROWD)
        return lambda: race([partial(hold, customer, seats[:1]) for customer in crowd])

    def test_one_gets_it_and_the_others_are_refused_politely(self, outcomes):
        found = outcomes()

        assert len(winners(found)) == 1
        assert refusals(found) == [SeatAlreadyHeld] * (CROWD - 1)
        assert SeatClaim.objects.live(at=timezone.now()).count() == 1
        assert breaches() == []

    def test_without_the_lock_the_constraint_still_lets_one_through(self, outcomes, monkeypatch):
        without(monkeypatch, LOCKS_OF_SEATS)
        meet_before(monkeypatch, "hold", CROWD)

        found = outcomes()

        # All of them had found the seat free, so the race is real: only the unique index was left to refuse them.
        assert len(winners(found)) == 1
        assert refusals(found) == [SeatAlreadyHeld] * (CROWD - 1)
        assert SeatClaim.objects.open().count() == 1
        assert breaches() == []

    def test_without_lock_and_constraint_all_of_them_get_it(self, outcomes, monkeypatch):
        without(monkeypatch, LOCKS_OF_SEATS)
        meet_before(monkeypatch, "hold", CROWD)

        with without_constraints("seat_claimed_once"):
            assert len(winners(outcomes())) == CROWD
            assert SeatClaim.objects.live(at=timezone.now()).values("seat").distinct().count() == 1
            assert breaches() == ["seat_claimed_once"]


class TestSeatsInOppositeOrder:
    @pytest.fixture
    def outcomes(self, race):
        performance = PerformanceFactory(seats=2, concert__seats_per_customer=2)
        first, second = Seat.objects.of_performance(performance.pk).in_map_order()
        left, right = CustomerFactory.create_batch(2)
        contestants = [partial(hold, left, [first, second]), partial(hold, right, [second, first])]
        return lambda: race(contestants)

    def test_neither_waits_for_the_other(self, outcomes):
        found = outcomes()

        assert len(winners(found)) == 1
        assert refusals(found) == [SeatAlreadyHeld]
        assert Hold.objects.count() == 1
        assert breaches() == []

    def test_locked_in_the_order_of_the_request_and_waited_for_they_deadlock(
        self, outcomes, monkeypatch
    ):
        each_has_one = threading.Barrier(2)

        def lock_one_by_one(parameters):
            first, second = parameters["seat_ids"]
            Seat.objects.lock().get(pk=first)
            each_has_one.wait(PATIENCE)
            Seat.objects.lock().get(pk=second)

        before(monkeypatch, "lock_seats", lock_one_by_one)
        without(monkeypatch, RETRY_OF_A_DEADLOCK)

        found = outcomes()

        assert len(winners(found)) == 1
        assert refusals(found) == [ServiceUnavailable]
        [victim] = [outcome for outcome in found if isinstance(outcome, Exception)]
        assert sqlstate(victim.__cause__) == DEADLOCK_DETECTED


class TestOneCustomerAndTwoRequests:
    def test_the_limit_holds(self, race, seats):
        customer = CustomerFactory()

        outcomes = race([partial(hold, customer, [seat]) for seat in seats])

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [SeatLimitExceeded]
        assert breaches() == []

    def test_without_the_lock_both_pass_the_limit(self, race, seats, monkeypatch):
        without(monkeypatch, LOCK_OF_THE_CUSTOMER)
        meet_before(monkeypatch, "lock_seats", 2)
        customer = CustomerFactory()

        outcomes = race([partial(hold, customer, [seat]) for seat in seats])

        assert len(winners(outcomes)) == 2
        assert breaches() == ["seat_limit_kept", "unpaid_limit_kept"]


class TestOneCustomerAndTwoDates:
    """A customer holds no more without having paid than the concert allows, all dates together."""

    @pytest.fixture
    def outcomes(self, race, seats):
        other_date = PerformanceFactory(seats=1, concert=seats[0].performance.concert)
        customer = CustomerFactory()
        chosen = [seats[:1], list(other_date.seats.all())]
        return lambda: race([partial(hold, customer, seats) for seats in chosen])

    def test_the_limit_of_unpaid_seats_holds(self, outcomes):
        found = outcomes()

        assert len(winners(found)) == 1
        assert refusals(found) == [UnpaidLimitExceeded]
        assert breaches() == []

    def test_a_lock_for_each_date_would_let_both_pass(self, outcomes, monkeypatch):
        without(monkeypatch, LOCK_OF_THE_CUSTOMER_FOR_ALL_DATES)
        meet_before(monkeypatch, "lock_seats", 2)

        assert len(winners(outcomes())) == 2
        assert breaches() == ["unpaid_limit_kept"]


class TestOneHoldPaidManyTimesAtOnce:
    def test_one_payment_is_taken(self, race, customer, held):
        outcomes = race([partial(confirm, held)] * CLICKS)

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [HoldNotLive] * (CLICKS - 1)
        assert balance(customer) == 950_000
        assert Reservation.objects.count() == 1
        assert breaches() == []

    @pytest.fixture
    def unlocked(self, race, held, monkeypatch):
        without(monkeypatch, LOCKS_OF_A_HOLD)
        meet_before(monkeypatch, "lock_wallet", 2)
        return lambda: race([partial(confirm, held)] * 2)

    def test_without_locks_the_constraint_keeps_it_at_one(self, unlocked, customer):
        outcomes = unlocked()

        # Both had found the hold live. A constraint undoes the second, money and all.
        assert len(winners(outcomes)) == 1
        assert [kind.__name__ for kind in refusals(outcomes)] == ["IntegrityError"]
        assert balance(customer) == 950_000
        assert LedgerTransaction.objects.filter(amount__lt=0).count() == 1
        assert breaches() == []

    def test_without_locks_and_constraint_it_is_paid_twice(self, unlocked, customer, held):
        with without_constraints("reservations_reservation_hold_id_key"):
            assert len(winners(unlocked())) == 2
            assert balance(customer) == 900_000
            assert Reservation.objects.filter(hold=held).count() == 2
            assert breaches() != []


class TestOneReservationCancelledManyTimesAtOnce:
    @pytest.fixture
    def reserved(self, customer, seats):
        return reservation(customer, seats[:1])

    def test_one_refund_is_given(self, race, customer, reserved):
        outcomes = race([partial(cancel, reserved)] * CLICKS)

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [AlreadyCancelled] * (CLICKS - 1)
        assert balance(customer) == 1_000_000
        assert breaches() == []

    def test_the_lock_of_the_wallet_alone_makes_it_polite(self, race, reserved, monkeypatch):
        without(monkeypatch, LOCKS_OF_A_HOLD)
        meet_before(monkeypatch, "lock_wallet", 2)

        outcomes = race([partial(cancel, reserved)] * 2)

        assert refusals(outcomes) == [AlreadyCancelled]
        assert breaches() == []

    @pytest.fixture
    def unlocked(self, race, reserved, monkeypatch):
        without(monkeypatch, LOCKS_OF_A_HOLD, LOCK_OF_THE_WALLET)
        meet_before(monkeypatch, "book", 2)
        return lambda: race([partial(cancel, reserved)] * 2)

    def test_without_locks_the_constraint_keeps_it_at_one(self, unlocked, customer):
        outcomes = unlocked()

        assert len(winners(outcomes)) == 1
        assert [kind.__name__ for kind in refusals(outcomes)] == ["IntegrityError"]
        assert balance(customer) == 1_000_000
        assert breaches() == []

    def test_without_locks_and_constraints_it_is_refunded_twice(self, unlocked, reserved):
        with without_constraints("ledger_transaction_sequence_unique"), without_triggers():
            assert len(winners(unlocked())) == 2
            refunds = LedgerTransaction.objects.filter(type="REFUND", reference=reserved.pk)
            assert refunds.count() == 2
            assert "reservation_paid" in breaches()


class TestPaymentAndAStranger:
    """A stranger is at work on the seats for a moment: the owner's payment waits for it and succeeds."""

    @pytest.fixture
    def payment(self, elsewhere, held):
        def meet(*, until):
            with transaction.atomic():
                Seat.objects.lock().get(pk=held.claims.get().seat_id)
                payment = elsewhere(partial(confirm, held))
                until(payment)
            return outcome_of(payment)

        return meet

    def test_the_payment_waits_and_succeeds(self, payment, customer):
        paid = payment(until=lambda _payment: wait_until_blocked())

        assert paid.reservation.status == Reservation.Status.CONFIRMED
        assert balance(customer) == 950_000

    def test_a_payment_that_did_not_wait_would_be_refused(self, payment, customer, monkeypatch):
        without(monkeypatch, PATIENCE_OF_A_PAYMENT)

        refusal = payment(until=outcome_of)

        assert isinstance(refusal, ServiceUnavailable)
        assert sqlstate(refusal.__cause__) == LOCK_NOT_AVAILABLE
        assert balance(customer) == 1_000_000

    @pytest.fixture
    def payment_and_click(self, elsewhere, stopped_before, seats, held):
        def meet(*, until):
            click = stopped_before("read_seats", partial(hold, CustomerFactory(), seats[:1]))
            payment = elsewhere(partial(confirm, held))
            until(payment)
            clicked = click.finish()
            return outcome_of(payment), clicked

        return meet

    def test_a_click_on_a_seat_that_is_held_does_not_even_make_it_wait(
        self, payment_and_click, customer
    ):
        paid, click = payment_and_click(until=outcome_of)

        assert paid.reservation.status == Reservation.Status.CONFIRMED
        assert isinstance(click, SeatAlreadyReserved)

    def test_a_click_that_locked_it_would(self, payment_and_click, monkeypatch):
        without(monkeypatch, LOCKS_OF_UNCLAIMED_SEATS_ONLY)

        paid, click = payment_and_click(until=lambda _payment: wait_until_blocked())

        assert paid.reservation.status == Reservation.Status.CONFIRMED
        assert isinstance(click, SeatAlreadyHeld)


class TestOneKeyManyTimesAtOnce:
    """Through the API: a customer whose browser sends the same payment again and again."""

    @pytest.fixture
    def clicks(self, race, seats, visitor):
        body = {"performance_id": seats[0].performance_id, "seat_ids": [seats[0].pk]}
        wanted = {"hold_id": visitor.post("/holds", body).json()["data"]["hold_id"]}
        click = partial(visitor.post, "/reservations", wanted, key=str(uuid4()))
        return lambda: (race([click] * CLICKS), click)

    def test_one_effect_and_the_same_bytes_for_each(self, clicks):
        answers, click = clicks()

        paid = [answer for answer in answers if answer.status_code == 201]
        assert sum("Idempotent-Replayed" not in answer for answer in paid) == 1
        busy = [answer.json() for answer in answers if answer.status_code != 201]
        assert {answer["code"] for answer in busy} <= {"IDEMPOTENCY_KEY_IN_USE"}
        assert all(answer["data"]["retryable"] for answer in busy)
        again = [click() for _ in busy]
        assert {answer["Idempotent-Replayed"] for answer in again} <= {"true"}
        assert {answer.content for answer in [*paid, *again]} == {paid[0].content}
        assert Reservation.objects.count() == 1
        assert LedgerTransaction.objects.filter(amount__lt=0).count() == 1

    def test_a_call_that_waits_behind_the_first_is_given_its_answer(
        self, seats, visitor, elsewhere, stopped_before
    ):
        body = {"performance_id": seats[0].performance_id, "seat_ids": [seats[0].pk]}
        click = partial(visitor.post, "/holds", body, key="click")

        first = stopped_before("keep_answer", click)
        second = elsewhere(click)
        wait_until_blocked()

        assert first.finish().content == second.result().content
        assert second.result()["Idempotent-Replayed"] == "true"
        assert Hold.objects.count() == 1

    def test_without_the_lock_on_the_key_a_buyer_is_told_that_the_hold_is_over(
        self, clicks, monkeypatch
    ):
        without(monkeypatch, LOCK_OF_THE_KEY)
        # All of them have looked for a stored answer by then.
        meet_before(monkeypatch, "lock_customer_of_hold", CLICKS)

        answers, _click = clicks()

        codes = [answer.json()["code"] for answer in answers]
        assert sorted(codes) == ["HOLD_NOT_LIVE"] * (CLICKS - 1) + ["SUCCESS"]


class TestBestAvailableAndManyCustomers:
    CROWD = 12

    @pytest.fixture
    def outcomes(self, race):
        performance = PerformanceFactory(seats=4 * self.CROWD, concert__seats_per_customer=4)
        crowd = CustomerFactory.create_batch(self.CROWD)
        calls = [partial(hold_best, customer, performance, 4) for customer in crowd]
        return lambda: race(calls)

    def test_each_gets_seats_while_there_are_enough(self, outcomes):
        assert refusals(outcomes()) == []
        assert SeatClaim.objects.live(at=timezone.now()).count() == 4 * self.CROWD

    def test_without_the_lock_some_are_sent_away(self, outcomes, monkeypatch):
        without(monkeypatch, LOCK_OF_THE_BEST_SEATS)
        meet_before(monkeypatch, "claimed_among", self.CROWD)

        assert NotEnoughSeats in refusals(outcomes())


class TestBestAvailableAndSeatsThatOthersAreAtWorkOn:
    """Another request has locked seats and not committed yet, so they look free; what it leaves is enough."""

    @pytest.fixture
    def at_work_on(self, elsewhere):
        """Keep seats locked on a connection of its own until the block is left."""

        @contextmanager
        def keep(seat_ids):
            is_locked, may_end = threading.Event(), threading.Event()

            def work():
                with transaction.atomic():
                    seats = Seat.objects.filter(pk__in=seat_ids).order_by("pk")
                    assert len(seats.select_for_update(no_key=True)) == len(seat_ids)
                    is_locked.set()
                    assert may_end.wait(PATIENCE)

            future = elsewhere(work)
            try:
                assert is_locked.wait(PATIENCE)
                yield
            finally:
                may_end.set()
                future.result(PATIENCE)

        return keep

    def hall(self, seats, free=None):
        """A performance, and its seats of which only those with the numbers `free` are not kept back."""
        performance = PerformanceFactory(seats=seats, concert__seats_per_customer=4)
        by_number = {seat.number: seat.pk for seat in performance.seats.all()}
        if free is not None:
            keep_back(*performance.seats.exclude(number__in=free))
        return performance, by_number

    @pytest.mark.parametrize("busy", [[1], [2], [1, 2]])
    def test_scattered_seats_are_taken_when_the_last_pair_is_busy(self, at_work_on, customer, busy):
        performance, seats = self.hall(12, free=[1, 2, 4, 6, 8, 10])

        with at_work_on([seats[number] for number in busy]):
            held = hold_best(customer, performance, 2)

        assert {seat.number for seat in held.seats} <= {1, 2, 4, 6, 8, 10} - set(busy)
        assert len(held.seats) == SeatClaim.objects.live(at=timezone.now()).count() == 2

    def test_without_the_locks_a_pair_is_taken_that_another_request_is_at_work_on(
        self, at_work_on, customer, monkeypatch
    ):
        without(monkeypatch, LOCKS_OF_THE_FREE_SEATS)
        performance, seats = self.hall(12, free=[1, 2, 4, 6, 8, 10])

        with at_work_on([seats[1], seats[2]]):
            held = hold_best(customer, performance, 2)

        assert [seat.number for seat in held.seats] == [1, 2]

    @pytest.mark.parametrize("busy", [1, 3, 5])
    def test_two_of_three_scattered_seats_are_taken_when_one_is_busy(
        self, at_work_on, customer, busy
    ):
        performance, seats = self.hall(5, free=[1, 3, 5])

        with at_work_on([seats[busy]]):
            held = hold_best(customer, performance, 2)

        assert [seat.number for seat in held.seats] == sorted({1, 3, 5} - {busy})

    def test_a_pair_is_taken_when_all_the_better_ones_are_busy(self, at_work_on, customer):
        performance, seats = self.hall(50)

        with at_work_on([seats[number] for number in range(14, 38)]):
            held = hold_best(customer, performance, 2)

        first, second = (seat.number for seat in held.seats)
        assert second == first + 1
        assert {first, second}.isdisjoint(range(14, 38))

    @pytest.mark.parametrize("quantity", [1, 2])
    def test_seats_beyond_the_choices_are_taken_when_all_of_those_are_busy(
        self, at_work_on, customer, monkeypatch, quantity
    ):
        monkeypatch.setattr(best_available, "CHOICES", 3)
        performance, seats = self.hall(40)

        with at_work_on([seats[number] for number in range(1, 39)]):
            held = hold_best(customer, performance, quantity)

        assert {seat.number for seat in held.seats} <= {39, 40}
        assert len(held.seats) == quantity

    def test_it_is_refused_when_too_few_are_left(self, at_work_on, customer):
        performance, seats = self.hall(5, free=[1, 2, 4])

        with at_work_on([seats[2], seats[4]]), pytest.raises(NotEnoughSeats):
            hold_best(customer, performance, 2)

        assert not SeatClaim.objects.exists()
