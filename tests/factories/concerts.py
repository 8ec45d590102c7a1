"""Concerts to test with: published, on sale since yesterday, first date in thirty days."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import factory
from django.db.models import Model, QuerySet
from django.utils import timezone

from apps.concerts.inventory import SeatChanges, allocate_seats, release_seats
from apps.concerts.models import (
    USUAL_LENGTH,
    Concert,
    Grade,
    InventoryCategory,
    Performance,
    RankingEntry,
    Seat,
    SeatAllocation,
    venue_day,
)
from apps.concerts.scheduling import reschedule_performance
from apps.core.transactions import run_in_transaction

M = TypeVar("M", bound=Model)


def alike(row: M, changes: Iterable[dict[str, Any]]) -> list[M]:
    """Return unsaved rows that have the fields of this one but for the changes: a factory takes a millisecond to make each."""
    shared = {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if not field.primary_key
    }
    return [type(row)(**shared | changed) for changed in changes]


class ConcertFactory(factory.django.DjangoModelFactory[Concert]):
    class Meta:
        model = Concert

    title = factory.Sequence(lambda n: f"Night Train {n}")
    artist = "The Lanterns"
    venue = "Harbour Hall"
    description = "One evening, one orchestra."
    sales_open_at = factory.LazyFunction(lambda: timezone.now() - timedelta(days=1))
    is_published = True

    class Params:
        upcoming = factory.Trait(
            sales_open_at=factory.LazyFunction(lambda: timezone.now() + timedelta(hours=1))
        )
        closed = factory.Trait(
            sales_open_at=factory.LazyFunction(lambda: timezone.now() - timedelta(days=2)),
            sales_close_at=factory.LazyFunction(lambda: timezone.now() - timedelta(hours=1)),
        )


def count_in(performance: Performance, seats: Sequence[Seat]) -> None:
    """Let the performance know of its new seats, as the services do."""
    performance.seats_total += len(seats)
    performance.seats_unblocked += len(seats)
    performance.save(update_fields=["seats_total", "seats_unblocked"])


def keep_back(
    *seats: Seat, category: str = InventoryCategory.Code.HOUSE, **fields: Any
) -> list[SeatAllocation]:
    """Keep seats back from the public, whatever has become of them."""
    kept_in = category_of(category)
    return SeatAllocation.objects.bulk_create(
        SeatAllocation(
            **{
                "seat": seat,
                "performance_id": seat.performance_id,
                "category": kept_in,
                "reason": "For the house",
                "allocated_at": timezone.now(),
                "returns_on_refund": True,
                **fields,
            }
        )
        for seat in seats
    )


def block_seats(*, seat_ids: Sequence[int]) -> int:
    """Keep seats back as staff do; returns how many were not before."""
    house = category_of(InventoryCategory.Code.HOUSE).pk
    keep = partial(allocate_seats, category_id=house, reason="For the house", staff_id=None)
    return _changed(keep, seat_ids)


def unblock_seats(*, seat_ids: Sequence[int]) -> int:
    """Put seats on sale as staff do; returns how many were kept back."""
    return _changed(partial(release_seats, reason="Not needed", staff_id=None), seat_ids)


def _changed(change: Callable[..., SeatChanges], seat_ids: Sequence[int]) -> int:
    halls = Performance.objects.filter(seats__in=seat_ids).distinct().order_by("pk")
    return sum(
        len(change(performance_id=hall.pk, seat_ids=ids).applied)
        for hall in halls
        if (ids := list(hall.seats.filter(pk__in=seat_ids).values_list("pk", flat=True)))
    )


def category_of(code: str) -> InventoryCategory:
    """Return one of the categories that there always are."""
    return InventoryCategory.objects.get(code=code)


def begin_at(performances: QuerySet[Performance], at: datetime) -> None:
    """Write another time into the rows, and nothing that follows from it; they last as long as usual."""
    performances.update(starts_at=at, ends_at=at + USUAL_LENGTH)


def reschedule(performance: Performance, **times: datetime) -> Performance:
    """Move a performance as staff do."""
    move = partial(reschedule_performance, performance_id=performance.pk, **times)
    return run_in_transaction(move)


class PerformanceFactory(factory.django.DjangoModelFactory[Performance]):
    """`PerformanceFactory(seats=3)` also makes seats 1 to 3 of row A, grade R, 50,000 won each."""

    class Meta:
        model = Performance
        skip_postgeneration_save = True

    concert = factory.SubFactory(ConcertFactory)
    starts_at = factory.Sequence(lambda n: timezone.now() + timedelta(days=30, minutes=n))

    @factory.post_generation
    def seats(obj: Performance, create: bool, extracted: int | None, **fields: Any) -> None:  # noqa: N805
        if create and extracted:
            first = SeatFactory.build(performance=obj, number=1, **fields)
            places = range(1, extracted + 1)
            made = Seat.objects.bulk_create(
                alike(first, ({"number": place, "x": place} for place in places))
            )
            count_in(obj, made)


class SeatFactory(factory.django.DjangoModelFactory[Seat]):
    class Meta:
        model = Seat

    performance = factory.SubFactory(PerformanceFactory)
    section = "1"
    row = "A"
    number = factory.Sequence(lambda n: n % 30_000 + 1)
    grade = Grade.R
    price = 50_000
    x = factory.SelfAttribute("number")
    y = 1

    @classmethod
    def _create(cls, model_class: type[Seat], *args: Any, **kwargs: Any) -> Seat:
        seat: Seat = super()._create(model_class, *args, **kwargs)
        count_in(seat.performance, [seat])
        return seat


class RankingEntryFactory(factory.django.DjangoModelFactory[RankingEntry]):
    class Meta:
        model = RankingEntry

    event_id = factory.Faker("uuid4", cast_to=None)
    performance = factory.SubFactory(PerformanceFactory)
    concert = factory.SelfAttribute("performance.concert")
    occurred_at = factory.LazyFunction(timezone.now)
    day = factory.LazyAttribute(lambda entry: venue_day(entry.occurred_at))
    reservations = 1
    seats = 1

    @classmethod
    def _create(cls, model_class: type[RankingEntry], *args: Any, **kwargs: Any) -> RankingEntry:
        entry: RankingEntry = super()._create(model_class, *args, **kwargs)
        entry.performance.seats_sold += entry.seats
        entry.performance.save(update_fields=["seats_sold"])
        return entry
