"""Signals that this app sends after a commit."""

from dataclasses import dataclass
from uuid import UUID

from django.dispatch import Signal


@dataclass(frozen=True, slots=True)
class ReservationConfirmed:
    """`event_id` names the outbox event, which has the rest."""

    event_id: UUID
    reservation_id: UUID


@dataclass(frozen=True, slots=True)
class ReservationCancelled:
    event_id: UUID
    reservation_id: UUID


@dataclass(frozen=True, slots=True)
class SeatsCancelled:
    """Some seats of a reservation that stands."""

    event_id: UUID
    reservation_id: UUID


reservation_confirmed = Signal()
reservation_cancelled = Signal()
seats_cancelled = Signal()
