"""What a waiting room looks like from outside."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apps.concerts.errors import ConcertNotFound
from apps.concerts.models import Concert
from apps.queue.core.room import Figures
from apps.queue.live import live_room, store_needed
from apps.queue.models import WaitingRoom
from apps.shared.transactions import database_now

BOARD_SECONDS = 1.0
BOARDS_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Board:
    """The public picture of a room, the same for everybody."""

    concert_id: int
    state: str
    opens_at: datetime
    waiting: int
    active: int
    capacity: int
    admitted_total: int
    admitted_per_minute: int


_boards: dict[int, tuple[float, Board]] = {}
_refreshing = threading.Lock()


def waiting_room_board(concert_id: int) -> Board:
    """The board of a published concert, at most a second old: one read per second and process, however many ask.

    :raises ConcertNotFound: there is no such concert.
    :raises ServiceUnavailable: the store does not answer.
    """
    board = _fresh_board(concert_id)
    if board is None:
        with _refreshing:
            board = _fresh_board(concert_id)
            if board is None:
                board = _read_board(concert_id)
                if len(_boards) >= BOARDS_KEPT:
                    _boards.clear()
                _boards[concert_id] = (time.monotonic() + BOARD_SECONDS, board)
    return board


def live_figures(concert_id: int) -> Figures | None:
    """The live figures of a room; None if the store does not have it.

    :raises ServiceUnavailable: the store does not answer.
    """
    with store_needed():
        return live_room(concert_id).figures()


def forget_boards() -> None:
    """Make the next reader see what is true now."""
    _boards.clear()


def _fresh_board(concert_id: int) -> Board | None:
    fresh_until, board = _boards.get(concert_id, (0.0, None))
    return board if time.monotonic() < fresh_until else None


def _read_board(concert_id: int) -> Board:
    concert = (
        Concert.objects.published().filter(pk=concert_id).select_related("waiting_room").first()
    )
    if concert is None:
        raise ConcertNotFound
    figures = live_figures(concert_id)
    if figures is None:
        return _board_of_empty_room(getattr(concert, "waiting_room", None), concert)
    return Board(
        concert_id=concert_id,
        state=figures.state,
        opens_at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=figures.opens_at),
        waiting=figures.waiting,
        active=figures.active,
        capacity=figures.capacity,
        admitted_total=figures.admitted_total,
        admitted_per_minute=figures.admitted_per_minute,
    )


def _board_of_empty_room(room: WaitingRoom | None, concert: Concert) -> Board:
    """Nobody has come yet, or the store has lost the room and the next visitor will bring it back."""
    room = room or WaitingRoom(concert=concert)
    now = database_now()
    state = str(room.state)
    if concert.has_closed(now):
        state = WaitingRoom.State.CLOSED.value
    elif state == WaitingRoom.State.OPEN and room.opening_at > now:
        state = "SCHEDULED"
    return Board(concert.pk, state, room.opening_at, 0, 0, room.capacity, 0, 0)
