"""The end of a visit: into the exit log first, which never forgets, then out of the live room."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

import structlog

from apps.core.database import fetch_all, load_statements
from apps.outbox.consumers import Failures
from apps.outbox.models import OutboxEvent
from apps.queue.core.room import EndReason, Finish
from apps.queue.live import live_room, store_needed
from apps.queue.services.admission import admit_now
from apps.queue.services.clock import from_micros
from apps.queue.services.rooms import get_or_create_waiting_room

logger = structlog.get_logger(__name__)

_SQL = load_statements(Path(__file__).with_suffix(".sql"))


class FinishedVisit(NamedTuple):
    """A visit that is over: `slot` and `generation` as they stand in its token."""

    concert_id: int
    customer_id: int
    slot: int
    generation: int


def finish_visit(
    *, concert_id: int, customer_id: int, slot: int, generation: int, reason: EndReason
) -> None:
    """End one visit for good; a later visit of the same customer goes on. Finishing twice changes nothing.

    A visitor who leaves before the opening and comes back in time draws the same place (`join_queue` forgets the end).

    :raises ServiceUnavailable: the end is on record, but the store does not answer; call again.
    """
    visit = FinishedVisit(concert_id, customer_id, slot, generation)
    finish_visits(visits=[visit], reason=reason)


def finish_visits(*, visits: Sequence[FinishedVisit], reason: EndReason) -> None:
    """End visits as `finish_visit` does, all with one entry into the exit log and one admission for each room.

    :raises ServiceUnavailable: the ends are on record, but the store does not answer; call again.
    """
    new_exits = _record(visits, reason)
    corrections: list[tuple[int, datetime, datetime | None]] = []
    rooms_with_capacity: set[int] = set()
    with store_needed():
        for visit, finish in _finish(visits, reason):
            admitted_at = from_micros(finish.admitted_at) if finish.admitted_at else None
            # A customer who has paid twice has one visit, and the first look finds it.
            if visit in new_exits:
                corrections.append(
                    (new_exits.pop(visit), from_micros(finish.ended_at), admitted_at)
                )
            if admitted_at:
                rooms_with_capacity.add(visit.concert_id)
    if corrections:
        ids, ended, admitted = map(list, zip(*corrections, strict=True))
        fetch_all(_SQL["correct"], {"ids": ids, "ended": ended, "admitted": admitted})
    for concert_id in sorted(rooms_with_capacity):
        admit_now(concert_id)


def _finish(
    visits: Sequence[FinishedVisit], reason: EndReason
) -> Iterator[tuple[FinishedVisit, Finish]]:
    """End visits in their live rooms, with one call for each room."""
    by_concert: dict[int, list[FinishedVisit]] = {}
    for visit in visits:
        by_concert.setdefault(visit.concert_id, []).append(visit)
    for concert_id, own in by_concert.items():
        named = [(visit.customer_id, visit.slot, visit.generation) for visit in own]
        yield from zip(own, live_room(concert_id).finish_all(named, reason=reason), strict=True)


def _record(visits: Sequence[FinishedVisit], reason: EndReason) -> dict[FinishedVisit, int]:
    """Write the ends into the exit log; returns the ids of the new entries."""

    @cache
    def opening_of(concert_id: int) -> datetime:
        return get_or_create_waiting_room(concert_id).opening_at

    rows = fetch_all(
        _SQL["record"],
        {
            "concerts": [visit.concert_id for visit in visits],
            "customers": [visit.customer_id for visit in visits],
            "generations": [visit.generation for visit in visits],
            "slots": [visit.slot for visit in visits],
            # A place drawn by lottery is 0 and counts from the opening.
            "joined": [
                from_micros(visit.slot) if visit.slot else opening_of(visit.concert_id)
                for visit in visits
            ],
            "reason": reason.value,
        },
    )
    return {FinishedVisit(*visit): exit_id for *visit, exit_id in rows}


def finish_paid_visits(events: Sequence[OutboxEvent]) -> Failures:
    """Make room for the next visitors. Sales at the box office never stood in the queue."""
    paid = [event.payload for event in events if event.payload.get("queue_slot") is not None]
    visits = [
        FinishedVisit(
            concert_id=payload["concert_id"],
            customer_id=payload["customer_id"],
            slot=payload["queue_slot"],
            generation=payload["queue_generation"],
        )
        for payload in paid
    ]
    if visits:
        finish_visits(visits=visits, reason=EndReason.COMPLETED)
    return {}
