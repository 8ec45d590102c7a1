"""Losses, tokens from before and ends on record in a live room, to the last figure."""

from dataclasses import replace
from typing import Any

import pytest
import redis

from apps.queue.core.room import (
    SECOND,
    End,
    EndReason,
    Step,
    VisitStatus,
)
from apps.queue.core.tokens import TokenClaims
from tests.factories.queue import OPENED_AT, policy
from tests.queue.rooms import CONCERT, Clock, TestedRoom

STORES = ["node"]

NOW = OPENED_AT + 3600 * SECOND
LEASE = 300 * SECOND


class TestMerging:
    """Of two places of one customer, after a loss of the store, the older one is the one."""

    @pytest.fixture
    def places(self, room: TestedRoom, clock: Clock) -> tuple[TokenClaims, TokenClaims]:
        """The one that is in the room, and a later one that only a token tells of; others have theirs."""
        room.join_all(2)
        clock.advance(seconds=1)
        [mine] = room.join_all(1)
        room.join_all(3)
        clock.advance(seconds=9)
        return mine, replace(mine, slot=mine.slot + 5)

    @pytest.mark.parametrize("how", ["join", "touch", "restore"])
    def test_ends_the_later_one_once(
        self, room: TestedRoom, clock: Clock, places: tuple[TokenClaims, TokenClaims], how: str
    ) -> None:
        mine, later = places
        ask = {"join": lambda: room.join(1, previous=later), "touch": lambda: room.touch(later)}
        ask["restore"] = lambda: room.restore(later)

        for _ in range(2):
            answer = ask[how]()
            assert (answer.outcome, answer.slot, answer.position) == ("WAITING", mine.slot, 2)
            clock.advance(seconds=1)

        [end] = room.exits(count=9)
        assert (end.customer_id, end.slot, end.generation, end.reason) == (
            *(1, later.slot, 1),
            EndReason.MERGED,
        )
        assert (end.joined_at, end.admitted_at) == (later.slot, 0)
        assert end.ended_at == NOW + 10 * SECOND
        assert room.glance().waiting == 3

    def test_leaves_places_of_other_generations_alone(
        self, room: TestedRoom, places: tuple[TokenClaims, TokenClaims]
    ) -> None:
        mine, later = places

        answer = room.join(1, previous=replace(later, generation=0))

        assert answer.slot == mine.slot
        assert room.exits(count=9) == []

    def test_by_restoring_the_older_one_ends_the_later_one_in_the_room(
        self, room: TestedRoom, places: tuple[TokenClaims, TokenClaims]
    ) -> None:
        mine, _ = places
        older = replace(mine, slot=mine.slot - 7)

        answer = room.restore(older)

        assert (answer.outcome, answer.slot, answer.position) == ("WAITING", older.slot, 2)
        [end] = room.exits(count=9)
        assert (end.slot, end.reason) == (mine.slot, EndReason.MERGED)
        assert room.glance().waiting == 3


class TestRestoring:
    """A token of a place or a lease that the store has lost."""

    @pytest.fixture
    def lost(self, room: TestedRoom) -> TokenClaims:
        """Was admitted a minute ago, into a lease of ten minutes; three others wait."""
        room.join_all(2, 3, 4)
        began_at = NOW - 60 * SECOND
        return TokenClaims(CONCERT, 1, began_at - 7, 1, 0, NOW + 540 * SECOND, began_at)

    def test_into_the_lease_that_it_proves(
        self, room: TestedRoom, store: redis.Redis, lost: TokenClaims
    ) -> None:
        answer = room.restore(lost)

        assert (answer.outcome, answer.slot, answer.position) == ("ACTIVE", lost.slot, 0)
        assert (answer.expires_at, answer.admitted_at) == (lost.lease_until, lost.admitted_at)
        assert answer.new_holds_until == lost.admitted_at + 2 * LEASE
        assert room.exits(count=9) == []
        assert (room.glance().active, room.glance().waiting) == (1, 3)

    def test_into_the_lease_though_the_room_still_has_the_place(
        self, room: TestedRoom, lost: TokenClaims
    ) -> None:
        [mine] = room.join_all(1)
        admitted = replace(mine, lease_until=lost.lease_until, admitted_at=lost.admitted_at)

        answer = room.restore(admitted)

        assert (answer.outcome, answer.slot) == ("ACTIVE", mine.slot)
        assert room.exits(count=9) == []
        assert (room.glance().active, room.glance().waiting) == (1, 3)
        assert room.touch(admitted).outcome is VisitStatus.ACTIVE

    @pytest.mark.parametrize(("capacity", "outcome"), [(2, "WAITING"), (3, "ACTIVE")])
    def test_needs_a_slot_that_is_free(
        self, room: TestedRoom, lost: TokenClaims, capacity: int, outcome: str
    ) -> None:
        room.set_policy(version=2, capacity=2)
        room.admit()
        room.set_policy(version=3, capacity=capacity)

        answer = room.restore(lost)

        assert (answer.outcome, answer.slot) == (outcome, lost.slot)
        assert answer.position == (1 if outcome == "WAITING" else 0)

    @pytest.mark.parametrize(("microseconds", "outcome"), [(-1, "ACTIVE"), (0, "EXPIRED")])
    def test_not_when_the_lease_is_over(
        self,
        room: TestedRoom,
        clock: Clock,
        lost: TokenClaims,
        microseconds: int,
        outcome: str,
    ) -> None:
        clock.set(lost.lease_until + microseconds)
        if outcome == "EXPIRED":
            assert room.tick() == 3  # so that there is no slot for it either

        answer = room.restore(lost)

        assert answer.outcome == outcome
        if outcome == "ACTIVE":
            assert answer.expires_at == lost.lease_until
        else:
            assert answer.ended_reason is EndReason.TIMED_OUT
            [end] = room.exits(count=9)
            assert (end.customer_id, end.slot, end.admitted_at) == (1, lost.slot, lost.admitted_at)
            assert room.touch(lost).outcome is VisitStatus.EXPIRED

    @pytest.mark.parametrize("later", [0, 5])
    def test_of_a_lease_that_is_over_ends_that_place_and_no_later_one(
        self, room: TestedRoom, lost: TokenClaims, later: int
    ) -> None:
        [mine] = room.join_all(1)
        over = replace(lost, slot=mine.slot - later, lease_until=NOW - 1)

        assert room.restore(over).ended_reason is EndReason.TIMED_OUT

        assert room.glance().waiting == (4 if later else 3)
        [end] = room.exits(count=9)
        assert (end.customer_id, end.slot, end.reason) == (1, over.slot, EndReason.TIMED_OUT)

    def test_into_what_a_turn_has_since_the_concert_is_back(
        self, room: TestedRoom, clock: Clock, lost: TokenClaims
    ) -> None:
        room.set_policy(version=2, resumed_at=NOW + 10 * SECOND)
        clock.advance(seconds=71)
        over = replace(lost, lease_until=NOW + 1)
        waiting = replace(lost, customer_id=5, slot=NOW - 1, lease_until=0, admitted_at=0)

        answer, other = room.restore(over), room.restore(waiting)

        assert (answer.outcome, answer.expires_at) == ("ACTIVE", NOW + 10 * SECOND + LEASE)
        assert (other.outcome, other.position) == ("WAITING", 1)

    def test_puts_newcomers_behind_a_place_from_the_future(
        self, room: TestedRoom, lost: TokenClaims
    ) -> None:
        ahead = replace(lost, slot=NOW + 900 * SECOND, lease_until=0, admitted_at=0)

        assert room.restore(ahead).position == 4
        room.tick()

        assert room.join(9).slot == ahead.slot + 1


class TestConfiguring:
    def since(self, room: TestedRoom, *, was_stored: bool, **changes: object) -> int | None:
        return room.configure(policy(**changes), epoch="first", was_stored=was_stored)

    def test_a_room_that_is_new_has_nothing_to_heal(self, room: TestedRoom, clock: Clock) -> None:
        clock.lose_everything()

        assert self.since(room, was_stored=False) is None
        room.join(1)

        assert not room.glance().is_healing
        assert room.tick() == 1

    def test_a_room_that_was_lost_admits_after_its_ends_and_ten_seconds(
        self, room: TestedRoom, clock: Clock
    ) -> None:
        clock.lose_everything()
        lost_at = clock.now

        assert room.admit() == Step(False, 0, 0, 0, has_more=False, present=0)
        assert self.since(room, was_stored=True) == lost_at - 600 * SECOND
        room.join(1)
        assert room.admit() == Step(False, 0, 0, 0, has_more=False, present=0)
        room.replay([], generation=1, is_last=False)
        assert not room.admit().is_done
        room.replay([], generation=2, is_last=True)
        assert not room.admit().is_done
        room.replay([], generation=1, is_last=True)

        clock.set(lost_at + 10 * SECOND - 1)
        assert (room.glance().is_healing, room.tick()) == (True, 0)
        assert room.join(1).position is None
        clock.set(lost_at + 10 * SECOND)
        assert room.glance().is_healing is False
        assert room.join(1).position == 1
        assert room.tick() == 1

    @pytest.mark.parametrize(("per_minute", "tenth"), [(0, 0), (1, 1), (90, 9), (95, 10)])
    def test_a_loss_counts_as_all_the_admissions_that_may_have_been(
        self,
        room: TestedRoom,
        store: redis.Redis,
        clock: Clock,
        per_minute: int,
        tenth: int,
    ) -> None:
        clock.lose_everything()

        self.since(room, was_stored=True, per_minute=per_minute)

        second = clock.now // SECOND
        found = store.hgetall(f"{{queue:{CONCERT}}}:pace")
        expected = {second - age: tenth for age in range(0, 60, 6)} if tenth else {}
        assert {int(at): int(count) for at, count in found.items()} == expected

    @pytest.mark.parametrize(("version", "capacity"), [(4, 3), (5, 9), (6, 9)])
    def test_an_older_policy_is_ignored(
        self, room: TestedRoom, version: int, capacity: int
    ) -> None:
        self.since(room, was_stored=True, version=5)

        assert self.since(room, was_stored=True, version=version, capacity=9) is None

        assert room.glance().capacity == capacity

    def test_another_generation_begins_with_nobody(
        self, room: TestedRoom, clock: Clock, store: redis.Redis
    ) -> None:
        mine, *_ = room.join_all(1, 2, 3, 4)
        room.tick()
        room.touch(mine)
        room.finish(customer_id=2, slot=mine.slot + 1, generation=1, reason=EndReason.LEFT)
        self.since(room, was_stored=True, version=2)
        assert room.glance().active == 2

        self.since(room, was_stored=True, version=3, generation=2)

        assert (room.glance().active, room.glance().waiting) == (0, 0)
        assert room.touch(mine).ended_reason is EndReason.CLOSED
        assert room.touch(replace(mine, generation=3)).outcome == "LOST"
        keys: list[Any] = store.keys(f"{{queue:{CONCERT}}}:*")
        names = {key.rsplit(b":", 1)[1] for key in keys}
        assert names == {b"room", b"pace", b"clock"}


class TestRememberedEnds:
    @pytest.mark.parametrize(("passed", "outcome"), [(999, "EXPIRED"), (1_000, "UNKNOWN")])
    def test_are_kept_for_ten_minutes_and_a_millisecond(
        self, room: TestedRoom, clock: Clock, passed: int, outcome: str
    ) -> None:
        mine, other = room.join_all(1, 2)
        room.finish(customer_id=1, slot=mine.slot, generation=1, reason=EndReason.REMOVED)
        clock.set(NOW + 300 * SECOND)
        room.finish(customer_id=2, slot=other.slot, generation=1, reason=EndReason.LEFT)
        clock.set(NOW + 600 * SECOND + passed)
        room.tick()

        answer = room.touch(mine)

        assert answer.outcome == outcome
        assert answer.ended_reason == (EndReason.REMOVED if passed == 999 else None)
        assert room.touch(other).ended_reason is EndReason.LEFT

    @pytest.mark.parametrize("more", [0, 1])
    def test_are_forgotten_a_thousand_at_a_time(
        self, room: TestedRoom, store: redis.Redis, more: int
    ) -> None:
        store.zadd(f"{{queue:{CONCERT}}}:ended", {f"{n}:1": 9 for n in range(1_000 + more)})

        assert room.admit().has_more is bool(more)

        assert store.zcard(f"{{queue:{CONCERT}}}:ended") == more

    @pytest.mark.parametrize("reason", [reason for reason in EndReason if reason != "CLOSED"])
    def test_tell_how_and_the_first_counts(self, room: TestedRoom, reason: EndReason) -> None:
        mine, other = room.join_all(1, 2)
        for each in (reason, EndReason.LEFT):
            room.finish(customer_id=1, slot=mine.slot, generation=1, reason=each)
        room.finish(customer_id=2, slot=other.slot, generation=2, reason=reason)

        assert room.touch(mine).ended_reason is reason
        assert room.touch(other).outcome is VisitStatus.WAITING

    def test_of_a_replay_take_out_who_is_in_the_room(self, room: TestedRoom) -> None:
        mine, other = room.join_all(1, 2)
        ends = [
            End(1, mine.slot, 1, EndReason.COMPLETED, NOW - 5),
            End(2, other.slot + 1, 1, EndReason.LEFT, NOW - 4),
        ]

        room.replay(ends, generation=1, is_last=True)

        assert room.touch(mine).ended_reason is EndReason.COMPLETED
        assert room.touch(other).outcome is VisitStatus.WAITING
        assert room.touch(replace(other, slot=other.slot + 1)).slot == other.slot
        assert room.exits(count=9) == []  # all of it is on record already
