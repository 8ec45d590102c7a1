"""Reads that span seats and the claims on them."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Prefetch
from django.utils import timezone
from django.utils.translation import ngettext

from apps.accounts.models import User
from apps.concerts import selectors as concerts
from apps.concerts.models import Concert, Grade, Performance, Seat
from apps.core.caching import ProcessCache
from apps.core.database import fetch_one, load_statements
from apps.core.errors import NotFound
from apps.payments.selectors import Refunds, refunds_of
from apps.reservations.errors import HoldNotFound, ReservationNotFound
from apps.reservations.models import Hold, Reservation, SeatClaim, SeatClaimQuerySet, Ticket

SQL = load_statements(Path(__file__).with_suffix(".sql"))
AVAILABLE, HELD, RESERVED = "AVAILABLE", "HELD", "RESERVED"


# --- Holds, reservations, tickets of one customer ---------------------------------------------------------------------


def hold_of(*, customer_id: int, hold_id: UUID) -> Hold:
    """Return a customer's hold with its seats, whatever has become of it.

    :raises HoldNotFound: there is none, or it is another customer's.
    """
    claims = SeatClaim.objects.select_related("seat").order_by("seat_id")
    hold = (
        Hold.objects.of_customer(customer_id)
        .select_related("performance__concert")
        .prefetch_related(Prefetch("claims", claims))
        .filter(pk=hold_id)
        .first()
    )
    if hold is None:
        raise HoldNotFound
    return hold


def live_holds_of(*, customer_id: int, concert_id: int | None = None) -> list[Hold]:
    """Return the holds that a customer still has to pay for or to give back, of one concert or of all, the first to end first."""
    holds = Hold.objects.of_customer(customer_id).live(at=timezone.now())
    if concert_id is not None:
        holds = holds.filter(performance__concert=concert_id)
    return list(
        holds.select_related("performance__concert").with_seats_held().order_by("expires_at", "pk")
    )


def holds_at_stake(concert_id: int) -> Iterator[str]:
    """Say what becomes of the live holds of a concert when it is taken offline."""
    holds = Hold.objects.live(at=timezone.now()).filter(performance__concert=concert_id)
    if count := holds.count():
        yield ngettext(
            "%(count)s hold is not paid yet; it can be paid until it expires.",
            "%(count)s holds are not paid yet; they can be paid until they expire.",
            count,
        ) % {"count": f"{count:,}"}


def has_live_hold(*, customer_id: int) -> bool:
    """Return whether there are any: cheaper than to read them, which few customers have at a time."""
    return fetch_one(SQL["live_hold"], {"customer_id": customer_id}) is not None


def own_seat_ids(*, customer_id: int, performance_id: int) -> list[int]:
    """Return the seats of a performance that a customer holds or has booked: they count towards the limit."""
    claims = SeatClaim.objects.live(at=timezone.now()).of_performance(performance_id)
    return list(
        claims.filter(hold__customer=customer_id)
        .order_by("seat_id")
        .values_list("seat_id", flat=True)
    )


def reservation_of_hold(*, customer_id: int, hold_id: UUID) -> Reservation:
    """:raises ReservationNotFound: the hold was not paid, or is another customer's."""
    found = Reservation.objects.of_customer(customer_id).filter(hold=hold_id).first()
    if found is None:
        raise ReservationNotFound
    return found


def reservation_of(*, customer_id: int, reservation_id: UUID) -> Reservation:
    """Return a customer's reservation with its tickets and refunds.

    :raises ReservationNotFound: there is none, or it is another customer's.
    """
    found = Reservation.objects.of_customer(customer_id).with_details()
    reservation = found.filter(pk=reservation_id).first()
    if reservation is None:
        raise ReservationNotFound
    return with_refunds([reservation])[0]


def with_refunds(reservations: Sequence[Reservation]) -> Sequence[Reservation]:
    """Let reservations know what was refunded of them, and what of that was the customer's; one query."""
    refunds = refunds_of(reservation.pk for reservation in reservations)
    for reservation in reservations:
        of_sale = refunds.get(reservation.pk, Refunds())
        reservation.refunds = of_sale.booked
        reservation.house_part, reservation.house_back = of_sale.house, of_sale.house_back
    return reservations


def has_booked(*, customer_id: int, concert_id: int) -> bool:
    """Tell whether a customer has a reservation for a concert, be it over or cancelled."""
    booked = Reservation.objects.of_customer(customer_id)
    return booked.filter(performance__concert=concert_id).exists()


def valid_ticket_of(*, customer_id: int, ticket_id: UUID) -> Ticket:
    """Return a ticket that gets its owner in; one that is cancelled, alone or with its reservation, is none.

    :raises NotFound: there is none, or it is another customer's.
    """
    ticket = Ticket.objects.valid().filter(pk=ticket_id, reservation__customer=customer_id).first()
    if ticket is None:
        raise NotFound
    return ticket


HOLDERS_NAMED = 10


class TicketHolders(NamedTuple):
    customers: int
    tickets: int


def count_ticket_holders(*, concert_id: int, performance_id: int | None = None) -> TicketHolders:
    """Count who has tickets for a performance, or for any date of a concert that is not over."""
    counts = _claims_of_holders(concert_id, performance_id).aggregate(
        customers=Count("hold__customer", distinct=True), tickets=Count("pk")
    )
    return TicketHolders(**counts)


def first_ticket_holders(*, concert_id: int, performance_id: int | None = None) -> list[User]:
    """Return the first `HOLDERS_NAMED` of them by name."""
    claims = _claims_of_holders(concert_id, performance_id)
    people = User.objects.filter(pk__in=claims.values("hold__customer"))
    return list(people.order_by("name", "pk")[:HOLDERS_NAMED])


def _claims_of_holders(concert_id: int, performance_id: int | None) -> SeatClaimQuerySet:
    """Find the seats that were paid for and not given back."""
    claims = SeatClaim.objects.open().filter(hold__status=Hold.Status.CONFIRMED)
    if performance_id is not None:
        return claims.of_performance(performance_id)
    dates = Performance.objects.of_concert(concert_id).not_ended(at=timezone.now())
    return claims.filter(performance__in=dates)


# --- What is free -----------------------------------------------------------------------------------------------------


# Counts the seats that are for sale and have a live claim, by performance.
_CLAIMED_SQL = """
SELECT claim.performance_id, count(*)
FROM reservations_seatclaim claim
JOIN reservations_hold hold
    ON hold.id = claim.hold_id AND hold.performance_id = ANY (%(performance_ids)s::bigint[])
WHERE claim.performance_id = ANY (%(performance_ids)s::bigint[]) AND claim.ended_at IS NULL
  AND (hold.status = 'CONFIRMED' OR (hold.status = 'HELD' AND hold.expires_at > %(at)s))
  -- No join, which would read every seat of every date.
  AND NOT (SELECT seat.is_blocked FROM concerts_seat seat WHERE seat.id = claim.seat_id)
GROUP BY claim.performance_id
"""
# The live claims on the seats of a performance, and whose they are.
_CLAIMS_SQL = """
SELECT claim.seat_id, hold.status, hold.customer_id
FROM reservations_seatclaim claim
JOIN reservations_hold hold
    ON hold.id = claim.hold_id AND hold.performance_id = %(performance_id)s
WHERE claim.performance_id = %(performance_id)s AND claim.ended_at IS NULL
  AND (hold.status = 'CONFIRMED' OR (hold.status = 'HELD' AND hold.expires_at > %(at)s))
"""


@dataclass(frozen=True, slots=True)
class PerformanceAvailability:
    performance: Performance
    seats_total: int
    seats_available: int
    reservable: bool


def performances_with_availability(concert_id: int) -> list[PerformanceAvailability]:
    """Return the dates of a concert in order, with what is left of each; two queries."""
    now = timezone.now()
    performances = list(concerts.dates_of(concert_id))
    wanted = [performance.pk for performance in performances]
    claimed = dict(_read_hall(_CLAIMED_SQL, {"performance_ids": wanted, "at": now}))
    answers = []
    for performance in performances:
        available = performance.seats_unblocked - claimed.get(performance.pk, 0)
        reservable = available > 0 and performance.is_on_sale(now)
        answers.append(
            PerformanceAvailability(performance, performance.seats_total, available, reservable)
        )
    return answers


FEW_SEATS = 10
_is_nearly_sold_out: ProcessCache[int, bool] = ProcessCache(seconds=5, entries_max=10_000)


def nearly_sold_out(concert_ids: Iterable[int]) -> frozenset[int]:
    """Return those of the concerts that have at most `FEW_SEATS` free seats ahead, or none at this moment; five seconds old at most.

    One query, which looks at a concert's seats until it has found one more than that: only for those that have hardly any it
    looks at all of them.
    """
    answers = _is_nearly_sold_out.get_many(concert_ids, _read_nearly_sold_out)
    return frozenset(concert_id for concert_id, is_nearly in answers.items() if is_nearly)


def _read_nearly_sold_out(concert_ids: list[int]) -> dict[int, bool]:
    now = timezone.now()
    seats = Seat.objects.for_the_public().filter(
        performance__concert=OuterRef("pk"),
        performance__starts_at__gt=now,
        performance__called_off_at=None,
        performance__sold_out_at=None,
    )
    free = seats.filter(~Exists(SeatClaim.objects.live(at=now).filter(seat=OuterRef("pk"))))
    found = Concert.objects.filter(
        Exists(seats), ~Exists(free[FEW_SEATS : FEW_SEATS + 1]), pk__in=concert_ids
    )
    return dict.fromkeys(concert_ids, False) | dict.fromkeys(
        found.values_list("pk", flat=True), True
    )


class SeatState(NamedTuple):
    """A seat and what it is for one customer, in the order of the API's fields. `price` is in won."""

    seat_id: int
    section: str
    row: str
    number: int
    grade: str
    price: int
    status: str
    held_by_me: bool


def seats_with_states(
    *, performance_id: int, customer_id: int, section: str | None = None
) -> list[SeatState]:
    """Return every seat in seat-map order with its state for one customer; two queries whatever the size of the hall."""
    parameters = {"performance_id": performance_id, "at": timezone.now()}
    claims = {
        seat_id: (status, holder_id)
        for seat_id, status, holder_id in _read_hall(_CLAIMS_SQL, parameters)
    }
    states = []
    # No models: a hall has thousands of seats, and making an object of each takes five times as long as reading them.
    seats = concerts.seats_of(performance_id, section).values_list(
        "pk", "section", "row", "number", "grade", "price", "is_blocked"
    )
    for pk, section_name, row, number, grade, price, is_blocked in seats:
        hold_status, holder_id = claims.get(pk, (None, None))
        status = _state(hold_status, is_blocked=is_blocked)
        is_mine = status == HELD and holder_id == customer_id
        states.append(
            SeatState(pk, section_name, row, number, grade, price, status, held_by_me=is_mine)
        )
    return states


def _state(hold_status: str | None, *, is_blocked: bool) -> str:
    if is_blocked or hold_status == Hold.Status.CONFIRMED:
        return RESERVED
    return HELD if hold_status == Hold.Status.HELD else AVAILABLE


@dataclass(frozen=True, slots=True)
class Availability:
    """State of the seats of a performance, in bytes that are ready to be sent.

    `text` has one letter for each seat in seat-map order: Available, Held, Reserved. `data` is the API answer's `data` as JSON.
    `version` names the content, and `etag` is the same in quotes.
    """

    version: str
    text: bytes = field(repr=False)
    data: bytes = field(repr=False)

    @property
    def etag(self) -> str:
        return f'"{self.version}"'

    @property
    def statuses(self) -> str:
        return self.text.decode()


# With the time that reading takes, an answer is a second old at most. The next one is read by one thread beside the readers.
AVAILABILITY_SECONDS, AVAILABILITY_AHEAD = 0.8, 0.3
_availabilities: ProcessCache[int, Availability] = ProcessCache(
    seconds=AVAILABILITY_SECONDS, ahead=AVAILABILITY_AHEAD, entries_max=256
)

# Written by the server, a stadium takes a third of the time of rows, and the process none. Never prepared: the generic plan of
# a prepared statement would be made for a performance of average size.
_STATUSES_SQL = """
SELECT coalesce(string_agg(
    CASE
        WHEN seat.is_blocked OR hold.status = 'CONFIRMED' THEN 'R'
        WHEN hold.status = 'HELD' AND hold.expires_at > %(at)s THEN 'H'
        ELSE 'A'
    END, '' ORDER BY seat.id), '')
FROM concerts_seat seat
LEFT JOIN reservations_seatclaim claim
    ON claim.seat_id = seat.id AND claim.ended_at IS NULL AND claim.performance_id = %(performance_id)s
LEFT JOIN reservations_hold hold
    ON hold.id = claim.hold_id AND hold.performance_id = %(performance_id)s
    AND hold.status IN ('HELD', 'CONFIRMED')
WHERE seat.performance_id = %(performance_id)s
"""


def availability(performance_id: int) -> Availability:
    """Return what the seats of a performance are, at most a second old, for everybody alike; one query."""
    return _availabilities.get(performance_id, lambda: _current_availability(performance_id))


def _current_availability(performance_id: int) -> Availability:
    [[statuses]] = _read_hall(
        _STATUSES_SQL, {"performance_id": performance_id, "at": timezone.now()}
    )
    text: bytes = statuses.encode()
    version = hashlib.sha256(text).hexdigest()[:16]
    data = b'{"version":"%s","statuses":"%s"}' % (version.encode(), text)
    return Availability(version, text, data)


# The best seat is of the dearest grade, has the whole stage in view, leaves none single, is near the stage and near the middle of its row.
# Free seats that stand side by side in a row start at a seat whose (quantity - 1)th follower stands that many places further: gaps and islands.
# Places are those of the seat map, where an aisle is a gap; numbers may skip or run backwards. The free seat beside them is left single if
# the one behind it is not free. Seats of another grade are no neighbours here.
_ADJACENT_SQL = """
WITH free AS (
    SELECT seat.id, seat.section, seat.row, seat.grade, seat.x, seat.y,{kind}
        seat.kind = 'RESTRICTED_VIEW' AS is_restricted
    FROM concerts_seat seat
    WHERE seat.performance_id = %(performance_id)s AND NOT seat.is_blocked AND {kinds}
      AND seat.id <> ALL (%(without)s::bigint[])
      AND (%(grade)s::text IS NULL OR seat.grade = %(grade)s)
      AND NOT EXISTS (
          SELECT FROM reservations_seatclaim claim JOIN reservations_hold hold ON hold.id = claim.hold_id
          WHERE claim.seat_id = seat.id AND claim.ended_at IS NULL
            AND claim.performance_id = %(performance_id)s AND hold.performance_id = %(performance_id)s
            AND (hold.status = 'CONFIRMED' OR (hold.status = 'HELD' AND hold.expires_at > %(at)s))
      )
), runs AS (
    SELECT grade, count(*) FILTER (WHERE is_restricted) OVER follow > 0 AS is_restricted, y, id, x + (%(quantity)s - 1) / 2.0 AS middle,{counts}
        array_agg(id) OVER follow AS seat_ids,
        x + %(quantity)s - 1 = last_value(x) OVER follow AS is_adjacent,
        x - lag(x) OVER line IS NOT DISTINCT FROM 1
            AND x - lag(x, 2) OVER line IS DISTINCT FROM 2 AS leaves_one_before,
        lead(x, %(quantity)s) OVER line - x IS NOT DISTINCT FROM %(quantity)s
            AND lead(x, %(quantity)s + 1) OVER line - x IS DISTINCT FROM %(quantity)s + 1 AS leaves_one_behind
    FROM free
    WINDOW line AS (PARTITION BY section, row, grade ORDER BY x),
        follow AS (line ROWS BETWEEN CURRENT ROW AND %(quantity)s - 1 FOLLOWING)
)
SELECT seat_ids FROM runs
WHERE is_adjacent{which}
ORDER BY {first}array_position(%(grades)s::text[], grade::text), is_restricted, leaves_one_before::int + leaves_one_behind::int, y,
    abs(middle - (SELECT (min(x) + max(x)) / 2.0 FROM free)), id
LIMIT %(limit)s
"""
_ADJACENT = _ADJACENT_SQL.format(
    kind="",
    kinds="seat.kind NOT IN ('WHEELCHAIR', 'COMPANION')",
    counts="",
    which="",
    first="",
)
# With a wheelchair space: one rather than several, beside companion seats rather than others.
_ADJACENT_TO_WHEELCHAIR = _ADJACENT_SQL.format(
    kind=" seat.kind,",
    kinds="true",
    counts="""
        count(*) FILTER (WHERE kind = 'WHEELCHAIR') OVER follow AS wheelchairs,
        count(*) FILTER (WHERE kind = 'COMPANION') OVER follow AS companions,""",
    which=" AND wheelchairs > 0",
    first="wheelchairs, companions DESC, ",
)


def adjacent_free_seats(
    *,
    performance_id: int,
    quantity: int,
    grade: str | None,
    at: datetime,
    limit: int,
    without: Collection[int] = (),
    with_wheelchair: bool = False,
) -> list[list[int]]:
    """Return up to `limit` choices of `quantity` free seats side by side and `without` certain ones, the best first.

    Each choice has a wheelchair space if that is asked for; else none has one, nor a companion seat.
    """
    parameters = {
        "performance_id": performance_id,
        "quantity": quantity,
        "grade": grade,
        "grades": Grade.values,
        "at": at,
        "limit": limit,
        "without": list(without),
    }
    statement = _ADJACENT_TO_WHEELCHAIR if with_wheelchair else _ADJACENT
    return [row[0] for row in _read_hall(statement, parameters)]


def _read_hall(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement over all seats of a performance with hash and merge joins only, which take each row once.

    The planner knows nothing of a performance that came after the last ANALYZE and expects a row of each table. For one row
    it would join by nested loops: seats times claims times holds, in the very minutes in which all of them are sold.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"SET LOCAL enable_nestloop = off; {statement}; SET LOCAL enable_nestloop = DEFAULT",
            parameters,
        )
        cursor.nextset()
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
