"""Seats that are kept back in categories, and what kind of seats there are."""

from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pgtrigger
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.concerts import inventory
from apps.concerts.errors import AllocationRefused, LayoutRefused, PerformanceNotFound
from apps.concerts.inventory import (
    allocate_seats,
    category_counts,
    painted_hall,
    release_due_allocations,
    release_seats,
    sellable_by,
    set_seat_kind,
)
from apps.concerts.layouts import SectionLayout, SpecialSeats
from apps.concerts.models import (
    Grade,
    InventoryCategory,
    Performance,
    Seat,
    SeatAllocation,
    SeatKind,
)
from apps.concerts.selectors import seat_map
from apps.concerts.services import generate_seats
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, category_of, keep_back
from tests.factories.reservations import hold, overdue_hold, reservation

pytestmark = pytest.mark.django_db


@pytest.fixture
def performance() -> Performance:
    """Six seats; another date has as many."""
    PerformanceFactory(seats=6)
    return PerformanceFactory(seats=6, concert__seats_per_customer=4)


@pytest.fixture
def seats(performance: Performance) -> list[Seat]:
    return list(performance.seats.order_by("pk"))


@pytest.fixture
def clerk() -> User:
    return CustomerFactory(staff=True)


def allocate(
    seats: list[Seat], code: str = "HOUSE", staff: User | None = None, **changes: Any
) -> inventory.SeatChanges:
    values: dict[str, Any] = {
        "performance_id": seats[0].performance_id,
        "seat_ids": [seat.pk for seat in seats],
        "category_id": category_of(code).pk,
        "reason": "Guests of the band",
        "staff_id": staff.pk if staff else None,
    }
    return allocate_seats(**values | changes)


def release(seats: list[Seat], staff: User | None = None) -> inventory.SeatChanges:
    return release_seats(
        performance_id=seats[0].performance_id,
        seat_ids=[seat.pk for seat in seats],
        reason="They stay at home",
        staff_id=staff.pk if staff else None,
    )


def for_the_public(performance: Performance) -> int:
    """Return what the performance counts, which is what its seats say."""
    performance.refresh_from_db()
    assert performance.seats_unblocked == performance.seats.filter(is_blocked=False).count()
    return performance.seats_unblocked


def history() -> list[str]:
    return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]


class TestCategories:
    def test_there_are_seven_from_the_beginning(self) -> None:
        codes = set(InventoryCategory.objects.values_list("code", flat=True))

        assert codes == set(InventoryCategory.Code.values)

    @pytest.mark.parametrize(
        "wrong",
        [{"letter": "H"}, {"letter": "h"}, {"code": "HOUSE"}, {"name": ""}, {"colour": "red"}],
    )
    def test_one_that_cannot_be_told_from_others_is_refused(self, wrong: dict[str, str]) -> None:
        fine = {"code": "FANS", "name": "Fans", "letter": "F", "colour": "#112233"}

        with pytest.raises(IntegrityError), transaction.atomic():
            InventoryCategory.objects.create(**fine | wrong)
        assert InventoryCategory.objects.create(**fine).pk


class TestAllocateSeats:
    def test_keeps_seats_back_and_says_who_and_why(
        self, performance: Performance, seats: list[Seat], clerk: User
    ) -> None:
        until = timezone.now() + timedelta(days=3)

        changes = allocate(seats[:2], staff=clerk, released_at=until)

        assert changes.applied == {seats[0].pk: None, seats[1].pk: None}
        assert changes.refused == {}
        assert for_the_public(performance) == 4
        for allocation in SeatAllocation.objects.select_related("category"):
            assert allocation.performance_id == performance.pk
            assert allocation.category.code == "HOUSE"
            assert (allocation.reason, allocation.allocated_by) == ("Guests of the band", clerk)
            assert (allocation.released_at, allocation.returns_on_refund) == (until, True)
        [entry] = history()
        assert entry.startswith("Open → House (2): 1 A-1, 1 A-2. Guests of the band (until ")

    def test_moves_seats_from_one_category_to_another(
        self, performance: Performance, seats: list[Seat], clerk: User
    ) -> None:
        allocate(seats[:2])

        changes = allocate(seats[1:3], "SPONSOR", staff=clerk)

        assert changes.applied == {seats[1].pk: category_of("HOUSE").pk, seats[2].pk: None}
        codes = SeatAllocation.objects.order_by("pk").values_list("category__code", flat=True)
        assert list(codes) == ["HOUSE", "SPONSOR", "SPONSOR"]
        assert for_the_public(performance) == 3
        assert history() == [
            "House → Sponsor (1): 1 A-2; Open → Sponsor (1): 1 A-3. Guests of the band"
        ]

    def test_leaves_what_is_so_already(
        self, performance: Performance, seats: list[Seat], clerk: User
    ) -> None:
        allocate(seats[:2])

        again = allocate(seats[:2], staff=clerk)
        later = allocate(seats[:1], staff=clerk, reason="Others")

        assert (again.applied, again.refused) == ({}, {})
        assert list(later.applied) == [seats[0].pk]
        assert for_the_public(performance) == 4

    def test_refuses_seats_that_are_sold_or_held_one_by_one(
        self, performance: Performance, seats: list[Seat]
    ) -> None:
        reservation(CustomerFactory(), seats[:1])
        hold(CustomerFactory(), seats[1:2])
        overdue_hold(CustomerFactory(), seats[2:3])
        other = Seat.objects.exclude(performance=performance).first()
        assert other is not None

        changes = allocate([*seats, other], performance_id=performance.pk)

        assert changes.refused == {seats[0].pk: "SOLD", seats[1].pk: "HELD", other.pk: "UNKNOWN"}
        assert list(changes.applied) == [seat.pk for seat in seats[2:]]
        assert for_the_public(performance) == 2
        kept = SeatAllocation.objects.order_by("pk").values_list("seat_id", flat=True)
        assert list(kept) == [seat.pk for seat in seats[2:]]

    def test_refuses_what_is_no_category_no_performance_or_too_much(
        self, seats: list[Seat], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(AllocationRefused):
            allocate(seats, category_id=0)
        with pytest.raises(PerformanceNotFound):
            allocate(seats, performance_id=0)
        monkeypatch.setattr(inventory, "SEATS_AT_ONCE", 5)
        with pytest.raises(AllocationRefused):
            allocate(seats)

        assert not SeatAllocation.objects.exists()

    def test_takes_as_many_queries_for_any_number_of_seats(
        self, django_assert_num_queries: Any
    ) -> None:
        performance = PerformanceFactory(seats=300)
        seats = list(performance.seats.all())

        for some in (seats[:1], seats[1:]):
            # Savepoint, category, locks, claims, performance, write, counts (3), refusals, release; and to find the category.
            with django_assert_num_queries(11):
                allocate(some)

    def test_a_seat_that_nobody_allocated_cannot_be_blocked(self, seats: list[Seat]) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            Seat.objects.filter(pk=seats[0].pk).update(is_blocked=True)
        with pytest.raises(IntegrityError), transaction.atomic():
            Seat.objects.create(
                performance_id=seats[0].performance_id,
                section="2",
                row="A",
                number=1,
                grade="R",
                price=1,
                x=1,
                y=9,
                is_blocked=True,
            )

    def test_nor_can_one_be_allocated_and_for_the_public(self, seats: list[Seat]) -> None:
        keep_back(seats[0])

        with pytest.raises(IntegrityError), transaction.atomic():
            Seat.objects.filter(pk=seats[0].pk).update(is_blocked=False)


class TestReleaseSeats:
    def test_puts_seats_on_sale(
        self, performance: Performance, seats: list[Seat], clerk: User
    ) -> None:
        allocate(seats[:3])

        changes = release(seats[1:4], staff=clerk)

        assert set(changes.applied) == {seats[1].pk, seats[2].pk}
        assert changes.refused == {}
        assert for_the_public(performance) == 5
        assert history() == ["House → Open (2): 1 A-2, 1 A-3. They stay at home"]

    def test_leaves_a_seat_that_was_sold_from_its_category(
        self, performance: Performance, seats: list[Seat]
    ) -> None:
        reservation(CustomerFactory(), seats[:1])
        keep_back(seats[0])

        changes = release(seats[:1])

        assert (changes.applied, changes.refused) == ({}, {seats[0].pk: "SOLD"})
        assert for_the_public(performance) == 5


class TestReleaseByItself:
    def test_happens_at_its_time_and_not_before(
        self, performance: Performance, seats: list[Seat], clerk: User
    ) -> None:
        now = timezone.now()
        keep_back(*seats[:2], released_at=now, allocated_by=clerk)
        keep_back(seats[2], released_at=now + timedelta(hours=1), allocated_by=clerk)
        keep_back(seats[3], released_at=None)

        assert release_due_allocations() == 2

        assert for_the_public(performance) == 4
        left = SeatAllocation.objects.order_by("pk").values_list("seat_id", flat=True)
        assert list(left) == [seats[2].pk, seats[3].pk]
        assert history() == [
            "House → Open (2): 1 A-1, 1 A-2. Released automatically at the planned time."
        ]
        assert release_due_allocations() == 0

    def test_frees_a_sold_seat_for_the_time_after_its_refund(
        self, performance: Performance, seats: list[Seat]
    ) -> None:
        reservation(CustomerFactory(), seats[:1])
        keep_back(seats[0], released_at=timezone.now())

        assert release_due_allocations() == 1

        assert for_the_public(performance) == 6

    def test_goes_on_until_none_is_left(
        self, seats: list[Seat], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "RELEASE_BATCH", 2)
        others = Seat.objects.exclude(performance=seats[0].performance)
        keep_back(*seats[:3], *others[:2], released_at=timezone.now())

        assert release_due_allocations() == 5

        assert not SeatAllocation.objects.exists()


class TestMigration:
    def test_blocked_seats_become_killed_ones_in_batches_and_once(
        self, performance: Performance, seats: list[Seat], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        migration = import_module("apps.concerts.migrations.0003_inventory_of_blocked_seats")
        monkeypatch.setattr(migration, "BATCH", 5)
        other = Seat.objects.exclude(performance=performance).order_by("pk")[0]
        blocked = [other.pk, seats[0].pk, seats[5].pk]
        with pgtrigger.ignore():
            Seat.objects.filter(pk__in=blocked).update(is_blocked=True)
            Performance.objects.filter(pk=performance.pk).update(seats_unblocked=4)
        keep_back(seats[1])

        for _ in range(2):
            migration.allocate_blocked_seats(None, SimpleNamespace(connection=connection))

        killed = SeatAllocation.objects.filter(category__code="KILLED", reason="Blocked before")
        assert set(killed.values_list("seat_id", flat=True)) == set(blocked)
        assert SeatAllocation.objects.count() == 4
        assert for_the_public(performance) == 3


class TestSellableBy:
    def test_names_what_a_group_of_the_account_sells(self, clerk: User) -> None:
        group = Group.objects.create(name="Fan desk")
        mine, theirs = category_of("ARTIST"), category_of("SPONSOR")
        mine.sellers.set([group])
        theirs.sellers.set([Group.objects.create(name="Others")])
        clerk.groups.add(group)

        assert sellable_by(clerk.pk) == {mine.pk}
        assert sellable_by(CustomerFactory(staff=True).pk) == set()

    def test_a_superuser_may_sell_what_anybody_may(self) -> None:
        boss = CustomerFactory(admin=True)
        for category in InventoryCategory.objects.all():
            category.sellers.clear()
        category_of("HOUSE").sellers.set([Group.objects.create(name="Desk")])

        assert sellable_by(boss.pk) == {category_of("HOUSE").pk}


class TestKinds:
    def test_changes_the_seat_map_once(
        self, performance: Performance, seats: list[Seat], clerk: User
    ) -> None:
        before = seat_map(performance.pk)

        changes = set_seat_kind(
            performance_id=performance.pk,
            seat_ids=[seat.pk for seat in seats[:2]],
            kind=SeatKind.WHEELCHAIR,
            reason="Ramp",
            staff_id=clerk.pk,
        )

        drawn = seat_map(performance.pk)
        assert changes.applied == {seats[0].pk: "STANDARD", seats[1].pk: "STANDARD"}
        assert drawn.version == before.version + 1
        assert drawn.kinds == (SeatKind.WHEELCHAIR,)
        ids = f"[{seats[0].pk},{seats[1].pk}]"
        assert drawn.data.endswith(b'"kinds":[{"kind":"WHEELCHAIR","seat_ids":%s}]}' % ids.encode())
        assert history() == ["standard seat → wheelchair space (2): 1 A-1, 1 A-2. Ramp"]

    def test_what_is_so_already_changes_nothing(self, performance: Performance) -> None:
        ids = list(performance.seats.values_list("pk", flat=True))

        changes = set_seat_kind(
            performance_id=performance.pk,
            seat_ids=ids,
            kind=SeatKind.STANDARD,
            reason="x",
            staff_id=None,
        )

        assert changes.applied == {}
        before = performance.seat_map_version
        performance.refresh_from_db()
        assert performance.seat_map_version == before

    def test_what_is_sold_stays_as_it_is(self, performance: Performance, seats: list[Seat]) -> None:
        reservation(CustomerFactory(), seats[:1])

        changes = set_seat_kind(
            performance_id=performance.pk,
            seat_ids=[seats[0].pk],
            kind=SeatKind.AISLE,
            reason="x",
            staff_id=None,
        )

        assert changes.refused == {seats[0].pk: "SOLD"}
        seats[0].refresh_from_db()
        assert seats[0].kind == SeatKind.STANDARD


class TestLayout:
    def test_names_kinds_and_categories_of_some_seats(self) -> None:
        performance = PerformanceFactory()
        special = (
            SpecialSeats(1, 2, kind=SeatKind.AISLE, first_number=1, last_number=1),
            SpecialSeats(2, 2, category="HOUSE", first_number=3),
        )
        layout = [SectionLayout("1", 3, 4, Grade.R, 1_000, special)]

        generate_seats(performance_id=performance.pk, layout=layout)

        assert for_the_public(performance) == 10
        aisle = performance.seats.filter(kind=SeatKind.AISLE).order_by("pk")
        assert list(map(str, aisle)) == ["1 A-1", "1 B-1"]
        kept = performance.seats.filter(is_blocked=True).order_by("pk")
        assert list(map(str, kept)) == ["1 B-3", "1 B-4"]
        assert {allocation.category.code for allocation in SeatAllocation.objects.all()} == {
            "HOUSE"
        }

    def test_an_unknown_category_is_refused(self) -> None:
        performance = PerformanceFactory()
        special = (SpecialSeats(1, 1, category="NONE"),)

        with pytest.raises(LayoutRefused):
            generate_seats(
                performance_id=performance.pk,
                layout=[SectionLayout("1", 1, 4, Grade.R, 1_000, special)],
            )

        assert not Seat.objects.exists()


class TestPaintedHall:
    def test_tells_state_and_category_in_map_order(
        self, performance: Performance, seats: list[Seat]
    ) -> None:
        reservation(CustomerFactory(), seats[:1])
        hold(CustomerFactory(), seats[1:2])
        overdue_hold(CustomerFactory(), seats[2:3])
        keep_back(seats[0], seats[4])
        house = category_of("HOUSE").pk

        letters, categories = painted_hall(performance.pk)

        assert letters == "RHAAAA"
        assert categories == [house, 0, 0, 0, house, 0]

    def test_a_hall_without_seats_is_empty(self) -> None:
        assert painted_hall(PerformanceFactory().pk) == ("", [])

    def test_counts_open_seats_and_those_of_each_category(
        self, performance: Performance, seats: list[Seat]
    ) -> None:
        keep_back(*seats[:2])
        keep_back(seats[2], category="KILLED")
        performance.refresh_from_db()

        counts = category_counts(performance)

        assert [(str(count.category), count.seats) for count in counts] == [
            ("None", 3),
            ("House", 2),
            ("Killed", 1),
        ]
