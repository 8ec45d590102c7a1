"""The same code against a Valkey Cluster: rooms live on different nodes, each whole on one."""

import time

import pytest
import redis
from django.conf import LazySettings
from redis.crc import key_slot

from apps.queue import services
from apps.queue.live import live_room
from apps.queue.models import QueueExit
from tests.conftest import StartValkey
from tests.factories.queue import WaitingRoomFactory
from tests.queue.rooms import Visitor

pytestmark = pytest.mark.django_db

SLOTS = 16_384
NODES = 3
OPTIONS = {"cluster-enabled": "yes", "cluster-node-timeout": "2000"}


@pytest.fixture
def cluster(valkey_server: StartValkey, settings: LazySettings) -> list[redis.Redis]:
    """Three nodes that share the slots; `QUEUE_URL` names one of them."""
    servers = [valkey_server(options=OPTIONS) for _ in range(NODES)]
    nodes = [redis.Redis.from_url(server.url) for server in servers]
    for index, node in enumerate(nodes):
        first, end = (SLOTS * part // NODES for part in (index, index + 1))
        node.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
        node.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port)
    deadline = time.monotonic() + 30
    while not all(_is_joined(node) for node in nodes):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    settings.QUEUE_URL = servers[0].url.replace("redis://", "redis+cluster://")
    return nodes


def _is_joined(node: redis.Redis) -> bool:
    info: dict[str, str] = node.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(NODES)


def test_rooms_on_different_nodes_work_as_on_one(cluster: list[redis.Redis]) -> None:
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


def test_a_node_that_loses_everything_heals_alone(cluster: list[redis.Redis]) -> None:
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
