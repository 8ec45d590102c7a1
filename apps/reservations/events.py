"""The facts that this app tells others, as they stand in the outbox."""

from datetime import datetime
from typing import Any

from structlog.contextvars import get_contextvars

from apps.reservations.models import Reservation

RESERVATION_CONFIRMED = "reservation.confirmed"
RESERVATION_CANCELLED = "reservation.cancelled"


def reservation_payload(reservation: Reservation, *, occurred_at: datetime) -> dict[str, Any]:
    """Everything that a consumer needs, so that none has to ask back. Prices in won, times in ISO 8601.

    `request_id` is that of the call that is being answered, by which its consequences can be traced.
    """
    tickets = reservation.tickets.select_related("seat").order_by("seat_id", "pk")
    seats = [
        {
            "seat_id": ticket.seat_id,
            "section": ticket.seat.section,
            "row": ticket.seat.row,
            "number": ticket.seat.number,
            "grade": ticket.seat.grade,
            "price": ticket.price,
        }
        for ticket in tickets
    ]
    return {
        "reservation_id": str(reservation.pk),
        "concert_id": reservation.performance.concert_id,
        "performance_id": reservation.performance_id,
        "customer_id": reservation.customer_id,
        "seats": seats,
        "seat_count": len(seats),
        "total_price": reservation.total_price,
        "occurred_at": occurred_at.isoformat(),
        "queue_place": reservation.hold.queue_place,
        "queue_generation": reservation.hold.queue_generation,
        "request_id": get_contextvars().get("request_id"),
    }
