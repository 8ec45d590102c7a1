"""Retire rooms, so that what is over for good costs neither ticks nor memory of the store."""

from datetime import timedelta

import structlog
from django.db.models import F
from django.utils import timezone

from apps.queue.live import live_room, store_needed
from apps.queue.models import WaitingRoom, new_lottery_key

logger = structlog.get_logger(__name__)

# From the last moment at which visitors could join: staff who prolong the sales keep every token until then.
RETIRED_AFTER = timedelta(days=1)


def retire_if_finished(room: WaitingRoom) -> bool:
    """Drop a resting room of a concert that is over from the store, and tick it no more; says whether it did.

    The generation grows, so that no token from before is good for anything if staff add a date and the room fills again:
    a visitor who joins finds no room in the store, which has it made anew and woken.

    :raises ServiceUnavailable: the store does not answer.
    """
    finished_before = timezone.now() - RETIRED_AFTER
    if room.closing_at is None or room.closing_at > finished_before:
        return False
    # The store first: a crash in between leaves a room that is made anew at its next look, and retired again.
    with store_needed():
        if not live_room(room.concert_id).drop_if_empty():
            return False
    resting = WaitingRoom.objects.filter(pk=room.pk, activity=WaitingRoom.Activity.RESTING)
    retired = resting.closed_before(finished_before).update(
        activity=WaitingRoom.Activity.RETIRED,
        generation=F("generation") + 1,
        version=F("version") + 1,
        lottery_key=new_lottery_key(),
        epoch_stored_at=None,
    )
    if retired:
        logger.info("waiting_room_retired", concert_id=room.concert_id)
    return bool(retired)


def forget_room(*, concert_id: int) -> None:
    """Drop the room of a concert that was deleted from the store, with all who are in it.

    :raises ServiceUnavailable: the store does not answer.
    """
    with store_needed():
        live_room(concert_id).drop()
