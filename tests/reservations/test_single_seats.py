"""Free seats that a choice leaves without a free neighbour: avoided, and refused where the concert says so."""

import pytest
from django.utils import timezone

from apps.concerts.layouts import Numbering, SectionLayout
from apps.concerts.models import Concert, Grade, Performance, Seat
from apps.concerts.services import generate_seats
from apps.reservations.errors import SeatAlreadyHeld, SingleSeatLeft
from apps.reservations.models import Hold, SeatClaim
from apps.reservations.selectors import adjacent_free_seats
from apps.reservations.services.single_seats import singles_left
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, SeatFactory, keep_back
from tests.factories.reservations import cancel, hold, hold_best, overdue_hold, reservation
from tests.factories.visitors import admitted_visitor


@pytest.mark.parametrize(
    ("free", "chosen", "left"),
    [
        ("12345", "23", "1"),
        ("12345", "34", "5"),
        ("12345", "24", "135"),
        ("12345", "12", ""),
        ("12345", "45", ""),
        ("12345", "3", ""),
        ("12345", "2", "1"),
        ("12345", "135", "24"),
        # Four of five leave one, wherever they are; and so do two of three.
        ("12345", "1234", ""),
        ("123", "13", ""),
        # But not where another run of the row would do.
        ("123 56", "12", "3"),
        ("12 4", "1", "2"),
        ("12", "1", ""),
        # What was single before is not the fault of the choice.
        ("1 3456", "34", ""),
        ("1 345", "34", ""),
        ("1 345", "4", "35"),
        ("1 3", "1", ""),
    ],
)
def test_a_choice_leaves(free, chosen, left):
    numbers = [place for place, seat in enumerate(free) if seat != " "]
    places = {free[place]: place for place in numbers}

    found = singles_left(numbers, [places[seat] for seat in chosen])

    assert "".join(free[place] for place in found) == left


def row_of(performance: Performance, row: str = "A") -> list[Seat]:
    return list(performance.seats.filter(row=row).order_by("number"))


def numbers(held) -> list[int]:
    return [seat.number for seat in held.seats]


@pytest.mark.django_db
class TestBestAvailable:
    def best(self, performance, quantity):
        return hold_best(CustomerFactory(), performance, quantity)

    def test_leaves_none_single_in_a_row_of_five(self):
        performance = PerformanceFactory(seats=5, concert__seats_per_customer=4)

        first, second = self.best(performance, 2), self.best(performance, 2)

        assert numbers(first) in ([1, 2], [4, 5])
        assert numbers(second) == ([3, 4] if numbers(first) == [1, 2] else [2, 3]) or (
            numbers(second) in ([1, 2], [4, 5])
        )

    def test_goes_to_a_row_behind_for_it(self):
        performance = PerformanceFactory(seats=3, concert__seats_per_customer=4)
        for number in range(1, 5):
            SeatFactory(performance=performance, row="B", number=number, y=2)

        held = self.best(performance, 2)

        assert {seat.row for seat in held.seats} == {"B"}
        assert numbers(held) in ([1, 2], [3, 4])

    def test_does_not_leave_the_grade_for_it(self):
        performance = PerformanceFactory(concert__seats_per_customer=4)
        for number in range(1, 4):
            SeatFactory(performance=performance, row="A", number=number, grade="VIP")
            SeatFactory(performance=performance, row="B", number=number, grade="R", y=2)
        SeatFactory(performance=performance, row="B", number=4, grade="R", y=2)

        assert {seat.grade for seat in self.best(performance, 2).seats} == {"VIP"}

    def test_takes_what_there_is_where_one_is_left_in_any_case(self):
        performance = PerformanceFactory(seats=3, concert__seats_per_customer=4)

        assert len(self.best(performance, 2).seats) == 2

    def test_leaves_two_together_for_who_comes_alone(self):
        performance = PerformanceFactory(seats=5, concert__seats_per_customer=4)
        hold(CustomerFactory(), row_of(performance)[1:2])

        # The middle one of the three that are side by side would leave two.
        assert numbers(self.best(performance, 1)) in ([1], [3], [5])


def hall_with(**line) -> Performance:
    """One row of grade R as described, on sale."""
    performance: Performance = PerformanceFactory(concert__seats_per_customer=4)
    layout = SectionLayout(name="1", rows=1, grade=Grade.R, price=1_000, **line)
    generate_seats(performance_id=performance.pk, layout=[layout])
    return performance


@pytest.mark.django_db
class TestAisles:
    """Seats are neighbours if they stand side by side, whatever their numbers are."""

    def test_the_best_are_not_on_both_sides_of_one(self):
        performance = hall_with(seats_per_row=4, aisles=(1, 3))

        held = hold_best(CustomerFactory(), performance, 2)

        assert numbers(held) == [2, 3]

    def test_there_are_no_two_together_across_one(self):
        performance = hall_with(seats_per_row=2, aisles=(1,))

        assert adjacent_free_seats(
            performance_id=performance.pk, quantity=2, grade=None, at=timezone.now(), limit=9
        ) == []  # fmt: skip

    def test_numbers_that_run_by_two_or_backwards_stand_side_by_side(self):
        for numbering, expected in (
            (Numbering.BY_TWO_FROM_LEFT, [[1, 3], [5, 7]]),
            (Numbering.FROM_RIGHT, [[1, 2], [3, 4]]),
            (Numbering.ODD_LEFT, [[1, 3], [2, 4]]),
        ):
            performance = hall_with(seats_per_row=4, numbering=numbering)
            found = [numbers(hold_best(CustomerFactory(), performance, 2)) for _ in range(2)]
            assert sorted(map(sorted, found)) == expected

    def test_a_seat_beside_one_is_left_single(self):
        performance = hall_with(seats_per_row=7, aisles=(3,))
        Concert.objects.update(single_seats="REFUSE")

        with pytest.raises(SingleSeatLeft) as refusal:
            hold(CustomerFactory(), row_of(performance)[1:3])

        # Without the aisle seats 4 to 7 would stand beside them; with it two of those four would have left two.
        assert refusal.value.details == {"seats": [{"section": "1", "row": "A", "number": 1}]}

    def test_a_choice_may_end_at_one(self):
        performance = hall_with(seats_per_row=6, aisles=(2,))
        Concert.objects.update(single_seats="REFUSE")

        assert hold(CustomerFactory(), row_of(performance)[:2])

    def test_singles_are_named_by_their_numbers(self):
        performance = hall_with(seats_per_row=5, numbering=Numbering.BY_TWO_FROM_RIGHT)
        Concert.objects.update(single_seats="REFUSE")

        with pytest.raises(SingleSeatLeft) as refusal:
            hold(CustomerFactory(), row_of(performance)[1:3])

        assert refusal.value.details == {"seats": [{"section": "1", "row": "A", "number": 1}]}


@pytest.mark.django_db
class TestChoiceOnTheMap:
    @pytest.fixture
    def performance(self) -> Performance:
        """Five seats in a row; on another date all of them are free."""
        made: Performance = PerformanceFactory(seats=5, concert__seats_per_customer=4)
        PerformanceFactory(seats=5, concert=made.concert)
        return made

    def refuse(self) -> None:
        Concert.objects.update(single_seats="REFUSE")

    @pytest.mark.parametrize("rule", ["OFF", "WARN"])
    def test_is_taken_where_the_map_only_warns(self, performance, rule):
        Concert.objects.update(single_seats=rule)

        assert hold(CustomerFactory(), row_of(performance)[1:3])

    def test_is_refused_where_it_leaves_one(self, performance):
        self.refuse()

        with pytest.raises(SingleSeatLeft) as refusal:
            hold(CustomerFactory(), row_of(performance)[1:3])

        assert refusal.value.details == {"seats": [{"section": "1", "row": "A", "number": 1}]}
        assert not SeatClaim.objects.exists()

    def test_is_taken_where_it_leaves_none(self, performance):
        self.refuse()

        assert hold(CustomerFactory(), row_of(performance)[:2])

    def test_sees_what_is_held_sold_and_kept_back(self, performance):
        self.refuse()
        first, second, middle, fourth, last = row_of(performance)
        reservation(CustomerFactory(), [first])
        keep_back(last)

        # Three are left: two of them leave one in any case; the middle one leaves two.
        with pytest.raises(SingleSeatLeft):
            hold(CustomerFactory(), [middle])
        assert hold(CustomerFactory(), [middle, fourth])
        # What is left was single before.
        assert hold(CustomerFactory(), [second])

    @pytest.mark.parametrize("end", ["a second ago", "just now", "cancelled"])
    def test_takes_what_is_over_for_free(self, performance, end):
        self.refuse()
        if end == "cancelled":
            cancel(reservation(CustomerFactory(), row_of(performance)[3:]))
        else:
            overdue_hold(CustomerFactory(), row_of(performance)[3:])
        if end == "just now":
            Hold.objects.update(expires_at=timezone.now())

        with pytest.raises(SingleSeatLeft):
            hold(CustomerFactory(), row_of(performance)[1:3])

    def test_is_asked_of_each_row(self, performance):
        self.refuse()
        for number in range(1, 6):
            SeatFactory(performance=performance, row="B", number=number, y=2)
        chosen = [*row_of(performance)[:2], *row_of(performance, "B")[3:4]]

        with pytest.raises(SingleSeatLeft) as refusal:
            hold(CustomerFactory(), chosen)

        assert refusal.value.details["seats"] == [{"section": "1", "row": "B", "number": 5}]

    def test_is_free_where_no_customer_may_have_two(self, performance):
        Concert.objects.update(single_seats="REFUSE", seats_per_customer=1)

        assert hold(CustomerFactory(), row_of(performance)[1:2])

    def test_is_refused_last(self, performance):
        self.refuse()
        hold(CustomerFactory(), row_of(performance)[3:])

        with pytest.raises(SeatAlreadyHeld):
            hold(CustomerFactory(), row_of(performance)[2:4])

    def test_is_refused_over_the_api(self, performance):
        self.refuse()
        visitor = admitted_visitor(performance.concert_id)
        seats = [seat.pk for seat in row_of(performance)[1:3]]

        answer = visitor.post("/holds", {"performance_id": performance.pk, "seat_ids": seats})

        assert (answer.status_code, answer.json()["code"]) == (409, "SINGLE_SEAT_LEFT")
        assert answer.json()["data"]["seats"] == [{"section": "1", "row": "A", "number": 1}]

    def test_the_best_are_never_refused_for_it(self, performance):
        self.refuse()
        hold(CustomerFactory(), row_of(performance)[:2])

        assert hold_best(CustomerFactory(), performance, 2)
        assert SeatClaim.objects.live(at=timezone.now()).count() == 4
