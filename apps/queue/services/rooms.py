"""Where the row of a room meets its live state: policy copies, loss, healing."""

from datetime import UTC, datetime, timedelta

import structlog
from django.db.models.functions import Now

from apps.concerts.errors import ConcertNotFound
from apps.concerts.models import Concert
from apps.queue.core.lottery import key_blocks
from apps.queue.core.room import End, EndReason, Policy, Visit
from apps.queue.core.tokens import Ticket
from apps.queue.live import live_room, store_needed
from apps.queue.models import QueueExit, WaitingRoom
from apps.shared.transactions import database_now

logger = structlog.get_logger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TICK = timedelta(
    milliseconds=500
)  # below beat's second, so that no beat finds its rooms not due yet
REPLAYED = timedelta(minutes=10)  # longer than what any append-only file may lack
REPLAY_BATCH = 50


def micros(moment: datetime) -> int:
    """Microseconds since 1970, as the store counts them."""
    return (moment - EPOCH) // MICROSECOND


def moment(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def waiting_room_of(concert_id: int) -> WaitingRoom:
    """The row of a concert's waiting room with its concert; made with the default policy if there is none yet.

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


def bring_up_to_date(room: WaitingRoom) -> bool:
    """Give the live room the policy of its row, making it if it is gone. Says whether ends must be replayed.

    :raises ServiceUnavailable: the store does not answer.
    """
    with store_needed():
        needs_replay = live_room(room.concert_id).configure(
            _policy_of(room), epoch=room.epoch, was_stored=room.epoch_stored_at is not None
        )
    if room.epoch_stored_at is None:
        WaitingRoom.objects.filter(pk=room.pk, epoch_stored_at=None).update(epoch_stored_at=Now())
    return needs_replay


def wake(concert_id: int) -> None:
    """Make the next tick look at this room if it is resting."""
    WaitingRoom.objects.filter(concert_id=concert_id, next_tick_at__gt=Now() + TICK).update(
        next_tick_at=Now()
    )


def replay_recent_ends(room: WaitingRoom) -> None:
    """Tell a room that may have forgotten them who ended within the last ten minutes; it admits again afterwards.

    :raises ServiceUnavailable: the store does not answer.
    """
    logger.warning("waiting_room_healing", concert_id=room.concert_id)
    recent = QueueExit.objects.of_concert(room.concert_id).filter(generation=room.generation)
    ends = [
        End(
            exit.customer_id,
            exit.place,
            exit.generation,
            EndReason(exit.reason),
            micros(exit.ended_at),
        )
        for exit in recent.since(database_now() - REPLAYED).order_by("pk")
    ]
    with store_needed():
        live = live_room(room.concert_id)
        for start in range(0, len(ends), REPLAY_BATCH):
            live.replay(ends[start : start + REPLAY_BATCH], is_last=False)
        live.replay([], is_last=True)


def recorded_end(
    *, concert_id: int, customer_id: int, place: int, generation: int
) -> EndReason | None:
    """How the exit log says that a visit ended; None if it does not."""
    reason = (
        QueueExit.objects.of_concert(concert_id)
        .filter(customer_id=customer_id, place=place, generation=generation)
        .values_list("reason", flat=True)
        .first()
    )
    return EndReason(reason) if reason else None


def heal(ticket: Ticket, *, is_lost: bool = False) -> Visit:
    """Put a visitor whom the live room does not know back where the ticket says, unless the visit has ended.

    `is_lost`: the room itself is gone.

    :raises ConcertNotFound: so is the concert.
    :raises ServiceUnavailable: the store does not answer.
    """
    if is_lost:
        bring_up_to_date(waiting_room_of(ticket.concert_id))
    visit_key = {
        "customer_id": ticket.customer_id,
        "place": ticket.place,
        "generation": ticket.generation,
    }
    end = recorded_end(concert_id=ticket.concert_id, **visit_key)
    with store_needed():
        live = live_room(ticket.concert_id)
        if end is None:
            visit = live.restore(ticket)
        else:
            live.finish(**visit_key, reason=end)
            visit = live.touch(ticket)
    wake(ticket.concert_id)
    return visit


def _policy_of(room: WaitingRoom) -> Policy:
    inner, outer = key_blocks(bytes.fromhex(room.lottery_key))
    concert = room.concert
    return Policy(
        concert=concert.pk,
        version=room.version,
        generation=room.generation,
        state=room.state if concert.is_published else WaitingRoom.State.CLOSED,
        opens_at=micros(room.opening_at),
        closes_at=micros(concert.sales_close_at) if concert.sales_close_at else 0,
        capacity=room.capacity,
        per_minute=room.admissions_per_minute or 0,
        lease=room.lease // MICROSECOND,
        patience=room.patience // MICROSECOND,
        lottery_window=room.lottery_window // MICROSECOND,
        lottery_inner=inner,
        lottery_outer=outer,
    )
