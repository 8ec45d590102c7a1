"""Seats that are kept back, and customers who were moved: a breach of each that was planted is found."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from apps.concerts.inventory import allocate_seats, release_due_allocations
from apps.concerts.models import Seat, SeatAllocation
from apps.outbox.models import OutboxEvent
from apps.reservations.models import Hold, Reservation, SeatClaim
from apps.reservations.services import cancel_seats
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, category_of, keep_back
from tests.factories.counter import move, sell
from tests.factories.reservations import hold, reservation
from tests.ops.invariants.planting import (
    breaches,
    broken,
    cancel,
    consume_events,
    expect_broken,
    unprotected,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def clerk_id() -> int:
    """Return the account of a clerk who may sell seats of the house."""
    clerk = CustomerFactory(staff=True)
    group = Group.objects.create(name="Sellers of the house")
    clerk.groups.add(group)
    category_of("HOUSE").sellers.add(group)
    return int(clerk.pk)


def keep(seat: Seat, clerk_id: int | None, **values: object) -> None:
    """Keep a seat back as staff do, whatever becomes of it afterwards."""
    allocate_seats(
        performance_id=seat.performance_id,
        seat_ids=[seat.pk],
        category_id=category_of("HOUSE").pk,
        reason="For the house",
        staff_id=clerk_id,
    )
    SeatAllocation.objects.filter(seat=seat).update(**values)


class TestKeptSeatForStaff:
    def test_a_seat_that_is_sold_at_the_counter_and_refunded_is_fine(
        self, sold: Reservation, seats: list[Seat], clerk_id: int
    ) -> None:
        keep(seats[4], clerk_id)
        keep(seats[5], clerk_id, returns_on_refund=False)
        for seat in seats[4:6]:
            order = sell([seat], staff_id=clerk_id).reservation
            assert breaches() == {}
            cancel(order)

        assert breaches() == {}
        assert list(SeatAllocation.objects.values_list("seat", flat=True)) == [seats[4].pk]

    def test_a_customer_who_is_moved_to_a_kept_seat_is_fine(
        self, sold: Reservation, seats: list[Seat], clerk_id: int
    ) -> None:
        keep(seats[4], clerk_id)
        move(reservation(CustomerFactory(), seats[6:7]), seats[4:5], staff_id=clerk_id)

        assert breaches() == {}

    def test_a_kept_seat_that_the_public_holds_is_found(
        self, sold: Reservation, seats: list[Seat], clerk_id: int
    ) -> None:
        keep(seats[4], clerk_id)
        held = hold(CustomerFactory(), seats[6:7])
        SeatClaim.objects.filter(hold=held).update(seat=seats[4])

        expect_broken(
            "kept_seat_for_staff",
            f"seat {seats[4].pk}: kept back, but hold {held.pk} of the public has it",
        )

    def test_a_kept_seat_that_the_public_has_bought_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        """Keep it back for nobody, as an import does, and sell it as if it were open."""
        keep(seats[4], None)
        with unprotected():
            Seat.objects.filter(pk=seats[4].pk).update(is_blocked=False)
        bought = reservation(CustomerFactory(), seats[4:5])
        with unprotected():
            Seat.objects.filter(pk=seats[4].pk).update(is_blocked=True)
        consume_events()

        expect_broken(
            "kept_seat_for_staff",
            f"seat {seats[4].pk}: kept back, but hold {bought.hold_id} of the public has it",
        )

    def test_a_seat_that_staff_took_from_its_buyer_is_found(
        self, sold: Reservation, seats: list[Seat], clerk_id: int
    ) -> None:
        keep_back(seats[0], allocated_by_id=clerk_id)

        expect_broken(
            "kept_seat_for_staff",
            f"seat {seats[0].pk}: kept back, but hold {sold.hold_id} of the public has it",
        )

    def test_one_that_was_blocked_and_sold_before_there_were_categories_is_fine(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        keep_back(seats[0])

        assert breaches() == {}

    def test_an_overdue_hold_of_a_seat_that_was_kept_back_since_is_fine(
        self, sold: Reservation, seats: list[Seat], clerk_id: int
    ) -> None:
        held = hold(CustomerFactory(), seats[4:5])
        now = timezone.now()
        Hold.objects.filter(pk=held.pk).update(
            held_at=now - timedelta(minutes=9), expires_at=now - timedelta(minutes=4)
        )
        keep(seats[4], clerk_id)

        assert breaches() == {}

    def test_a_refunded_seat_that_should_be_on_sale_is_found(
        self, sold: Reservation, seats: list[Seat], clerk_id: int
    ) -> None:
        keep(seats[4], clerk_id)
        cancel(sell([seats[4]], staff_id=clerk_id).reservation)
        SeatAllocation.objects.update(returns_on_refund=False)

        expect_broken(
            "kept_seat_for_staff",
            f"seat {seats[4].pk}: sold and given back, but kept back all the same",
        )

    def test_one_that_was_sold_before_it_was_kept_back_is_fine(
        self, sold: Reservation, seats: list[Seat], clerk_id: int
    ) -> None:
        cancel(reservation(CustomerFactory(), seats[4:5]))
        keep(seats[4], clerk_id, returns_on_refund=False)

        assert breaches() == {}

    @pytest.mark.parametrize(("minutes", "is_found"), [(59, False), (61, True)])
    def test_a_seat_whose_time_is_over_is_found_after_an_hour(
        self, sold: Reservation, seats: list[Seat], clerk_id: int, minutes: int, is_found: bool
    ) -> None:
        over = timezone.now() - timedelta(minutes=minutes)
        keep(seats[4], clerk_id, released_at=over)

        assert breaches() == ({"kept_seat_for_staff": 1} if is_found else {})
        release_due_allocations()
        assert breaches() == {}


class TestMovedToOne:
    @pytest.fixture
    def moved(self, sold: Reservation, seats: list[Seat]) -> Reservation:
        """Two seats, given up for two others; every consumer has heard of it."""
        move(sold, seats[8:10])
        consume_events()
        sold.refresh_from_db()
        assert breaches() == {}
        return sold

    @pytest.mark.parametrize(
        ("plant", "words"),
        [
            (
                lambda old, new: Reservation.objects.filter(pk=new.pk).update(
                    reserved_at=new.reserved_at - timedelta(seconds=1)
                ),
                "which was made at another time",
            ),
            (
                lambda old, new: [
                    model.objects.filter(pk=pk).update(customer=CustomerFactory())
                    for model, pk in ((Reservation, new.pk), (Hold, new.hold_id))
                ],
                "which is of another customer",
            ),
            (
                lambda old, new: Reservation.objects.filter(pk=new.pk).update(
                    performance=PerformanceFactory()
                ),
                "which is for another concert",
            ),
            (
                lambda old, new: new.tickets.filter(pk=new.tickets.first().pk).delete(),
                "1 seats for 2",
            ),
        ],
    )
    def test_one_that_is_not_alike_is_found(
        self, moved: Reservation, plant: Callable[[Reservation, Reservation], object], words: str
    ) -> None:
        new = moved.moved_to
        assert new is not None

        plant(moved, new)

        assert broken()["moved_to_one"] == [f"reservation {moved.pk}: moved to {new.pk}, {words}"]

    def test_one_that_was_not_cancelled_is_found(self, moved: Reservation) -> None:
        with unprotected((Reservation, "reservation_moved_is_cancelled")):
            Reservation.objects.filter(pk=moved.pk).update(status="CONFIRMED", cancelled_at=None)

        assert broken()["moved_to_one"] == [
            f"reservation {moved.pk}: moved to {moved.moved_to_id}, but not cancelled"
        ]

    def test_two_that_were_moved_to_one_are_found(self, moved: Reservation) -> None:
        other_date = PerformanceFactory(concert=moved.performance.concert, seats=2)
        other = reservation(moved.customer, other_date.seats.all())
        cancel(other)
        Reservation.objects.filter(pk=other.pk).update(moved_to=moved.moved_to_id)

        assert sorted(broken()["moved_to_one"]) == sorted(
            f"reservation {pk}: moved to {moved.moved_to_id}, {words}"
            for pk, words in (
                (moved.pk, "as another one was"),
                (other.pk, "which was made at another time"),
            )
        )

    def test_one_that_was_not_told_is_found(self, moved: Reservation) -> None:
        event = OutboxEvent.objects.get(
            type="reservation.cancelled", payload__reservation_id=str(moved.pk)
        )
        event.deliveries.all().delete()
        event.delete()

        assert broken()["reservation_announced"] == [
            f"reservation {moved.pk} (CANCELLED): reservation.cancelled told 0 times"
        ]

    def test_one_whose_price_was_not_given_back_is_found(self, moved: Reservation) -> None:
        with unprotected():
            moved.customer.ledger_transactions.filter(type="REFUND").update(
                reference=moved.moved_to_id
            )

        assert broken()["reservation_paid"] == [
            f"reservation {moved.pk}: gave up seats for 100000 won, refunded 0"
        ]

    def test_one_of_which_a_part_is_cancelled_afterwards_is_fine(
        self, moved: Reservation, clerk_id: int
    ) -> None:
        new = moved.moved_to
        assert new is not None
        seat_id = new.tickets.order_by("seat_id").values_list("seat", flat=True)[0]
        cancel_seats(reservation_id=new.pk, seat_ids=[seat_id], reason="x", staff_id=clerk_id)

        assert breaches() == {}
