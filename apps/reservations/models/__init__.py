"""Holds, the claims they make on seats, what is bought, and what its holders are told."""

from apps.reservations.models.hold import (
    REASON_MAX,
    Hold,
    HoldQuerySet,
    SeatClaim,
    SeatClaimQuerySet,
)
from apps.reservations.models.notice import HolderNotice
from apps.reservations.models.reservation import (
    CONTACT_MAX,
    Reservation,
    ReservationQuerySet,
    Ticket,
    TicketQuerySet,
    cancellable_until,
    is_rescheduled_since,
    new_ticket_code,
)
