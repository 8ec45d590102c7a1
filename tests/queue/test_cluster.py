"""The same code against a Valkey Cluster: rooms live on different nodes, each whole on one."""

from collections.abc import Generator

import pytest
import redis
from redis.crc import key_slot

from apps.queue import services
from apps.queue.live import live_room
from apps.queue.models import QueueExit
from tests.factories.queue import WaitingRoomFactory
from tests.queue.rooms import Visitor
from tests.servers import SLOTS, start_cluster

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

STORES = ["node"]  # a cluster of its own, since a node of it loses everything
NODES = 3


@pytest.fixture
def cluster(settings) -> Generator[list[redis.Redis]]:
    """Three nodes that share the slots; `QUEUE_URL` names one of them."""
    servers = start_cluster(NODES)
    settings.QUEUE_URL = servers[0].url.replace("redis://", "redis+cluster://")
    yield [redis.Redis.from_url(server.url) for server in servers]
    for server in servers:
        server.stop()


def test_rooms_on_different_nodes_work_as_on_one(cluster):
    concerts = [WaitingRoomFactory(capacity=2).concert for _ in range(9)]
    rooms = [[Visitor(concert).join() for _ in range(4)] for concert in concerts]

    admitted = services.admit_visitors()
    for paying, leaving, *_ in rooms:
        paying.poll()
        leaving.poll()
        paying.pay()
        leaving.leave()

    assert admitted == 18
    for visitors in rooms:
        assert [visitor.standing for visitor in visitors] == [
            "COMPLETED",
            "LEFT",
            "ACTIVE",
            "ACTIVE",
        ]
    assert QueueExit.objects.count() == 18
    assert all(node.dbsize() for node in cluster)


def test_a_node_that_loses_everything_heals_alone(cluster):
    concerts = [WaitingRoomFactory(capacity=1).concert for _ in range(9)]
    rooms = [[Visitor(concert).join() for _ in range(3)] for concert in concerts]
    services.admit_visitors()
    before = [[visitor.poll().token for visitor in visitors] for visitors in rooms]
    cluster[1].flushall()

    after = [[visitor.poll().token for visitor in visitors] for visitors in rooms]

    assert after == before
    healing = {
        concert.pk
        for concert in concerts
        if live_room(concert.pk).figures().is_healing  # type: ignore[union-attr]
    }
    lost = {
        concert.pk
        for concert in concerts
        if SLOTS // NODES <= key_slot(f"queue:{concert.pk}".encode()) < SLOTS * 2 // NODES
    }
    assert healing == lost
    assert 0 < len(lost) < 9
