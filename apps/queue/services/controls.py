"""Apply decisions of staff about a waiting room. Every change is recorded and reaches the live room at once."""

from datetime import datetime, timedelta
from math import ceil
from typing import Any, TypedDict, Unpack
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from apps.concerts.errors import SalesClosed, SalesNotOpen
from apps.concerts.publication import By, Publication
from apps.core.codes import CODES
from apps.core.errors import DomainError, ServiceUnavailable
from apps.core.transactions import database_now, requires_transaction, use_case
from apps.queue.core.room import EndReason
from apps.queue.errors import QueueClosed, VisitorNotFound
from apps.queue.live import live_room, store_needed
from apps.queue.models import PolicyChange, WaitingRoom, new_lottery_key
from apps.queue.services.finishing import finish_visit
from apps.queue.services.rooms import bring_up_to_date, get_or_create_waiting_room

logger = structlog.get_logger(__name__)

State = WaitingRoom.State


@use_case
def open_room(*, concert_id: int, at: datetime | None = None, **by: Unpack[By]) -> WaitingRoom:
    """Let people in from `at` on, or from now.

    :raises SalesNotOpen: visitors who came in then could not buy anything yet; `retry_after` tells when.
    :raises SalesClosed: they could not any more.
    """
    room = _lock(concert_id)
    now = database_now()
    opens_at = room.opens_at
    if at is not None or room.opening_at > now:
        opens_at = at or now
    refuse_opening_outside_sales(room, opens_at or room.opening_at, now=now)
    return _change(room, by, state=State.OPEN, opens_at=opens_at, pause_reason="")


def refuse_opening_outside_sales(room: WaitingRoom, opens_at: datetime, *, now: datetime) -> None:
    """
    :raises SalesNotOpen, SalesClosed: nothing is sold at that moment. Needs `with_concert()`.
    """
    sales_open_at = room.concert.sales_open_at
    if opens_at < sales_open_at and now < sales_open_at:
        raise SalesNotOpen(retry_after=ceil((sales_open_at - now).total_seconds()))
    if room.closing_at is not None and max(opens_at, now) >= room.closing_at:
        raise SalesClosed


def why_refused(refusal: DomainError, room: WaitingRoom) -> str:
    """Say to staff why a control was refused, with the sales window if it was for that. Needs `with_concert()`."""
    if isinstance(refusal, VisitorNotFound):
        return _("This visitor has no place in the waiting room.")
    words = str(CODES[refusal.code].message)
    if isinstance(refusal, SalesNotOpen):
        words += " " + _("They open on %(at)s") % {"at": _in_words(room.concert.sales_open_at)}
    elif isinstance(refusal, SalesClosed) and room.closing_at is not None:
        words += " " + _("They ended on %(at)s") % {"at": _in_words(room.closing_at)}
    return words


def _in_words(at: datetime) -> str:
    return date_format(localtime(at, ZoneInfo(settings.VENUE_TIME_ZONE)), "DATETIME_FORMAT")


@requires_transaction
def lock_room(concert_id: int) -> WaitingRoom:
    """Return a room that does not change until the end of the transaction."""
    return _lock(concert_id)


def why_no_sense(room: WaitingRoom, control: str) -> str:
    """Say to staff why a control makes no sense in the state that a room is in; nothing if it does. Needs `with_concert()`.

    A closed room that is paused or resumed is told of by the control itself, and so are sales that have not opened.
    """
    match control, room.state:
        case "open", State.PAUSED:
            words = _("The waiting room is paused. Resume it instead.")
        case "open", State.OPEN if room.opening_at <= database_now():
            words = _("The waiting room is open already.")
        case "pause", State.PAUSED:
            words = _("The waiting room is paused already.")
        case "resume", State.OPEN:
            words = _("The waiting room is not paused.")
        case "close", State.CLOSED:
            words = _("The waiting room is closed already.")
        case _:
            return ""
    changes = PolicyChange.objects.filter(room=room, field="state").select_related("changed_by")
    last = changes.order_by("-pk").first()
    if last is None:
        return words
    who, at = last.changed_by or last.actor, _in_words(last.changed_at)
    return f"{words} {who}, {at}: {last.reason or last.new_value}"


@use_case
def pause_room(*, concert_id: int, **by: Unpack[By]) -> WaitingRoom:
    """Admit no visitor until it is resumed. Every place is kept, and people may join; they are shown the reason.

    :raises QueueClosed: it is closed.
    """
    room = _lock_unless_closed(concert_id)
    return _change(room, by, state=State.PAUSED, pause_reason=by.get("reason", ""))


@use_case
def resume_room(*, concert_id: int, **by: Unpack[By]) -> WaitingRoom:
    """
    :raises QueueClosed: it is closed; open it instead.
    """
    return _change(_lock_unless_closed(concert_id), by, state=State.OPEN, pause_reason="")


@use_case
def close_room(*, concert_id: int, **by: Unpack[By]) -> WaitingRoom:
    """Send everybody away; no visitor joins until it is opened anew, and tokens from before stay worthless then."""
    room = _lock(concert_id)
    if room.state == State.CLOSED:
        return room
    room.generation += 1
    room.lottery_key = new_lottery_key()
    return _change(room, by, state=State.CLOSED, pause_reason="")


@use_case
def set_capacity(*, concert_id: int, capacity: int, **by: Unpack[By]) -> WaitingRoom:
    """Set how many visitors may be active at once. Lowering it ends no lease: no visitor is admitted until enough have left.

    :raises ValidationError: it is out of bounds.
    """
    return _change(_lock(concert_id), by, capacity=capacity)


@use_case
def set_admissions_per_minute(
    *, concert_id: int, admissions_per_minute: int | None, **by: Unpack[By]
) -> WaitingRoom:
    """None lifts the limit.

    :raises ValidationError: it is out of bounds.
    """
    return _change(_lock(concert_id), by, admissions_per_minute=admissions_per_minute)


class PolicyEdits(TypedDict, total=False):
    opens_at: datetime | None
    capacity: int
    admissions_per_minute: int | None
    lease: timedelta
    patience: timedelta
    lottery_window: timedelta


@requires_transaction
def edit_policy(
    *, concert_id: int, staff_id: int | None, reason: str = "", **edits: Unpack[PolicyEdits]
) -> WaitingRoom:
    """Change anything but the state, in the transaction of the admin's form.

    :raises ValidationError: a value is out of bounds.
    """
    return _change(_lock(concert_id), By(staff_id=staff_id, reason=reason), **edits)


def remove_visitor(*, concert_id: int, customer_id: int, **by: Unpack[By]) -> None:
    """Take the place away from a visitor, who may join again at the end; before the opening, by the same draw.

    :raises VisitorNotFound: the customer is not in this room.
    :raises ServiceUnavailable: the store does not answer.
    """
    room = get_or_create_waiting_room(concert_id)
    with store_needed():
        visit = live_room(concert_id).visit_of(customer_id)
    if visit is None:
        raise VisitorNotFound
    slot, generation = visit
    _recorded(room, "removed_visitor", "", str(customer_id), by).save()
    finish_visit(
        concert_id=concert_id,
        customer_id=customer_id,
        slot=slot,
        generation=generation,
        reason=EndReason.REMOVED,
    )


def _lock(concert_id: int) -> WaitingRoom:
    get_or_create_waiting_room(concert_id)
    return WaitingRoom.objects.with_concert().lock().get(concert_id=concert_id)


def _lock_unless_closed(concert_id: int) -> WaitingRoom:
    room = _lock(concert_id)
    if room.state == State.CLOSED:
        raise QueueClosed
    return room


def _change(room: WaitingRoom, by: By, **values: Any) -> WaitingRoom:
    """Save what differs, with one record per field, and tell the live room after the commit."""
    changes = [
        _recorded(room, field, _readable(getattr(room, field)), _readable(value), by)
        for field, value in values.items()
        if getattr(room, field) != value
    ]
    if not changes:
        return room
    return _save(room, changes, **values)


@requires_transaction
def follow_publication(publication: Publication) -> None:
    """Let the room of a concert that is taken offline keep every place, and go on when it is published again.

    No visitor waits for a concert without a room.
    """
    rooms = WaitingRoom.objects.with_concert().lock()
    room = rooms.filter(concert_id=publication.concert_id).first()
    if room is None:
        return
    is_published = publication.is_published
    change = _recorded(
        room, "is_published", str(not is_published), str(is_published), publication.by
    )
    if is_published:
        _save(room, [change], withdrawal_reason="", resumed_at=publication.at)
    else:
        _save(room, [change], withdrawal_reason=publication.by.get("reason", ""))


def _save(room: WaitingRoom, changes: list[PolicyChange], **values: Any) -> WaitingRoom:
    """Save a new version of the policy with its records, and tell the live room after the commit."""
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


def _recorded(room: WaitingRoom, field: str, old: str, new: str, by: By) -> PolicyChange:
    return PolicyChange(
        room=room,
        field=field,
        old_value=old,
        new_value=new,
        changed_by_id=by.get("staff_id"),
        actor=by.get("actor", ""),
        reason=by.get("reason", ""),
    )


def _readable(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value)


def _tell_live_room(concert_id: int) -> None:
    try:
        bring_up_to_date(get_or_create_waiting_room(concert_id))
    except ServiceUnavailable:
        # The tick brings it as soon as the store is back.
        logger.warning("policy_not_delivered", concert_id=concert_id)
