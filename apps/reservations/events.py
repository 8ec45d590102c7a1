"""The facts that this app tells others, as they stand in the outbox."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from structlog.contextvars import get_contextvars

RESERVATION_CONFIRMED = "reservation.confirmed"
RESERVATION_CANCELLED = "reservation.cancelled"


class PricedSeat(NamedTuple):
    """A seat as events and answers describe it, with the price in won that was agreed on."""

    seat_id: int
    section: str
    row: str
    number: int
    grade: str
    price: int


def reservation_payload(
    *,
    reservation_id: UUID,
    concert_id: int,
    performance_id: int,
    customer_id: int,
    seats: Sequence[PricedSeat],
    total_price: int,
    occurred_at: datetime,
    queue_place: int | None,
    queue_generation: int | None,
) -> dict[str, Any]:
    """Everything that a consumer needs, so that none has to ask back. Prices in won, times in ISO 8601.

    `request_id` is that of the call that is being answered, by which its consequences can be traced.
    """
    return {
        "reservation_id": str(reservation_id),
        "concert_id": concert_id,
        "performance_id": performance_id,
        "customer_id": customer_id,
        "seats": [seat._asdict() for seat in seats],
        "seat_count": len(seats),
        "total_price": total_price,
        "occurred_at": occurred_at.isoformat(),
        "queue_place": queue_place,
        "queue_generation": queue_generation,
        "request_id": get_contextvars().get("request_id"),
    }
