"""Test what many processes do to one room at once, with the server's own clock."""

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import redis
from redis.cluster import RedisCluster

from apps.queue.core.room import SECOND, EndReason, Room, VisitStatus
from apps.queue.core.tokens import TokenClaims
from tests.conftest import Race
from tests.factories.queue import policy
from tests.queue.rooms import CONCERT, TestedRoom

CAPACITY = 7


@pytest.fixture
def room(store) -> TestedRoom:
    """Open, with the server's clock."""
    room = TestedRoom(store, CONCERT)
    room.configure(policy(capacity=CAPACITY), epoch="first", was_stored=False)
    return room


def ticket_of(customer_id: int, slot: int) -> TokenClaims:
    return TokenClaims(CONCERT, customer_id, slot, generation=1, issued_at=0)


def server_of_the_room(store: redis.Redis | RedisCluster) -> redis.Redis:
    if isinstance(store, RedisCluster):
        node: redis.Redis = store.get_redis_connection(
            store.get_node_from_key(f"{{queue:{CONCERT}}}")
        )
        return node
    return store


def in_order_of_place(store: redis.Redis) -> list[int]:
    waiting: Any = store.zrange(f"{{queue:{CONCERT}}}:waiting", 0, -1)
    return [int(customer) for customer in waiting]


class TestJoiningAtOnce:
    def test_places_follow_arrival_and_none_is_given_twice(self, room, store, race):
        """50 threads, four joins each: a customer who was answered before another began stands before it."""
        intervals: dict[int, tuple[float, float, int]] = {}

        def join(customers: range) -> None:
            for customer in customers:
                began = time.monotonic()
                slot = room.join(customer).slot
                intervals[customer] = (began, time.monotonic(), slot)

        race([partial(join, range(first, first + 4)) for first in range(0, 200, 4)])

        assert len({slot for *_, slot in intervals.values()}) == 200
        assert sorted(intervals, key=lambda customer: intervals[customer][2]) == in_order_of_place(
            store
        )
        finished_before = sorted((end, slot) for _, end, slot in intervals.values())
        for began, _, slot in intervals.values():
            earlier = [other for end, other in finished_before if end < began]
            assert not earlier or max(earlier) < slot

    def test_one_login_gets_one_place(self, room, race):
        visits = race([lambda: room.join(42) for _ in range(16)])

        assert len({visit.slot for visit in visits}) == 1
        assert sum(visit.is_new for visit in visits) == 1


class TestTickingAtOnce:
    def test_arrival_order_and_capacity_hold_under_eight_tickers(self, room, store, race):
        """200 visitors pass through 7 slots while 8 threads tick and one watches."""
        arrivals = list(range(200))
        random.Random(1).shuffle(arrivals)
        slots = {customer: room.join(customer).slot for customer in arrivals}
        admitted_at: list[int] = []
        most_seen = 0
        is_over = False

        def tick() -> None:
            while not is_over:
                room.admit()

        def watch() -> None:
            nonlocal most_seen
            while not is_over:
                most_seen = max(most_seen, room.glance().active)

        def serve() -> None:
            nonlocal is_over
            try:
                for customer in arrivals:
                    mine = ticket_of(customer, slots[customer])
                    while (visit := room.touch(mine)).outcome is not VisitStatus.ACTIVE:
                        pass
                    admitted_at.append(visit.admitted_at)
                    room.end(mine)
            finally:
                is_over = True

        outcomes = race([serve, watch, *[tick] * 8])

        assert outcomes == [None] * 10
        assert admitted_at == sorted(admitted_at)
        assert 1 < most_seen <= CAPACITY
        figures = room.glance()
        assert (figures.admitted_total, figures.waiting, figures.active) == (200, 0, 0)
        assert len(admitted_at) == 200
        assert room.exits(count=1) == []

    def admit_at_once(self, store: redis.Redis, race: Race, step: Callable[[], Any]) -> int:
        room = Room(store, CONCERT)
        for customer in range(200):
            room.join(customer)
        race([step] * 8)
        active: Any = store.zcard(f"{{queue:{CONCERT}}}:active")
        return int(active)

    def test_eight_ticks_admit_no_more_than_one(self, room, store, race):
        assert self.admit_at_once(store, race, room.admit) == CAPACITY

    def test_the_race_is_real_when_the_budget_is_computed_outside(self, room, store, race):
        """The same with the budget taken before the call: eight ticks that all saw seven free slots fill them eight times."""
        keys = [f"{{queue:{CONCERT}}}:{name}" for name in ("waiting", "active")]
        admit_many = store.register_script("""
            local head = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
            for i = 1, #head, 2 do redis.call('ZADD', KEYS[2], ARGV[2], head[i]) end
        """)
        all_have_looked = threading.Barrier(8)

        def step() -> None:
            budget = CAPACITY - store.zcard(keys[1])
            all_have_looked.wait(30)
            admit_many(keys, [budget, 2_000_000_000 * SECOND])

        assert self.admit_at_once(store, race, step) == 8 * CAPACITY


class TestScripts:
    def test_a_server_that_forgot_the_scripts_learns_them_again(self, room, store):
        room.join(1)
        store.script_flush()

        assert room.join(1).position == 1

    @pytest.mark.parametrize("operation", ["join", "touch", "finish"])
    def test_one_round_trip_each(self, room, store, operation):
        mine = ticket_of(1, room.join(1).slot)
        calls: dict[str, Callable[[], object]] = {
            "join": lambda: room.join(1),
            "touch": lambda: room.touch(mine),
            "finish": lambda: room.finish_all(
                [(1, mine.slot, 1), (2, mine.slot, 1)], reason=EndReason.COMPLETED
            ),
        }
        calls[operation]()
        server = server_of_the_room(store)
        server.config_resetstat()

        calls[operation]()

        stats = server.info("commandstats")
        assert stats["cmdstat_evalsha"]["calls"] == 1
        assert "cmdstat_eval" not in stats
