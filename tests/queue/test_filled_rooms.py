"""The rooms that benchmarks fill in bulk are real ones."""

from typing import Any

import redis

from dev.bench.room_costs import fill_room, policy_of, room_keys
from tests.queue.rooms import CONCERT, Clock, TestedRoom

STORES = ["node"]  # the benchmark measures a server of its own


class TestFillRoom:
    def test_leaves_behind_what_joins_do(
        self, room: TestedRoom, store: redis.Redis, clock: Clock
    ) -> None:
        first_at, size = clock.now, 1_000
        filled_policy = policy_of(CONCERT, capacity=10)
        store.delete(*room_keys(CONCERT).values())
        room.configure(filled_policy, epoch="e", was_stored=False)
        for customer in range(1, size + 1):
            clock.set(first_at + customer - 1)
            room.join(customer)
        joined = contents(store)
        store.delete(*room_keys(CONCERT).values())
        room.configure(filled_policy, epoch="e", was_stored=False)

        done = list(fill_room(store, CONCERT, size, first_at=first_at))

        assert done[-1] == size
        assert joined.keys() == {"room", "waiting", "seen"}
        assert contents(store) == joined

    def test_the_room_goes_on_as_if_they_had_joined(
        self, room: TestedRoom, store: redis.Redis, clock: Clock
    ) -> None:
        room.configure(policy_of(CONCERT, capacity=2), epoch="e", was_stored=False)

        list(fill_room(store, CONCERT, 50, first_at=clock.now))

        assert room.join(1_000).position == 51
        assert room.join(7).position == 7
        assert room.tick() == 2
        assert store.zrange(room_keys(CONCERT)["active"], 0, -1) == [b"1", b"2"]


def contents(store: redis.Redis) -> dict[str, Any]:
    """Everything in the room's keys, and how the server stores it."""
    found: dict[str, Any] = {}
    for name, key in room_keys(CONCERT).items():
        if store.exists(key):
            is_hash = store.type(key) == b"hash"
            members: Any = (
                store.hgetall(key) if is_hash else store.zrange(key, 0, -1, withscores=True)
            )
            found[name] = store.object("encoding", key), members
    return found
