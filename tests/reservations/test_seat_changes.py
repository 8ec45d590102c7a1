"""Change a hall that is on sale: what customers hold or have bought stays, seat by seat, and the rest changes."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from apps.concerts import seat_changes
from apps.concerts.errors import PerformanceNotFound, SeatMapChanged, SeatMapRefused
from apps.concerts.layouts import PlannedSeat
from apps.concerts.models import Performance, PerformanceQuerySet, Seat, SeatAllocation
from apps.concerts.seat_changes import change_seats, changes_to, existing_seats
from apps.reservations.errors import SeatAlreadyHeld
from apps.reservations.models import Hold
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, block_seats, category_of, keep_back
from tests.factories.counter import sell
from tests.factories.reservations import cancel, hold, overdue_hold, reservation
from tests.protections import LOCKS_OF_CHANGED_SEATS, LOCKS_OF_SEATS, REPLACING_SEATS, without
from tests.reservations.racing import breaches, meet_before, outcome_of, wait_until_blocked


def plan(performance: Performance) -> list[PlannedSeat]:
    return [seat for _pk, seat in existing_seats(performance.pk)]


def change(performance: Performance, seats: list[PlannedSeat], **how: Any) -> Any:
    performance.refresh_from_db()
    options = {"removes_missing": True, "seat_map_version": performance.seat_map_version, **how}
    return change_seats(performance_id=performance.pk, seats=seats, **options)


def numbers(performance: Performance) -> list[int]:
    return sorted(performance.seats.values_list("number", flat=True))


def counts(performance: Performance) -> tuple[int, int, int]:
    performance.refresh_from_db()
    return (
        performance.seat_map_version,
        performance.seats_total,
        performance.seats_unblocked,
    )


@pytest.mark.django_db
class TestChanges:
    def test_adds_removes_moves_regrades_and_reprices_at_once(self, performance):
        other = list(Seat.objects.exclude(performance=performance).order_by("pk").values())
        first, second, third, _fourth = plan(performance)
        wanted = [
            first._replace(x=20),
            second._replace(grade="VIP", price=90_000),
            third._replace(price=60_000),
            third._replace(number=9, x=9, price=60_000),
            first._replace(number=10, x=10, price=60_000),
        ]
        wanted[0] = wanted[0]._replace(price=60_000)

        made = change(performance, wanted)

        assert dict(made.counts) == {
            "Added": 2,
            "Removed": 1,
            "Moved on the map": 1,
            "With another grade": 1,
            "With another price": 3,
            "Of another kind": 0,
            "In another category": 0,
            "Refused seats": 0,
        }
        assert sorted(plan(performance)) == sorted(wanted)
        assert counts(performance) == (2, 5, 5)
        assert list(Seat.objects.exclude(performance=performance).order_by("pk").values()) == other

    def test_a_seat_that_is_changed_is_the_same_seat(self, performance):
        before = list(performance.seats.order_by("pk").values_list("pk", flat=True))

        change(performance, [seat._replace(y=7) for seat in plan(performance)])

        assert list(performance.seats.order_by("pk").values_list("pk", flat=True)) == before

    def test_without_removing_it_leaves_the_others_alone(self, performance):
        [first, *_] = plan(performance)

        made = change(performance, [first._replace(y=5)], removes_missing=False)

        assert (len(made.replaced), len(made.removed)) == (1, 0)
        assert numbers(performance) == [1, 2, 3, 4]

    def test_the_same_seats_change_nothing_and_announce_nothing(self, performance):
        before = counts(performance)

        assert not change(performance, plan(performance))

        assert counts(performance) == before

    def test_counts_what_is_blocked(self, performance):
        block_seats(seat_ids=performance.seats.filter(number__lte=2).values_list("pk", flat=True))

        change(performance, plan(performance)[1:])

        assert counts(performance) == (2, 3, 2)

    def test_new_seats_end_sold_out(self, performance):
        performance.sold_out_at = performance.starts_at
        performance.save(update_fields=["sold_out_at"])
        new = plan(performance)[0]._replace(number=9, x=9)

        change(performance, [new], removes_missing=False)

        performance.refresh_from_db()
        assert performance.sold_out_at is None

    def test_an_unknown_performance_is_refused(self, performance):
        with pytest.raises(PerformanceNotFound):
            change_seats(performance_id=0, seats=[], removes_missing=True, seat_map_version=1)
        with pytest.raises(PerformanceNotFound):
            changes_to(performance_id=0, seats=[], removes_missing=True)

    def test_a_map_that_was_changed_meanwhile_is_refused(self, performance):
        change(performance, plan(performance)[1:])

        with pytest.raises(SeatMapChanged):
            change(performance, plan(performance)[1:], seat_map_version=1)

        assert numbers(performance) == [2, 3, 4]

    @pytest.mark.parametrize(
        ("field", "reason"),
        [
            ({"price": 1_000}, "R would have two: 1,000 and 50,000 won"),
            ({"x": 2}, "would be in the same place"),
        ],
    )
    def test_a_hall_that_cannot_be_is_refused(self, performance, field, reason):
        [first, *others] = plan(performance)

        with pytest.raises(SeatMapRefused) as refusal:
            change(performance, [first._replace(**field), *others])

        assert reason in refusal.value.reason
        assert counts(performance)[0] == 1
        assert plan(performance) == [first, *others]


@pytest.mark.django_db
class TestWhatCustomersHave:
    def test_is_neither_removed_nor_regraded(self, performance, customer, seats):
        reservation(customer, seats[:1])
        hold(CustomerFactory(), seats[1:2])

        removed = change(performance, [plan(performance)[3]])
        regraded = change(
            performance, [seat._replace(grade="S", price=9_000) for seat in plan(performance)]
        )

        assert [(str(name), reason) for name, reason in removed.refused] == [
            ("1 A-1", "It is sold, so it cannot be removed."),
            ("1 A-2", "A customer holds it, so it cannot be removed now."),
        ]
        assert [reason for _name, reason in regraded.refused] == [
            "It is sold, so it keeps its grade.",
            "A customer holds it, so it keeps its grade for now.",
        ]
        assert [(seat.number, seat.grade, seat.price) for seat in plan(performance)] == [
            (1, "R", 50_000),
            (2, "R", 50_000),
            (4, "S", 9_000),
        ]
        assert breaches() == []

    def test_may_get_another_place_on_the_map(self, performance, customer, seats):
        reservation(customer, seats[:1])

        made = change(performance, [seat._replace(y=9) for seat in plan(performance)])

        assert (made.moved, made.refused) == (4, [])

    def test_keeps_the_agreed_price(self, performance, customer, seats):
        sold = reservation(customer, seats[:1])

        change(performance, [seat._replace(price=60_000) for seat in plan(performance)])

        assert set(performance.seats.values_list("price", flat=True)) == {60_000}
        assert sold.tickets.get().price == 50_000
        assert breaches() == []

    def test_once_had_stays_on_record_and_may_be_regraded(self, performance, customer, seats):
        cancel(reservation(customer, seats[:1]))
        overdue_hold(CustomerFactory(), seats[1:2])

        removed = change(performance, [])
        regraded = change(
            performance, [seat._replace(grade="S", price=9_000) for seat in plan(performance)]
        )

        assert [reason for _name, reason in removed.refused] == [
            "It was held or sold before, so it stays on record and cannot be removed."
        ] * 2
        assert numbers(performance) == [1, 2]
        assert (regraded.regraded, regraded.refused) == (2, [])

    def test_a_new_seat_in_the_place_of_one_that_stays_is_refused(
        self, performance, customer, seats
    ):
        reservation(customer, seats[:1])
        [first, *others] = plan(performance)

        with pytest.raises(SeatMapRefused) as refusal:
            change(performance, [first._replace(number=9), *others])

        assert "in the same place" in refusal.value.reason
        assert numbers(performance) == [1, 2, 3, 4]


@pytest.mark.django_db
class TestKindsAndCategories:
    """Seats 1 and 2 are kept back for the house, 2 until a planned time; 3 and 4 are open."""

    @pytest.fixture
    def kept(self, seats):
        keep_back(seats[0])
        keep_back(seats[1], released_at=timezone.now() + timedelta(days=1), reason="Until tomorrow")

    @pytest.mark.usefixtures("kept")
    def test_change_by_seat(self, performance, seats):
        clerk = CustomerFactory(staff=True)
        first, second, third, fourth = plan(performance)
        wanted = [
            first._replace(category=""),
            second._replace(reason="For the band", kind="AISLE"),
            third._replace(category="SPONSOR", reason="For the bank"),
            fourth._replace(kind="WHEELCHAIR"),
            fourth._replace(number=9, x=9, kind="COMPANION", category="ARTIST", reason=""),
        ]

        made = change(performance, wanted, staff_id=clerk.pk)

        assert (made.rekinded, made.reallocated, made.released) == (2, 3, 1)
        assert [(seat.number, seat.kind, seat.category, seat.reason) for seat in plan(performance)] == [
            (1, "STANDARD", "", ""),
            (2, "AISLE", "HOUSE", "For the band"),
            (3, "STANDARD", "SPONSOR", "For the bank"),
            (4, "WHEELCHAIR", "", ""),
            (9, "COMPANION", "ARTIST", "Set by the layout"),
        ]  # fmt: skip
        assert counts(performance) == (2, 5, 2)
        by = SeatAllocation.objects.values_list("allocated_by", flat=True)
        assert set(by) == {clerk.pk}
        assert SeatAllocation.objects.get(seat=seats[1]).released_at is not None
        assert breaches() == []

    @pytest.mark.usefixtures("kept")
    def test_that_a_plan_says_nothing_of_stay(self, performance):
        before = [seat[-3:] for seat in plan(performance)]

        change(
            performance,
            [
                seat._replace(y=5, kind=None, category=None, reason="x")
                for seat in plan(performance)
            ],
        )

        assert [seat[-3:] for seat in plan(performance)] == before

    @pytest.mark.usefixtures("kept")
    def test_of_what_customers_have_stay(self, performance, customer, seats):
        category_of("HOUSE").sellers.set([Group.objects.create(name="Desk")])
        sell(seats[:1], customer, staff_id=CustomerFactory(admin=True).pk)
        hold(CustomerFactory(), seats[2:3])
        wanted = [
            seat._replace(kind="AISLE", category="", grade="S", price=9_000)
            for seat in plan(performance)
        ]

        made = change(performance, wanted)

        assert [(str(name), reason) for name, reason in made.refused] == [
            ("1 A-1", "It is sold, so it keeps its grade. It is sold, so it keeps its kind and category."),
            (
                "1 A-3",
                "A customer holds it, so it keeps its grade for now. A customer holds it, so it keeps its kind and category for now.",
            ),
        ]  # fmt: skip
        assert [(seat.kind, seat.category) for seat in plan(performance)] == [
            ("STANDARD", "HOUSE"),
            ("AISLE", ""),
            ("STANDARD", ""),
            ("AISLE", ""),
        ]
        assert counts(performance) == (2, 4, 3)
        assert breaches() == []

    def test_that_a_colleague_has_changed_meanwhile_are_refused(self, performance, seats):
        wanted = [seat._replace(category="SPONSOR") for seat in plan(performance)]
        shown = changes_to(performance_id=performance.pk, seats=wanted, removes_missing=False)
        keep_back(seats[3], category="KILLED")

        with pytest.raises(SeatMapChanged):
            change(performance, wanted, kept_back=shown.kept_back)
        moved = [seat._replace(y=7, category=None) for seat in wanted]
        change(performance, moved, kept_back=shown.kept_back)

        assert SeatAllocation.objects.get().category.code == "KILLED"

    def test_of_an_unknown_category_are_refused(self, performance):
        wanted = [seat._replace(category="NONE") for seat in plan(performance)]

        with pytest.raises(SeatMapRefused) as refusal:
            change(performance, wanted)

        assert refusal.value.reason == "There is no category NONE."
        assert counts(performance)[0] == 1


@pytest.mark.django_db
def test_tells_how_many_seats_are_written(performance, monkeypatch):
    monkeypatch.setattr(seat_changes, "WRITTEN_AT_ONCE", 2)
    first, second, third, fourth = plan(performance)
    new = [fourth._replace(number=number, x=number) for number in (8, 9, 10)]
    told: list[int] = []

    change(
        performance,
        [seat._replace(y=5) for seat in (first, second, third)] + new,
        progress=told.append,
    )

    assert told == [3, 4, 6, 7]


@pytest.mark.django_db(transaction=True)
class TestChangeAndHold:
    @pytest.fixture
    def holding(self, stopped_before, customer, seats):
        """A hold that has found its seat free, and stands still before it is written."""
        return lambda: stopped_before("hold", partial(hold, customer, seats[:1]))

    def test_a_change_waits_for_a_hold_and_refuses_its_seat(self, holding, elsewhere, performance):
        holds = holding()
        changing = elsewhere(partial(change, performance, []))
        wait_until_blocked()

        assert isinstance(holds.finish(), Hold)
        made = outcome_of(changing)
        assert [str(name) for name, _reason in made.refused] == ["1 A-1"]
        assert numbers(performance) == [1]
        assert breaches() == []

    def test_a_hold_is_refused_while_its_seat_is_changed(
        self, stopped_before, performance, customer, seats
    ):
        wanted = [seat._replace(grade="S", price=9_000) for seat in plan(performance)]
        changing = stopped_before("change_seats", partial(change, performance, wanted))

        with pytest.raises(SeatAlreadyHeld):
            hold(customer, seats[:1])

        assert changing.finish().regraded == 4
        assert hold(customer, seats[:1]).total_price == 9_000

    def test_without_its_locks_a_change_takes_the_grade_from_a_seat_that_is_held(
        self, holding, performance, monkeypatch
    ):
        without(monkeypatch, LOCKS_OF_CHANGED_SEATS, LOCKS_OF_SEATS)
        holds = holding()
        wanted = [seat._replace(grade="S", price=9_000) for seat in plan(performance)]

        assert change(performance, wanted).regraded == 4

        assert holds.finish().total_price == 50_000


@pytest.mark.django_db(transaction=True)
class TestTwoChanges:
    @pytest.fixture
    def both(self, performance):
        """Two changes that add the same seat, made of the same map."""
        new = plan(performance)[0]._replace(number=9, x=9)
        return [partial(change, performance, [new], removes_missing=False, seat_map_version=1)] * 2

    def test_one_is_refused(self, performance, race, both):
        outcomes = race(both)

        names = sorted(type(outcome).__name__ for outcome in outcomes)
        assert names == ["MapChanges", "SeatMapChanged"]
        assert numbers(performance) == [1, 2, 3, 4, 9]
        assert counts(performance) == (2, 5, 5)

    def test_without_the_lock_the_constraint_holds(self, performance, race, both, monkeypatch):
        monkeypatch.setattr(PerformanceQuerySet, "lock", lambda self: self.order_by("pk"))
        meet_before(monkeypatch, REPLACING_SEATS, 2)

        outcomes = race(both)

        names = sorted(type(outcome).__name__ for outcome in outcomes)
        assert names == ["IntegrityError", "MapChanges"]
        assert numbers(performance) == [1, 2, 3, 4, 9]


@pytest.mark.django_db
def test_takes_the_same_number_of_queries_for_any_hall(django_assert_max_num_queries):
    small, large = PerformanceFactory(seats=3), PerformanceFactory(seats=300)

    def change_all(performance):
        seats = [seat._replace(y=9) for seat in plan(performance)[1:]]
        return change(performance, seats)

    with django_assert_max_num_queries(30) as few:
        change_all(small)
    with django_assert_max_num_queries(len(few)):
        change_all(large)
