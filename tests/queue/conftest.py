"""Every test of the live rooms runs twice: against one Valkey, and against a cluster of three nodes.

A module whose tests bring servers of their own says `STORES = ["node"]`. Tests marked `no_live_room` run once, and fail if they
come near one: nothing listens where the rooms would be.
"""

import time
from collections.abc import Callable, Generator
from datetime import timedelta

import pytest
import redis
from django.conf import LazySettings, settings
from django.utils import timezone
from redis.cluster import RedisCluster

from apps.concerts.models import Concert
from apps.queue.core.room import SECOND, Room
from tests.factories.queue import OPENED_AT, WaitingRoomFactory
from tests.queue.rooms import CONCERT, FROZEN_CLOCK, Clock, TestedRoom, Visitor
from tests.servers import start_cluster

NODES = 3
STORES = ["node", pytest.param("cluster", marks=pytest.mark.slow)]
NOWHERE = "redis://127.0.0.1:1/0"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    is_once = metafunc.definition.get_closest_marker("no_live_room")
    stores = ["node"] if is_once else getattr(metafunc.module, "STORES", STORES)
    metafunc.parametrize("store", stores, indirect=True, scope="session")


@pytest.fixture(scope="session")
def cluster_url() -> str:
    return start_cluster(NODES)[0].url.replace("redis://", "redis+cluster://")


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest) -> Generator[redis.Redis | RedisCluster]:
    """A plain client of the rooms' store, for looking behind the code under test."""
    if request.param == "node":
        with redis.Redis.from_url(settings.QUEUE_URL) as client:
            yield client
    else:
        url: str = request.getfixturevalue("cluster_url")
        with RedisCluster.from_url(url.replace("redis+cluster://", "redis://")) as cluster:
            yield cluster


@pytest.fixture(autouse=True)
def _rooms_in_this_store(
    request: pytest.FixtureRequest, store: redis.Redis | RedisCluster, settings: LazySettings
) -> None:
    if request.node.get_closest_marker("no_live_room"):
        settings.QUEUE_URL = NOWHERE
    elif isinstance(store, RedisCluster):
        settings.QUEUE_URL = request.getfixturevalue("cluster_url")


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
    """Five visitors who joined in this order; none is admitted yet."""
    return [Visitor(concert).join() for _ in range(5)]


@pytest.fixture
def upcoming() -> Concert:
    """Its sales open in half an hour, so that the lottery runs."""
    concert: Concert = WaitingRoomFactory(
        concert__sales_open_at=timezone.now() + timedelta(minutes=30)
    ).concert
    return concert
