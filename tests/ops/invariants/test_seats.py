"""Seats, holds, tickets and their limits: a breach of each that was planted is found."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from apps.concerts.models import Performance, Seat
from apps.queue.models import WaitingRoom
from apps.reservations.models import Hold, Reservation, SeatClaim, Ticket
from apps.reservations.services import cancel_seats, extend_hold, release_hold
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, keep_back
from tests.factories.queue import QueueExitFactory, WaitingRoomFactory
from tests.factories.reservations import hold, overdue_hold, reservation
from tests.ops.invariants import planting
from tests.ops.invariants.planting import (
    breaches,
    broken,
    cancel,
    checked,
    consume_events,
    expect_broken,
    unprotected,
)

pytestmark = pytest.mark.django_db


def change(held: Hold, **columns: object) -> None:
    Hold.objects.filter(pk=held.pk).update(**columns)


def cancel_and_keep(sold: Reservation, seat: Seat) -> None:
    cancel(sold)
    SeatClaim.objects.filter(seat=seat).update(ended_at=None)


def long_ago(sold: Reservation) -> dict[str, datetime]:
    """Return the moments of a hold that was paid an hour before, in its last minute."""
    paid = sold.reserved_at - timedelta(hours=1)
    return {
        "held_at": paid - timedelta(minutes=4),
        "ended_at": paid,
        "expires_at": paid + timedelta(minutes=1),
    }


def seat_elsewhere() -> Seat:
    return PerformanceFactory(seats=1).seats.get()


class TestSeatClaimedOnce:
    def test_a_second_claim_is_found(
        self, sold: Reservation, held: Hold, seats: list[Seat]
    ) -> None:
        with unprotected((SeatClaim, "seat_claimed_once")):
            SeatClaim.objects.filter(hold=held).update(seat=seats[0])

        first, second = SeatClaim.objects.filter(seat=seats[0]).order_by("pk")
        expect_broken(
            "seat_claimed_once", f"seat {seats[0].pk}: 2 claims, {first.pk} and {second.pk}"
        )

    def test_the_claim_of_a_paid_hold_counts_however_long_ago_it_was_made(
        self, sold: Reservation, held: Hold, seats: list[Seat]
    ) -> None:
        cancel_and_keep(sold, seats[0])
        change(Hold.objects.get(pk=sold.hold_id), **long_ago(sold))
        with unprotected((SeatClaim, "seat_claimed_once")):
            SeatClaim.objects.filter(hold=held).update(seat=seats[0])

        assert checked("seat_claimed_once").breaches == 1

    def test_a_seat_that_was_sold_twice_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        """End a claim without a cancellation, so that no two claims are open."""
        SeatClaim.objects.filter(hold=sold.hold_id, seat=seats[0]).update(ended_at=timezone.now())
        reservation(CustomerFactory(), seats[:1])

        assert breaches() == {"seat_claimed_once": 1, "reservation_is_its_hold": 1}

    @pytest.mark.parametrize("status", ["RELEASED", "EXPIRED"])
    def test_an_open_claim_of_a_hold_that_is_over_is_found(self, held: Hold, status: str) -> None:
        change(held, status=status, ended_at=held.held_at)

        [claim] = SeatClaim.objects.all()
        expect_broken(
            "seat_claimed_once",
            f"seat {claim.seat_id}: claim {claim.pk} is open, but its hold is over",
        )

    def test_an_overdue_claim_is_none(self, sold: Reservation, seats: list[Seat]) -> None:
        other = overdue_hold(CustomerFactory(), seats[5:6])

        with unprotected((SeatClaim, "seat_claimed_once")):
            SeatClaim.objects.filter(hold=other).update(seat=seats[0])

        assert breaches() == {}


class TestSeatsThatStaffHaveCancelled:
    @pytest.fixture
    def in_part(self, sold: Reservation, seats: list[Seat]) -> Reservation:
        """The first of two seats is given up, and sold to another customer."""
        staff_id = CustomerFactory(staff=True).pk
        cancel_seats(reservation_id=sold.pk, seat_ids=[seats[0].pk], reason="x", staff_id=staff_id)
        reservation(CustomerFactory(), seats[:1])
        assert breaches() == {}
        return sold

    def test_a_ticket_that_is_valid_again_is_found(
        self, in_part: Reservation, seats: list[Seat]
    ) -> None:
        in_part.tickets.update(cancelled_at=None, cancel_reason="")

        found = breaches()
        assert found.pop("seat_claimed_once") == 1
        assert found.pop("reservation_is_its_hold") == 1

    def test_a_seat_that_is_still_taken_is_found(
        self, in_part: Reservation, seats: list[Seat]
    ) -> None:
        now = timezone.now()
        in_part.tickets.filter(seat=seats[1]).update(cancelled_at=now, cancel_reason="x")

        assert broken()["reservation_is_its_hold"] == [
            f"reservation {in_part.pk}, seat {seats[1].pk}: cancelled, but the seat is still taken",
            f"reservation {in_part.pk}: stands, but all its seats have been given up",
        ]


class TestReservationIsItsHold:
    # By how it differs: what makes it so, what is said of the reservation, and what else is broken.
    @pytest.mark.parametrize(
        ("plant", "example", "also"),
        [
            (
                lambda sold, seat: change(sold.hold, status="RELEASED"),
                "{sold}: its hold is RELEASED",
                {"seat_claimed_once": 2},
            ),
            (
                lambda sold, seat: change(sold.hold, customer=CustomerFactory()),
                "{sold}: its hold is of another customer",
                {},
            ),
            (
                lambda sold, seat: change(sold.hold, total_price=1),
                "{sold}: its hold had another price",
                {},
            ),
            (
                lambda sold, seat: Ticket.objects.filter(seat=seat).delete(),
                "{sold}, seat {seat}: was held, but has no ticket",
                {"reservation_is_its_hold": 2, "reservation_announced": 1},
            ),
            (
                lambda sold, seat: SeatClaim.objects.filter(seat=seat).delete(),
                "{sold}, seat {seat}: has a ticket, but was not held",
                {},
            ),
            (
                lambda sold, seat: Ticket.objects.filter(seat=seat).update(price=1),
                "{sold}, seat {seat}: the ticket has another price",
                {"reservation_is_its_hold": 2},
            ),
            (
                lambda sold, seat: SeatClaim.objects.filter(seat=seat).update(price=1),
                "{sold}, seat {seat}: the ticket has another price",
                {},
            ),
            (
                lambda sold, seat: [
                    model.objects.filter(seat=seat).update(price=1) for model in (Ticket, SeatClaim)
                ],
                "{sold}: its tickets cost 50001 of 100000 won",
                {},
            ),
            (
                lambda sold, seat: [sold.tickets.all().delete(), sold.hold.claims.all().delete()],
                "{sold}: has no tickets",
                {"reservation_announced": 1},
            ),
            (
                lambda sold, seat: SeatClaim.objects.filter(seat=seat).update(
                    ended_at=timezone.now()
                ),
                "{sold}, seat {seat}: the seat has been given up, the reservation has not",
                {},
            ),
            (
                cancel_and_keep,
                "{sold}, seat {seat}: cancelled, but the seat is still taken",
                {},
            ),
        ],
    )
    def test_a_difference_is_found(
        self,
        sold: Reservation,
        seats: list[Seat],
        plant: Callable[[Reservation, Seat], object],
        example: str,
        also: dict[str, int],
    ) -> None:
        plant(sold, seats[0])

        found = broken()
        counts = {name: len(examples) for name, examples in found.items()}
        assert counts == {"reservation_is_its_hold": 1} | also
        told = example.format(sold=sold.pk, seat=seats[0].pk)
        assert f"reservation {told}" in found["reservation_is_its_hold"]

    def test_a_claim_for_another_performance_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        SeatClaim.objects.filter(seat=seats[0]).update(performance=PerformanceFactory())

        claim = f"hold {sold.hold_id}, seat {seats[0].pk}"
        expect_broken(
            "reservation_is_its_hold",
            f"{claim}: claimed for another performance",
            f"{claim}: the seat is of another performance",
        )

    def test_a_seat_of_another_performance_is_found(self, held: Hold) -> None:
        elsewhere = seat_elsewhere()
        SeatClaim.objects.filter(hold=held).update(seat=elsewhere)

        expect_broken(
            "reservation_is_its_hold",
            f"hold {held.pk}, seat {elsewhere.pk}: the seat is of another performance",
        )

    def test_a_ticket_for_another_performance_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        Ticket.objects.filter(seat=seats[0]).update(seat=seat_elsewhere())

        assert breaches() == {"reservation_is_its_hold": 2, "reservation_announced": 1}

    def test_a_payment_after_the_end_is_found(self, sold: Reservation) -> None:
        late = sold.hold.expires_at + timedelta(seconds=1)

        with unprotected((Hold, "hold_confirmed_before_it_expired")):
            change(sold.hold, ended_at=late)
            Reservation.objects.filter(pk=sold.pk).update(reserved_at=late)

        expect_broken(
            "reservation_is_its_hold", f"reservation {sold.pk}: confirmed when its hold was over"
        )

    def test_a_paid_hold_without_a_reservation_is_found(self, held: Hold) -> None:
        change(held, status="CONFIRMED", ended_at=held.held_at)

        expect_broken("reservation_is_its_hold", f"hold {held.pk}: paid, but without a reservation")


class TestSeatLimitKept:
    @pytest.mark.parametrize("is_given_up", [False, True])
    def test_a_seat_too_many_is_found(
        self, sold: Reservation, held: Hold, is_given_up: bool
    ) -> None:
        if is_given_up:
            release_hold(customer_id=held.customer_id, hold_id=held.pk)
        change(held, customer=sold.customer_id)

        expect_broken(
            "seat_limit_kept", f"customer {sold.customer_id}, hold {held.pk}: 3 seats of 2"
        )

    def test_the_limit_of_that_time_counts(self, sold: Reservation) -> None:
        change(sold.hold, seat_limit=1)

        expect_broken(
            "seat_limit_kept", f"customer {sold.customer_id}, hold {sold.hold_id}: 2 seats of 1"
        )

    def test_seats_one_after_the_other_are_fine(self, seats: list[Seat]) -> None:
        customer = CustomerFactory()
        overdue_hold(customer, seats[:2])
        for _ in range(3):
            held = hold(customer, seats[:2])
            release_hold(customer_id=customer.pk, hold_id=held.pk)

        assert breaches() == {}

    def test_seats_in_the_moment_in_which_others_end_are_fine(self, seats: list[Seat]) -> None:
        customer = CustomerFactory()
        first = hold(customer, seats[:2])
        release_hold(customer_id=customer.pk, hold_id=first.pk)
        first.refresh_from_db()
        change(hold(customer, seats[:2]), held_at=first.ended_at)

        assert breaches() == {}


class TestUnpaidLimitKept:
    @pytest.fixture
    def other_date(self, performance: Performance) -> list[Seat]:
        return list(PerformanceFactory(concert=performance.concert, seats=2).seats.all())

    @pytest.mark.parametrize("end", ["", "release", "over"])
    def test_a_seat_too_many_of_all_dates_is_found(
        self, seats: list[Seat], other_date: list[Seat], end: str
    ) -> None:
        first, customer = hold(CustomerFactory(), seats[:2]), CustomerFactory()
        second = hold(customer, other_date[:1])
        if end == "release":
            release_hold(customer_id=customer.pk, hold_id=second.pk)
        elif end == "over":
            change(second, status="EXPIRED", ended_at=F("expires_at"))
            SeatClaim.objects.filter(hold=second).update(ended_at=second.expires_at)
        change(first, customer=customer)

        expect_broken(
            "unpaid_limit_kept", f"customer {customer.pk}, hold {second.pk}: 3 unpaid seats of 2"
        )

    def test_what_was_paid_before_is_fine(self, sold: Reservation, other_date: list[Seat]) -> None:
        hold(sold.customer, other_date[:2])

        assert breaches() == {}

    def test_holds_from_before_the_limit_are_fine(
        self, seats: list[Seat], other_date: list[Seat]
    ) -> None:
        first, customer = hold(CustomerFactory(), seats[:2]), CustomerFactory()
        hold(customer, other_date[:1])
        change(first, customer=customer)
        Hold.objects.update(unpaid_limit=None)

        assert breaches() == {}


class TestHoldExtendedOnce:
    @pytest.mark.parametrize(
        ("columns", "described"),
        [
            ({"extended_at": 1}, "extended, but not on record when or from when"),
            ({"extended_at": -1, "extended_from": 300}, "extended before it was made"),
            ({"extended_at": 300, "extended_from": 300}, "extended when it was over"),
            (
                {"extended_at": 9, "extended_from": 300, "expires_at": 601},
                "00:05:01 longer than its first 00:05:00",
            ),
        ],
    )
    def test_one_against_the_rules_is_found(
        self, held: Hold, columns: dict[str, int], described: str
    ) -> None:
        seconds = {"expires_at": 600} | columns
        times = {name: held.held_at + timedelta(seconds=at) for name, at in seconds.items()}
        with unprotected((Hold, "hold_extended_once")):
            change(held, **times)

        expect_broken("hold_extended_once", f"hold {held.pk}: {described}")

    def test_one_whose_seats_were_taken_from_it_is_found(self, held: Hold) -> None:
        extend_hold(customer_id=held.customer_id, hold_id=held.pk)
        change(held, status="EXPIRED", ended_at=held.expires_at)
        SeatClaim.objects.update(ended_at=held.expires_at)

        assert breaches() == {"hold_extended_once": 1}

    def test_one_by_the_rules_is_fine(self, held: Hold) -> None:
        extend_hold(customer_id=held.customer_id, hold_id=held.pk)
        assert breaches() == {}
        release_hold(customer_id=held.customer_id, hold_id=held.pk)

        assert breaches() == {}


class TestHoldCanBePaid:
    def test_one_that_no_wallet_has_room_for_is_found(self, held: Hold) -> None:
        change(held, total_price=10_000_001)

        expect_broken(
            "hold_can_be_paid", f"hold {held.pk}: costs 10000001 won, a balance may be 10000000"
        )

    def test_one_that_fits_exactly_is_fine(self, held: Hold) -> None:
        change(held, total_price=10_000_000)

        assert checked("hold_can_be_paid").breaches == 0

    def test_one_that_is_over_is_fine(self, seats: list[Seat]) -> None:
        change(overdue_hold(CustomerFactory(), seats[:1]), total_price=10_000_001)

        assert breaches() == {}


class TestSeatsCounted:
    @pytest.mark.parametrize("column", ["seats_total", "seats_unblocked", "seats_sold"])
    def test_a_count_that_is_wrong_is_found(
        self, sold: Reservation, performance: Performance, column: str
    ) -> None:
        consume_events()
        assert breaches() == {}

        Performance.objects.filter(pk=performance.pk).update(**{column: F(column) + 1})

        [[example]] = broken().values()
        assert breaches() == {"seats_counted": 1}
        assert example.startswith(f"performance {performance.pk}: ")

    def test_a_seat_behind_its_back_is_found(
        self, performance: Performance, seats: list[Seat]
    ) -> None:
        keep_back(seats[0])
        Performance.objects.filter(pk=performance.pk).update(seats_unblocked=len(seats))

        number = len(seats)
        wrong = (
            f"performance {performance.pk}: {number} seats, {number} for the public, 0 sold, "
            f"where {number}, {number - 1} and 0 are"
        )
        # Nothing tells that lately something was wrong here: no sale, no cancellation.
        assert checked("seats_counted").examples == ([wrong] if planting.span is None else [])


class TestSeatAllocatedOnce:
    @pytest.fixture(autouse=True)
    def sold_lately(self, sold: Reservation) -> None:
        """Let there be a sale, by which a check of what has changed finds the hall."""
        consume_events()

    def test_a_seat_that_is_kept_back_without_a_category_is_found(
        self, performance: Performance, seats: list[Seat]
    ) -> None:
        with unprotected():
            Seat.objects.filter(pk=seats[5].pk).update(is_blocked=True)
            Performance.objects.filter(pk=performance.pk).update(
                seats_unblocked=F("seats_unblocked") - 1
            )

        expect_broken(
            "seat_allocated_once", f"seat {seats[5].pk}: not for the public, but not allocated"
        )

    def test_a_seat_of_a_category_that_is_sold_to_the_public_is_found(
        self, seats: list[Seat]
    ) -> None:
        with unprotected():
            keep_back(seats[5])

        expect_broken("seat_allocated_once", f"seat {seats[5].pk}: allocated, but for the public")

    def test_an_allocation_at_another_performance_is_found(self, seats: list[Seat]) -> None:
        keep_back(seats[5], performance_id=seat_elsewhere().performance_id)

        if planting.span is None:
            wrong = "allocated at another performance"
        else:
            wrong = "not for the public, but not allocated"
        expect_broken("seat_allocated_once", f"seat {seats[5].pk}: {wrong}")

    def test_one_that_is_kept_back_and_sold_is_fine(self, seats: list[Seat]) -> None:
        keep_back(seats[0], seats[5])

        assert breaches() == {}


class TestCapacityKept:
    def test_a_visitor_too_many_is_found(self, performance: Performance) -> None:
        room: WaitingRoom = WaitingRoomFactory(concert=performance.concert, capacity=1)
        now = timezone.now()
        for minutes in (10, 9):
            QueueExitFactory(
                concert=room.concert,
                admitted_at=now - timedelta(minutes=minutes),
                ended_at=now - timedelta(minutes=5),
            )

        [[example]] = broken().values()
        assert breaches() == {"capacity_kept": 1}
        assert "2 active of 1" in example
