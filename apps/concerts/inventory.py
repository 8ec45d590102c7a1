"""Keep seats back from the public in categories, release them again, and say what kind of seat they are.

A seat that is sold or held is never changed: every action answers for each seat whether it was done, and if not, why. Locks: seats,
performance; see `docs/locking.md`. No seat is waited for.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from django.db.models import Count, F, TextChoices
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.boxoffice.base.jobs.services import done_alone, note_as_done
from apps.boxoffice.base.words import at_venue
from apps.concerts.errors import AllocationRefused, PerformanceNotFound
from apps.concerts.models import InventoryCategory, Performance, Seat, SeatAllocation, SeatKind
from apps.concerts.services import save_counts
from apps.core.database import Row, Statement, fetch_all, load_statements
from apps.core.history import note
from apps.core.transactions import requires_transaction, run_in_transaction, use_case

logger = structlog.get_logger(__name__)

SQL = load_statements(Path(__file__).with_suffix(".sql"))

SEATS_AT_ONCE = 10_000  # changed in half a second; a request for one of them is refused meanwhile
RELEASED_ALONE = 100  # by one person, of one performance within a day; more take a second one
ADDED_UP = timedelta(days=1)
RELEASE_SEATS = "release_seats"  # the kind of job that puts more of them on sale
SEATS_NAMED = 50  # in one entry of a history
RELEASE_BATCH = 2_000


class Refusal(TextChoices):
    SOLD = "SOLD", _("sold")
    HELD = "HELD", _("held by a customer")
    BUSY = "BUSY", _("being bought or changed at this moment")
    UNKNOWN = "UNKNOWN", _("not a seat of this performance")


class ReleaseNeedsApproval(Exception):
    """More seats would go on sale to the public than one person may put there."""


@dataclass(frozen=True, slots=True)
class SeatChanges:
    """Say what became of each seat of a request: `applied` ones with what they were before, `refused` ones with the reason.

    Seats in neither were already as asked.
    """

    applied: Mapping[int, Any] = field(default_factory=dict)
    refused: Mapping[int, Refusal] = field(default_factory=dict)


# --- Changes by staff -------------------------------------------------------------------------------------------------


@use_case
def allocate_seats(
    *,
    performance_id: int,
    seat_ids: Collection[int],
    category_id: int,
    reason: str,
    staff_id: int | None,
    released_at: datetime | None = None,
    is_alone: bool = False,
) -> SeatChanges:
    """Keep seats back in a category, whether they were open or in another one; `applied` has the category that each was in, or None.

    At `released_at` they go on sale to the public by themselves. For those that are kept back already this is a release, so it is
    bounded as `release_seats` is.

    :raises PerformanceNotFound: there is no such performance.
    :raises AllocationRefused: there is no such category, or more seats than `SEATS_AT_ONCE` at a time.
    :raises ReleaseNeedsApproval: `is_alone`, and more seats go on sale, or earlier, than one person may put there.
    """
    category = InventoryCategory.objects.filter(pk=category_id).first()
    if category is None:
        raise AllocationRefused(gettext("There is no such category."))
    values = {"category_id": category_id, "reason": reason, "released_at": released_at}
    refuse = None
    if is_alone and released_at is not None:
        refuse = partial(release_alone, performance_id, reason, staff_id, released_at=released_at)
    changes = _change(
        performance_id, seat_ids, SQL["allocate"], {**values, "staff_id": staff_id}, refuse
    )
    if released_at is not None:
        reason += f" ({gettext('until %(time)s') % {'time': at_venue(released_at)}})"
    _note_allocation(performance_id, changes, str(category), reason, staff_id)
    return changes


@use_case
def release_seats(
    *,
    performance_id: int,
    seat_ids: Collection[int],
    reason: str,
    staff_id: int | None,
    is_alone: bool = False,
) -> SeatChanges:
    """Put seats on sale to the public; `applied` has the category that each was in.

    :raises PerformanceNotFound: there is no such performance.
    :raises AllocationRefused: more seats than `SEATS_AT_ONCE` at a time.
    :raises ReleaseNeedsApproval: `is_alone`, and this member of staff would put more than `RELEASED_ALONE` seats of the performance
        on sale within a day. A job does it, which a second person approves.
    """
    refuse = partial(release_alone, performance_id, reason, staff_id) if is_alone else None
    changes = _change(performance_id, seat_ids, SQL["release_allocations"], {}, refuse)
    _note_allocation(performance_id, changes, gettext("Open"), reason, staff_id)
    return changes


@use_case
def set_seat_kind(
    *,
    performance_id: int,
    seat_ids: Collection[int],
    kind: SeatKind,
    reason: str,
    staff_id: int | None,
) -> SeatChanges:
    """Say what kind of seats these are; `applied` has the kind that each was. The seat map changes, and gets another version.

    :raises PerformanceNotFound: there is no such performance.
    :raises AllocationRefused: more seats than `SEATS_AT_ONCE` at a time.
    """
    changes = _change(performance_id, seat_ids, SQL["set_kind"], {"kind": kind})
    if changes.applied:
        Performance.objects.filter(pk=performance_id).update(
            seat_map_version=F("seat_map_version") + 1
        )
        was = {seat_id: str(SeatKind(old).label) for seat_id, old in changes.applied.items()}
        _note(performance_id, was, str(SeatKind(kind).label), reason, staff_id)
    return changes


@requires_transaction
def _change(
    performance_id: int,
    seat_ids: Collection[int],
    statement: Statement,
    values: Mapping[str, Any],
    refuse: Callable[[Collection[int]], None] | None = None,
) -> SeatChanges:
    """Run a statement on those of some seats that are neither sold nor held, nor locked by those who claim or pay for them.

    `refuse` may raise; it sees these seats, and nobody else changes seats of the performance meanwhile.
    """
    asked = set(seat_ids)
    if len(asked) > SEATS_AT_ONCE:
        raise AllocationRefused(
            gettext("At most %(max)s seats can be changed at a time.")
            % {"max": f"{SEATS_AT_ONCE:,}"}
        )
    hall = {"performance_id": performance_id}
    locked = fetch_all(SQL["lock_seats_without_claims"], {**hall, "seat_ids": list(asked)})
    free = fetch_all(SQL["unclaimed_among"], {"seat_ids": _ids(locked)})
    performance = Performance.objects.lock().filter(pk=performance_id).first()
    if performance is None:
        raise PerformanceNotFound
    free_ids = _ids(free)
    if refuse is not None:
        refuse(free_ids)
    applied: dict[int, Any] = dict(fetch_all(statement, {**hall, **values, "seat_ids": free_ids}))
    if applied:
        refresh_counts([performance])
    refused = fetch_all(SQL["why_refused"], {**hall, "seat_ids": list(asked.difference(free_ids))})
    return SeatChanges(applied, {seat_id: Refusal(reason) for seat_id, reason in refused})


@requires_transaction
def release_alone(
    performance_id: int,
    reason: str,
    staff_id: int | None,
    seat_ids: Collection[int],
    *,
    released_at: datetime | None = None,
) -> None:
    """Note that one person puts those of these seats that are kept back on sale, now or earlier than they would have been.

    Comes after the lock on the performance, so that portions that are released at once add up as well.

    :raises ReleaseNeedsApproval: together with those of the day before they are too many.
    """
    assert staff_id is not None
    kept = SeatAllocation.objects.filter(seat__in=seat_ids)
    if released_at is not None:
        kept = kept.exclude(released_at__lte=released_at)
    released = list(kept.order_by("pk").values_list("pk", flat=True))
    if not released:
        return
    before = done_alone(kind=RELEASE_SEATS, staff_id=staff_id, within=ADDED_UP)
    lately = sum(
        len(parameters["seat_ids"])
        for parameters in before
        if parameters["performance_id"] == performance_id
    )
    if lately + len(released) > RELEASED_ALONE:
        raise ReleaseNeedsApproval
    parameters = {"performance_id": performance_id, "seat_ids": released}
    note_as_done(kind=RELEASE_SEATS, parameters=parameters, reason=reason, staff_id=staff_id)


def _ids(rows: Iterable[Row]) -> list[int]:
    return [seat_id for (seat_id,) in rows]


def refresh_counts(performances: Iterable[Performance]) -> None:
    """Take over the counts that the triggers of allocations have written for locked performances, and what follows from them."""
    for performance in performances:
        performance.refresh_from_db(fields=["seats_unblocked"])
        save_counts(performance)


# --- By themselves ----------------------------------------------------------------------------------------------------


def release_due_allocations() -> int:
    """Put on sale what staff kept back until now; returns how many seats.

    Seats that customers are at work on are left for the next time. The history of each performance says it once for each batch.
    """
    total = 0
    while released := run_in_transaction(_release_batch):
        total += released
        if released < RELEASE_BATCH:
            break
    if total:
        logger.info("allocations_released", count=total)
    return total


def _release_batch() -> int:
    locked = fetch_all(SQL["lock_seats_to_release"], {"batch": RELEASE_BATCH})
    if not locked:
        return 0
    # Before the trigger changes their counts, so that all lock them in one order.
    of_seats = Performance.objects.filter(seats__in=_ids(locked)).values("pk")
    performances = list(Performance.objects.lock().filter(pk__in=of_seats))
    rows = fetch_all(SQL["release_due"], {"seat_ids": _ids(locked)})
    refresh_counts(performances)
    by_entry: dict[tuple[int, int], dict[int, Any]] = {}
    for seat_id, performance_id, category_id, staff_id in rows:
        if staff_id is not None:
            by_entry.setdefault((performance_id, staff_id), {})[seat_id] = category_id
    for (performance_id, staff_id), was in by_entry.items():
        reason = gettext("Released automatically at the planned time.")
        _note_allocation(performance_id, SeatChanges(was), gettext("Open"), reason, staff_id)
    return len(rows)


# --- Who may sell what ------------------------------------------------------------------------------------------------


def sellable_by(user_id: int) -> set[int]:
    """Return the ids of the categories whose seats an account may sell, for the `categories` of `hold_seats`.

    Those that a group of the account sells; for a superuser those that any group sells.
    """
    return set(InventoryCategory.objects.sellable_by(user_id).values_list("pk", flat=True))


# --- What there is ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CategoryCount:
    """Count the seats of a performance in a category; None is for those that are open."""

    category: InventoryCategory | None
    seats: int

    @property
    def figure(self) -> str:
        return f"{self.seats:,}"


def category_counts(performance: Performance) -> list[CategoryCount]:
    """Return the open seats of a performance and those of each category that has some; sold ones count where they were sold from."""
    allocations = SeatAllocation.objects.filter(performance=performance)
    found = dict(allocations.values_list("category").annotate(Count("pk")))
    categories = InventoryCategory.objects.filter(pk__in=found).order_by("pk")
    return [
        CategoryCount(None, performance.seats_unblocked),
        *(CategoryCount(category, found[category.pk]) for category in categories),
    ]


def painted_hall(performance_id: int) -> tuple[str, list[int]]:
    """Return two things about the seats of a performance in map order: their letters, Available, Held, Reserved, and their categories.

    The category of an open seat is 0.
    """
    [(letters, categories)] = fetch_all(SQL["painted"], {"performance_id": performance_id})
    return letters or "", categories or []


# --- Histories --------------------------------------------------------------------------------------------------------


def _note_allocation(
    performance_id: int, changes: SeatChanges, to: str, reason: str, staff_id: int | None
) -> None:
    if staff_id is None or not changes.applied:
        return
    names = {category.pk: str(category) for category in InventoryCategory.objects.all()}
    was = {
        seat_id: names[category_id] if category_id else gettext("Open")
        for seat_id, category_id in changes.applied.items()
    }
    _note(performance_id, was, to, reason, staff_id)


def _note(
    performance_id: int, was: Mapping[int, str], to: str, reason: str, staff_id: int | None
) -> None:
    """Write into the history of a performance what its seats were, by seat, and what they are now."""
    if staff_id is None:
        return
    by_origin: dict[str, list[int]] = {}
    for seat_id in sorted(was):
        by_origin.setdefault(was[seat_id], []).append(seat_id)
    moves = [
        f"{origin} → {to} ({len(seat_ids):,}): {names_of(seat_ids)}"
        for origin, seat_ids in by_origin.items()
    ]
    performance = Performance.objects.filter(pk=performance_id)
    note(performance, f"{'; '.join(moves)}. {reason}", staff_id=staff_id)


def names_of(seat_ids: Sequence[int]) -> str:
    """Return the names of seats as staff read them, of the first `SEATS_NAMED`."""
    seats = Seat.objects.filter(pk__in=seat_ids[:SEATS_NAMED]).in_map_order()
    more = " …" if len(seat_ids) > SEATS_NAMED else ""
    return ", ".join(map(str, seats)) + more
