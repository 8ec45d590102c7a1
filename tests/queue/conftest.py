import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import redis
from django.utils import timezone

from apps.concerts.models import Concert
from apps.queue.core.room import SECOND, Room
from tests.factories.queue import OPENED_AT, WaitingRoomFactory
from tests.queue.rooms import CONCERT, FROZEN_CLOCK, Clock, TestedRoom, Visitor


@pytest.fixture
def clock(store: redis.Redis) -> Clock:
    """The time in the room of these tests: an hour after its opening."""
    return Clock(store, CONCERT, OPENED_AT + 3600 * SECOND)


@pytest.fixture
def room(store: redis.Redis, clock: Clock) -> TestedRoom:
    """Open, for three at once."""
    room = TestedRoom(store, CONCERT, clock=FROZEN_CLOCK)
    room.clock = clock
    room.set_policy()
    return room


@pytest.fixture
def time_of(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Callable[[Concert], Clock]:
    """`time_of(concert)` stops the store's time in the room of a concert, for the services, too."""
    defaults = Room.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "clock", FROZEN_CLOCK)
    return lambda concert: Clock(store, concert.pk, int(time.time()) * SECOND)


@pytest.fixture
def concert() -> Concert:
    """On sale, with a waiting room for two at once."""
    concert: Concert = WaitingRoomFactory(capacity=2).concert
    return concert


@pytest.fixture
def visitor(concert: Concert) -> Visitor:
    return Visitor(concert)


@pytest.fixture
def visitors(concert: Concert) -> list[Visitor]:
    """Five who joined in this order; nobody is admitted yet."""
    return [Visitor(concert).join() for _ in range(5)]


@pytest.fixture
def upcoming() -> Concert:
    """Its sales open in half an hour, so that the lottery runs."""
    concert: Concert = WaitingRoomFactory(
        concert__sales_open_at=timezone.now() + timedelta(minutes=30)
    ).concert
    return concert
