"""The exit log: which visits are over, kept where nothing is lost."""

from datetime import datetime

from django.db.models import Q

from apps.queue.core.room import End, EndReason, Room
from apps.queue.models import QueueExit
from apps.queue.services.clock import micros, moment

EXITS_BATCH = 500


def recorded_end(
    *, concert_id: int, customer_id: int, place: int, generation: int
) -> EndReason | None:
    """How a visit ended; None if it has not.

    A customer has one place at a time. Whoever is on record with a later one that has ended had this one taken by a loss of the
    store, and has had the turn; a later one that was merged is no turn.
    """
    is_later = Q(place__gt=place) & ~Q(reason=EndReason.MERGED)
    reason = (
        QueueExit.objects.of_concert(concert_id)
        .filter(
            Q(place=place) | is_later,
            customer_id=customer_id,
            generation=generation,
        )
        .order_by("place", "pk")
        .values_list("reason", flat=True)
        .first()
    )
    return EndReason(reason) if reason else None


def ends_since(at: datetime, *, concert_id: int, generation: int) -> list[End]:
    """What ended from `at` on, in the order in which it was recorded."""
    found = QueueExit.objects.of_concert(concert_id).filter(generation=generation).since(at)
    return [
        End(
            exit.customer_id,
            exit.place,
            exit.generation,
            EndReason(exit.reason),
            micros(exit.ended_at),
        )
        for exit in found.order_by("pk")
    ]


def drain_exits(live: Room) -> int:
    """Move the ends that the room found itself into the log: read, insert, commit, and only then forget."""
    drained = 0
    while ends := live.exits(count=EXITS_BATCH):
        QueueExit.objects.bulk_create(
            [
                QueueExit(
                    concert_id=live.concert_id,
                    customer_id=end.customer_id,
                    generation=end.generation,
                    place=end.place,
                    reason=end.reason,
                    joined_at=moment(end.joined_at),
                    admitted_at=moment(end.admitted_at) if end.admitted_at else None,
                    ended_at=moment(end.ended_at),
                )
                for end in ends
            ],
            ignore_conflicts=True,
        )
        live.forget_exits([end.id for end in ends])
        drained += len(ends)
    return drained
