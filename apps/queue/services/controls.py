"""What staff decide about a waiting room. Every change is recorded and reaches the live room at once."""

from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

import structlog
from django.db import transaction
from django.db.models.functions import Now

from apps.queue.core.room import EndReason
from apps.queue.errors import QueueClosed, VisitorNotFound
from apps.queue.live import live_room, store_needed
from apps.queue.models import PolicyChange, WaitingRoom, new_lottery_key
from apps.queue.services.finishing import finish_visit
from apps.queue.services.rooms import bring_up_to_date, waiting_room_of
from apps.shared.errors import ServiceUnavailable
from apps.shared.transactions import database_now, requires_transaction, use_case

logger = structlog.get_logger(__name__)

State = WaitingRoom.State


@use_case
def open_room(*, concert_id: int, staff_id: int | None, at: datetime | None = None) -> WaitingRoom:
    """Let people in from `at` on, or from now."""
    room = _lock(concert_id)
    now = database_now()
    opens_at = room.opens_at
    if at is not None or room.opening_at > now:
        opens_at = at or now
    return _change(room, staff_id, state=State.OPEN, opens_at=opens_at)


@use_case
def pause_room(*, concert_id: int, staff_id: int | None) -> WaitingRoom:
    """Admit nobody until it is resumed. Every place is kept, and people may join.

    :raises QueueClosed: it is closed.
    """
    return _change(_lock_unless_closed(concert_id), staff_id, state=State.PAUSED)


@use_case
def resume_room(*, concert_id: int, staff_id: int | None) -> WaitingRoom:
    """
    :raises QueueClosed: it is closed; open it instead.
    """
    return _change(_lock_unless_closed(concert_id), staff_id, state=State.OPEN)


@use_case
def close_room(*, concert_id: int, staff_id: int | None) -> WaitingRoom:
    """Send everybody away; nobody joins until it is opened anew, and tokens from before stay worthless then."""
    room = _lock(concert_id)
    if room.state == State.CLOSED:
        return room
    room.generation += 1
    room.lottery_key = new_lottery_key()
    return _change(room, staff_id, state=State.CLOSED)


@use_case
def set_capacity(*, concert_id: int, capacity: int, staff_id: int | None) -> WaitingRoom:
    """How many may be active at once. Lowering it ends no lease: nobody is admitted until enough have left.

    :raises ValidationError: it is out of bounds.
    """
    return _change(_lock(concert_id), staff_id, capacity=capacity)


@use_case
def set_admissions_per_minute(
    *, concert_id: int, admissions_per_minute: int | None, staff_id: int | None
) -> WaitingRoom:
    """None lifts the limit.

    :raises ValidationError: it is out of bounds.
    """
    return _change(_lock(concert_id), staff_id, admissions_per_minute=admissions_per_minute)


class PolicyEdits(TypedDict, total=False):
    opens_at: datetime | None
    capacity: int
    admissions_per_minute: int | None
    lease: timedelta
    patience: timedelta
    lottery_window: timedelta


@requires_transaction
def edit_policy(
    *, concert_id: int, staff_id: int | None, **edits: Unpack[PolicyEdits]
) -> WaitingRoom:
    """Change anything but the state, in the transaction of the admin's form.

    :raises ValidationError: a value is out of bounds.
    """
    return _change(_lock(concert_id), staff_id, **edits)


def remove_visitor(*, concert_id: int, customer_id: int, staff_id: int | None) -> None:
    """Take the place away from a visitor, who may join again at the end; before the opening, by the same draw.

    :raises VisitorNotFound: the customer is not in this room.
    :raises ServiceUnavailable: the store does not answer.
    """
    room = waiting_room_of(concert_id)
    with store_needed():
        visit = live_room(concert_id).visit_of(customer_id)
    if visit is None:
        raise VisitorNotFound
    place, generation = visit
    PolicyChange.objects.create(
        room=room, field="removed_visitor", new_value=str(customer_id), changed_by_id=staff_id
    )
    finish_visit(
        concert_id=concert_id,
        customer_id=customer_id,
        place=place,
        generation=generation,
        reason=EndReason.REMOVED,
    )


def _lock(concert_id: int) -> WaitingRoom:
    waiting_room_of(concert_id)
    return WaitingRoom.objects.with_concert().lock().get(concert_id=concert_id)


def _lock_unless_closed(concert_id: int) -> WaitingRoom:
    room = _lock(concert_id)
    if room.state == State.CLOSED:
        raise QueueClosed
    return room


def _change(room: WaitingRoom, staff_id: int | None, **values: Any) -> WaitingRoom:
    """Save what differs, with one record per field, and tell the live room after the commit."""
    changes = [
        PolicyChange(
            room=room,
            field=field,
            old_value=_readable(getattr(room, field)),
            new_value=_readable(value),
            changed_by_id=staff_id,
        )
        for field, value in values.items()
        if getattr(room, field) != value
    ]
    if not changes:
        return room
    for field, value in values.items():
        setattr(room, field, value)
    room.version += 1
    room.full_clean(exclude=["next_tick_at"])
    room.activity = WaitingRoom.Activity.AWAKE
    room.next_tick_at = Now()
    room.save()
    PolicyChange.objects.bulk_create(changes)
    transaction.on_commit(lambda: _tell_live_room(room.concert_id))
    return room


def _readable(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value)


def _tell_live_room(concert_id: int) -> None:
    try:
        bring_up_to_date(waiting_room_of(concert_id))
    except ServiceUnavailable:
        # The tick brings it as soon as the store is back.
        logger.warning("policy_not_delivered", concert_id=concert_id)
