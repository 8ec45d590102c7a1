"""Claiming the best seats that there are, whoever else wants them.

Choosing looks at every seat of the hall, so everybody does it at the same time. Only then one request after the other takes the
first of its choices that those before it have left, which is a matter of a few rows.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from apps.concerts.models import Performance
from apps.queue.services import Admission, require_new_hold_allowed
from apps.reservations.errors import NotEnoughSeats
from apps.reservations.selectors import adjacent_free_seats
from apps.reservations.services import holding
from apps.reservations.services.holding import HeldSeats, claim, found_seats
from apps.shared.database import fetch_pipelined, load_statements
from apps.shared.transactions import Decision, database_now, decide_then_write

SQL = load_statements(Path(__file__).with_suffix(".sql"))

CHOICES = 64  # more than there are requests at a time, so that choosing anew is rare
ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Choice:
    """Free seats of a performance, the best first: `groups` are side by side, `singles` are what there is if no such are left."""

    groups: list[list[int]]
    singles: list[int]

    @property
    def seat_ids(self) -> set[int]:
        return {*self.singles, *(seat_id for group in self.groups for seat_id in group)}

    def best(self, quantity: int, *, without: Collection[int]) -> list[int] | None:
        """Return the best `quantity` seats `without` some that are gone; None if there are none left."""
        for group in self.groups:
            if not any(seat_id in without for seat_id in group):
                return group
        left = [seat_id for seat_id in self.singles if seat_id not in without]
        return left[:quantity] if len(left) >= quantity else None


@decide_then_write
def hold_best_available(
    *,
    customer_id: int,
    performance: Performance,
    quantity: int,
    grade: str | None,
    admission: Admission | None,
) -> Decision[HeldSeats]:
    """Claim the best `quantity` free seats, side by side if there are such, of one grade if it is named.

    Seats that others are claiming at this moment are passed over.

    :raises NotEnoughSeats: fewer than `quantity` are free.
    :raises SeatLimitExceeded, SalesNotOpen, SalesClosed, QueueTokenExpired: as for `hold_seats`.
    """
    if admission is not None:
        require_new_hold_allowed(admission=admission)
    customer = {"performance_id": performance.pk, "customer_id": customer_id}
    _, [(now, taken)] = fetch_pipelined(
        [
            (holding.SQL["lock_customer"], customer),
            (holding.SQL["count_seats_of_customer"], customer),
        ]
    )
    holding.refuse_unless_allowed(performance, quantity=quantity, taken=taken, at=now)
    choice = _choose(performance, quantity, grade, at=now)
    if choice.best(quantity, without=()) is None:
        raise NotEnoughSeats(retry_after=1)
    gone = _claimed_meanwhile(performance, choice)
    is_current = False
    for _attempt in range(ATTEMPTS):
        seat_ids = choice.best(quantity, without=gone)
        if seat_ids is None:
            if is_current:
                break
            # Those before this one have left none of its choices. Nobody comes in between any more.
            choice, is_current = _choose(performance, quantity, grade, at=database_now()), True
            continue
        seats = {"performance_id": performance.pk, "seat_ids": seat_ids}
        found = found_seats(
            *fetch_pipelined(
                [(holding.SQL["lock_seats"], seats), (holding.SQL["read_seats"], seats)]
            )
        )
        if not found.taken and len(found.seats) == quantity:
            return claim(customer_id, performance, found, admission)
        gone |= found.taken or set(seat_ids)
    raise NotEnoughSeats(retry_after=1)


def _choose(performance: Performance, quantity: int, grade: str | None, *, at: datetime) -> Choice:
    choose = partial(
        adjacent_free_seats, performance_id=performance.pk, grade=grade, at=at, limit=CHOICES
    )
    groups = choose(quantity=quantity)
    if groups or quantity == 1:
        return Choice(groups, singles=[])
    return Choice([], singles=[seat_id for [seat_id] in choose(quantity=1)])


def _claimed_meanwhile(performance: Performance, choice: Choice) -> set[int]:
    """Wait for the others who choose; return what they have taken."""
    _, claimed = fetch_pipelined(
        [
            (SQL["lock_best_seats"], {"performance_id": performance.pk}),
            (SQL["claimed_among"], {"seat_ids": sorted(choice.seat_ids)}),
        ]
    )
    return {seat_id for (seat_id,) in claimed}
