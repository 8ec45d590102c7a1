"""What this app announces after a commit."""

from dataclasses import dataclass

from django.dispatch import Signal


@dataclass(frozen=True, slots=True)
class ConcertDeleted:
    concert_id: int


concert_deleted = Signal()
