"""Lock a hold to pay for it, extend it, release it or cancel what it became."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from apps.core.database import Call, Row, load_statements
from apps.outbox.recording import event_to_record
from apps.reservations.errors import HoldExpired, HoldNotFound, HoldNotLive
from apps.reservations.events import PricedSeat, reservation_payload
from apps.reservations.models import Hold

SQL = load_statements(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class LockedHold:
    """A hold as its lock found it, its seats by ascending id, and what answers tell of its performance."""

    hold: Hold
    seats: Sequence[PricedSeat]
    concert_id: int
    starts_at: datetime
    ends_at: datetime
    title: str
    venue: str

    def refuse_unless_live(self, *, at: datetime) -> None:
        """:raises HoldExpired, HoldNotLive: it ended by the clock, or in another way."""
        if self.hold.is_expired(at):
            raise HoldExpired
        if self.hold.status != Hold.Status.HELD:
            raise HoldNotLive

    def event(
        self,
        type: str,
        *,
        reservation_id: UUID,
        at: datetime,
        seats: Sequence[PricedSeat] | None = None,
    ) -> tuple[UUID, Call]:
        """Return the id of an event about the sale of this hold or of some of its seats, and the statement that records it."""
        seats = self.seats if seats is None else seats
        payload = reservation_payload(
            reservation_id=reservation_id,
            concert_id=self.concert_id,
            performance_id=self.hold.performance_id,
            customer_id=self.hold.customer_id,
            seats=seats,
            total_price=sum(seat.price for seat in seats),
            occurred_at=at,
            queue_slot=self.hold.queue_slot,
            queue_generation=self.hold.queue_generation,
        )
        return event_to_record(type=type, payload=payload, occurred_at=at)


def hold_locks(*, customer_id: int, hold_id: UUID) -> list[Call]:
    """Return the statements that lock the customer, the seats of a hold, then the hold, waiting for each.

    They are for the pipeline of a use case; `locked_hold_in` reads their rows.
    """
    hold = {"customer_id": customer_id, "hold_id": hold_id}
    return [
        (SQL[name], hold) for name in ("lock_customer_of_hold", "lock_seats_of_hold", "lock_hold")
    ]


def locked_hold_in(rows: Sequence[Sequence[Row]], *, customer_id: int) -> LockedHold:
    """Return the hold that was locked.

    :raises HoldNotFound: there is none, or it is another customer's.
    """
    _, seats, holds = rows
    if not holds:
        raise HoldNotFound
    (
        hold_id,
        status,
        total_price,
        seat_limit,
        queue_slot,
        queue_generation,
        held_at,
        expires_at,
        extended_at,
        performance_id,
        concert_id,
        starts_at,
        ends_at,
        title,
        venue,
    ) = holds[0]
    return LockedHold(
        hold=Hold(
            id=hold_id,
            customer_id=customer_id,
            performance_id=performance_id,
            status=status,
            total_price=total_price,
            seat_limit=seat_limit,
            queue_slot=queue_slot,
            queue_generation=queue_generation,
            held_at=held_at,
            expires_at=expires_at,
            extended_at=extended_at,
        ),
        seats=[PricedSeat._make(seat) for seat in seats],
        concert_id=concert_id,
        starts_at=starts_at,
        ends_at=ends_at,
        title=title,
        venue=venue,
    )
