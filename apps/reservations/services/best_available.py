"""Claim the best seats that there are, however many customers want them.

Choosing looks at every seat of the hall, so everybody does it at the same time. Only then one request after the other takes the
first of its choices that those before it have left, which is a matter of a few rows.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from apps.concerts.models import SeatKind
from apps.core.database import fetch_pipelined, load_statements
from apps.core.transactions import Steps, database_now, decide_then_write
from apps.queue.services import Admission
from apps.reservations.errors import NotEnoughSeats
from apps.reservations.selectors import adjacent_free_seats
from apps.reservations.services import holding
from apps.reservations.services.holding import FoundSeats, HeldSeats, claim, found_seats

SQL = load_statements(Path(__file__).with_suffix(".sql"))

CHOICES = 64  # more than there are requests at a time, so that choosing anew is rare


@dataclass(frozen=True, slots=True)
class Wanted:
    performance_id: int
    quantity: int
    grade: str | None
    with_wheelchair: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """Free seats of a performance, the best first: `groups` are side by side, `singles` are what there is if no such are left."""

    groups: list[list[int]]
    singles: list[int]

    @property
    def seat_ids(self) -> set[int]:
        return {*self.singles, *(seat_id for group in self.groups for seat_id in group)}

    def options(self, quantity: int, *, without: Collection[int]) -> list[list[int]]:
        """Return the ways to take `quantity` seats `without` some that are gone, the best first."""
        if groups := [group for group in self.groups if not any(pk in without for pk in group)]:
            return groups
        left = [seat_id for seat_id in self.singles if seat_id not in without]
        return [left[i : i + quantity] for i in range(0, len(left) - quantity + 1, quantity)]


@decide_then_write
def hold_best_available(
    *,
    customer_id: int,
    performance_id: int,
    quantity: int,
    grade: str | None,
    admission: Admission | None,
    kind: str | None = None,
) -> Steps[HeldSeats]:
    """Claim the best `quantity` free seats, side by side if there are such, of one grade if it is named.

    With the `kind` WHEELCHAIR one of them is a wheelchair space, and all are side by side. Without, none is one, nor a companion seat.

    Of the choices of one grade those that leave no single seat come first. Seats that others are claiming at this moment are
    passed over.

    :raises NotEnoughSeats: fewer than `quantity` are free and not being claimed at this moment.
    :raises PerformanceNotFound, SeatLimitExceeded, UnpaidLimitExceeded, PriceLimitExceeded, SalesNotOpen, SalesClosed,
        QueueTokenExpired: as for `hold_seats`.
    """
    _, rules = yield holding.customer_lock(customer_id, performance_id, admission)
    offer = holding.offer_in(rules)
    offer.refuse_unless_allowed(admission, quantity=quantity)
    wanted = Wanted(performance_id, quantity, grade, kind == SeatKind.WHEELCHAIR)
    choice = _choose(wanted, at=offer.at)
    gone = _claimed_meanwhile(performance_id, choice)
    while (found := _lock_best(performance_id, choice, quantity, gone)) is None:
        # Others have left none of these. No other request for the best seats comes in between any more.
        choice = _choose(wanted, at=database_now(), without=gone)
    return claim(customer_id, performance_id, offer, found, admission)


def _choose(wanted: Wanted, *, at: datetime, without: Collection[int] = ()) -> Choice:
    """:raises NotEnoughSeats: fewer than `quantity` are free `without` those that are known to be claimed."""
    choose = partial(
        adjacent_free_seats,
        performance_id=wanted.performance_id,
        grade=wanted.grade,
        at=at,
        limit=CHOICES,
        without=without,
        with_wheelchair=wanted.with_wheelchair,
    )
    if groups := choose(quantity=wanted.quantity):
        return Choice(groups, singles=[])
    may_be_apart = wanted.quantity > 1 and not wanted.with_wheelchair
    singles = [seat_id for [seat_id] in choose(quantity=1)] if may_be_apart else []
    if len(singles) < wanted.quantity:
        raise NotEnoughSeats(retry_after=1)
    return Choice([], singles)


def _claimed_meanwhile(performance_id: int, choice: Choice) -> set[int]:
    """Wait for the others who choose; return what they have taken."""
    _, claimed = fetch_pipelined(
        [
            (SQL["lock_best_seats"], {"performance_id": performance_id}),
            (SQL["claimed_among"], {"seat_ids": sorted(choice.seat_ids)}),
        ]
    )
    return {seat_id for (seat_id,) in claimed}


def _lock_best(
    performance_id: int, choice: Choice, quantity: int, gone: set[int]
) -> FoundSeats | None:
    """Lock the best seats of a choice that are not `gone`, and add to those what others have claimed or are at work on.

    None if the choice has none left. The more turns out to be gone, the more is tried in one round trip, so 64 groups take at
    most seven; what was locked in vain stays locked until the transaction ends, which is soon.
    """
    width = 1
    while options := choice.options(quantity, without=gone)[:width]:
        seat_ids = sorted({seat_id for option in options for seat_id in option})
        seats = {"performance_id": performance_id, "seat_ids": seat_ids}
        found = found_seats(
            *fetch_pipelined([(SQL["lock_free_seats"], seats), (holding.SQL["read_seats"], seats)])
        )
        free = {seat.seat_id for seat in found.seats} - found.taken
        gone.update(set(seat_ids) - free)
        for option in options:
            if free.issuperset(option):
                return found.only(option)
        width *= 2
    return None
