"""Admission: beat ticks every second, and a lease that ends by payment or leaving is passed on at once."""

import random
import time
from datetime import timedelta
from typing import Any

import structlog
from django.db import connection
from django.db.models.functions import Now

from apps.core.errors import ServiceUnavailable
from apps.queue.core.room import Room
from apps.queue.live import live_room, store_needed
from apps.queue.models import WaitingRoom
from apps.queue.services.exit_log import drain_exits
from apps.queue.services.retiring import retire_if_finished
from apps.queue.services.rooms import TICK, bring_up_to_date, replay_ends, schedule_tick_now

logger = structlog.get_logger(__name__)

IDLE_INTERVAL = timedelta(
    seconds=30
)  # between two looks at an empty room; a visitor who joins wakes it
IDLE_SPREAD = timedelta(seconds=10)  # so that rooms that were emptied together are not due together
SHARE = 10  # rooms that one claim takes
RESTING_PER_CALL = 50
SECONDS_PER_CALL = 0.9
SECONDS_PER_ROOM = 0.4

Activity = WaitingRoom.Activity


def admit_visitors() -> int:
    """Look after the rooms that are due and that no other worker has taken: one tick. Returns how many were admitted.

    Rooms with visitors come first, however many others are due; of those a call looks at `RESTING_PER_CALL`.
    """
    admitted = 0
    resting_left = RESTING_PER_CALL
    stop_at = time.monotonic() + SECONDS_PER_CALL
    while time.monotonic() < stop_at:
        rooms = _claim_due_rooms(Activity.AWAKE, limit=SHARE)
        if not rooms and resting_left > 0:
            rooms = _claim_due_rooms(Activity.RESTING, limit=min(SHARE, resting_left))
            resting_left -= len(rooms)
        if not rooms:
            break
        for room in rooms:
            try:
                admitted += _tick_room(room)
            except ServiceUnavailable:
                logger.warning("waiting_room_unreachable", concert_id=room.concert_id)
            except Exception:
                # One room that is broken must not keep the others from admitting.
                logger.exception("waiting_room_failed", concert_id=room.concert_id)
    return admitted


def admit_now(concert_id: int) -> int:
    """Pass on slots that have just become free. Without a store it does nothing: the next tick will."""
    try:
        with store_needed():
            return _admit(live_room(concert_id))[0]
    except ServiceUnavailable:
        return 0


def _claim_due_rooms(activity: Activity, *, limit: int) -> list[WaitingRoom]:
    """Take some rooms by moving their next tick, in one committed statement; no lock outlives it.

    They are chosen in a CTE: a subquery with a limit may be run once for each row that it is joined to, and chooses others each time.
    """
    span, spread = (
        (TICK, timedelta(0)) if activity is Activity.AWAKE else (IDLE_INTERVAL, IDLE_SPREAD)
    )
    parameters: dict[str, Any] = {
        "span": span,
        "spread": spread,
        "activity": activity.value,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH due AS MATERIALIZED (
                SELECT id FROM queue_waitingroom
                WHERE activity = %(activity)s AND next_tick_at <= statement_timestamp()
                ORDER BY next_tick_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
            )
            UPDATE queue_waitingroom room
            SET next_tick_at = clock_timestamp() + %(span)s + (random() - 0.5) * %(spread)s
            FROM due WHERE room.id = due.id
            RETURNING room.id, room.next_tick_at
            """,
            parameters,
        )
        claims = dict(cursor.fetchall())
    if not claims:
        return []
    rooms = list(WaitingRoom.objects.with_concert().filter(pk__in=claims).order_by("pk"))
    for room in rooms:
        room.next_tick_at = claims[room.pk]
    return rooms


def _tick_room(room: WaitingRoom) -> int:
    replay_since = bring_up_to_date(room)
    if replay_since is not None:
        replay_ends(room, since=replay_since)
    with store_needed():
        live = live_room(room.concert_id)
        admitted, present = _admit(live)
        drained = drain_exits(live, seconds=SECONDS_PER_ROOM)
    if present or drained:
        if room.activity != Activity.AWAKE:
            schedule_tick_now(room.concert_id)
    elif room.activity == Activity.AWAKE:
        _postpone(room)
        with store_needed():
            # A visitor who came in while none was found may have found the room not at rest yet, and not woken it.
            figures = live.figures()
        if figures and figures.waiting + figures.active:
            schedule_tick_now(room.concert_id)
    else:
        retire_if_finished(room)
    return admitted


def _admit(live: Room) -> tuple[int, int]:
    """Admit until no more visitors may come in, or this room's share of the time is used. Returns admitted and present."""
    admitted = 0
    stop_at = time.monotonic() + SECONDS_PER_ROOM
    while True:
        step = live.admit()
        admitted += step.admitted
        if not step.has_more or time.monotonic() > stop_at:
            return admitted, step.present


def _postpone(room: WaitingRoom) -> None:
    """Look at an empty room again after a while, unless a tick was scheduled since it was claimed."""
    WaitingRoom.objects.filter(pk=room.pk, next_tick_at=room.next_tick_at).update(
        activity=Activity.RESTING,
        next_tick_at=Now() + IDLE_INTERVAL + random.uniform(-0.5, 0.5) * IDLE_SPREAD,
    )
