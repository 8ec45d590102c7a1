"""Read a hall as staff see it: which seats are free, held, sold or kept back, and whose they are.

The picture is one reading of the hall for all who look at it, two seconds old at most. Whose the seats of a list are is read for the
seats of one page.
"""

import hashlib
import json
from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import TextChoices
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.concerts.models import InventoryCategory, Performance, Seat
from apps.core.caching import ProcessCache
from apps.reservations.models import Hold, SeatClaim

PICTURE_SECONDS = 2.0
_pictures: "ProcessCache[int, Picture]" = ProcessCache(
    seconds=PICTURE_SECONDS, ahead=0.5, entries_max=16
)


class State(TextChoices):
    """Say what a seat is at a moment, each in the letter by which the picture knows it."""

    FREE = "A", _("free")
    HELD = "H", _("held")
    SOLD = "R", _("sold")
    KEPT_BACK = "B", _("kept back")


# One statement, so that the letters and the holds are of one moment. Never prepared, as `_read_hall` in the selectors explains.
_PICTURE_SQL = """
WITH hall AS (
    SELECT row_number() OVER (ORDER BY seat.id) - 1 AS place, hold.id AS hold_id,
        CASE
            WHEN hold.status = 'CONFIRMED' THEN 'R'
            WHEN hold.status = 'HELD' THEN 'H'
            WHEN seat.is_blocked THEN 'B'
            ELSE 'A'
        END AS letter
    FROM concerts_seat seat
    LEFT JOIN reservations_seatclaim claim
        ON claim.seat_id = seat.id AND claim.ended_at IS NULL AND claim.performance_id = %(performance_id)s
    LEFT JOIN reservations_hold hold
        ON hold.id = claim.hold_id AND hold.performance_id = %(performance_id)s
        AND (hold.status = 'CONFIRMED' OR (hold.status = 'HELD' AND hold.expires_at > %(at)s))
    WHERE seat.performance_id = %(performance_id)s
)
SELECT coalesce(string_agg(letter, '' ORDER BY place), ''),
    coalesce(json_object_agg(place, hold_id) FILTER (WHERE letter = 'H'), '{}')
FROM hall
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """State of a hall at one moment. `statuses` has a letter for each seat in seat-map order, see `State`.

    `data` is the same as JSON, with who holds which seats until when; `version` names the content.
    """

    version: str
    statuses: str = field(repr=False)
    data: bytes = field(repr=False)

    @property
    def etag(self) -> str:
        return f'"{self.version}"'

    def counts(self) -> dict[State, int]:
        """Return how many seats there are of each state."""
        return {state: self.statuses.count(state) for state in State}


def picture_of(performance_id: int) -> Picture:
    """Return the hall as it was at most `PICTURE_SECONDS` ago, for all who look at it; two queries."""
    return _pictures.get(performance_id, lambda: _drawn(performance_id))


def _drawn(performance_id: int) -> Picture:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SET LOCAL enable_nestloop = off; {_PICTURE_SQL}; SET LOCAL enable_nestloop = DEFAULT",
            {"performance_id": performance_id, "at": timezone.now()},
        )
        cursor.nextset()
        [(statuses, held)] = cursor.fetchall()
    places: dict[str, list[int]] = {}
    for place, hold_id in held.items():
        places.setdefault(hold_id, []).append(int(place))
    holds = Hold.objects.filter(pk__in=places).select_related("customer").order_by("pk")
    drawn = {
        "statuses": statuses,
        "holds": [
            {
                "who": hold.customer.shown_as,
                "until": hold.expires_at.isoformat(),
                "seats": places[str(hold.pk)],
            }
            for hold in holds
        ],
    }
    data = json.dumps(drawn, ensure_ascii=False, separators=(",", ":")).encode()
    return Picture(hashlib.sha256(data).hexdigest()[:16], statuses, data)


# --- The hall as a drawing --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """The seats of a hall in seat-map order: which they are and where they stand; what does not change while seats are sold.

    `section` has the place of each seat's section among `sections`.
    """

    sections: tuple[str, ...]
    seat_ids: "array[int]" = field(repr=False)
    section: "array[int]" = field(repr=False)
    x: "array[int]" = field(repr=False)
    y: "array[int]" = field(repr=False)

    @property
    def width(self) -> int:
        """Return the width of the drawing, with a seat's width on either side."""
        return max(self.x, default=0) + 3

    @property
    def height(self) -> int:
        return max(self.y, default=0) + 3

    def paths(self, statuses: str) -> dict[str, str]:
        """Return the seats of each state as one path of an SVG: a square for each."""
        squares: dict[str, list[str]] = {}
        for x, y, letter in zip(self.x, self.y, statuses, strict=False):
            squares.setdefault(letter, []).append(f"M{x} {y}h.8v.8h-.8z")
        return {letter: "".join(parts) for letter, parts in squares.items()}

    def seats_in(
        self, statuses: str, *, section: str = "", state: State | None = None
    ) -> list[int]:
        """Return the ids of the seats of one section and state, or of all if it is not said of which."""
        if section and section not in self.sections:
            return []
        wanted = self.sections.index(section) if section else None
        return [
            seat_id
            for seat_id, own, letter in zip(self.seat_ids, self.section, statuses, strict=False)
            if (wanted is None or own == wanted) and (state is None or letter == state)
        ]


_plans: ProcessCache[tuple[int, int], Plan] = ProcessCache(seconds=24 * 3600, entries_max=16)


def plan_of(performance: Performance) -> Plan:
    """Return where the seats stand; one query the first time a process needs this version of the map."""
    key = (performance.pk, performance.seat_map_version)
    return _plans.get(key, lambda: _plan(performance.pk))


def _plan(performance_id: int) -> Plan:
    sections: dict[str, int] = {}
    seat_ids, section, x, y = array("q"), array("H"), array("H"), array("H")
    seats = Seat.objects.of_performance(performance_id).in_map_order()
    for seat_id, name, seat_x, seat_y in seats.values_list("pk", "section", "x", "y"):
        seat_ids.append(seat_id)
        section.append(sections.setdefault(name, len(sections)))
        x.append(seat_x)
        y.append(seat_y)
    return Plan(tuple(sections), seat_ids, section, x, y)


# --- The list beside it -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SeatNow:
    """A seat and what it is at a moment; `hold` has its customer, and its reservation if it is sold.

    `category` is what it is kept back for, sold or not.
    """

    seat: Seat
    state: State
    hold: Hold | None
    category: InventoryCategory | None

    def is_sold_by(self, categories: Collection[int]) -> bool:
        """Tell whether it may be sold by whom the `categories` are sold by: it is free, or kept back in one of them."""
        if self.state == State.KEPT_BACK and self.category is not None:
            return self.category.pk in categories
        return self.state == State.FREE


def seats_now(seat_ids: Iterable[int]) -> list[SeatNow]:
    """Return seats in seat-map order with what they are at this moment, and whose; two queries."""
    found = Seat.objects.filter(pk__in=seat_ids).select_related("allocation__category")
    seats = list(found.in_map_order())
    claims = SeatClaim.objects.live(at=timezone.now()).filter(seat__in=seats)
    holds = {
        claim.seat_id: claim.hold
        for claim in claims.select_related("hold__customer", "hold__reservation")
    }
    return [
        SeatNow(
            seat,
            _state_of(seat, holds.get(seat.pk)),
            holds.get(seat.pk),
            seat.allocation.category if hasattr(seat, "allocation") else None,
        )
        for seat in seats
    ]


def _state_of(seat: Seat, hold: Hold | None) -> State:
    if hold is not None:
        return State.SOLD if hold.status == Hold.Status.CONFIRMED else State.HELD
    return State.KEPT_BACK if seat.is_blocked else State.FREE
