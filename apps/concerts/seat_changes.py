"""Change the seats of a performance to what staff want them to be, also while they are sold.

The differences are looked at first and applied later, under the locks of `docs/locking.md`: seats, then the performance. What a customer
holds or has bought keeps its row, its number, its grade, its kind and its category; such seats are refused one by one, and the others are
changed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.concerts.corrections import delete_locked_seats, lock_seats
from apps.concerts.errors import (
    LayoutRefused,
    PerformanceNotFound,
    SeatMapChanged,
    SeatMapRefused,
)
from apps.concerts.inventory import SQL as INVENTORY_SQL
from apps.concerts.inventory import refresh_counts, release_alone
from apps.concerts.layouts import SEATS_MAX, PlannedSeat, SeatName
from apps.concerts.models import (
    InventoryCategory,
    Performance,
    Seat,
    SeatAllocation,
    SeatKind,
    SeatQuerySet,
)
from apps.concerts.services import categories_of, insert_seats, keep_back_as_planned
from apps.core.database import fetch_all, load_statements
from apps.core.transactions import database_now, use_case

SQL = load_statements(Path(__file__).with_suffix(".sql"))
WRITTEN_AT_ONCE = 5_000  # seats

T = TypeVar("T")
Progress = Callable[[int], None]  # is told how many seats are written


class ExistingSeat(NamedTuple):
    """A seat of a performance as it is."""

    pk: int
    seat: PlannedSeat


class Replacement(NamedTuple):
    """A seat that gets another place, grade, price, kind or category."""

    pk: int
    before: PlannedSeat
    after: PlannedSeat


@dataclass(slots=True)
class MapChanges:
    """The differences between the seats of a performance and what they are to be, and the seats that they leave.

    `refused` are seats with the reason why each stays as it is. `version` is that of the seat map they were found in, `kept_back` names
    what was kept back there, and why.
    """

    version: int
    kept_back: str
    added: list[PlannedSeat] = field(default_factory=list)
    removed: list[ExistingSeat] = field(default_factory=list)
    replaced: list[Replacement] = field(default_factory=list)
    refused: list[tuple[SeatName, str]] = field(default_factory=list)
    result: list[PlannedSeat] = field(default_factory=list)

    @property
    def moved(self) -> int:
        return sum(
            (change.before.x, change.before.y) != (change.after.x, change.after.y)
            for change in self.replaced
        )

    @property
    def regraded(self) -> int:
        return sum(change.before.grade != change.after.grade for change in self.replaced)

    @property
    def repriced(self) -> int:
        return sum(change.before.price != change.after.price for change in self.replaced)

    @property
    def rekinded(self) -> int:
        return sum(change.before.kind != change.after.kind for change in self.replaced)

    @property
    def reallocated(self) -> int:
        """Return how many seats that there are get another category or another reason."""
        return sum(_why_kept(change.before) != _why_kept(change.after) for change in self.replaced)

    @property
    def released(self) -> int:
        """Return how many seats that are kept back would go on sale to the public."""
        return len(self.opened)

    @property
    def opened(self) -> list[int]:
        return [
            change.pk
            for change in self.replaced
            if change.before.category and not change.after.category
        ]

    @property
    def kept(self) -> list[Replacement]:
        """Return the seats that there are which get another category or another reason."""
        return [
            change
            for change in self.replaced
            if change.after.category and _why_kept(change.before) != _why_kept(change.after)
        ]

    @property
    def changes_inventory(self) -> bool:
        return self.reallocated > 0 or any(seat.category for seat in self.added)

    @property
    def counts(self) -> list[tuple[str, int]]:
        """Return each kind of change with its name and how many seats it is about."""
        return [
            (_("Added"), len(self.added)),
            (_("Removed"), len(self.removed)),
            (_("Moved on the map"), self.moved),
            (_("With another grade"), self.regraded),
            (_("With another price"), self.repriced),
            (_("Of another kind"), self.rekinded),
            (_("In another category"), self.reallocated),
            (_("Refused seats"), len(self.refused)),
        ]

    def __len__(self) -> int:
        """Return how many seats are changed; none is as good as nothing."""
        return len(self.added) + len(self.removed) + len(self.replaced)


def changes_to(
    *, performance_id: int, seats: Sequence[PlannedSeat], removes_missing: bool
) -> MapChanges:
    """Return what would change if the performance had these seats; with `removes_missing` no others.

    :raises PerformanceNotFound: there is no such performance.
    :raises SeatMapRefused: the seats that would be left cannot be a hall: too many, two in one place, a grade with two prices, an unknown
        category.
    """
    _categories_of(seats)
    performance = Performance.objects.filter(pk=performance_id).first()
    if performance is None:
        raise PerformanceNotFound
    return _compare(
        performance.seat_map_version,
        existing_seats(performance_id),
        _ties_of(performance_id, database_now()),
        seats,
        removes_missing=removes_missing,
    )


def existing_seats(performance_id: int) -> list[ExistingSeat]:
    """Return the seats of a performance in the order of its map."""
    return planned(Seat.objects.of_performance(performance_id))


def planned(seats: SeatQuerySet) -> list[ExistingSeat]:
    """Return seats as they are, in the order of the map; one query."""
    rows = seats.in_map_order().values_list(
        "pk",
        "section",
        "row",
        "number",
        "grade",
        "price",
        "x",
        "y",
        "kind",
        "allocation__category__code",
        "allocation__reason",
    )
    return [
        ExistingSeat(pk, PlannedSeat._make((*fields, category or "", reason or "")))
        for pk, *fields, category, reason in rows
    ]


def _why_kept(seat: PlannedSeat) -> tuple[str | None, str]:
    return seat.category, seat.reason


def _kept_back(allocations: Iterable[tuple[Any, ...]]) -> str:
    """Name what is kept back in a hall: seat, category and reason of each, in the order of the map."""
    return sha256(repr([tuple(row) for row in allocations]).encode()).hexdigest()[:16]


def _kept_back_in(existing: Iterable[ExistingSeat]) -> str:
    return _kept_back((pk, seat.category, seat.reason) for pk, seat in existing if seat.category)


def _kept_back_now(performance_id: int) -> str:
    allocations = SeatAllocation.objects.filter(performance=performance_id).order_by("pk")
    return _kept_back(allocations.values_list("pk", "category__code", "reason"))


class _Tie(NamedTuple):
    """A claim that binds a seat; one that is over keeps its seat from being deleted only."""

    is_live: bool
    is_sold: bool


def _ties_of(performance_id: int, at: datetime) -> dict[int, _Tie]:
    """Return what binds each seat that ever was held. The claims are of the reservations, found by both of their indexes."""
    claimed = Seat.objects.of_performance(performance_id).filter(claims__performance=performance_id)
    ties: dict[int, _Tie] = {}
    for pk, ended_at, status, expires_at in claimed.order_by().values_list(
        "pk", "claims__ended_at", "claims__hold__status", "claims__hold__expires_at"
    ):
        is_sold = ended_at is None and status == "CONFIRMED"
        is_held = ended_at is None and status == "HELD" and expires_at > at
        tie = _Tie(is_sold or is_held, is_sold)
        ties[pk] = max(tie, ties.get(pk, tie))
    return ties


def _compare(
    version: int,
    existing: Sequence[ExistingSeat],
    ties: dict[int, _Tie],
    wanted: Sequence[PlannedSeat],
    *,
    removes_missing: bool,
) -> MapChanges:
    changes = MapChanges(version, _kept_back_in(existing))
    missing = {seat.name: seat for seat in wanted}
    prices = {seat.grade: seat.price for seat in wanted}
    for pk, seat in existing:
        tie = ties.get(pk)
        after = missing.pop(seat.name, None)
        if after is None:
            if not removes_missing:
                after = seat
            elif tie is not None:
                changes.refused.append((seat.name, _why_not_removed(tie)))
                after = seat
            else:
                changes.removed.append(ExistingSeat(pk, seat))
                continue
        else:
            after = _completed(after, seat)
            if tie is not None and tie.is_live:
                after, reason = _bound(after, seat, tie, prices)
                if reason:
                    changes.refused.append((seat.name, reason))
        if after != seat:
            changes.replaced.append(Replacement(pk, seat, after))
        changes.result.append(after)
    changes.added = [_completed(seat, _NEW) for seat in missing.values()]
    changes.result += changes.added
    refuse_impossible(changes.result)
    return changes


_NEW = PlannedSeat("", "", 0, "", 0, 0, 0, kind=SeatKind.STANDARD.value, category="")


def _completed(seat: PlannedSeat, before: PlannedSeat) -> PlannedSeat:
    """Return a seat with what its plan does not say of it as it was before."""
    kind = seat.kind or before.kind
    if seat.category is None:
        return seat._replace(kind=kind, category=before.category, reason=before.reason)
    reason = seat.reason if seat.category else ""
    if seat.category == before.category:
        reason = reason or before.reason
    if (kind, reason) == (seat.kind, seat.reason):
        return seat
    return seat._replace(kind=kind, reason=reason)


def _bound(
    after: PlannedSeat, before: PlannedSeat, tie: _Tie, prices: Mapping[str, int]
) -> tuple[PlannedSeat, str]:
    """Return what a seat becomes that a customer holds or has bought, and why it does not become all that it should."""
    reasons = []
    if after.grade != before.grade:
        reasons.append(_why_not_regraded(tie))
        # The price of a grade is that of all its seats on the map; who holds or has bought one keeps the agreed price.
        price = prices.get(before.grade, before.price)
        after = after._replace(grade=before.grade, price=price)
    if (after.kind, *_why_kept(after)) != (before.kind, *_why_kept(before)):
        reasons.append(_why_not_described(tie))
        after = after._replace(kind=before.kind, category=before.category, reason=before.reason)
    return after, " ".join(reasons)


def _why_not_removed(tie: _Tie) -> str:
    if tie.is_sold:
        return _("It is sold, so it cannot be removed.")
    if tie.is_live:
        return _("A customer holds it, so it cannot be removed now.")
    return _("It was held or sold before, so it stays on record and cannot be removed.")


def _why_not_regraded(tie: _Tie) -> str:
    if tie.is_sold:
        return _("It is sold, so it keeps its grade.")
    return _("A customer holds it, so it keeps its grade for now.")


def _why_not_described(tie: _Tie) -> str:
    if tie.is_sold:
        return _("It is sold, so it keeps its kind and category.")
    return _("A customer holds it, so it keeps its kind and category for now.")


def _categories_of(seats: Iterable[PlannedSeat]) -> dict[str, InventoryCategory]:
    """
    :raises SeatMapRefused: there is no category of a code.
    """
    try:
        return categories_of(seats)
    except LayoutRefused as refusal:
        raise SeatMapRefused(refusal.reason) from refusal


def refuse_impossible(seats: Iterable[PlannedSeat]) -> None:
    """
    :raises SeatMapRefused: there are too many, two in one place, or two prices for a grade.
    """
    places: dict[tuple[int, int], PlannedSeat] = {}
    prices: dict[str, int] = {}
    for seat in seats:
        other = places.setdefault((seat.x, seat.y), seat)
        if other is not seat:
            raise SeatMapRefused(
                _("Seats %(one)s and %(other)s would be in the same place on the map.")
                % {"one": other.name, "other": seat.name}
            )
        if (price := prices.setdefault(seat.grade, seat.price)) != seat.price:
            raise SeatMapRefused(
                _(
                    "Seats of one grade have one price in a performance, and %(grade)s would have two: "
                    "%(one)s and %(other)s won. Use “Correct prices” to change the price of a whole grade."
                )
                % {"grade": seat.grade, "one": f"{price:,}", "other": f"{seat.price:,}"}
            )
    if len(places) > SEATS_MAX:
        raise SeatMapRefused(
            ngettext(
                "A performance has at most %(count)d seat.",
                "A performance has at most %(count)d seats.",
                SEATS_MAX,
            )
            % {"count": SEATS_MAX}
        )


@use_case
def change_seats(
    *,
    performance_id: int,
    seats: Sequence[PlannedSeat],
    removes_missing: bool,
    seat_map_version: int,
    kept_back: str | None = None,
    staff_id: int | None = None,
    reason: str = "",
    is_alone: bool = False,
    progress: Progress = lambda _written: None,
) -> MapChanges:
    """Give a performance these seats, with `removes_missing` no others; returns what was changed, and what was refused and why.

    `seat_map_version` and `kept_back` are those of the changes that were shown. The version grows once, whatever is changed.

    :raises PerformanceNotFound: there is no such performance.
    :raises SeatMapChanged: seats or prices have changed since then, or what is kept back, if these seats say something of that.
    :raises SeatMapRefused: as for `changes_to`.
    :raises ReleaseNeedsApproval: `is_alone`, and more seats that are kept back go on sale than one person may put there.
    """
    categories = _categories_of(seats)
    existing = existing_seats(performance_id)
    free = _compare(seat_map_version, existing, {}, seats, removes_missing=removes_missing)
    touched = [seat.pk for seat in free.removed] + [change.pk for change in free.replaced]
    locked = {row[0]: row for row in lock_seats(touched)}
    performance = Performance.objects.lock().filter(pk=performance_id).first()
    if performance is None:
        raise PerformanceNotFound
    # All that changes a map locks the performance and raises the version, so what was read before is what there is. What keeps seats
    # back locks it too, but raises nothing.
    says_what_is_kept_back = any(seat.category is not None for seat in seats)
    if performance.seat_map_version != seat_map_version or (
        says_what_is_kept_back
        and {free.kept_back, kept_back or free.kept_back} != {_kept_back_now(performance_id)}
    ):
        raise SeatMapChanged(
            _("Seats or prices have changed in the meantime. Look at the changes again.")
        )
    ties = _ties_of(performance_id, database_now())
    changes = _compare(seat_map_version, existing, ties, seats, removes_missing=removes_missing)
    if not changes:
        return changes
    if is_alone and changes.opened:
        release_alone(performance_id, reason, staff_id, changes.opened)
    if changes.removed:
        delete_locked_seats([locked[seat.pk] for seat in changes.removed])
        performance.refresh_from_db()
    removed, replaced = len(changes.removed), len(changes.replaced)
    _replace(changes.replaced, lambda written: progress(removed + written))
    added: list[Seat] = []
    for batch in _batches(changes.added):
        added += insert_seats(performance, batch)
        progress(removed + replaced + len(added))
    performance.seats_total += len(added)
    performance.seats_unblocked += len(added)
    performance.seat_map_version = seat_map_version + 1
    performance.save(update_fields=["seats_total", "seats_unblocked", "seat_map_version"])
    _keep_back(changes, performance_id, staff_id)
    keep_back_as_planned(zip(added, changes.added, strict=True), categories, staff_id=staff_id)
    refresh_counts([performance])
    return changes


def _batches(whole: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(whole), WRITTEN_AT_ONCE):
        yield whole[start : start + WRITTEN_AT_ONCE]


def _replace(replaced: Sequence[Replacement], progress: Progress) -> None:
    written = 0
    for batch in _batches(replaced):
        fetch_all(
            SQL["change_seats"],
            {
                "seat_ids": [change.pk for change in batch],
                "grades": [change.after.grade for change in batch],
                "prices": [change.after.price for change in batch],
                "xs": [change.after.x for change in batch],
                "ys": [change.after.y for change in batch],
                "kinds": [change.after.kind for change in batch],
            },
        )
        written += len(batch)
        progress(written)


def _keep_back(changes: MapChanges, performance_id: int, staff_id: int | None) -> None:
    """Give locked seats that there are the categories of their plan, or none; triggers note and count it."""
    if changes.opened:
        fetch_all(INVENTORY_SQL["release_allocations"], {"seat_ids": changes.opened})
    if kept := changes.kept:
        fetch_all(
            SQL["keep_back"],
            {
                "performance_id": performance_id,
                "staff_id": staff_id,
                "seat_ids": [change.pk for change in kept],
                "codes": [change.after.category for change in kept],
                "reasons": [change.after.reason or _("Set by the layout") for change in kept],
            },
        )
