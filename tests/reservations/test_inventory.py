"""Seats of categories at the box office, and where they go when they are given back; best seats without wheelchair spaces."""

import pytest

from apps.accounts.models import User
from apps.concerts.models import Performance, Seat, SeatAllocation, SeatKind
from apps.reservations.errors import NotEnoughSeats, SeatAlreadyReserved
from apps.reservations.models import Hold
from apps.reservations.services import release_hold
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, category_of, keep_back
from tests.factories.payments import WalletFactory
from tests.factories.reservations import (
    cancel,
    confirm,
    hold,
    hold_best,
    let_expire,
    reservation,
)
from tests.reservations.racing import breaches

pytestmark = pytest.mark.django_db


def for_the_public(performance: Performance) -> int:
    performance.refresh_from_db()
    return performance.seats_unblocked


class TestSellingFromACategory:
    def test_takes_the_categories_that_the_seller_may_sell(
        self, performance: Performance, seats: list[Seat], customer: User
    ) -> None:
        keep_back(seats[0])
        keep_back(seats[1], category="SPONSOR")
        house = category_of("HOUSE").pk

        with pytest.raises(SeatAlreadyReserved) as refused:
            hold(customer, seats[:2], categories={house})
        held = hold(customer, seats[:1], categories={house})

        assert refused.value.details == {"seat_ids": [seats[1].pk]}
        assert held.claims.get().seat == seats[0]
        assert SeatAllocation.objects.count() == 2

    def test_customers_get_none_of_them(
        self, performance: Performance, seats: list[Seat], customer: User
    ) -> None:
        keep_back(seats[0])

        with pytest.raises(SeatAlreadyReserved):
            hold(customer, seats[:1])

        assert not Hold.objects.exists()

    def test_goes_with_open_seats_and_with_the_rule_against_single_seats(
        self, performance: Performance, seats: list[Seat], customer: User
    ) -> None:
        performance.concert.single_seats = "REFUSE"
        performance.concert.save()
        keep_back(seats[0])

        held = hold(customer, seats[:2], categories={category_of("HOUSE").pk})

        assert held.claims.count() == 2


@pytest.fixture
def customer() -> User:
    return WalletFactory(balance=1_000_000).customer


class TestGivingBack:
    @pytest.mark.parametrize("returns", [True, False])
    def test_a_refunded_seat_goes_where_its_allocation_says(
        self, performance: Performance, seats: list[Seat], customer: User, returns: bool
    ) -> None:
        keep_back(*seats[:2], returns_on_refund=returns)
        bought = hold(customer, seats[:2], categories={category_of("HOUSE").pk})
        sold = confirm(bought).reservation
        assert SeatAllocation.objects.count() == 2

        cancel(sold)

        assert SeatAllocation.objects.count() == (2 if returns else 0)
        assert for_the_public(performance) == (2 if returns else 4)
        assert performance.seats.filter(is_blocked=True).count() == (2 if returns else 0)
        assert breaches() == []

    @pytest.mark.parametrize("end", ["released", "expired"])
    def test_a_seat_that_was_not_paid_for_stays_in_its_category(
        self, performance: Performance, seats: list[Seat], customer: User, end: str
    ) -> None:
        keep_back(seats[0], returns_on_refund=False)
        categories = {category_of("HOUSE").pk}
        held = hold(customer, seats[:1], categories=categories)

        if end == "released":
            release_hold(customer_id=customer.pk, hold_id=held.pk)
        else:
            let_expire(held)
            hold(CustomerFactory(), seats[:1], categories=categories)

        assert SeatAllocation.objects.count() == 1
        assert for_the_public(performance) == 3

    def test_a_seat_that_was_open_stays_open(
        self, performance: Performance, seats: list[Seat], customer: User
    ) -> None:
        keep_back(seats[3], returns_on_refund=False)

        cancel(reservation(customer, seats[:2]))

        assert SeatAllocation.objects.get().seat == seats[3]
        assert for_the_public(performance) == 3


class TestBestSeatsByKind:
    @pytest.fixture
    def performance(self) -> Performance:
        """Row A: 1 standard, 2 wheelchair, 3 companion, 4 to 6 standard; the view from 6 is restricted."""
        made: Performance = PerformanceFactory(seats=6, concert__seats_per_customer=6)
        PerformanceFactory(seats=6)
        for number, kind in ((2, "WHEELCHAIR"), (3, "COMPANION"), (6, "RESTRICTED_VIEW")):
            made.seats.filter(number=number).update(kind=kind)
        return made

    def numbers(self, *wanted: object, **how: object) -> list[int]:
        held = hold_best(CustomerFactory(), *wanted, **how)  # type: ignore[arg-type]
        return [seat.number for seat in held.seats]

    def test_leave_wheelchair_spaces_and_companion_seats_unasked(
        self, performance: Performance
    ) -> None:
        assert self.numbers(performance, 2) == [4, 5]
        assert self.numbers(performance, 2) == [1, 6]
        with pytest.raises(NotEnoughSeats):
            self.numbers(performance, 1)

    def test_have_the_whole_stage_in_view_if_they_can(self, performance: Performance) -> None:
        assert [self.numbers(performance, 1) for _ in range(4)][-1] == [6]

    @pytest.mark.parametrize(("quantity", "numbers"), [(1, [2]), (2, [2, 3]), (3, [1, 2, 3])])
    def test_have_one_wheelchair_space_if_that_is_asked_for(
        self, performance: Performance, quantity: int, numbers: list[int]
    ) -> None:
        assert self.numbers(performance, quantity, kind="WHEELCHAIR") == numbers

    def test_have_no_more_of_them_than_they_must(self, performance: Performance) -> None:
        performance.seats.filter(number=4).update(kind=SeatKind.WHEELCHAIR)

        assert self.numbers(performance, 3, kind="WHEELCHAIR") == [1, 2, 3]

    def test_are_not_apart_from_their_wheelchair_space(self, performance: Performance) -> None:
        for number in (1, 3):
            hold(CustomerFactory(), list(performance.seats.filter(number=number)))

        with pytest.raises(NotEnoughSeats):
            self.numbers(performance, 2, kind="WHEELCHAIR")
