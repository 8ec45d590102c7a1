"""Answers of a live room, to the last figure, by a clock that stands still and with jitter that is known."""

from typing import Any

import pytest
import redis

from apps.queue.core import room as room_module
from apps.queue.core.room import (
    SECOND,
    EndReason,
    Figures,
    Finish,
    JoinRefusal,
    Step,
    Visit,
    VisitStatus,
)
from tests.factories.queue import OPENED_AT
from tests.queue.rooms import CONCERT, Clock, TestedRoom, claims

STORES = ["node"]

NOW = OPENED_AT + 3600 * SECOND
LEASE = PATIENCE = 300 * SECOND


def visit(outcome: VisitStatus | JoinRefusal, at: int, slot: int, **other: object) -> Visit:
    nothing = dict.fromkeys(("position", "wait_seconds", "poll_after_seconds", "ended_reason"))
    none_yet = {"expires_at": 0, "admitted_at": 0, "new_holds_until": 0, "is_new": False}
    named = {"outcome": outcome, "at": at, "generation": 1, "slot": slot}
    return Visit(**{**nothing, **none_yet, **named, **other})  # type: ignore[arg-type]


@pytest.fixture
def jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module.random, "random", lambda: 0.0)


@pytest.mark.usefixtures("jitter")
class TestVisits:
    """Two rooms' worth of visitors in one for three."""

    def test_who_waits(self, room: TestedRoom, clock: Clock) -> None:
        first, *_, last = [room.join(customer_id) for customer_id in range(1, 6)]
        mine = claims(5, last)

        waiting = visit(VisitStatus.WAITING, NOW, NOW + 4, position=5, poll_after_seconds=1)
        assert first.slot == NOW
        assert last == waiting._replace(expires_at=NOW + PATIENCE, is_new=True)
        room.admit()
        clock.advance(seconds=20)
        # Two ahead, each at the mean of a lease, in three slots; at the earliest each as long as the room is full and two seconds.
        later = NOW + 20 * SECOND
        assert room.touch(mine) == waiting._replace(
            at=later,
            position=2,
            wait_seconds=200,
            poll_after_seconds=8,  # four fifths of two thirds of 2 * 22 / 3
            expires_at=later + PATIENCE,
        )

    def test_who_is_inside(self, room: TestedRoom, clock: Clock) -> None:
        mine = claims(1, room.join(1))
        room.admit()
        clock.advance(seconds=20)

        answer = room.touch(mine)

        assert answer == visit(
            VisitStatus.ACTIVE,
            NOW + 20 * SECOND,
            NOW,
            position=0,
            wait_seconds=0,
            poll_after_seconds=10,
            expires_at=NOW + LEASE,
            admitted_at=NOW,
            new_holds_until=NOW + 2 * LEASE,
        )
        assert room.join(1) == answer

    def test_who_shows_up_in_the_last_moment_has_a_minute(
        self, room: TestedRoom, clock: Clock
    ) -> None:
        room.set_policy(version=2, lease=70 * SECOND)
        mine = claims(1, room.join(1))
        room.admit()
        clock.advance(seconds=10)
        room.tick()
        clock.advance(seconds=10)
        room.tick()
        clock.set(NOW + 20 * SECOND)
        assert room.touch(mine).expires_at == NOW + 80 * SECOND

    @pytest.mark.parametrize("seconds", [59, 60])
    def test_who_does_not_show_up_within_a_minute_is_out(
        self, room: TestedRoom, clock: Clock, seconds: int
    ) -> None:
        mine, other = room.join_all(1, 2)
        room.admit()
        for passed in range(10, seconds, 10):
            clock.set(NOW + passed * SECOND)
            room.touch(other)
            room.tick()
        clock.set(NOW + seconds * SECOND)

        answer = room.touch(mine)

        assert answer.outcome is (VisitStatus.ACTIVE if seconds < 60 else VisitStatus.EXPIRED)
        assert room.touch(other).outcome is VisitStatus.ACTIVE
        if seconds == 60:
            reason = EndReason.TIMED_OUT
            assert answer == visit(VisitStatus.EXPIRED, clock.now, NOW, ended_reason=reason)
            [end] = room.exits(count=9)
            assert (end.customer_id, end.slot, end.generation, end.reason) == (1, NOW, 1, reason)
            assert (end.joined_at, end.admitted_at, end.ended_at) == (NOW, NOW, clock.now)

    def test_who_is_over(self, room: TestedRoom, store: redis.Redis, clock: Clock) -> None:
        first, second = room.join_all(1, 2)
        room.admit()
        clock.advance(seconds=20)
        finish: dict[str, Any] = {"generation": 1, "reason": EndReason.LEFT}

        assert room.finish(customer_id=1, slot=second.slot, **finish) == Finish(False, 0, clock.now)
        assert room.finish(customer_id=1, slot=first.slot, **finish) == Finish(True, NOW, clock.now)
        assert room.finish(customer_id=1, slot=first.slot, **finish) == Finish(False, 0, clock.now)

        over = visit(VisitStatus.EXPIRED, clock.now, NOW, ended_reason=EndReason.LEFT)
        assert room.touch(first) == over
        assert store.hkeys(f"{{queue:{CONCERT}}}:visits") == [b"2"]
        assert room.touch(second).outcome is VisitStatus.ACTIVE

    def test_who_comes_too_early(self, room: TestedRoom, clock: Clock) -> None:
        room.set_policy(version=2, opens_at=NOW + 7200 * SECOND, lottery_window=3600 * SECOND)

        clock.set(NOW + 1)
        assert room.join(1) == visit(
            JoinRefusal.SALES_NOT_OPEN, clock.now, 0, poll_after_seconds=3600
        )
        clock.set(NOW + 3600 * SECOND - 1)
        assert room.join(1).poll_after_seconds == 1
        clock.set(NOW + 3600 * SECOND)
        assert room.join(1).outcome is VisitStatus.WAITING
        # Told to come back at the opening, in a crowd that is too small to be spread.
        assert room.join(1).poll_after_seconds == 3600


class TestSteps:
    def test_count_what_they_did(self, room: TestedRoom, clock: Clock) -> None:
        room.join_all(*range(1, 7))

        assert room.admit() == Step(True, 3, 0, 0, has_more=False, present=6)
        assert room.admit() == Step(True, 0, 0, 0, has_more=False, present=6)
        room.finish(customer_id=2, slot=NOW + 1, generation=1, reason=EndReason.COMPLETED)
        assert room.admit() == Step(True, 1, 0, 0, has_more=False, present=5)
        assert room.glance().admitted_total == room.glance().admitted_per_minute == 4
        for passed in range(10, 60, 10):
            clock.set(NOW + passed * SECOND)
            assert room.admit() == Step(True, 0, 0, 0, has_more=False, present=5)
        clock.set(NOW + 60 * SECOND)
        assert [room.admit(batch=2) for _ in range(3)] == [
            Step(True, 0, 0, 2, has_more=True, present=3),
            Step(True, 1, 0, 1, has_more=True, present=2),
            Step(True, 1, 0, 0, has_more=False, present=2),
        ]

    @pytest.mark.parametrize(
        ("batch", "dropped"), [(1, [0, 0, 0, 1, 1, 1, 0]), (2, [0, 1, 2, 0]), (100, [3, 0])]
    )
    def test_count_whom_they_dropped(
        self, room: TestedRoom, clock: Clock, batch: int, dropped: list[int]
    ) -> None:
        room.set_policy(version=2, patience=30 * SECOND)
        insiders = room.join_all(1, 2, 3)
        room.tick()
        for mine in insiders:
            room.touch(mine)
        room.join_all(4, 5, 6)
        for passed in (10, 20):
            clock.set(NOW + passed * SECOND)
            assert room.admit(batch=batch) == Step(True, 0, 0, 0, has_more=False, present=6)
        clock.set(NOW + 30 * SECOND)

        steps = [room.admit(batch=batch) for _ in dropped]

        # Those inside were seen first, and are forgotten with the others.
        assert [step.dropped for step in steps] == dropped
        assert [step.has_more for step in steps] == [*[batch < 6] * (len(dropped) - 1), False]
        assert steps[-1] == Step(True, 0, 0, 0, has_more=False, present=3)
        assert [end.customer_id for end in room.exits(count=9)] == [4, 5, 6]

    @pytest.mark.parametrize("gap", [10, 21])
    @pytest.mark.parametrize("is_over", [False, True])
    def test_drop_whose_patience_is_over_when_there_is_room_again(
        self, room: TestedRoom, clock: Clock, gap: int, is_over: bool
    ) -> None:
        """After an outage of more than twenty seconds, whose grace is."""
        room.set_policy(version=2, state="PAUSED", patience=30 * SECOND)
        impatient = room.join_all(1, 2)
        room.tick()
        clock.set(NOW + gap * SECOND)
        room.tick()
        until = NOW + (30 if gap == 10 else 121) * SECOND
        while clock.now < until - 10 * SECOND:
            clock.advance(seconds=10)
            room.tick()
        room.join_all(3, 4, 5, 6)
        clock.set(until - (not is_over))
        room.set_policy(version=3, patience=30 * SECOND)

        step = room.admit()

        dropped = len(impatient) if is_over else 0
        assert step == Step(True, 3, dropped, 0, has_more=False, present=6 - dropped)
        ends = [(end.customer_id, end.slot, end.reason) for end in room.exits(count=9)]
        assert ends == [
            (mine.customer_id, mine.slot, EndReason.TIMED_OUT) for mine in impatient[:dropped]
        ]

    @pytest.mark.parametrize(("batch", "has_more"), [(1, True), (2, True), (3, True), (4, False)])
    def test_say_whether_they_stopped_half_way(
        self, room: TestedRoom, batch: int, has_more: bool
    ) -> None:
        room.join_all(*range(1, 7))

        step = room.admit(batch=batch)

        assert (step.admitted, step.has_more) == (min(batch, 3), has_more)


class TestFigures:
    def test_are_those_of_the_moment(self, room: TestedRoom, clock: Clock) -> None:
        mine, *_ = room.join_all(*range(1, 6))
        room.tick()
        clock.advance(seconds=20)
        room.touch(mine)

        figures = Figures(
            state="OPEN",
            at=clock.now,
            opens_at=OPENED_AT,
            waiting=2,
            active=3,
            capacity=3,
            admitted_total=3,
            admitted_per_minute=3,
            longest_wait=20 * SECOND - 3,
            exits_pending=0,
            mean_visit=300 * SECOND,
            is_healing=False,
        )
        assert room.glance() == figures

    @pytest.mark.parametrize(("seconds", "admitted"), [(59, 3), (60, 0)])
    def test_count_admissions_for_a_minute(
        self, room: TestedRoom, clock: Clock, seconds: int, admitted: int
    ) -> None:
        room.join_all(1, 2, 3)
        room.tick()
        clock.advance(seconds=seconds)

        glance = room.glance()

        assert (glance.admitted_per_minute, glance.admitted_total) == (admitted, 3)
        assert glance.active == (3 if seconds < 60 else 0)  # a lease that is over takes no slot

    @pytest.mark.parametrize(
        ("changes", "state"),
        [
            ({"opens_at": NOW + 1}, "SCHEDULED"),
            ({"opens_at": NOW}, "OPEN"),
            ({"closes_at": NOW}, "CLOSED"),
            ({"closes_at": NOW + 1}, "OPEN"),
            ({"state": "PAUSED", "opens_at": NOW + 1}, "PAUSED"),
        ],
    )
    def test_tell_the_state_by_the_clock(
        self, room: TestedRoom, changes: dict[str, Any], state: str
    ) -> None:
        room.set_policy(version=2, **changes)

        assert room.glance().state == state

    def test_wait_from_the_opening_for_those_who_came_before(
        self, room: TestedRoom, clock: Clock
    ) -> None:
        room.set_policy(version=2, opens_at=NOW + 10 * SECOND)
        room.join(1)
        assert room.glance().longest_wait == 0

        clock.advance(seconds=15)

        assert room.glance().longest_wait == 5 * SECOND


class TestLeases:
    """Of two who are inside; `until` is what the hold of the first needs."""

    @pytest.mark.parametrize(
        ("passed", "until", "lease_until"),
        [
            (10, 0, 300),
            (239, 0, 300),
            (241, 0, 301),
            (290, 0, 350),
            (290, 400, 400),
            (290, 340, 350),
            (590, 0, 600),
        ],
    )
    def test_shortened_are_what_they_were_with_a_minute_to_choose_again(
        self, room: TestedRoom, clock: Clock, passed: int, until: int, lease_until: int
    ) -> None:
        mine, other = room.join_all(1, 2)
        room.admit()
        room.touch(mine), room.touch(other)
        lease = {"customer_id": 1, "slot": mine.slot}
        assert room.extend_lease(**lease, until=NOW + 900 * SECOND)
        clock.set(NOW + passed * SECOND)

        assert room.shorten_lease(**lease, until=until and NOW + until * SECOND)

        assert room.touch(mine).expires_at == NOW + lease_until * SECOND

    def test_are_extended_and_never_cut(self, room: TestedRoom) -> None:
        mine, other = room.join_all(1, 2)
        room.admit()
        before = room.touch(other)

        assert room.extend_lease(customer_id=1, slot=mine.slot, until=NOW + 400 * SECOND)
        assert room.extend_lease(customer_id=1, slot=mine.slot, until=NOW + 100 * SECOND)

        assert room.touch(mine).expires_at == NOW + 400 * SECOND
        assert room.touch(other) == before

    def test_are_of_one_visit(self, room: TestedRoom) -> None:
        mine, other = room.join_all(1, 2)
        [waiting] = room.join_all(3)
        room.set_policy(version=2, capacity=2)
        room.admit()
        room.touch(mine)

        for customer_id, slot in ((1, other.slot), (3, waiting.slot), (4, mine.slot)):
            visit = {"customer_id": customer_id, "slot": slot}
            assert not room.extend_lease(**visit, until=NOW + 900 * SECOND)
            assert not room.shorten_lease(**visit)

        assert room.touch(mine).expires_at == NOW + LEASE
