"""Test what a sale should do, in as few words as possible: the other side of `test_state_machine.py`."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.conf import settings

from apps.concerts.errors import SalesClosed
from apps.reservations.errors import (
    HoldExpired,
    HoldNotExtendable,
    HoldNotFound,
    HoldNotLive,
    SeatAlreadyHeld,
    SeatAlreadyReserved,
    SeatLimitExceeded,
)
from apps.reservations.models import Hold

CUSTOMERS, LIMIT = 3, 2

Refusal = type[Exception] | None


@dataclass(eq=False)
class ModelHold:
    """A hold and what it may become: HELD, then RELEASED, EXPIRED, or CONFIRMED and perhaps cancelled."""

    id: UUID
    who: int
    seats: list[int]
    price: int
    expires_at: datetime
    status: str = "HELD"
    is_extended: bool = False
    reservation_id: UUID | None = None
    is_cancelled: bool = False

    def is_overdue(self, now: datetime) -> bool:
        return self.status == "HELD" and self.expires_at <= now

    def claims(self, now: datetime) -> bool:
        if self.status == "CONFIRMED":
            return not self.is_cancelled
        return self.status == "HELD" and now < self.expires_at

    def refusal(self, who: int, now: datetime) -> Refusal:
        if who != self.who:
            return HoldNotFound
        if self.status == "EXPIRED" or self.is_overdue(now):
            return HoldExpired
        return None if self.status == "HELD" else HoldNotLive

    def refusal_to_extend(self, who: int, now: datetime, begins_at: datetime) -> Refusal:
        if refusal := self.refusal(who, now):
            return refusal
        return HoldNotExtendable if self.is_extended or begins_at <= self.expires_at else None


@dataclass
class ModelEvent:
    id: UUID
    occurred_at: datetime
    change: int  # to the number of reservations in the ranking
    pending: set[str]


@dataclass
class Model:
    prices: dict[int, int]
    now: datetime
    begins_at: datetime
    balances: list[int] = field(default_factory=lambda: [0] * CUSTOMERS)
    blocked: set[int] = field(default_factory=set)
    holds: list[ModelHold] = field(default_factory=list)
    events: list[ModelEvent] = field(default_factory=list)

    def claimed(self) -> dict[int, ModelHold]:
        live = [hold for hold in self.holds if hold.claims(self.now)]
        return {seat: hold for hold in live for seat in hold.seats}

    def states(self, who: int) -> dict[int, tuple[str, bool]]:
        claimed = self.claimed()
        states = {}
        for seat in self.prices:
            hold = claimed.get(seat)
            if seat in self.blocked or (hold and hold.status == "CONFIRMED"):
                states[seat] = ("RESERVED", False)
            else:
                states[seat] = ("HELD", hold.who == who) if hold else ("AVAILABLE", False)
        return states

    def free(self) -> list[int]:
        return [seat for seat, (state, _) in self.states(0).items() if state == "AVAILABLE"]

    def refusal_to_buy(self, who: int, quantity: int) -> Refusal:
        if self.begins_at <= self.now:
            return SalesClosed
        taken = sum(hold.who == who for hold in self.claimed().values())
        return SeatLimitExceeded if taken + quantity > LIMIT else None

    def refusal_of_seats(self, seats: list[int]) -> Refusal:
        if self.blocked & set(seats):
            return SeatAlreadyReserved
        claimed = self.claimed()
        for seat in sorted(set(seats) & claimed.keys()):
            is_sold = claimed[seat].status == "CONFIRMED"
            return SeatAlreadyReserved if is_sold else SeatAlreadyHeld
        return None

    def sweep(self, seats: set[int] | None = None) -> int:
        """End what is overdue, of these seats or at all."""
        overdue = [hold for hold in self.holds if hold.is_overdue(self.now)]
        found = [hold for hold in overdue if seats is None or seats & set(hold.seats)]
        for hold in found:
            hold.status = "EXPIRED"
        return len(found)

    def add(self, hold: Hold, who: int, seats: list[int]) -> ModelHold:
        self.sweep(set(seats))
        price = sum(self.prices[seat] for seat in seats)
        made = ModelHold(hold.pk, who, seats, price, self.now + settings.HOLD_TIME)
        self.holds.append(made)
        return made
