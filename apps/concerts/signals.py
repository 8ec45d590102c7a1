"""Signals that this app sends after a commit."""

from dataclasses import dataclass
from uuid import UUID

from django.dispatch import Signal


@dataclass(frozen=True, slots=True)
class ConcertDeleted:
    concert_id: int


@dataclass(frozen=True, slots=True)
class PerformanceRescheduled:
    """`event_id` names the outbox event, which has the rest."""

    event_id: UUID
    performance_id: int


@dataclass(frozen=True, slots=True)
class PerformanceCalledOff:
    event_id: UUID
    performance_id: int


concert_deleted = Signal()
performance_rescheduled = Signal()
performance_called_off = Signal()
