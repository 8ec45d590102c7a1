"""What a live room answers, to the last figure, by a clock that stands still and with jitter that is known."""

import math
from dataclasses import replace

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
from apps.queue.core.tokens import TokenClaims
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

    def test_who_is_over(self, room: TestedRoom, clock: Clock) -> None:
        first, second = room.join_all(1, 2)
        room.admit()
        clock.advance(seconds=20)
        finish = {"generation": 1, "reason": EndReason.LEFT}

        assert room.finish(customer_id=1, slot=second.slot, **finish) == Finish(False, 0, clock.now)
        assert room.finish(customer_id=1, slot=first.slot, **finish) == Finish(True, NOW, clock.now)
        assert room.finish(customer_id=1, slot=first.slot, **finish) == Finish(False, 0, clock.now)

        over = visit(VisitStatus.EXPIRED, clock.now, NOW, ended_reason=EndReason.LEFT)
        assert room.touch(first) == over
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
        for passed in range(10, 60, 10):
            clock.set(NOW + passed * SECOND)
            assert room.admit() == Step(True, 0, 0, 0, has_more=False, present=5)
        clock.set(NOW + 60 * SECOND)
        assert room.admit() == Step(True, 2, 0, 3, has_more=False, present=2)

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
        self, room: TestedRoom, changes: dict[str, object], state: str
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

        answer = room.restore(lost)

        assert answer.outcome == outcome
        if outcome == "EXPIRED":
            assert answer.ended_reason is EndReason.TIMED_OUT
            [end] = room.exits(count=9)
            assert (end.customer_id, end.slot, end.admitted_at) == (1, lost.slot, lost.admitted_at)
            assert room.touch(lost).outcome is VisitStatus.EXPIRED

    def test_puts_newcomers_behind_a_place_from_the_future(
        self, room: TestedRoom, lost: TokenClaims
    ) -> None:
        ahead = replace(lost, slot=NOW + 900 * SECOND, lease_until=0, admitted_at=0)

        assert room.restore(ahead).position == 4

        assert room.join(9).slot == ahead.slot + 1


class TestAdvice:
    """When to ask again, without jitter and with all of it, and how long it takes as visits are now."""

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
        values = store.hmget(f"{{queue:{CONCERT}}}:room", *names)
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

    def test_knows_since_when_the_room_is_full(
        self, room: TestedRoom, store: redis.Redis, clock: Clock
    ) -> None:
        room.join_all(1, 2, 3, 4, 5)
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

    def test_is_kept_second_by_second(self, room: TestedRoom, clock: Clock) -> None:
        room.set_policy(version=2, capacity=1_000, per_minute=100, patience=7_200 * SECOND)
        room.join_all(*range(300))
        admitted = []
        for second in range(130):
            clock.set(NOW + second * SECOND + 500_000)
            admitted.append(room.tick())

        assert admitted[:15] == [10, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 10]
        assert all(sum(admitted[first : first + 7]) <= 10 for first in range(124))
        assert all(sum(admitted[first : first + 61]) <= 100 for first in range(70))
        assert sum(admitted) == 190

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
