"""The exit log: which visits are over, kept where nothing is lost."""

import time
from collections.abc import Iterator
from datetime import datetime

from django.db.models import Q

from apps.queue.core.room import End, EndReason, Room
from apps.queue.models import QueueExit, WaitingRoom
from apps.queue.services.clock import from_micros, to_micros

EXITS_BATCH = 500


def recorded_end(
    *, concert_id: int, customer_id: int, slot: int, generation: int
) -> EndReason | None:
    """Return how a visit ended; None if it has not.

    A customer has one place at a time. A customer on record with a later one that has ended had this one taken by a loss of the
    store, and has had the turn; a later one that was merged is no turn.
    """
    is_later = Q(slot__gt=slot) & ~Q(reason=EndReason.MERGED)
    reason = (
        QueueExit.objects.of_concert(concert_id)
        .filter(
            Q(slot=slot) | is_later,
            customer_id=customer_id,
            generation=generation,
        )
        .order_by("slot", "pk")
        .values_list("reason", flat=True)
        .first()
    )
    return EndReason(reason) if reason else None


def visit_is_over(*, concert_id: int, customer_id: int, slot: int, generation: int) -> bool:
    """Tell from what is on record, without asking the store, whether a visit has ended: by itself, or because its room was closed."""
    newer = WaitingRoom.objects.filter(concert_id=concert_id, generation__gt=generation)
    return newer.exists() or (
        recorded_end(
            concert_id=concert_id, customer_id=customer_id, slot=slot, generation=generation
        )
        is not None
    )


def ends_since(at: datetime, *, concert_id: int, generation: int) -> Iterator[End]:
    """Yield the visits that ended from `at` on, the first to end first; `EXITS_BATCH` of them are in memory at a time."""
    found = (
        QueueExit.objects.of_concert(concert_id)
        .filter(generation=generation)
        .order_by("ended_at", "pk")
    )
    rest = found.filter(ended_at__gte=at)
    while batch := list(rest[:EXITS_BATCH]):
        for exit in batch:
            yield End(
                exit.customer_id,
                exit.slot,
                exit.generation,
                EndReason(exit.reason),
                to_micros(exit.ended_at),
            )
        last = batch[-1]
        # Said of the time alone as well, so that the index leads to the next batch.
        rest = found.filter(ended_at__gte=last.ended_at).filter(
            Q(ended_at__gt=last.ended_at) | Q(pk__gt=last.pk)
        )


def drain_exits(live: Room, *, seconds: float) -> int:
    """Move the ends that the room found itself into the log until none is left or the time is over; returns how many.

    The first batch is moved whatever the time.
    """
    drained = 0
    stop_at = time.monotonic() + seconds
    while True:
        moved = move_exits(live)
        drained += moved
        if moved < EXITS_BATCH or time.monotonic() > stop_at:
            return drained


def move_exits(live: Room) -> int:
    """Move up to `EXITS_BATCH` ends into the log: read, insert, commit, and only then forget. Returns how many."""
    ends = live.exits(count=EXITS_BATCH)
    if not ends:
        return 0
    QueueExit.objects.bulk_create(
        [
            QueueExit(
                concert_id=live.concert_id,
                customer_id=end.customer_id,
                generation=end.generation,
                slot=end.slot,
                reason=end.reason,
                joined_at=from_micros(end.joined_at),
                admitted_at=from_micros(end.admitted_at) if end.admitted_at else None,
                ended_at=from_micros(end.ended_at),
            )
            for end in ends
        ],
        ignore_conflicts=True,
    )
    live.forget_exits([end.id for end in ends])
    return len(ends)
