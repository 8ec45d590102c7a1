"""Describe a reservation for an event."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

from structlog.contextvars import get_contextvars

from apps.outbox.events import ReservationPayload, SoldSeat


class PricedSeat(NamedTuple):
    """A seat as events and answers describe it, with the price in won that was agreed on."""

    seat_id: int
    section: str
    row: str
    number: int
    grade: str
    price: int

    @property
    def label(self) -> str:
        """Return the seat as it is printed, such as "A 3-12"."""
        return f"{self.section} {self.row}-{self.number}"


def reservation_payload(
    *,
    reservation_id: UUID,
    concert_id: int,
    performance_id: int,
    customer_id: int,
    seats: Sequence[PricedSeat],
    total_price: int,
    occurred_at: datetime,
    queue_slot: int | None,
    queue_generation: int | None,
) -> ReservationPayload:
    """Return everything that a consumer needs, so that none has to ask back."""
    return {
        "reservation_id": str(reservation_id),
        "concert_id": concert_id,
        "performance_id": performance_id,
        "customer_id": customer_id,
        "seats": [cast(SoldSeat, seat._asdict()) for seat in seats],
        "seat_count": len(seats),
        "total_price": total_price,
        "occurred_at": occurred_at.isoformat(),
        "queue_slot": queue_slot,
        "queue_generation": queue_generation,
        "request_id": get_contextvars().get("request_id"),
    }
