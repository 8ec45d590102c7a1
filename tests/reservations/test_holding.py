from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone

from apps.concerts.errors import SalesClosed, SalesNotOpen, SeatNotFound
from apps.concerts.models import Concert, Performance
from apps.reservations.errors import (
    HoldExpired,
    HoldNotFound,
    HoldNotLive,
    NotEnoughSeats,
    SeatAlreadyHeld,
    SeatAlreadyReserved,
    SeatLimitExceeded,
)
from apps.reservations.models import Hold, SeatClaim
from apps.reservations.services import HeldSeats, expire_holds, expiring, release_hold
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, SeatFactory, begin_at, keep_back
from tests.factories.reservations import cancel, confirm, hold, hold_best, overdue_hold, reservation

pytestmark = pytest.mark.django_db


def live_claims() -> int:
    return SeatClaim.objects.live(at=timezone.now()).count()


class TestHoldSeats:
    def test_claims_all_seats_for_the_hold_time(self, customer, seats):
        made = hold(customer, seats[:2])

        assert made.status == Hold.Status.HELD
        assert made.expires_at - made.held_at == settings.HOLD_TIME
        assert made.total_price == 100_000
        assert made.seat_limit == 2
        assert sorted(made.claims.values_list("seat_id", flat=True)) == [
            seat.pk for seat in seats[:2]
        ]

    def test_refuses_a_seat_that_another_customer_holds(self, customer, seats):
        hold(CustomerFactory(), seats[:1])

        with pytest.raises(SeatAlreadyHeld) as refusal:
            hold(customer, seats[:2])

        assert refusal.value.details == {"seat_ids": [seats[0].pk]}
        assert live_claims() == 1

    def test_refuses_the_customers_own_seat_a_second_time(self, customer, seats):
        hold(customer, seats[:1])

        with pytest.raises(SeatAlreadyHeld):
            hold(customer, seats[:1])

        assert live_claims() == 1

    @pytest.mark.parametrize("is_sold", [True, False], ids=["sold", "kept back by staff"])
    def test_refuses_a_seat_that_is_not_for_sale(self, customer, seats, is_sold):
        if is_sold:
            reservation(CustomerFactory(), seats[:1])
        else:
            keep_back(seats[0])

        with pytest.raises(SeatAlreadyReserved):
            hold(customer, seats[:1])

        assert live_claims() == is_sold

    def test_takes_over_a_seat_whose_hold_is_overdue_though_not_swept(self, customer, seats):
        stale = overdue_hold(CustomerFactory(), seats[:2])

        made = hold(customer, seats[:1])

        stale.refresh_from_db()
        assert stale.status == Hold.Status.EXPIRED
        assert stale.ended_at == stale.expires_at
        assert list(SeatClaim.objects.open().values_list("hold_id", flat=True)) == [made.pk]

    def test_refuses_more_seats_than_the_concert_allows(self, customer, seats):
        hold(customer, seats[:1])

        with pytest.raises(SeatLimitExceeded) as refusal:
            hold(customer, seats[1:3])

        assert refusal.value.details == {"limit": 2, "taken": 1}
        assert live_claims() == 1

    def test_counts_what_was_bought_against_the_limit(self, customer, seats):
        reservation(customer, seats[:2])

        with pytest.raises(SeatLimitExceeded):
            hold(customer, seats[2:3])

    def test_does_not_count_what_is_overdue(self, customer, seats):
        overdue_hold(customer, seats[:2])

        hold(customer, seats[2:4])

        assert live_claims() == 2

    def test_refuses_a_seat_of_another_performance(self, customer, performance, seats):
        elsewhere = SeatFactory(performance__concert=performance.concert)

        with pytest.raises(SeatNotFound) as refusal:
            hold(customer, [seats[0], elsewhere])

        assert refusal.value.details == {"seat_ids": [elsewhere.pk]}
        assert live_claims() == 0

    def test_refuses_a_seat_that_does_not_exist(self, customer, seats):
        with pytest.raises(SeatNotFound):
            hold(customer, seats[:1], seat_ids=[2**62])

    @pytest.mark.parametrize(
        ("change", "refusal"),
        [
            ({"sales_open_at": timedelta(minutes=1)}, SalesNotOpen),
            ({"sales_close_at": -timedelta(seconds=1)}, SalesClosed),
        ],
    )
    def test_refuses_outside_the_sales_window(self, customer, performance, seats, change, refusal):
        moved = {name: timezone.now() + shift for name, shift in change.items()}
        Concert.objects.filter(pk=performance.concert_id).update(**moved)

        with pytest.raises(refusal):
            hold(customer, seats[:1])

        assert live_claims() == 0

    def test_refuses_once_the_performance_has_begun(self, customer, performance, seats):
        begin_at(Performance.objects.filter(pk=performance.pk), timezone.now())

        with pytest.raises(SalesClosed):
            hold(customer, seats[:1])


class TestHoldBestAvailable:
    def numbers(self, held: HeldSeats) -> list[int]:
        assert [seat.seat_id for seat in held.seats] == list(
            held.hold.claims.order_by("seat_id").values_list("seat_id", flat=True)
        )
        return sorted(seat.number for seat in held.seats)

    def test_takes_neighbours_in_the_middle(self, customer):
        performance = PerformanceFactory(seats=6, concert__seats_per_customer=2)

        assert self.numbers(hold_best(customer, performance, 2)) == [3, 4]

    def test_passes_over_gaps(self, customer, performance, seats):
        hold(CustomerFactory(), [seats[1]])

        assert self.numbers(hold_best(customer, performance, 2)) == [3, 4]

    def test_takes_scattered_seats_when_no_neighbours_are_left(self, customer, performance, seats):
        hold(CustomerFactory(), [seats[1]])
        hold(CustomerFactory(), [seats[3]])

        assert self.numbers(hold_best(customer, performance, 2)) == [1, 3]

    def test_takes_what_was_given_back_if_nothing_else_is_left(self, customer, performance, seats):
        for seat in seats[1:]:
            hold(CustomerFactory(), [seat])
        cancel(reservation(CustomerFactory(), seats[:1]))

        assert self.numbers(hold_best(customer, performance, 1)) == [1]

    def test_seats_of_two_rows_are_no_neighbours(self, customer):
        performance = PerformanceFactory(concert__seats_per_customer=2)
        SeatFactory(performance=performance, row="A", number=1, y=1)
        SeatFactory(performance=performance, row="B", number=2, y=2)
        SeatFactory(performance=performance, row="B", number=3, y=2)

        assert self.numbers(hold_best(customer, performance, 2)) == [2, 3]

    def test_prefers_the_best_grade_and_the_front_row(self, customer):
        performance = PerformanceFactory()
        SeatFactory(performance=performance, row="A", number=1, y=1, grade="R")
        SeatFactory(performance=performance, row="C", number=3, y=3, grade="VIP")
        SeatFactory(performance=performance, row="B", number=2, y=2, grade="VIP")

        assert self.numbers(hold_best(customer, performance, 1)) == [2]

    def test_keeps_to_the_grade_that_is_asked_for(self, customer):
        performance = PerformanceFactory()
        SeatFactory(performance=performance, number=1, grade="VIP")
        SeatFactory(performance=performance, number=2, grade="S")

        assert self.numbers(hold_best(customer, performance, 1, grade="S")) == [2]

    def test_takes_a_seat_whose_hold_is_overdue(self, customer):
        performance = PerformanceFactory(seats=1)
        overdue_hold(CustomerFactory(), list(performance.seats.all()))

        assert self.numbers(hold_best(customer, performance, 1)) == [1]

    def test_refuses_when_too_few_are_free(self, customer, performance, seats):
        hold(CustomerFactory(), seats[:2])
        hold(CustomerFactory(), [seats[2]])

        with pytest.raises(NotEnoughSeats):
            hold_best(customer, performance, 2)

        assert live_claims() == 3


class TestReleaseHold:
    def test_frees_the_seats_at_once(self, customer, seats):
        made = hold(customer, seats[:2])

        released = release_hold(customer_id=customer.pk, hold_id=made.pk)

        assert released.hold.status == Hold.Status.RELEASED
        assert live_claims() == 0
        hold(CustomerFactory(), seats[:2])

    def test_refuses_the_hold_of_another_customer(self, customer, seats):
        made = hold(CustomerFactory(), seats[:1])

        for hold_id in (made.pk, uuid4()):
            with pytest.raises(HoldNotFound):
                release_hold(customer_id=customer.pk, hold_id=hold_id)

        assert live_claims() == 1

    @pytest.mark.parametrize(
        ("end", "refusal"),
        [("release", HoldNotLive), ("pay", HoldNotLive), ("expire", HoldExpired)],
    )
    def test_refuses_a_hold_that_is_over(self, customer, seats, end, refusal):
        make = overdue_hold if end == "expire" else hold
        release = partial(
            release_hold, customer_id=customer.pk, hold_id=make(customer, seats[:1]).pk
        )
        if end == "release":
            release()
        elif end == "pay":
            confirm(Hold.objects.get())
        before = list(SeatClaim.objects.values())

        with pytest.raises(refusal):
            release()

        assert list(SeatClaim.objects.values()) == before


class TestExpireHolds:
    def test_ends_overdue_holds_at_the_moment_their_time_was_over(self, seats):
        stale = overdue_hold(CustomerFactory(), seats[:2])
        live = hold(CustomerFactory(), seats[2:3])

        assert expire_holds() == 1

        stale.refresh_from_db()
        live.refresh_from_db()
        assert (stale.status, stale.ended_at) == (Hold.Status.EXPIRED, stale.expires_at)
        assert set(stale.claims.values_list("ended_at", flat=True)) == {stale.expires_at}
        assert live.status == Hold.Status.HELD

    def test_leaves_paid_and_released_holds_alone(self, customer, seats):
        paid = reservation(customer, seats[:1])
        released = hold(CustomerFactory(), seats[1:2])
        release_hold(customer_id=released.customer_id, hold_id=released.pk)
        later = paid.hold.expires_at + timedelta(hours=1)

        assert not Hold.objects.overdue(at=later).exists()
        assert expire_holds() == 0
        assert live_claims() == 1

    def test_leaves_to_the_next_call_what_the_time_does_not_suffice_for(self, seats, monkeypatch):
        monkeypatch.setattr(expiring, "BATCH", 1)
        monkeypatch.setattr(expiring, "SECONDS", -1.0)
        for seat in seats[:2]:
            overdue_hold(CustomerFactory(), [seat])

        assert [expire_holds() for _ in range(3)] == [1, 1, 0]
