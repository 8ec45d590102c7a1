"""Keep the row of a room and its live state together: policy copies, loss, healing."""

from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

import structlog
from django.db.models.functions import Now

from apps.concerts.errors import ConcertNotFound
from apps.concerts.models import Concert
from apps.core.database import fetch_all, load_statements
from apps.core.errors import ServiceUnavailable
from apps.queue.core.lottery import key_blocks
from apps.queue.core.room import WITHDRAWN, Policy, RoomFault, Visit
from apps.queue.core.tokens import TokenClaims
from apps.queue.live import RETRY_AFTER_SECONDS, live_room, store_needed
from apps.queue.models import WaitingRoom
from apps.queue.services.clock import MICROSECOND, from_micros, to_micros
from apps.queue.services.exit_log import EXITS_BATCH, ends_since, move_exits, recorded_end

logger = structlog.get_logger(__name__)

TICK = timedelta(
    milliseconds=500
)  # below beat's second, so that no beat finds its rooms not due yet
REPLAY_BATCH = 50

_SCHEDULE_TICK_NOW = load_statements(Path(__file__).with_name("rooms.sql"))["schedule_tick_now"]


def get_or_create_waiting_room(concert_id: int) -> WaitingRoom:
    """Return the row of a concert's waiting room with its concert; make it with the default policy if there is none yet.

    :raises ConcertNotFound: there is no such concert.
    """
    rooms = WaitingRoom.objects.with_concert().filter(concert_id=concert_id)
    room = rooms.first()
    if room is not None:
        return room
    if not Concert.objects.filter(pk=concert_id).exists():
        raise ConcertNotFound
    WaitingRoom.objects.bulk_create([WaitingRoom(concert_id=concert_id)], ignore_conflicts=True)
    return rooms.get()


def bring_up_to_date(room: WaitingRoom) -> int | None:
    """Give the live room the policy of its row, making it if it is gone; ticks look at a retired one again from then on.

    Says since when ends must be replayed, in microseconds; None if none must.

    :raises ServiceUnavailable: the store does not answer.
    """
    if room.activity == WaitingRoom.Activity.RETIRED:
        # Before it is there: a live room that nothing ticks would keep its visitors, and its policy, for ever.
        WaitingRoom.objects.filter(pk=room.pk, activity=WaitingRoom.Activity.RETIRED).update(
            activity=WaitingRoom.Activity.RESTING, next_tick_at=Now()
        )
    with store_needed():
        replay_since = live_room(room.concert_id).configure(
            _policy_of(room), epoch=room.epoch, was_stored=room.epoch_stored_at is not None
        )
    if room.epoch_stored_at is None:
        WaitingRoom.objects.filter(pk=room.pk, epoch_stored_at=None).update(epoch_stored_at=Now())
    return replay_since


def schedule_tick_now(concert_id: int) -> None:
    """Make the next tick look at this room, and every tick after it until the room is empty."""
    fetch_all(_SCHEDULE_TICK_NOW, {"concert_id": concert_id, "tick": TICK})


def replay_ends(room: WaitingRoom, *, since: int) -> None:
    """Tell a room that may have forgotten them which visits ended since then, in microseconds; it admits again afterwards.

    :raises ServiceUnavailable: the store does not answer.
    """
    logger.warning("waiting_room_healing", concert_id=room.concert_id)
    ends = ends_since(from_micros(since), concert_id=room.concert_id, generation=room.generation)
    live = live_room(room.concert_id)
    with store_needed():
        while batch := list(islice(ends, REPLAY_BATCH)):
            live.replay(batch, generation=room.generation, is_last=False)
        live.replay([], generation=room.generation, is_last=True)


def heal(claims: TokenClaims, visit: Visit) -> Visit:
    """Put a visitor whom the live room does not know back where the token says, unless the visit has ended.

    `visit` is what the room answered instead. The exit log can only be believed once it has every end that the room found,
    a later visit of the same customer among them. One batch of those is moved here; with more of them the visitor has to ask
    again, after ticks have moved the rest.

    :raises ConcertNotFound: the room is gone, and so is the concert.
    :raises ServiceUnavailable: the store does not answer, or has more ends to move.
    """
    if visit.outcome is RoomFault.LOST:
        bring_up_to_date(get_or_create_waiting_room(claims.concert_id))
    with store_needed():
        live = live_room(claims.concert_id)
        if move_exits(live) == EXITS_BATCH:
            raise ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS)
        # The room's word of another place may be old: then that visit has ended since, and the token is of a later one.
        is_other = visit.outcome is RoomFault.UNCERTAIN and visit.slot != claims.slot
        if is_other and end_again_if_ended(replace(claims, slot=visit.slot)) is None:
            healed = live.restore(claims)
        else:
            # Asked again afterwards: another tab may end it meanwhile, and the store lose that at once.
            healed = end_again_if_ended(claims) or live.restore(claims)
            healed = end_again_if_ended(claims) or healed
    schedule_tick_now(claims.concert_id)
    return healed


def end_again_if_ended(claims: TokenClaims) -> Visit | None:
    """End a visit in the live room that the exit log says is over; None if it does not.

    Inside `store_needed`.
    """
    visit_key = {
        "customer_id": claims.customer_id,
        "slot": claims.slot,
        "generation": claims.generation,
    }
    reason = recorded_end(concert_id=claims.concert_id, **visit_key)
    if reason is None:
        return None
    live = live_room(claims.concert_id)
    live.finish(**visit_key, reason=reason)
    return live.touch(claims)


def _policy_of(room: WaitingRoom) -> Policy:
    inner, outer = key_blocks(bytes.fromhex(room.lottery_key))
    concert = room.concert
    return Policy(
        concert=concert.pk,
        version=room.version,
        generation=room.generation,
        state=_live_state(room),
        opens_at=to_micros(room.opening_at),
        closes_at=to_micros(room.closing_at) if room.closing_at else 0,
        capacity=room.capacity,
        per_minute=room.admissions_per_minute or 0,
        lease=room.lease // MICROSECOND,
        patience=room.patience // MICROSECOND,
        lottery_window=room.lottery_window // MICROSECOND,
        lottery_inner=inner,
        lottery_outer=outer,
        resumed_at=to_micros(room.resumed_at) if room.resumed_at else 0,
    )


def _live_state(room: WaitingRoom) -> str:
    """Return the state of the row, which withdrawing its concert does not change, or WITHDRAWN meanwhile."""
    if room.concert.is_published or room.state == WaitingRoom.State.CLOSED:
        return room.state
    return WITHDRAWN
