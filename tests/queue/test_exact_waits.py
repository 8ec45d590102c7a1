"""Test when visitors are told to ask again, and how a room reckons visits and pace: by what they are defined as."""

import math
from typing import Any

import pytest
import redis

from apps.queue.core import room as room_module
from apps.queue.core.room import (
    SECOND,
    EndReason,
    Visit,
)
from apps.queue.core.tokens import TokenClaims
from tests.factories.queue import OPENED_AT
from tests.queue.rooms import CONCERT, Clock, TestedRoom

STORES = ["node"]

NOW = OPENED_AT + 3600 * SECOND


@pytest.fixture
def jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module.random, "random", lambda: 0.0)


class TestAdvice:
    """Tell when to ask again, without jitter and with all of it, and how long it takes as visits are now."""

    def ask(self, room: TestedRoom, store: redis.Redis, position: int) -> Visit:
        """Let so many wait, the last of them be asked."""
        slots = {str(1_000 + n): NOW + 10 + n for n in range(1, position + 1)}
        store.zadd(f"{{queue:{CONCERT}}}:waiting", slots)
        last = 1_000 + position
        mine = TokenClaims(CONCERT, last, slots[str(last)], generation=1, issued_at=0)
        return room.touch(mine)

    @pytest.fixture
    def full(self, room: TestedRoom) -> TestedRoom:
        """Three are inside, since now, and one more waits."""
        room.join_all(1, 2, 3, 4)
        assert room.admit().admitted == 3
        return room

    @pytest.mark.parametrize(
        ("jitter", "position", "seconds", "advice"),
        [
            # Two thirds of the position * (2 + seconds) / 3, four fifths of that, rounded.
            *((0.0, 59, 0, 21), (0.0, 29, 4, 32), (0.0, 9, 14, 28), (0.0, 1, 14, 6)),
            *((0.0, 0, 10, 2), (0.0, 0, 0, 1)),
            # All of it.
            *((1.0, 59, 0, 27), (1.0, 29, 4, 40), (1.0, 9, 14, 36)),
            # No longer than this.
            *((0.0, 199, 0, 40), (1.0, 199, 0, 50), (1.0, 9, 19, 47)),
        ],
    )
    def test_follows_the_shortest_wait_there_may_be(
        self,
        full: TestedRoom,
        store: redis.Redis,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
        jitter: float,
        position: int,
        seconds: int,
        advice: int,
    ) -> None:
        monkeypatch.setattr(room_module.random, "random", lambda: jitter)
        clock.advance(seconds=seconds)

        answer = self.ask(full, store, position) if position else full.join(4)

        assert answer.position == position + 1  # behind the one who waited before
        assert answer.poll_after_seconds == advice
        assert answer.wait_seconds == answer.position * 100

    @pytest.mark.usefixtures("jitter")
    @pytest.mark.parametrize(("position", "advice"), [(499, 1), (9_000, 14), (24_000, 38)])
    def test_keeps_the_crowd_from_asking_at_once(
        self, room: TestedRoom, store: redis.Redis, position: int, advice: int
    ) -> None:
        """There is room for all of them, but at a distance of 500 positions to a second."""
        room.set_policy(version=2, capacity=30_000)

        assert self.ask(room, store, position).poll_after_seconds == advice

    @pytest.mark.usefixtures("jitter")
    def test_follows_the_limit_per_minute(self, full: TestedRoom, store: redis.Redis) -> None:
        """Six at once, then one a second: far fewer than there are slots."""
        full.set_policy(version=2, capacity=10_000, per_minute=60)

        answer = self.ask(full, store, 35)

        assert (answer.position, answer.poll_after_seconds) == (36, 16)
        assert answer.wait_seconds == 36


class TestInterruptions:
    """After a gap in ticks nobody is dropped for a while: who tried to be seen may not have been."""

    @pytest.mark.parametrize(
        ("gap", "patience", "dropped_after"),
        [(20, 30, 30), (21, 30, 121), (21, 60, 121), (21, 130, 151)],
    )
    def test_longer_than_twenty_seconds_give_grace(
        self, room: TestedRoom, clock: Clock, gap: int, patience: int, dropped_after: int
    ) -> None:
        room.set_policy(version=2, patience=patience * SECOND)
        insiders = room.join_all(1, 2, 3)
        room.tick()
        for mine in insiders:
            room.touch(mine)
        room.join(4)
        clock.set(NOW + gap * SECOND)
        room.tick()

        seconds = gap
        while room.glance().waiting:
            seconds += 1
            clock.set(NOW + seconds * SECOND)
            room.tick()

        assert seconds == dropped_after
        [end] = room.exits(count=9)
        assert (end.customer_id, end.reason) == (4, EndReason.TIMED_OUT)


class TestMeanVisit:
    """Time spent inside by departures, of the last two minutes or the last departures, whichever is less past."""

    def known(self, store: redis.Redis) -> dict[str, float]:
        names = ("presence", "leaving", "mean_visit", "departures_counted", "full_since")
        values: list[Any] = store.hmget(f"{{queue:{CONCERT}}}:room", *names)
        return {name: float(value) for name, value in zip(names, values, strict=True)}

    @pytest.mark.parametrize(
        ("capacity", "left", "weight"),
        [
            (40, 0, 10 / 120),
            (40, 3, 10 / 120),  # 3 / 50 is less
            (40, 30, 30 / 50),
            (100, 30, 30 / 100),
        ],
    )
    def test_fades_by_time_or_by_departures(
        self,
        room: TestedRoom,
        store: redis.Redis,
        clock: Clock,
        capacity: int,
        left: int,
        weight: float,
    ) -> None:
        room.set_policy(version=2, capacity=capacity)
        insiders = room.join_all(*range(1, capacity + 1))
        room.tick()
        clock.advance(seconds=10)
        room.tick()
        assert self.known(store) == {
            "presence": capacity * 10,
            "leaving": 0,
            "mean_visit": 300,  # nobody has left yet: no longer than a lease
            "departures_counted": 0,
            "full_since": 0,  # nobody waits
        }
        clock.advance(seconds=5)
        for mine in insiders[:left]:
            room.finish(
                customer_id=mine.customer_id, slot=mine.slot, generation=1, reason=EndReason.LEFT
            )
        clock.advance(seconds=5)
        room.tick()

        known = self.known(store)
        presence = capacity * 10 * math.exp(-weight) + (capacity - left + left / 2) * 10
        assert known["presence"] == pytest.approx(presence)
        assert known["leaving"] == left
        mean = (0.02 * 300 + presence) / (0.02 + left)
        assert known["mean_visit"] == pytest.approx(min(300, mean))
        assert known["departures_counted"] == left

        clock.advance(seconds=10)
        room.tick()
        known, faded = self.known(store), math.exp(-10 / 120)
        assert known["presence"] == pytest.approx(presence * faded + (capacity - left) * 10)
        assert known["leaving"] == pytest.approx(left * faded)

    def test_is_kept_while_nobody_is_there(
        self, room: TestedRoom, store: redis.Redis, clock: Clock
    ) -> None:
        [mine] = room.join_all(1)
        room.tick()
        clock.advance(seconds=10)
        room.end(mine)
        room.tick()
        before = self.known(store)
        assert before["presence"] == 5  # half of what it would be if it had stayed
        assert before["leaving"] == before["departures_counted"] == 1

        clock.advance(hours=1)
        room.tick()
        room.join(2)
        room.tick()

        assert self.known(store) == before

    def test_knows_since_when_the_room_is_full(
        self, room: TestedRoom, store: redis.Redis, clock: Clock
    ) -> None:
        room.join_all(1, 2, 3, 4)
        clock.advance(seconds=1)
        room.tick()
        assert self.known(store)["full_since"] == NOW + 1 * SECOND
        clock.advance(seconds=4)
        room.tick()
        assert self.known(store)["full_since"] == NOW + 1 * SECOND
        room.set_policy(version=2, state="PAUSED")
        room.tick()
        assert self.known(store)["full_since"] == 0


class TestPace:
    """A limit of 100 in a minute is one of 10 in any six seconds; each second counts as a whole."""

    def test_is_kept_second_by_second(
        self, room: TestedRoom, store: redis.Redis, clock: Clock
    ) -> None:
        room.set_policy(version=2, capacity=1_000, per_minute=100, patience=7_200 * SECOND)
        room.join_all(*range(300))
        admitted = []
        for second in range(130):
            clock.set(NOW + second * SECOND + 500_000)
            admitted.append(room.tick())
            assert room.tick() == 0

        assert admitted[:15] == [10, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 10]
        assert all(sum(admitted[first : first + 7]) <= 10 for first in range(124))
        assert all(sum(admitted[first : first + 61]) <= 100 for first in range(70))
        assert sum(admitted) == 190
        kept: list[Any] = store.hkeys(f"{{queue:{CONCERT}}}:pace")
        assert {int(at) - NOW // SECOND for at in kept} == {*range(70, 130, 7)}

    def test_of_a_minute_is_used_up_by_a_burst_before_the_limit(
        self, room: TestedRoom, clock: Clock
    ) -> None:
        room.set_policy(version=2, capacity=1_000, patience=7_200 * SECOND)
        room.join_all(*range(8))
        assert room.tick() == 8
        room.join_all(*range(100, 130))
        room.set_policy(version=3, capacity=1_000, per_minute=10, patience=7_200 * SECOND)
        admitted = {}
        for second in range(1, 75):
            clock.set(NOW + second * SECOND)
            if count := room.tick():
                admitted[second] = count

        assert admitted == {7: 1, 14: 1, 61: 1, 68: 1}
