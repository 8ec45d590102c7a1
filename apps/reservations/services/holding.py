"""Claim seats. Locks: customer, seats (never waiting for them), overdue holds; see `docs/locking.md`."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import transaction

from apps.accounts.errors import StaffAccount
from apps.concerts.errors import PerformanceNotFound, SeatNotFound
from apps.concerts.models import SalesWindow
from apps.core.database import Call, Row, load_statements
from apps.core.transactions import Decision, Steps, decide_then_write
from apps.queue.services import Admission, extend_lease, require_new_hold_allowed
from apps.reservations.errors import (
    PriceLimitExceeded,
    SeatAlreadyHeld,
    SeatAlreadyReserved,
    SeatLimitExceeded,
    SingleSeatLeft,
    UnpaidLimitExceeded,
)
from apps.reservations.events import PricedSeat
from apps.reservations.models import Hold
from apps.reservations.services.expiring import end_in_the_way
from apps.reservations.services.gate import refuses_single_seats
from apps.reservations.services.single_seats import singles_left

SQL = load_statements(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class HeldSeats:
    """A hold with its seats by ascending id; `extendable` says if its owner may still ask for more time."""

    hold: Hold
    seats: Sequence[PricedSeat]
    concert_id: int
    extendable: bool


@dataclass(frozen=True, slots=True)
class FoundSeats:
    """Seats of a request as they were at one moment, by ascending id, and what is in the way of claiming them.

    `blocked` are kept back from this buyer; `holds` are pairs of a seat's id and the hold that has an open claim on it; `unlocked` are
    seats that others are at work on.
    """

    at: datetime
    seats: list[PricedSeat]
    blocked: list[int]
    holds: list[tuple[int, Hold]]
    unlocked: list[int]

    @property
    def taken(self) -> set[int]:
        """Return the ids of those that cannot be claimed now."""
        held = {seat_id for seat_id, hold in self.holds if not hold.is_expired(self.at)}
        return held.union(self.blocked, self.unlocked)

    def only(self, seat_ids: Collection[int]) -> "FoundSeats":
        """Return the same about a part of the seats."""
        return FoundSeats(
            self.at,
            [seat for seat in self.seats if seat.seat_id in seat_ids],
            [seat_id for seat_id in self.blocked if seat_id in seat_ids],
            [(seat_id, hold) for seat_id, hold in self.holds if seat_id in seat_ids],
            [seat_id for seat_id in self.unlocked if seat_id in seat_ids],
        )

    def refuse_unless_free(self) -> None:
        """:raises SeatAlreadyReserved, SeatAlreadyHeld: one of them is not."""
        if self.blocked:
            raise SeatAlreadyReserved(seat_ids=self.blocked)
        for seat_id, hold in self.holds:
            if hold.status == Hold.Status.CONFIRMED:
                raise SeatAlreadyReserved(seat_ids=[seat_id])
            if not hold.is_expired(self.at):
                raise SeatAlreadyHeld(seat_ids=[seat_id])
        if self.unlocked:
            # Another customer is claiming or paying for one of them, and will be done in a moment.
            raise SeatAlreadyHeld(retry_after=1)


@dataclass(frozen=True, slots=True)
class Offer:
    """The rules for a customer who wants seats of a performance, and what that customer has `at` one moment.

    `taken` are seats of this performance, `unpaid` those of all dates of the concert that are held and not paid. `has_paid` says if
    a sale has ended the visit that the customer comes with, `is_staff` if the account is no customer's.
    """

    at: datetime
    taken: int
    unpaid: int
    has_paid: bool
    is_staff: bool
    concert_id: int
    seat_limit: int
    unpaid_limit: int
    window: SalesWindow

    def refuse_unless_allowed(self, admission: Admission | None, *, quantity: int) -> None:
        """
        :raises StaffAccount: staff are no customers.
        :raises QueueTokenExpired: the visitor was admitted too long ago to claim anything new, or has paid.
        :raises SalesNotOpen, SalesClosed: outside the sales window, or the performance has begun.
        :raises SeatLimitExceeded: with what the customer has already it would be too many.
        :raises UnpaidLimitExceeded: with what the customer holds already it would be too many.
        """
        if self.is_staff:
            raise StaffAccount
        if admission is not None:
            require_new_hold_allowed(admission=admission, has_paid=self.has_paid)
        self.window.refuse_unless_open(self.at)
        if self.taken + quantity > self.seat_limit:
            raise SeatLimitExceeded(limit=self.seat_limit, taken=self.taken)
        if self.unpaid + quantity > self.unpaid_limit:
            raise UnpaidLimitExceeded(limit=self.unpaid_limit, unpaid=self.unpaid)


@decide_then_write
def hold_seats(
    *,
    customer_id: int,
    performance_id: int,
    seat_ids: Sequence[int],
    admission: Admission | None,
    categories: Collection[int] = (),
) -> Steps[HeldSeats]:
    """Claim seats for one customer until `HOLD_TIME` from now, all of them or none.

    `admission` is None for sales at the box office, which have no queue. Those may also be of seats that are kept back in one of the
    `categories` (`sellable_by` of the seller); they stay in their category.

    :raises PerformanceNotFound: there is none, or its concert is not published.
    :raises StaffAccount: staff are no customers.
    :raises SeatAlreadyHeld: another customer holds one of them, or is claiming it at this moment.
    :raises SeatAlreadyReserved: one of them is sold, or kept back in another category.
    :raises SeatLimitExceeded: the customer would have more than the concert allows.
    :raises UnpaidLimitExceeded: the customer would hold more without having paid than the concert allows, of all dates together.
    :raises SingleSeatLeft: the concert refuses choices that leave single seats, and this is one.
    :raises PriceLimitExceeded: no wallet may contain what they cost.
    :raises SeatNotFound: one of them is not a seat of this performance.
    :raises SalesNotOpen, SalesClosed: outside the sales window, or the performance has begun.
    :raises QueueTokenExpired: the visitor was admitted too long ago to claim anything new, or has paid.
    """
    seats = {"performance_id": performance_id, "seat_ids": list(seat_ids)}
    no_singles = refuses_single_seats(performance_id)
    _, rules, locked, rows, *more = yield [
        *customer_lock(customer_id, performance_id, admission),
        (SQL["lock_seats"], seats),
        (SQL["read_seats"], seats),
        *([(SQL["free_in_rows"], seats)] if no_singles else []),
        *(
            [(SQL["sellable_among"], seats | {"categories": list(categories)})]
            if categories
            else []
        ),
    ]
    offer = offer_in(rules)
    offer.refuse_unless_allowed(admission, quantity=len(seat_ids))
    found = found_seats(locked, rows, sellable=more.pop() if categories else ())
    if missing := set(seat_ids) - {seat.seat_id for seat in found.seats}:
        raise SeatNotFound(seat_ids=sorted(missing))
    found.refuse_unless_free()
    if no_singles:
        _refuse_if_singles_are_left(found.seats, *more)
    return claim(customer_id, performance_id, offer, found, admission)


def customer_lock(customer_id: int, performance_id: int, admission: Admission | None) -> list[Call]:
    """Return the statements that lock a customer and read the rules of a performance; `offer_in` understands the second."""
    customer = {
        "performance_id": performance_id,
        "customer_id": customer_id,
        "queue_slot": admission.slot if admission else None,
        "queue_generation": admission.generation if admission else None,
    }
    return [(SQL[name], customer) for name in ("lock_customer", "count_seats_of_customer")]


def offer_in(rows: Sequence[Row]) -> Offer:
    """:raises PerformanceNotFound: there is none, or its concert is not published."""
    [(at, taken, unpaid, has_paid, is_staff, concert_id, seat_limit, unpaid_limit, *window)] = rows
    if concert_id is None:
        raise PerformanceNotFound
    return Offer(
        at=at,
        taken=taken,
        unpaid=unpaid,
        has_paid=has_paid,
        is_staff=is_staff,
        concert_id=concert_id,
        seat_limit=seat_limit,
        unpaid_limit=unpaid_limit,
        window=SalesWindow(*window),
    )


def found_seats(
    locked: Sequence[Row], rows: Sequence[Row], *, sellable: Sequence[Row] = ()
) -> FoundSeats:
    """Put together what `lock_seats` and `read_seats` say; `sellable` are kept back, and not from this seller."""
    seats, blocked, holds = [], [], []
    may_sell = {seat_id for (seat_id,) in sellable}
    for _at, *seat, is_blocked, hold_id, status, expires_at in rows:
        if seat[0] is None:
            continue
        seats.append(PricedSeat._make(seat))
        if is_blocked and seat[0] not in may_sell:
            blocked.append(seat[0])
        if hold_id is not None:
            holds.append((seat[0], Hold(id=hold_id, status=status, expires_at=expires_at)))
    is_locked = {seat_id for (seat_id,) in locked}
    unlocked = [seat.seat_id for seat in seats if seat.seat_id not in is_locked]
    return FoundSeats(rows[0][0], seats, blocked, holds, unlocked)


def _refuse_if_singles_are_left(chosen: Sequence[PricedSeat], free: Sequence[Row]) -> None:
    """:raises SingleSeatLeft: of the `free` seats in their rows some are left single, and need not be."""
    rows: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for section, row, number, x in free:
        rows[section, row][x] = number
    numbers = {(seat.section, seat.row, seat.number) for seat in chosen}
    left = [
        {"section": section, "row": row, "number": number_at[x]}
        for (section, row), number_at in rows.items()
        for x in singles_left(
            number_at, [x for x, number in number_at.items() if (section, row, number) in numbers]
        )
    ]
    if left:
        raise SingleSeatLeft(seats=left)


def claim(
    customer_id: int,
    performance_id: int,
    offer: Offer,
    found: FoundSeats,
    admission: Admission | None,
) -> Decision[HeldSeats]:
    """Decide a hold on seats that are locked and were found free; it begins when they were.

    :raises PriceLimitExceeded: no wallet could pay for it.
    """
    total_price = sum(seat.price for seat in found.seats)
    if total_price > settings.BALANCE_LIMIT:
        raise PriceLimitExceeded(total_price=total_price, limit=settings.BALANCE_LIMIT)
    hold = Hold(
        customer_id=customer_id,
        performance_id=performance_id,
        total_price=total_price,
        seat_limit=offer.seat_limit,
        unpaid_limit=offer.unpaid_limit,
        queue_slot=admission.slot if admission else None,
        queue_generation=admission.generation if admission else None,
        held_at=found.at,
        expires_at=found.at + settings.HOLD_TIME,
    )
    write = (
        SQL["hold"],
        {
            "hold_id": hold.pk,
            "customer_id": customer_id,
            "performance_id": performance_id,
            "total_price": hold.total_price,
            "seat_limit": hold.seat_limit,
            "unpaid_limit": hold.unpaid_limit,
            "queue_slot": hold.queue_slot,
            "queue_generation": hold.queue_generation,
            "held_at": hold.held_at,
            "expires_at": hold.expires_at,
            "seat_ids": [seat.seat_id for seat in found.seats],
            "prices": [seat.price for seat in found.seats],
        },
    )
    if admission is not None:
        transaction.on_commit(
            partial(
                extend_lease,
                concert_id=offer.concert_id,
                customer_id=customer_id,
                slot=admission.slot,
                until=hold.expires_at,
            ),
            robust=True,
        )
    return Decision(
        HeldSeats(
            hold, found.seats, offer.concert_id, extendable=offer.window.ends_at > hold.expires_at
        ),
        writes=[*end_in_the_way({over.pk for _, over in found.holds}, at=found.at), write],
        # The locks should have prevented it; the constraint is what makes it impossible.
        refusals={"seat_claimed_once": SeatAlreadyHeld(retry_after=1)},
    )
