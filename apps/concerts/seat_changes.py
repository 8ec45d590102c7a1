"""Change the seats of a performance to what staff want them to be, also while they are sold.

The differences are looked at first and applied later, under the locks of `docs/locking.md`: seats, then the performance. What a customer
holds or has bought keeps its row, its number and its grade; such seats are refused one by one, and the others are changed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.concerts.corrections import delete_locked_seats, lock_seats
from apps.concerts.errors import PerformanceNotFound, SeatMapChanged, SeatMapRefused
from apps.concerts.layouts import SEATS_MAX, PlannedSeat, SeatName
from apps.concerts.models import Performance, Seat
from apps.concerts.services import save_counts
from apps.core.database import fetch_all, load_statements
from apps.core.transactions import database_now, use_case

SQL = load_statements(Path(__file__).with_suffix(".sql"))
INSERTED_AT_ONCE = 10_000


class ExistingSeat(NamedTuple):
    """A seat of a performance as it is."""

    pk: int
    seat: PlannedSeat


class Replacement(NamedTuple):
    """A seat that gets another place, grade or price."""

    pk: int
    before: PlannedSeat
    after: PlannedSeat


@dataclass(slots=True)
class MapChanges:
    """The differences between the seats of a performance and what they are to be, and the seats that they leave.

    `refused` are seats with the reason why each stays as it is. `version` is that of the seat map they were found in.
    """

    version: int
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
    def counts(self) -> list[tuple[str, int]]:
        """Return each kind of change with its name and how many seats it is about."""
        return [
            (_("Added"), len(self.added)),
            (_("Removed"), len(self.removed)),
            (_("Moved on the map"), self.moved),
            (_("With another grade"), self.regraded),
            (_("With another price"), self.repriced),
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
    :raises SeatMapRefused: the seats that would be left cannot be a hall: too many, two in one place, a grade with two prices.
    """
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
    rows = Seat.objects.of_performance(performance_id).in_map_order()
    return [
        ExistingSeat(pk, PlannedSeat(*fields))
        for pk, *fields in rows.values_list("pk", *PlannedSeat._fields)
    ]


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
    changes = MapChanges(version)
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
        elif tie is not None and tie.is_live and after.grade != seat.grade:
            changes.refused.append((seat.name, _why_not_regraded(tie)))
            # The price of a grade is that of all its seats on the map; who holds or has bought one keeps the agreed price.
            price = prices.get(seat.grade, seat.price)
            after = after._replace(grade=seat.grade, price=price)
        if after != seat:
            changes.replaced.append(Replacement(pk, seat, after))
        changes.result.append(after)
    changes.added = list(missing.values())
    changes.result += changes.added
    refuse_impossible(changes.result)
    return changes


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
) -> MapChanges:
    """Give a performance these seats, with `removes_missing` no others; returns what was changed, and what was refused and why.

    `seat_map_version` is that of the map whose changes were shown. The version grows once, whatever is changed.

    :raises PerformanceNotFound: there is no such performance.
    :raises SeatMapChanged: seats or prices have changed since then.
    :raises SeatMapRefused: as for `changes_to`.
    """
    existing = existing_seats(performance_id)
    free = _compare(seat_map_version, existing, {}, seats, removes_missing=removes_missing)
    touched = [seat.pk for seat in free.removed] + [change.pk for change in free.replaced]
    locked = {row[0]: row for row in lock_seats(touched)}
    performance = Performance.objects.lock().filter(pk=performance_id).first()
    if performance is None:
        raise PerformanceNotFound
    # All that changes a map locks the performance and raises the version, so what was read before is what there is.
    if performance.seat_map_version != seat_map_version:
        raise SeatMapChanged(
            _("Seats or prices have changed in the meantime. Look at the changes again.")
        )
    ties = _ties_of(performance_id, database_now())
    changes = _compare(seat_map_version, existing, ties, seats, removes_missing=removes_missing)
    if not changes:
        return changes
    if changes.removed:
        delete_locked_seats([locked[seat.pk] for seat in changes.removed])
        performance.refresh_from_db()
    _replace(changes.replaced)
    Seat.objects.bulk_create(
        [Seat(performance=performance, **seat._asdict()) for seat in changes.added],
        batch_size=INSERTED_AT_ONCE,
    )
    performance.seats_total += len(changes.added)
    performance.seats_unblocked += len(changes.added)
    performance.seat_map_version = seat_map_version + 1
    performance.save(update_fields=["seats_total", "seats_unblocked", "seat_map_version"])
    save_counts(performance)
    return changes


def _replace(replaced: Sequence[Replacement]) -> None:
    if replaced:
        fetch_all(
            SQL["change_seats"],
            {
                "seat_ids": [change.pk for change in replaced],
                "grades": [change.after.grade for change in replaced],
                "prices": [change.after.price for change in replaced],
                "xs": [change.after.x for change in replaced],
                "ys": [change.after.y for change in replaced],
            },
        )
