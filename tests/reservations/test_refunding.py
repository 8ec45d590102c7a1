"""Test what staff give back: seats of a reservation, all of it, and money while its seats are kept."""

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.admin.models import LogEntry
from django.db import IntegrityError, connection, transaction
from django.test import TestCase
from django.utils import timezone

from apps.concerts.models import Performance, RankingEntry
from apps.concerts.services import rebuild_ranking
from apps.core.errors import NotFound
from apps.outbox.models import OutboxEvent
from apps.payments.errors import RefundExceedsPayment
from apps.payments.models import LedgerTransaction
from apps.payments.selectors import wallet_balance
from apps.reservations import receivers
from apps.reservations.errors import (
    AlreadyCancelled,
    RefundOutdated,
    ReservationNotFound,
    SeatAlreadyCancelled,
)
from apps.reservations.models import Reservation, SeatClaim, Ticket
from apps.reservations.selectors import own_seat_ids, valid_ticket_of
from apps.reservations.services import cancel_seats, give_back, refund_reservation
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, begin_at, keep_back
from tests.factories.payments import WalletFactory
from tests.factories.reservations import cancel, hold, reservation
from tests.ops.invariants.planting import consume_events
from tests.protections import LOCK_OF_THE_WALLET, LOCKS_OF_A_HOLD, without
from tests.reservations.racing import breaches, meet_before, outcome, refusals, winners

pytestmark = pytest.mark.django_db

PRICE = 50_000


@pytest.fixture
def performance():
    made = PerformanceFactory(seats=6, concert__seats_per_customer=3)
    PerformanceFactory(concert=made.concert, seats=3, starts_at=made.starts_at + timedelta(days=1))
    return made


@pytest.fixture
def clerk():
    return CustomerFactory(staff=True)


@pytest.fixture
def booked(customer, seats):
    """Three seats of a customer, beside one of another."""
    reservation(CustomerFactory(), seats[3:4])
    return reservation(customer, seats[:3])


@pytest.fixture
def by(clerk):
    return {"reason": "Fell ill", "staff_id": clerk.pk}


def refunds_of(reserved):
    return list(
        LedgerTransaction.objects.filter(type="REFUND", reference=reserved.pk)
        .order_by("sequence")
        .values_list("amount", "reason", "adjusted_by")
    )


def taken(seats):
    claims = SeatClaim.objects.live(at=timezone.now()).filter(seat__in=seats)
    return sorted(claims.values_list("seat_id", flat=True))


class TestCancelSeats:
    def test_gives_back_one_of_three_and_its_price(self, booked, seats, customer, clerk, by):
        given = cancel_seats(reservation_id=booked.pk, seat_ids=[seats[1].pk], **by)

        booked.refresh_from_db()
        assert (given.amount, given.refunded, given.seat_ids) == (PRICE, PRICE, (seats[1].pk,))
        assert given.balance == wallet_balance(customer_id=customer.pk) == 1_000_000 - 2 * PRICE
        assert booked.status == Reservation.Status.CONFIRMED
        assert refunds_of(booked) == [(PRICE, "Fell ill", clerk.pk)]
        [gone] = booked.tickets.exclude(cancelled_at=None)
        assert (gone.seat_id, gone.cancel_reason) == (seats[1].pk, "Fell ill")
        assert taken(seats[:3]) == [seats[0].pk, seats[2].pk]
        assert breaches() == []

    def test_voids_the_ticket_and_none_of_the_others(self, booked, seats, customer, by):
        cancel_seats(reservation_id=booked.pk, seat_ids=[seats[1].pk], **by)

        first, second, _ = booked.tickets.order_by("seat_id")
        assert valid_ticket_of(customer_id=customer.pk, ticket_id=first.pk) == first
        with pytest.raises(NotFound):
            valid_ticket_of(customer_id=customer.pk, ticket_id=second.pk)

    def test_lets_the_seat_be_sold_again_also_to_the_same_customer(
        self, booked, seats, customer, performance, by
    ):
        cancel_seats(reservation_id=booked.pk, seat_ids=[seats[1].pk], **by)

        again = reservation(customer, seats[1:2])

        assert again.status == Reservation.Status.CONFIRMED
        own = own_seat_ids(customer_id=customer.pk, performance_id=performance.pk)
        assert own == [seat.pk for seat in seats[:3]]
        assert breaches() == []

    def test_of_the_last_seats_cancels_the_reservation(self, booked, seats, customer, by):
        cancel_seats(reservation_id=booked.pk, seat_ids=[seats[0].pk], **by)

        cancel_seats(reservation_id=booked.pk, seat_ids=[seats[2].pk, seats[1].pk], **by)

        booked.refresh_from_db()
        assert (booked.status, booked.cancel_reason) == ("CANCELLED", "Fell ill")
        assert wallet_balance(customer_id=customer.pk) == 1_000_000
        assert Ticket.objects.valid().filter(reservation=booked).count() == 0
        assert taken(seats[:3]) == []
        assert breaches() == []

    def test_of_no_named_seats_cancels_what_is_left(self, booked, seats, customer, by):
        cancel_seats(reservation_id=booked.pk, seat_ids=[seats[0].pk], **by)

        given = cancel_seats(reservation_id=booked.pk, **by)

        assert given.amount == 2 * PRICE
        assert given.seat_ids == (seats[1].pk, seats[2].pk)
        assert given.refunded == booked.total_price
        assert breaches() == []

    def test_is_possible_after_the_performance(self, booked, performance, customer, by):
        begin_at(Performance.objects.filter(pk=performance.pk), timezone.now() - timedelta(days=9))

        cancel_seats(reservation_id=booked.pk, **by)

        assert wallet_balance(customer_id=customer.pk) == 1_000_000

    def test_leaves_the_customer_the_right_to_cancel_the_rest(self, booked, seats, customer, by):
        cancel_seats(reservation_id=booked.pk, seat_ids=[seats[0].pk], **by)

        cancelled = cancel(booked)

        assert cancelled.refunded_amount == 2 * PRICE
        assert cancelled.balance == wallet_balance(customer_id=customer.pk) == 1_000_000
        assert refunds_of(booked)[-1] == (2 * PRICE, "", None)
        assert breaches() == []

    def test_is_told_with_the_seats_that_it_is_about(self, booked, seats, by, monkeypatch):
        announced = []
        monkeypatch.setattr(receivers, "announce", announced.append)

        with TestCase.captureOnCommitCallbacks(execute=True):
            cancel_seats(reservation_id=booked.pk, seat_ids=[seats[1].pk], **by)

        event = OutboxEvent.objects.get(type="reservation.seats_cancelled")
        assert event.payload["seat_count"] == 1
        assert [seat["seat_id"] for seat in event.payload["seats"]] == [seats[1].pk]
        assert event.payload["total_price"] == PRICE
        assert sorted(event.deliveries.values_list("consumer", flat=True)) == sorted(announced)
        assert sorted(announced) == ["external_sync", "ranking"]

    def test_counts_seats_in_the_ranking_and_still_one_reservation(
        self, booked, seats, performance, by
    ):
        rebuild_ranking()
        cancel_seats(reservation_id=booked.pk, seat_ids=[seats[1].pk], **by)
        cancel_seats(reservation_id=booked.pk, **by)

        consume_events()

        performance.refresh_from_db()
        assert performance.seats_sold == 1
        entries = RankingEntry.objects.filter(seats__lt=0).order_by("occurred_at")
        assert list(entries.values_list("reservations", "seats")) == [(0, -1), (-1, -2)]
        assert breaches() == []

    def test_makes_a_sold_out_performance_sell_again(self, seats, performance, by):
        rebuild_ranking()
        whole = [reservation(CustomerFactory(), seats[at : at + 3]) for at in (0, 3)]
        consume_events()
        performance.refresh_from_db()
        assert performance.sold_out_at is not None

        cancel_seats(reservation_id=whole[0].pk, seat_ids=[seats[0].pk], **by)
        consume_events()

        performance.refresh_from_db()
        assert (performance.sold_out_at, performance.seats_sold) == (None, 5)

    def test_of_a_seat_that_was_blocked_meanwhile_leaves_it_sold_out(self, seats, performance, by):
        rebuild_ranking()
        whole = [reservation(CustomerFactory(), seats[at : at + 3]) for at in (0, 3)]
        keep_back(seats[0])
        consume_events()

        cancel_seats(reservation_id=whole[0].pk, seat_ids=[seats[0].pk], **by)
        consume_events()

        performance.refresh_from_db()
        assert (performance.seats_sold, performance.seats_unblocked) == (5, 5)
        assert performance.sold_out_at is not None

    def test_stands_in_the_history_with_the_reason(self, booked, seats, clerk, by):
        cancel_seats(reservation_id=booked.pk, seat_ids=[seats[1].pk], **by)

        entry = LogEntry.objects.get()
        assert (entry.user_id, entry.object_id) == (clerk.pk, str(booked.pk))
        for part in ("Seats cancelled: 1.", "50,000 of 150,000 won in all", "Fell ill"):
            assert part in entry.get_change_message()

    @pytest.mark.parametrize("chosen", [[], [0], ["other"], ["gone", "other"]])
    def test_refuses_seats_that_are_not_of_it_any_more(self, booked, seats, customer, by, chosen):
        named = {"gone": seats[0].pk, "other": seats[3].pk, 0: 0}
        cancel_seats(reservation_id=booked.pk, seat_ids=[seats[0].pk], **by)

        with pytest.raises(SeatAlreadyCancelled):
            cancel_seats(reservation_id=booked.pk, seat_ids=[named[seat] for seat in chosen], **by)

        assert refunds_of(booked) == [(PRICE, "Fell ill", by["staff_id"])]
        assert taken(seats[:4]) == [seat.pk for seat in seats[1:4]]

    def test_refuses_a_second_time(self, booked, customer, by):
        cancel_seats(reservation_id=booked.pk, **by)

        with pytest.raises(AlreadyCancelled):
            cancel_seats(reservation_id=booked.pk, **by)

        assert wallet_balance(customer_id=customer.pk) == 1_000_000
        assert LogEntry.objects.count() == 1

    def test_refuses_what_is_not_there(self, booked, by):
        with pytest.raises(ReservationNotFound):
            cancel_seats(reservation_id=Reservation().pk, **by)

        assert refunds_of(booked) == []

    def test_needs_a_reason(self, booked, clerk):
        with pytest.raises(ValueError, match="reason"):
            cancel_seats(reservation_id=booked.pk, reason=" ", staff_id=clerk.pk)

        assert refunds_of(booked) == []


class TestRefundReservation:
    def test_moves_money_and_no_seats(self, booked, seats, customer, clerk, by):
        given = refund_reservation(reservation_id=booked.pk, amount=30_000, **by)

        booked.refresh_from_db()
        assert (given.amount, given.refunded, given.seat_ids) == (30_000, 30_000, ())
        assert given.balance == wallet_balance(customer_id=customer.pk) == 880_000
        assert booked.status == Reservation.Status.CONFIRMED
        assert taken(seats[:3]) == [seat.pk for seat in seats[:3]]
        assert refunds_of(booked) == [(30_000, "Fell ill", clerk.pk)]
        assert breaches() == []

    def test_is_counted_when_seats_are_given_back_later(self, booked, seats, customer, by):
        refund_reservation(reservation_id=booked.pk, amount=120_000, **by)

        first = cancel_seats(reservation_id=booked.pk, seat_ids=[seats[0].pk], **by)
        rest = cancel_seats(reservation_id=booked.pk, **by)

        assert (first.amount, rest.amount) == (30_000, 0)
        assert wallet_balance(customer_id=customer.pk) == 1_000_000
        assert [amount for amount, *_ in refunds_of(booked)] == [120_000, 30_000]
        assert breaches() == []

    def test_of_everything_leaves_a_cancellation_nothing_to_refund(self, booked, customer, by):
        refund_reservation(reservation_id=booked.pk, amount=booked.total_price, **by)

        cancelled = cancel(booked)

        assert (cancelled.refunded_amount, cancelled.balance) == (0, 1_000_000)
        assert len(refunds_of(booked)) == 1
        assert breaches() == []

    @pytest.mark.parametrize("amount", [20_001, 150_001])
    def test_refuses_more_than_is_left(self, booked, customer, by, amount):
        refund_reservation(reservation_id=booked.pk, amount=130_000, **by)

        with pytest.raises(RefundExceedsPayment) as refusal:
            refund_reservation(reservation_id=booked.pk, amount=amount, **by)

        assert refusal.value.refundable == 20_000
        assert wallet_balance(customer_id=customer.pk) == 980_000
        assert len(refunds_of(booked)) == 1

    def test_refuses_anything_once_it_was_cancelled(self, booked, customer, by):
        cancel(booked)

        with pytest.raises(RefundExceedsPayment):
            refund_reservation(reservation_id=booked.pk, amount=1, **by)

        assert wallet_balance(customer_id=customer.pk) == 1_000_000

    def test_refuses_a_form_that_showed_another_amount_as_refunded(self, booked, customer, by):
        refund_reservation(reservation_id=booked.pk, amount=10_000, refunded_before=0, **by)

        for again in (refund_reservation, partial(give_back, seat_ids=())):
            with pytest.raises(RefundOutdated) as refusal:
                again(reservation_id=booked.pk, amount=10_000, refunded_before=0, **by)
            assert "10,000" in refusal.value.message
        with pytest.raises(RefundOutdated):
            cancel_seats(reservation_id=booked.pk, refunded_before=0, **by)

        assert len(refunds_of(booked)) == 1

    def test_may_lift_the_balance_above_its_limit(self, performance, seats, by, settings):
        customer = WalletFactory(balance=1_000_000).customer
        booked = reservation(customer, seats[:1])
        settings.BALANCE_LIMIT = 950_000

        refund_reservation(reservation_id=booked.pk, amount=PRICE, **by)

        assert wallet_balance(customer_id=customer.pk) == 1_000_000


class TestGiveBack:
    def test_gives_seats_and_money_beyond_their_price(self, booked, seats, customer, by):
        given = give_back(
            reservation_id=booked.pk, seat_ids=[seats[0].pk], amount=5_000, refunded_before=0, **by
        )

        assert (given.amount, given.refunded) == (PRICE + 5_000, PRICE + 5_000)
        assert given.seat_ids == (seats[0].pk,)
        assert given.balance == wallet_balance(customer_id=customer.pk)
        assert breaches() == []

    def test_gives_all_of_it_or_nothing(self, booked, seats, customer, by):
        with pytest.raises(RefundExceedsPayment), transaction.atomic():
            give_back.step(reservation_id=booked.pk, seat_ids=[seats[0].pk], amount=100_001, **by)

        assert refunds_of(booked) == []
        assert taken(seats[:3]) == [seat.pk for seat in seats[:3]]
        assert not OutboxEvent.objects.filter(type="reservation.seats_cancelled").exists()


class TestConstraints:
    def test_a_cancelled_ticket_has_a_reason(self, booked):
        for change in ({"cancelled_at": timezone.now()}, {"cancel_reason": "x"}):
            refused = pytest.raises(IntegrityError, match="ticket_cancelled_explained")
            with refused, transaction.atomic():
                booked.tickets.update(**change)

    def test_a_reservation_that_stands_has_no_reason_for_its_end(self, booked):
        with pytest.raises(IntegrityError, match="reservation_cancel_reason"), transaction.atomic():
            Reservation.objects.filter(pk=booked.pk).update(cancel_reason="x")
        connection.check_constraints()


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_two_clerks_and_the_customer_give_back_each_seat_once(
        self, booked, seats, customer, by, race
    ):
        chosen = [[seats[0].pk, seats[1].pk], [seats[1].pk, seats[2].pk]]
        clerks = [
            partial(cancel_seats, reservation_id=booked.pk, seat_ids=seat_ids, **by)
            for seat_ids in chosen
        ]

        race(
            [
                *(partial(outcome, clerk) for clerk in clerks),
                partial(outcome, partial(cancel, booked)),
            ]
        )

        refunded = sum(amount for amount, *_ in refunds_of(booked))
        left = len(taken(seats[:3]))
        assert refunded == (3 - left) * PRICE
        assert wallet_balance(customer_id=customer.pk) == 850_000 + refunded
        assert breaches() == []

    def test_parallel_refunds_stop_at_what_was_paid(self, booked, customer, by, race):
        refund = partial(refund_reservation, reservation_id=booked.pk, amount=40_000, **by)

        outcomes = race([refund] * 8)

        assert len(winners(outcomes)) == 3
        assert set(refusals(outcomes)) == {RefundExceedsPayment}
        assert wallet_balance(customer_id=customer.pk) == 970_000
        assert breaches() == []

    def test_the_lock_of_the_wallet_alone_makes_them_polite(
        self, booked, customer, by, race, monkeypatch
    ):
        without(monkeypatch, LOCKS_OF_A_HOLD)
        refund = partial(refund_reservation, reservation_id=booked.pk, amount=100_000, **by)

        outcomes = race([refund] * 4)

        assert len(winners(outcomes)) == 1
        assert set(refusals(outcomes)) == {RefundExceedsPayment}
        assert wallet_balance(customer_id=customer.pk) == 950_000

    def test_without_the_locks_the_database_refuses_what_is_too_much(
        self, booked, customer, by, race, monkeypatch
    ):
        """Each has read that enough is left: the race is real, and the constraints decide it."""
        without(monkeypatch, LOCKS_OF_A_HOLD, LOCK_OF_THE_WALLET)
        meet_before(monkeypatch, "book", 2)
        refund = partial(refund_reservation, reservation_id=booked.pk, amount=100_000, **by)

        outcomes = race([refund] * 2)

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [IntegrityError]
        assert wallet_balance(customer_id=customer.pk) == 950_000
        assert breaches() == []

    def test_one_form_sent_by_two_browsers_refunds_once(self, booked, customer, by, race):
        refund = partial(
            refund_reservation, reservation_id=booked.pk, amount=1_000, refunded_before=0, **by
        )

        outcomes = race([refund] * 6)

        assert len(winners(outcomes)) == 1
        assert set(refusals(outcomes)) == {RefundOutdated}
        assert wallet_balance(customer_id=customer.pk) == 851_000

    def test_a_seat_that_is_given_back_is_claimed_by_one(self, booked, seats, by, race):
        rivals = [partial(hold, CustomerFactory(), seats[:1]) for _ in range(3)]
        cancel_seats(reservation_id=booked.pk, seat_ids=[seats[0].pk], **by)

        outcomes = race(rivals)

        assert len(winners(outcomes)) == 1
        assert breaches() == []
