"""Read waiting rooms from outside."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import FilteredRelation, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.concerts.errors import ConcertNotFound
from apps.concerts.models import Concert
from apps.core.audit_sessions import limited
from apps.core.caching import ProcessCache
from apps.core.errors import ServiceUnavailable
from apps.core.history import CHANGES_NAMED, Change
from apps.core.notices import NoticeText
from apps.core.transactions import database_now
from apps.queue.core.room import WITHDRAWN, Figures
from apps.queue.live import live_room, store_needed
from apps.queue.models import PolicyChange, RoomNotice, WaitingRoom

STATUS_SECONDS = 1.0
STATUSES_KEPT = 1_000
POLICY_DELAY_SECONDS = 5  # above what a change of policy takes to reach the live room


@dataclass(frozen=True, slots=True)
class WaitingRoomStatus:
    """The public picture of a room, the same for everybody. `pause_reason` is what staff say of a pause, else empty.

    `notice_en` and `notice_ko` are what staff tell those who wait, for readers of either language, until `notice_until` at the latest; empty if
    there is nothing to tell. While the concert is offline (`is_withdrawn`) the picture is that of a pause, and only visitors with a place get to see it.
    """

    concert_id: int
    state: str
    pause_reason: str
    opens_at: datetime
    waiting: int
    active: int
    capacity: int
    admitted_total: int
    admitted_per_minute: int
    notice_en: str
    notice_ko: str
    notice_until: datetime | None
    is_withdrawn: bool = False

    def notice_in(self, language: str | None) -> str:
        return NoticeText(en=self.notice_en, ko=self.notice_ko).in_language(language)


_statuses: ProcessCache[int, WaitingRoomStatus] = ProcessCache(
    seconds=STATUS_SECONDS, entries_max=STATUSES_KEPT
)


def waiting_room_status(concert_id: int) -> WaitingRoomStatus:
    """Return the status of the room of a published concert, at most a second old: one read per second and process, however many ask.

    :raises ConcertNotFound: there is no such concert.
    :raises ServiceUnavailable: the store does not answer.
    """
    status = waiting_room_status_of_visitor(concert_id)
    if status.is_withdrawn:
        raise ConcertNotFound
    return status


def waiting_room_status_of_visitor(concert_id: int) -> WaitingRoomStatus:
    """Return the same status for a visitor who has a place in the room, who may see it also while the concert is offline.

    :raises ConcertNotFound: there is no such concert.
    :raises ServiceUnavailable: the store does not answer.
    """
    return _statuses.get(concert_id, lambda: _read_status(concert_id))


def waiting_room_status_at_hand(concert_id: int) -> WaitingRoomStatus | None:
    """Return the status of the room of a published concert, if this process has it already."""
    status = _statuses.peek(concert_id)
    return None if status is None or status.is_withdrawn else status


@dataclass(frozen=True, slots=True)
class JoinWindow:
    """Say when visitors may join, by the policy of staff: read from the row, so it is told while the store is down.

    Joining begins at `joinable_at`; visitors who join before `opens_at` draw a place by lot.
    """

    state: str
    pause_reason: str
    joinable_at: datetime
    opens_at: datetime


def join_window(concert: Concert) -> JoinWindow:
    """Return when visitors may join the waiting room of a concert, by the default policy if there is no room yet."""
    return join_windows([concert])[concert.pk]


def join_windows(concerts: Iterable[Concert]) -> dict[int, JoinWindow]:
    """Return the join windows of several concerts, by concert; one query."""
    by_id = {concert.pk: concert for concert in concerts}
    rooms = {room.concert_id: room for room in WaitingRoom.objects.filter(concert__in=by_id)}
    windows = {}
    for concert_id, concert in by_id.items():
        room = rooms.get(concert_id) or WaitingRoom()
        room.concert = concert
        opening_at = room.opening_at
        windows[concert_id] = JoinWindow(
            str(room.state), room.pause_reason, opening_at - room.lottery_window, opening_at
        )
    return windows


def live_figures(concert_id: int) -> Figures | None:
    """Return the live figures of a room; None if the store does not have it.

    :raises ServiceUnavailable: the store does not answer.
    """
    with store_needed():
        return live_room(concert_id).figures()


def visitors_at_stake(concert_id: int) -> Iterator[str]:
    """Say what becomes of those who wait or choose when the concert is taken offline."""
    try:
        figures = live_figures(concert_id)
    except ServiceUnavailable:
        yield _(
            "How many visitors wait is not known: the store of the waiting rooms does not answer."
        )
        return
    if figures is not None and figures.waiting:
        yield ngettext(
            "%(count)s visitor waits in the queue and keeps the place.",
            "%(count)s visitors wait in the queue and keep their places.",
            figures.waiting,
        ) % {"count": f"{figures.waiting:,}"}
    if figures is not None and figures.active:
        yield ngettext(
            "%(count)s visitor is choosing seats and gets a whole turn again when it is published again.",
            "%(count)s visitors are choosing seats and get a whole turn again when it is published again.",
            figures.active,
        ) % {"count": f"{figures.active:,}"}


def visitors_waiting(concert_id: int) -> int | None:
    """Return how many wait in a room; None if the store does not answer, or knows nothing of the room."""
    try:
        figures = live_figures(concert_id)
    except ServiceUnavailable:
        return None
    return None if figures is None else figures.waiting


CHANGES_SHOWN = 10


def changes_of_rooms(room_ids: Collection[str], at: datetime) -> Iterator[Change]:
    """Tell what was changed about some rooms since then, by form, button or command, the last first."""
    yield from _in_words(PolicyChange.objects.filter(room__in=map(int, room_ids)), at)


def publications_without_account(concert_ids: Collection[str], at: datetime) -> Iterator[Change]:
    """Tell when some concerts were published or taken offline since then without an account, the last first."""
    found = PolicyChange.objects.filter(
        room__concert__in=map(int, concert_ids), field="is_published"
    )
    yield from _in_words(found.filter(changed_by=None), at)


def _in_words(changes: QuerySet[PolicyChange], at: datetime) -> Iterator[Change]:
    found = changes.filter(changed_at__gte=at).select_related("changed_by").order_by("-pk")
    for change in found[:CHANGES_NAMED]:
        yield Change(change.changed_at, str(change.changed_by or change.actor), str(change))


def room_as_staff_see_it(concert_id: int) -> dict[str, Any]:
    """Return policy, live figures and the last changes of a room that has a row, for the command line.

    `live` is None if the store does not have the room or does not answer. Times are in UTC, spans in seconds.
    """
    room = WaitingRoom.objects.with_concert().get(concert_id=concert_id)
    try:
        figures = live_figures(concert_id)
    except ServiceUnavailable:
        figures = None
    changes = room.changes.select_related("changed_by").order_by("-pk")[:CHANGES_SHOWN]
    return {
        "concert_id": concert_id,
        "title": room.concert.title,
        "is_published": room.concert.is_published,
        "state": room.state,
        "pause_reason": room.pause_reason,
        "withdrawal_reason": room.withdrawal_reason,
        "opens_at": room.opening_at,
        "sales_end_at": room.closing_at,
        "capacity": room.capacity,
        "admissions_per_minute": room.admissions_per_minute,
        "lease_seconds": int(room.lease.total_seconds()),
        "patience_seconds": int(room.patience.total_seconds()),
        "lottery_window_seconds": int(room.lottery_window.total_seconds()),
        "live": figures
        and {
            "state": figures.state,
            "waiting": figures.waiting,
            "active": figures.active,
            "admitted_total": figures.admitted_total,
            "admitted_per_minute": figures.admitted_per_minute,
        },
        "changes": [
            {
                "changed_at": change.changed_at,
                "field": change.field,
                "old_value": change.old_value,
                "new_value": change.new_value,
                "by": str(change.changed_by or change.actor),
                "reason": change.reason,
            }
            for change in changes
        ],
    }


@dataclass(frozen=True, slots=True)
class OverAdmission:
    """A moment at which a visitor was admitted beside as many as the capacity allows."""

    concert_id: int
    admitted_at: datetime
    active: int
    capacity: int


# Visits as +1 at admission and -1 at the end, summed up in the order of time; the capacity is the highest that was in force
# within the seconds in which a change reaches the room, and is looked up only above the lowest that ever was. Who is still
# inside is not in the log yet.
_OVER_ADMISSIONS = """
    WITH visits AS (
        SELECT exit.concert_id, exit.generation, exit.admitted_at, exit.ended_at
        FROM queue_queueexit exit
        WHERE exit.admitted_at IS NOT NULL AND {rooms}
    ), steps AS (
        SELECT concert_id, generation, admitted_at AS at, 1 AS step FROM visits
        UNION ALL
        SELECT concert_id, generation, ended_at, -1 FROM visits
    ), sums AS (
        SELECT concert_id, at, step, sum(step) OVER (
            PARTITION BY concert_id, generation ORDER BY at, step ROWS UNBOUNDED PRECEDING
        ) AS active
        FROM steps
    ), lowest AS (
        SELECT room_id, min(least(old_value::int, new_value::int)) AS capacity
        FROM queue_policychange WHERE field = 'capacity' AND {changes} GROUP BY room_id
    )
    SELECT sums.concert_id, sums.at, sums.active::int, limits.capacity
    FROM sums
    JOIN queue_waitingroom room ON room.concert_id = sums.concert_id
    LEFT JOIN lowest ON lowest.room_id = room.id
    CROSS JOIN LATERAL (
        SELECT greatest(
            coalesce(
                (SELECT new_value::int FROM queue_policychange
                 WHERE room_id = room.id AND field = 'capacity' AND changed_at <= sums.at - make_interval(secs => %(delay)s)
                 ORDER BY changed_at DESC, id DESC LIMIT 1),
                (SELECT old_value::int FROM queue_policychange
                 WHERE room_id = room.id AND field = 'capacity' ORDER BY changed_at, id LIMIT 1),
                room.capacity
            ),
            (SELECT max(new_value::int) FROM queue_policychange
             WHERE room_id = room.id AND field = 'capacity'
               AND changed_at > sums.at - make_interval(secs => %(delay)s) AND changed_at <= sums.at)
        ) AS capacity
    ) limits
    WHERE sums.step = 1 AND sums.active > least(room.capacity, lowest.capacity) AND sums.active > limits.capacity
    ORDER BY sums.at, sums.concert_id
    LIMIT %(limit)s
"""
OVER_ADMISSIONS_MAX = 1_000
# Visits that ended since then, and those that they may have overlapped with: no visitor stays for longer than two leases and the
# time of a hold. Of those of a room that was closed meanwhile, too.
_RECENT_VISITS = """
    exit.id IN (
        SELECT recent.id FROM queue_waitingroom room
        CROSS JOIN LATERAL (
            SELECT id FROM queue_queueexit
            WHERE concert_id = room.concert_id AND generation IN (room.generation, room.generation - 1)
              AND ended_at >= %(since)s - 2 * room.lease - %(hold)s
            OFFSET 0
        ) recent
        WHERE room.activity <> 'RETIRED'
    )
"""


def admissions_above_capacity(*, since: datetime | None = None) -> list[OverAdmission]:
    """Return the first `OVER_ADMISSIONS_MAX` admissions above the capacity in force at that moment, by the exit log.

    There must be none. With `since`, read only the visits that have ended since then, and those they may have overlapped with.
    """
    parameters: dict[str, Any] = {
        "delay": POLICY_DELAY_SECONDS,
        "limit": OVER_ADMISSIONS_MAX,
        "since": since,
        "hold": settings.HOLD_TIME + timedelta(minutes=1),
    }
    statement = limited(
        _OVER_ADMISSIONS,
        since,
        rooms=_RECENT_VISITS,
        changes="room_id IN (SELECT id FROM queue_waitingroom WHERE activity <> 'RETIRED')",
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [OverAdmission(*row) for row in cursor.fetchall()]


def _read_status(concert_id: int) -> WaitingRoomStatus:
    standing = Q(waiting_room__notices__ended_at=None)
    concert = (
        Concert.objects.with_dates()
        .filter(pk=concert_id)
        .annotate(room_notice=FilteredRelation("waiting_room__notices", condition=standing))
        .select_related("waiting_room", "room_notice")  # type: ignore[misc]
        .first()
    )
    if concert is None:
        raise ConcertNotFound
    room = getattr(concert, "waiting_room", None)
    try:
        figures = live_figures(concert_id)
    except ServiceUnavailable:
        if concert.is_published:
            raise
        figures = None
    if figures is None:
        return _status_of_empty_room(room, concert)
    state = _state_shown(concert, figures.state)
    return WaitingRoomStatus(
        concert_id=concert_id,
        state=state,
        pause_reason=_reason_of(room, concert, state),
        opens_at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=figures.opens_at),
        waiting=figures.waiting,
        active=figures.active,
        capacity=figures.capacity,
        admitted_total=figures.admitted_total,
        admitted_per_minute=figures.admitted_per_minute,
        **_notice_of(concert),
        is_withdrawn=not concert.is_published,
    )


def _status_of_empty_room(room: WaitingRoom | None, concert: Concert) -> WaitingRoomStatus:
    """Return the status of a room that no visitor has joined yet, or that the store has lost and the next visitor will bring back."""
    room = room or WaitingRoom(concert=concert)
    now = database_now()
    state = str(room.state)
    last = concert.last_date_to_sell
    has_none_left = concert.first_performance_at is not None and (last is None or last <= now)
    if concert.has_closed(now) or has_none_left:
        state = WaitingRoom.State.CLOSED.value
    elif state == WaitingRoom.State.OPEN and room.opening_at > now:
        state = "SCHEDULED"
    state = _state_shown(concert, state)
    return WaitingRoomStatus(
        concert_id=concert.pk,
        state=state,
        pause_reason=_reason_of(room, concert, state),
        opens_at=room.opening_at,
        waiting=0,
        active=0,
        capacity=room.capacity,
        admitted_total=0,
        admitted_per_minute=0,
        **_notice_of(concert),
        is_withdrawn=not concert.is_published,
    )


def _state_shown(concert: Concert, state: str) -> str:
    """Return the state as the row of the concert has it: the live room may hear of a change a moment later."""
    if state == WaitingRoom.State.CLOSED:
        return state
    if not concert.is_published:
        return WaitingRoom.State.PAUSED.value
    # Published again a moment ago, so it is about to be what it was before.
    return WaitingRoom.State.OPEN.value if state == WITHDRAWN else state


def _reason_of(room: WaitingRoom | None, concert: Concert, state: str) -> str:
    if room is None or state != WaitingRoom.State.PAUSED:
        return ""
    return room.pause_reason if concert.is_published else room.withdrawal_reason


def _notice_of(concert: Concert) -> dict[str, Any]:
    notice: RoomNotice | None = getattr(concert, "room_notice", None)
    if notice is None or not notice.is_shown(timezone.now()):
        return {"notice_en": "", "notice_ko": "", "notice_until": None}
    return {
        "notice_en": notice.wording.in_language("en"),
        "notice_ko": notice.wording.in_language("ko"),
        "notice_until": notice.shown_until,
    }
