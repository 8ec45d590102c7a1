"""Tell those who wait in a room something, and take it back."""

from datetime import datetime

from django.utils.translation import gettext as _

from apps.core.history import note
from apps.core.notices import NoticeText
from apps.core.transactions import database_now, use_case
from apps.queue.errors import QueueClosed
from apps.queue.models import RoomNotice, WaitingRoom
from apps.queue.services.rooms import get_or_create_waiting_room


@use_case
def notify_visitors(
    *,
    concert_id: int,
    text: NoticeText,
    staff_id: int,
    until: datetime | None = None,
    waiting: int | None = None,
) -> RoomNotice:
    """Show a text to all who wait in the room of a concert, in place of the one shown before: until a time, or until it is taken back.

    It is on the board with the next reading of it, a second later at most. `waiting` is how many there were when staff looked.

    :raises ConcertNotFound: there is no such concert.
    :raises QueueClosed: the room is closed, so no visitor waits.
    :raises ValidationError: there is no text, it is too long or hides something, or that time is over.
    """
    get_or_create_waiting_room(concert_id)
    room = WaitingRoom.objects.select_related("concert").lock().get(concert_id=concert_id)
    if room.state == WaitingRoom.State.CLOSED:
        raise QueueClosed
    now = database_now()
    before = RoomNotice.objects.standing().filter(room=room)
    before.update(ended_at=now, ended_by=staff_id)
    notice = RoomNotice(
        room=room,
        text_en=text.en,
        text_ko=text.ko,
        shown_until=until,
        waiting=waiting,
        sent_by_id=staff_id,
        sent_at=now,
    )
    notice.full_clean()
    notice.save()
    note([room, notice], _("Told those who wait: “%(text)s”") % {"text": notice}, staff_id=staff_id)
    return notice


@use_case
def take_back_room_notice(*, notice_id: int, staff_id: int) -> bool:
    """Show a notice no longer. Returns False if it was taken back or replaced before, or was never there."""
    if not RoomNotice.objects.end(notice_id, at=database_now(), staff_id=staff_id):
        return False
    notice = RoomNotice.objects.select_related("room").get(pk=notice_id)
    words = _("Took back what those who wait were told: “%(text)s”") % {"text": notice}
    note([notice.room, notice], words, staff_id=staff_id)
    return True
