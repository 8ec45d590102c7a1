"""Every write to concerts: their dates and seats, and the ranking."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from uuid import UUID

import structlog
from django.db.models import Case, F, Sum, When
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.concerts import ranking_store
from apps.concerts.errors import (
    ConcertNotFound,
    LayoutRefused,
    PerformanceAlreadyScheduled,
    PerformanceNotFound,
)
from apps.concerts.layouts import (
    DEFAULT_LAYOUT,
    PlannedSeat,
    SectionLayout,
    build_seats,
    validate_layout,
)
from apps.concerts.models import (
    Concert,
    InventoryCategory,
    Performance,
    RankingEntry,
    RankingEntryQuerySet,
    Seat,
    SeatAllocation,
    SeatKind,
    venue_day,
)
from apps.core.database import fetch_all, load_statements
from apps.core.transactions import requires_transaction, run_in_transaction, use_case
from apps.outbox.consumers import DeliveryRefused, Failures
from apps.outbox.events import RESERVATION_CANCELLED, RESERVATION_CONFIRMED, SEATS_CANCELLED
from apps.outbox.models import OutboxEvent

logger = structlog.get_logger(__name__)

REBUILD_BATCH = 250  # entries per script call: a millisecond or two of the store's time
RECENT = timedelta(seconds=10)

_SQL = load_statements(Path(__file__).with_name("ranking.sql"))
# How each event changes the number of reservations: one that gives up some of its seats still counts.
_RESERVATIONS = {RESERVATION_CONFIRMED: 1, RESERVATION_CANCELLED: -1, SEATS_CANCELLED: 0}


# --- Concerts, their dates and seats ----------------------------------------------------------------------------------


@use_case
def create_performance(
    *, concert_id: int, starts_at: datetime, layout: Sequence[SectionLayout] | None = None
) -> Performance:
    """Add a date to a concert, with the seats of `layout` if there is one.

    :raises ConcertNotFound: there is no such concert.
    :raises PerformanceAlreadyScheduled: the concert has one at that time.
    :raises LayoutRefused: no hall looks like that.
    """
    if not Concert.objects.lock().filter(pk=concert_id).exists():
        raise ConcertNotFound
    if Performance.objects.of_concert(concert_id).filter(starts_at=starts_at).exists():
        raise PerformanceAlreadyScheduled
    performance = Performance.objects.create(concert_id=concert_id, starts_at=starts_at)
    if layout is not None:
        generate_seats.step(performance_id=performance.pk, layout=layout)
        performance.refresh_from_db()
    return performance


@use_case
def generate_seats(*, performance_id: int, layout: Sequence[SectionLayout] = DEFAULT_LAYOUT) -> int:
    """Give a performance its seats, 1 to 50 unless `layout` says otherwise; returns how many.

    The number of queries does not depend on the number of seats.

    :raises PerformanceNotFound: there is no such performance.
    :raises LayoutRefused: no hall looks like that, or the performance has seats.
    """
    validate_layout(layout)
    return fill_hall.step(performance_id=performance_id, seats=build_seats(layout))


@use_case
def fill_hall(
    *, performance_id: int, seats: Iterable[PlannedSeat], staff_id: int | None = None
) -> int:
    """Give a performance the seats of a plan that was validated, and keep those back that it has a category for; returns how many.

    :raises PerformanceNotFound: there is no such performance.
    :raises LayoutRefused: the performance has seats, or there is no such category.
    """
    performance = Performance.objects.lock().filter(pk=performance_id).first()
    if performance is None:
        raise PerformanceNotFound
    if Seat.objects.of_performance(performance_id).exists():
        raise LayoutRefused(_("This performance has its seats already."))
    planned = list(seats)
    categories = categories_of(planned)
    made = insert_seats(performance, planned)
    Performance.objects.filter(pk=performance_id).update(
        seat_map_version=F("seat_map_version") + 1,
        seats_total=len(made),
        seats_unblocked=len(made),
    )
    keep_back_as_planned(zip(made, planned, strict=True), categories, staff_id=staff_id)
    return len(made)


def categories_of(seats: Iterable[PlannedSeat]) -> dict[str, InventoryCategory]:
    """Return the categories that a plan keeps seats back in, by their codes.

    :raises LayoutRefused: there is no such category.
    """
    codes = {seat.category for seat in seats if seat.category}
    if not codes:
        return {}
    found = InventoryCategory.objects.filter(code__in=codes)
    categories = {category.code: category for category in found}
    if unknown := codes - categories.keys():
        raise LayoutRefused(
            _("There is no category %(code)s.") % {"code": ", ".join(sorted(unknown))}
        )
    return categories


def insert_seats(performance: Performance, seats: Iterable[PlannedSeat]) -> list[Seat]:
    """Write seats of a plan, and nothing else: counts and categories are the caller's."""
    return Seat.objects.bulk_create(
        Seat(
            performance=performance,
            section=seat.section,
            row=seat.row,
            number=seat.number,
            grade=seat.grade,
            price=seat.price,
            x=seat.x,
            y=seat.y,
            kind=seat.kind or SeatKind.STANDARD,
        )
        for seat in seats
    )


@requires_transaction
def keep_back_as_planned(
    seats: Iterable[tuple[Seat, PlannedSeat]],
    categories: Mapping[str, InventoryCategory],
    *,
    staff_id: int | None,
) -> None:
    """Keep those new seats back that their plan has a category for; triggers note and count it."""
    now = timezone.now()
    SeatAllocation.objects.bulk_create(
        SeatAllocation(
            seat=seat,
            performance_id=seat.performance_id,
            category=category,
            reason=planned.reason or _("Set by the layout"),
            allocated_by_id=staff_id,
            allocated_at=now,
            returns_on_refund=category.returns_on_refund,
        )
        for seat, planned in seats
        if planned.category and (category := categories[planned.category])
    )


# --- Ranking ----------------------------------------------------------------------------------------------------------


def update_ranking(events: Sequence[OutboxEvent]) -> Failures:
    """Take sales and cancellations into the ranking, each once however often it is delivered.

    The table first, which is what a lost projection is rebuilt from; then the projection. Returns those that are nothing that can
    be counted.

    :raises StoreUnavailable: they are in the table, and the projection will have them with the next delivery.
    """
    entries, refused = _entries_of(events)
    if not entries:
        return refused
    to_count, unknown = run_in_transaction(lambda: _record(entries))
    for entry in unknown:
        refused[entry.event_id] = DeliveryRefused(f"there is no performance {entry.performance_id}")
    if to_count and not ranking_store.apply(to_count):
        rebuild_ranking()
    return refused


def rebuild_ranking() -> bool:
    """Build the projection anew from the table and publish it at once when it is complete.

    Sales go on meanwhile and are counted. Returns False when another rebuild is under way, or took over from this one.
    """
    generation = ranking_store.begin_rebuild()
    if generation is None:
        return False
    since = ranking_store.remembered_since()
    older = RankingEntry.objects.filter(recorded_at__lt=since)
    if not ranking_store.add(_totals(older), filling=generation):
        return False
    entries = RankingEntry.objects.filter(recorded_at__gte=since).order_by("pk")
    stream = entries.iterator(chunk_size=REBUILD_BATCH)
    counted = 0
    while batch := list(islice(stream, REBUILD_BATCH)):
        if not ranking_store.apply(batch, filling=generation):
            return False
        counted += len(batch)
    published = ranking_store.publish_rebuild(generation)
    logger.info("ranking_rebuilt", entries=counted, published=published)
    return published


def rebuild_ranking_if_needed(*, all_time: bool = False) -> bool:
    """Rebuild a projection that is lost or has drifted, as after a start from an old file; says whether it did.

    Looks at the days of the week; with `all_time` at the whole table as well, which takes as long as there is history.
    """
    is_wrong = not ranking_store.is_built() or ranking_drift(all_time=all_time)
    return bool(is_wrong) and rebuild_ranking()


@dataclass(frozen=True, slots=True)
class RankingDrift:
    """A sum of the projection that is not what the table says; `window` is "all" or a day."""

    window: str
    concert_id: int
    projected: int
    recorded: int


def ranking_drift(*, all_time: bool = True) -> list[RankingDrift]:
    """Return where the projection differs from a recount of what was consumed, on each day of the week and of all time.

    Entries of the last seconds may be on their way to the projection and count only once they are there. If events arrive
    while this reads, it reads again; a difference that stays is one. Without `all_time` it reads a week of the table.

    :raises StoreUnavailable: the projection cannot be read.
    """
    drift: set[RankingDrift] | None = None
    for _attempt in range(3):
        found, is_quiet = _compare_ranking(all_time=all_time)
        drift = found if drift is None else drift & found
        if is_quiet or not drift:
            break
    return sorted(drift or (), key=lambda count: (count.window, count.concert_id))


def _compare_ranking(*, all_time: bool) -> tuple[set[RankingDrift], bool]:
    """Return the differences found, and whether the projection stood still while they were looked for."""
    days = ranking_store.window_days(venue_day(timezone.now()))
    # Every concert that ever sold is in the sums of all time.
    first = [] if all_time else days[:1]
    at_start = ranking_store.read(days=first)
    settled_until = timezone.now() - RECENT
    entries = RankingEntry.objects.all()
    if not all_time:
        entries = entries.between(first_day=min(days), last_day=max(days))
    settled = list(
        entries.filter(recorded_at__lt=settled_until)
        .values("day", "concert")
        .annotate(total=Sum("reservations"))
        .values_list("day", "concert", "total")
    )
    recent = list(RankingEntry.objects.filter(recorded_at__gte=settled_until))
    at_end = ranking_store.read(days=first, recorded=recent)
    if at_end is not None:
        settled += [
            (entry.day, entry.concert_id, entry.reservations)
            for entry, is_counted in zip(recent, at_end.counted, strict=True)
            if is_counted
        ]
    found: set[RankingDrift] = set()
    readings = [at_start, at_end]
    for window in [*([None] if all_time else []), *days]:
        sums = at_end if window is None else ranking_store.read(days=[window])
        readings.append(sums)
        projected = Counter(sums.reservations if sums else {})
        recorded: Counter[int] = Counter()
        for day, concert_id, total in settled:
            if window in (None, day):
                recorded[concert_id] += total
        name = window.isoformat() if window else "all"
        found |= {
            RankingDrift(name, concert_id, projected[concert_id], recorded[concert_id])
            for concert_id in projected.keys() | recorded.keys()
            if projected[concert_id] != recorded[concert_id]
        }
    return found, len({reading and reading.changes for reading in readings}) == 1


def _totals(entries: RankingEntryQuerySet) -> list[ranking_store.Change]:
    """Entries summed up by concert, and by day as far as days are kept."""
    kept_day = Case(When(day__gte=ranking_store.oldest_day_kept(), then="day"))
    sums = entries.annotate(kept_day=kept_day).values("concert", "kept_day")
    totals = sums.annotate(total=Sum("reservations")).values_list("concert", "kept_day", "total")
    return [ranking_store.Change(concert_id, day, total) for concert_id, day, total in totals]


def _entries_of(
    events: Sequence[OutboxEvent],
) -> tuple[list[RankingEntry], dict[UUID, Exception]]:
    """Return the entries that can be counted, and for the other events why not."""
    entries: list[RankingEntry] = []
    refused: dict[UUID, Exception] = {}
    for event in events:
        try:
            entries.append(_entry_of(event))
        except DeliveryRefused as error:
            refused[event.pk] = error
    return entries, refused


def _entry_of(event: OutboxEvent) -> RankingEntry:
    reservations = _RESERVATIONS.get(event.type)
    payload = event.payload
    try:
        seats = int(payload["seat_count"])
        concert_id, performance_id = int(payload["concert_id"]), int(payload["performance_id"])
        seat_ids = [int(seat["seat_id"]) for seat in payload.get("seats", ())]
    except (KeyError, TypeError, ValueError) as error:
        raise DeliveryRefused(f"{event.type} does not say what was sold: {error!r}") from error
    if reservations is None or seats < 1:
        raise DeliveryRefused(f"{event.type} of {seats} seats is nothing that the ranking counts")
    return RankingEntry(
        event_id=event.pk,
        concert_id=concert_id,
        performance_id=performance_id,
        day=venue_day(event.occurred_at),
        reservations=reservations,
        seats=seats if reservations > 0 else -seats,
        seat_ids=seat_ids,
        occurred_at=event.occurred_at,
    )


@requires_transaction
def _record(entries: Sequence[RankingEntry]) -> tuple[list[RankingEntry], list[RankingEntry]]:
    """Write what is new into the table and count its seats.

    Returns the entries that the projection may lack, with `recorded_at`, and those that have no performance.
    """
    # Locked before the insert: the next count of the seats must see these entries.
    wanted = {entry.performance_id for entry in entries}
    performances = {
        performance.pk: performance
        for performance in Performance.objects.lock().filter(pk__in=wanted)
    }
    known = [entry for entry in entries if entry.performance_id in performances]
    unknown = [entry for entry in entries if entry.performance_id not in performances]
    recorded_at = _insert(known) if known else {}
    sold: Counter[int] = Counter()
    for entry in set(known):
        if entry.event_id in recorded_at:
            sold[entry.performance_id] += entry.seats
    for performance_id in sold:
        performance = performances[performance_id]
        performance.seats_sold += sold[performance_id]
        save_counts(performance)
    repeated = [entry.event_id for entry in known if entry.event_id not in recorded_at]
    if repeated:
        # What was recorded longer ago has been counted.
        since = ranking_store.remembered_since()
        earlier = RankingEntry.objects.filter(pk__in=repeated, recorded_at__gte=since)
        recorded_at |= dict(earlier.values_list("pk", "recorded_at"))
    to_count = [entry for entry in known if entry.event_id in recorded_at]
    for entry in to_count:
        entry.recorded_at = recorded_at[entry.event_id]
    return to_count, unknown


def _insert(entries: Sequence[RankingEntry]) -> dict[UUID, datetime]:
    """Return when each entry was recorded, of those that were not there before."""
    rows = fetch_all(
        _SQL["record"],
        {
            "events": [entry.event_id for entry in entries],
            "concerts": [entry.concert_id for entry in entries],
            "performances": [entry.performance_id for entry in entries],
            "days": [entry.day for entry in entries],
            "reservations": [entry.reservations for entry in entries],
            "seats": [entry.seats for entry in entries],
            # An array of arrays would have to be a rectangle.
            "seat_ids": [f"{{{','.join(map(str, entry.seat_ids))}}}" for entry in entries],
            "occurred": [entry.occurred_at for entry in entries],
        },
    )
    return dict(rows)


def save_counts(performance: Performance) -> None:
    """Write what the ranking has counted of a locked performance, and `sold_out_at`: the moment of the last sale, while no seat that is
    for the public is left."""
    performance.sold_out_at = _last_sale_at(performance.pk) if _is_sold_out(performance) else None
    performance.save(update_fields=["seats_sold", "sold_out_at"])


def _is_sold_out(performance: Performance) -> bool:
    sold, for_sale = performance.seats_sold, performance.seats_unblocked
    if not 0 < sold >= for_sale:
        return False
    # Which of the sold ones are kept back is asked only when it may matter.
    has_kept_back = for_sale < performance.seats_total
    return not has_kept_back or sold - _sold_and_kept_back(performance.pk) >= for_sale


def _last_sale_at(performance_id: int) -> datetime | None:
    sales = RankingEntry.objects.of_performance(performance_id).filter(seats__gt=0)
    return sales.order_by("-occurred_at").values_list("occurred_at", flat=True).first()


def _sold_and_kept_back(performance_id: int) -> int:
    """Count seats: how many were sold, and are kept back in a category, be it since before or after."""
    seats = Seat.objects.of_performance(performance_id).filter(is_blocked=True)
    kept_back = set(seats.values_list("pk", flat=True))
    entries = RankingEntry.objects.of_performance(performance_id)
    touched = entries.filter(seat_ids__overlap=list(kept_back)) if kept_back else entries.none()
    return sum(
        (1 if seats > 0 else -1) * len(kept_back & set(seat_ids))
        for seats, seat_ids in touched.values_list("seats", "seat_ids")
    )
