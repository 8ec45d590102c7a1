"""Every write to concerts: their dates and seats, and the ranking."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import structlog
from django.db.models import F, Max, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.concerts import projection
from apps.concerts.errors import (
    ConcertNotFound,
    LayoutRefused,
    PerformanceAlreadyScheduled,
    PerformanceNotFound,
)
from apps.concerts.layouts import DEFAULT_LAYOUT, SectionLayout, laid_out, refuse_bad_layout
from apps.concerts.models import Concert, Performance, RankingEntry, Seat, venue_day
from apps.shared.models import OutboxEvent
from apps.shared.outbox import DeliveryRefused
from apps.shared.transactions import requires_transaction, run_in_transaction, use_case

logger = structlog.get_logger(__name__)

RESERVATION_CONFIRMED = "reservation.confirmed"
RESERVATION_CANCELLED = "reservation.cancelled"
REBUILD_BATCH = 250  # entries per script call: a millisecond or two of the store's time
RECENT = timedelta(seconds=10)


# --- Concerts, their dates and seats ----------------------------------------------------------------------------------


@use_case
def publish_concerts(*, concert_ids: Sequence[int]) -> int:
    """Show concerts to the public, and sell them in their sales windows; returns how many were not shown before."""
    return Concert.objects.filter(pk__in=concert_ids, is_published=False).update(is_published=True)


@use_case
def withdraw_concerts(*, concert_ids: Sequence[int]) -> int:
    """Hide concerts from the public and stop selling them; what was sold stays sold. Returns how many."""
    return Concert.objects.published().filter(pk__in=concert_ids).update(is_published=False)


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
        fill_with_seats(performance_id=performance.pk, layout=layout)
        performance.refresh_from_db()
    return performance


@use_case
def generate_seats(*, performance_id: int, layout: Sequence[SectionLayout] = DEFAULT_LAYOUT) -> int:
    """Give a performance its seats, 1 to 50 unless `layout` says otherwise; returns how many.

    :raises PerformanceNotFound: there is no such performance.
    :raises LayoutRefused: no hall looks like that, or the performance has seats.
    """
    return fill_with_seats(performance_id=performance_id, layout=layout)


@requires_transaction
def fill_with_seats(*, performance_id: int, layout: Sequence[SectionLayout]) -> int:
    """The step of `generate_seats`; the number of queries does not depend on the number of seats."""
    refuse_bad_layout(layout)
    performance = Performance.objects.lock().filter(pk=performance_id).first()
    if performance is None:
        raise PerformanceNotFound
    if Seat.objects.of_performance(performance_id).exists():
        raise LayoutRefused(_("This performance has its seats already."))
    seats = list(laid_out(layout))
    for seat in seats:
        seat.performance = performance
    Seat.objects.bulk_create(seats)
    Performance.objects.filter(pk=performance_id).update(seat_map_version=F("seat_map_version") + 1)
    return len(seats)


def block_seats(*, seat_ids: Sequence[int]) -> int:
    """Keep seats back from sale; returns how many were not blocked before. What is held or sold stays so."""
    return _set_blocked(seat_ids=seat_ids, blocked=True)


def unblock_seats(*, seat_ids: Sequence[int]) -> int:
    """Put blocked seats on sale again; returns how many."""
    return _set_blocked(seat_ids=seat_ids, blocked=False)


@use_case
def _set_blocked(*, seat_ids: Sequence[int], blocked: bool) -> int:
    seats = list(Seat.objects.lock().filter(pk__in=seat_ids, is_blocked=not blocked))
    Seat.objects.filter(pk__in=[seat.pk for seat in seats]).update(is_blocked=blocked)
    for performance_id in sorted({seat.performance_id for seat in seats}):
        note_whether_sold_out(performance_id=performance_id)
    return len(seats)


# --- Ranking ----------------------------------------------------------------------------------------------------------


def update_ranking(event: OutboxEvent) -> None:
    """Take one sale or cancellation into the ranking, once however often it is delivered.

    The table first, which is what a lost projection is rebuilt from; then the projection.

    :raises StoreUnavailable: it is in the table, and the projection will have it with the next delivery.
    :raises DeliveryRefused: the event is not one that can be counted.
    """
    entry = _entry_of(event)
    run_in_transaction(lambda: _record_entry(entry))
    if not projection.count([entry]):
        rebuild_ranking()


def rebuild_ranking() -> bool:
    """Build the projection anew from the table and publish it at once when it is complete.

    Sales go on meanwhile and are counted. Returns False when another rebuild is under way, or took over from this one.
    """
    generation = projection.begin_rebuild()
    if generation is None:
        return False
    entries = RankingEntry.objects.order_by("pk").iterator(chunk_size=REBUILD_BATCH)
    counted = 0
    while batch := list(islice(entries, REBUILD_BATCH)):
        if not projection.count(batch, filling=generation):
            return False
        counted += len(batch)
    published = projection.publish_rebuild(generation)
    logger.info("ranking_rebuilt", entries=counted, published=published)
    return published


def rebuild_ranking_if_needed() -> bool:
    """Rebuild a projection that is lost or has drifted, as after a start from an old file; says whether it did."""
    return bool(projection.read() is None or ranking_drift()) and rebuild_ranking()


@dataclass(frozen=True, slots=True)
class RankingDrift:
    """A sum of the projection that is not what the table says; `window` is "all" or a day."""

    window: str
    concert_id: int
    projected: int
    recorded: int


def ranking_drift() -> list[RankingDrift]:
    """Where the projection differs from a recount of what was consumed, of all time and on each day of the week.

    Entries of the last seconds may be on their way to the projection and count only once they are there. If events arrive
    while this reads, it reads again; a difference that stays is one.

    :raises StoreUnavailable: the projection cannot be read.
    """
    drift: set[RankingDrift] | None = None
    for _attempt in range(3):
        found, is_quiet = _compare_ranking()
        drift = found if drift is None else drift & found
        if is_quiet or not drift:
            break
    return sorted(drift or (), key=lambda one: (one.window, one.concert_id))


def _compare_ranking() -> tuple[set[RankingDrift], bool]:
    """The differences found, and whether the projection stood still while they were looked for."""
    at_start = projection.read()
    settled_until = timezone.now() - RECENT
    days = projection.window_days(venue_day(timezone.now()))
    settled = list(
        RankingEntry.objects.filter(recorded_at__lt=settled_until)
        .values("day", "concert")
        .annotate(total=Sum("reservations"))
        .values_list("day", "concert", "total")
    )
    recent = list(RankingEntry.objects.filter(recorded_at__gte=settled_until))
    all_time = projection.read(events=[entry.event_id for entry in recent])
    if all_time is not None:
        settled += [
            (entry.day, entry.concert_id, entry.reservations)
            for entry, is_counted in zip(recent, all_time.counted, strict=True)
            if is_counted
        ]
    found: set[RankingDrift] = set()
    readings = [at_start, all_time]
    for window in [None, *days]:
        sums = all_time if window is None else projection.read(days=[window])
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
    return found, len({reading and reading.events for reading in readings}) == 1


def _entry_of(event: OutboxEvent) -> RankingEntry:
    sign = {RESERVATION_CONFIRMED: 1, RESERVATION_CANCELLED: -1}.get(event.type)
    payload = event.payload
    try:
        seats = int(payload["seat_count"])
        concert_id, performance_id = int(payload["concert_id"]), int(payload["performance_id"])
        seat_ids = [int(seat["seat_id"]) for seat in payload.get("seats", ())]
    except (KeyError, TypeError, ValueError) as error:
        raise DeliveryRefused(f"{event.type} does not say what was sold: {error!r}") from error
    if sign is None or seats < 1:
        raise DeliveryRefused(f"{event.type} of {seats} seats is nothing that the ranking counts")
    return RankingEntry(
        event_id=event.pk,
        concert_id=concert_id,
        performance_id=performance_id,
        day=venue_day(event.occurred_at),
        reservations=sign,
        seats=sign * seats,
        seat_ids=seat_ids,
        occurred_at=event.occurred_at,
    )


def _record_entry(entry: RankingEntry) -> None:
    # Locked before the insert: whoever counts the seats next must see this entry.
    if not Performance.objects.lock().filter(pk=entry.performance_id).exists():
        raise DeliveryRefused(f"there is no performance {entry.performance_id}")
    RankingEntry.objects.bulk_create([entry], ignore_conflicts=True)
    note_whether_sold_out(performance_id=entry.performance_id)


@requires_transaction
def note_whether_sold_out(*, performance_id: int) -> None:
    """Set or clear `sold_out_at`: the moment of the last sale, while no unblocked seat is left."""
    performance = Performance.objects.lock().get(pk=performance_id)
    sales = RankingEntry.objects.of_performance(performance_id).aggregate(
        sold=Sum("seats", default=0),
        last_sale_at=Max("occurred_at", filter=Q(seats__gt=0)),
    )
    for_sale = Seat.objects.of_performance(performance_id).unblocked().count()
    # Which of the sold ones are blocked is asked only when it may matter.
    is_sold_out = 0 < sales["sold"] >= for_sale and (
        sales["sold"] - _sold_and_blocked(performance_id) >= for_sale
    )
    sold_out_at = sales["last_sale_at"] if is_sold_out else None
    if performance.sold_out_at != sold_out_at:
        performance.sold_out_at = sold_out_at
        performance.save(update_fields=["sold_out_at"])


def _sold_and_blocked(performance_id: int) -> int:
    """How many seats were sold, and blocked before or after."""
    seats = Seat.objects.of_performance(performance_id).filter(is_blocked=True)
    blocked = set(seats.values_list("pk", flat=True))
    entries = RankingEntry.objects.of_performance(performance_id)
    touched = entries.filter(seat_ids__overlap=list(blocked)) if blocked else entries.none()
    return sum(
        sign * len(blocked & set(seat_ids))
        for sign, seat_ids in touched.values_list("reservations", "seat_ids")
    )
