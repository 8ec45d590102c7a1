"""Taking a place: order, lottery, refusals. The core alone, against Valkey."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from apps.queue.core.lottery import key_blocks
from apps.queue.core.room import SECOND, EndReason, JoinRefusal, Room, RoomFault, VisitStatus
from tests.factories.queue import LOTTERY_KEY, OPENED_AT
from tests.queue.rooms import CONCERT, TestedRoom, claims

WAITING_KEY = f"{{queue:{CONCERT}}}:waiting"


@dataclass
class FakeLimit:
    """Allows `most` calls."""

    key: str
    most: int
    span: int = 60
    counted: Sequence[int] | None = None
    lua: str = """
    local function count(key, most, span, now)
      local calls = redis.call('INCR', key)
      return { calls <= most and 1 or 0, calls }
    end
    """


class TestCountedJoin:
    @pytest.fixture
    def limit(self) -> FakeLimit:
        return FakeLimit(f"{{queue:{CONCERT}}}:calls", most=1)

    def test_takes_the_same_place(self, room, clock, limit):
        visit = room.join(1, call=limit)

        assert (visit.outcome, visit.slot) == (VisitStatus.WAITING, clock.now)
        assert limit.counted == [1, 1]
        assert room.join(1) == visit._replace(is_new=False)

    def test_over_the_limit_changes_nothing(self, room, limit):
        room.join(1, call=limit)
        before = room.glance()

        refused = room.join(2, call=limit)

        assert refused.outcome is JoinRefusal.OVER_LIMIT
        assert limit.counted == [0, 2]
        assert room.visit_of(2) is None
        assert room.glance() == before

    def test_is_counted_when_it_is_refused(self, room, limit):
        room.set_policy(version=2, state="CLOSED")

        assert room.join(1, call=limit).outcome is JoinRefusal.QUEUE_CLOSED
        assert limit.counted == [1, 1]


class TestJoining:
    def test_gives_positions_in_the_order_of_arrival(self, room):
        visits = [room.join(customer) for customer in (30, 10, 20)]

        assert [visit.position for visit in visits] == [1, 2, 3]
        assert all(visit.is_new for visit in visits)

    def test_a_place_is_the_moment_of_arrival_and_never_given_twice(self, room, clock):
        slots = [room.join(customer).slot for customer in (1, 2, 3)]

        assert slots == [clock.now, clock.now + 1, clock.now + 2]

    def test_a_clock_that_goes_back_puts_no_newcomer_before_others(self, room, clock):
        [first] = room.join_all(1)
        clock.advance(minutes=-10)

        second = room.join(2)

        assert second.slot > first.slot
        assert second.position == 2

    def test_joining_again_gives_back_the_same_place(self, room, clock):
        first = room.join(1)
        room.join(2)
        clock.advance(minutes=1)

        again = room.join(1)

        assert (again.slot, again.position, again.is_new) == (first.slot, 1, False)

    def test_joining_again_when_active_gives_no_fresh_lease(self, room, clock):
        room.join(1)
        room.tick()
        first = room.join(1)
        clock.advance(minutes=2)

        again = room.join(1)

        assert again.outcome is VisitStatus.ACTIVE
        assert again.expires_at == first.expires_at

    @pytest.mark.parametrize(
        ("policy", "refusal"),
        [
            ({"state": "CLOSED"}, JoinRefusal.QUEUE_CLOSED),
            ({"closes_at": OPENED_AT + SECOND}, JoinRefusal.SALES_CLOSED),
            ({"opens_at": OPENED_AT + 7201 * SECOND}, JoinRefusal.SALES_NOT_OPEN),
        ],
    )
    def test_refuses_when_joining_is_over_or_has_not_begun(self, room, policy, refusal):
        room.set_policy(version=2, **policy)

        refused = room.join(1)

        assert refused.outcome is refusal
        assert room.visit_of(1) is None

    def test_says_when_joining_begins(self, room, clock):
        room.set_policy(version=2, opens_at=clock.now + 3700 * SECOND)

        assert room.join(1).poll_after_seconds == 100

    def test_a_paused_room_keeps_places_and_gives_new_ones(self, room, clock):
        [first] = room.join_all(1)
        room.set_policy(version=2, state="PAUSED")

        newcomer = room.join(2)
        clock.advance(minutes=1)

        assert newcomer.position == 2
        assert room.tick() == 0
        assert room.touch(first).position == 1
        assert room.touch(first).wait_seconds is None

    def test_a_room_that_the_store_does_not_have_says_so(self, store):
        assert Room(store, CONCERT).join(1).outcome is RoomFault.LOST


class TestLottery:
    @pytest.fixture
    def early(self, room, clock) -> TestedRoom:
        """A room that opens in half an hour."""
        room.set_policy(version=2, opens_at=clock.now + 1800 * SECOND, capacity=100)
        return room

    def test_a_place_is_an_hmac_under_the_key_of_the_room(self, early, store):
        early.join(42)

        digest = hmac.new(LOTTERY_KEY, f"{CONCERT}:42".encode(), hashlib.sha1).hexdigest()
        assert store.zscore(WAITING_KEY, 42) == int(digest[:12], 16) + 1

    def test_shows_neither_place_nor_position_nor_wait(self, early):
        visit = early.join(1)

        assert (visit.slot, visit.position, visit.wait_seconds) == (0, None, None)

    def test_draws_are_uniform(self, early, store):
        """Chi-square over 20 bins: a fair lottery stays below 43.8 (p = 0.999 at 19 degrees of freedom).

        The key is fixed, so the outcome is, too; another key fails one time in a thousand.
        """
        count, bins = 4000, [0] * 20

        for customer in range(count):
            early.join(customer)
        for _, slot in store.zscan_iter(WAITING_KEY):
            bins[int(slot) * len(bins) // (2**48 + 1)] += 1

        expected = count / len(bins)
        assert sum((found - expected) ** 2 / expected for found in bins) < 43.8

    def test_draws_do_not_follow_arrival(self, early, clock):
        """The mean rank of the first half of 1,000 arrivals is that of all within four standard errors (36)."""
        early.join_all(*range(1000))
        early.set_policy(version=3, opens_at=clock.now)

        positions = [early.join(customer).position or 0 for customer in range(500)]

        assert abs(sum(positions) / 500 - 500.5) < 4 * 9.13

    def test_leaving_and_joining_again_draws_the_same(self, early, store):
        [mine] = early.join_all(1)
        slot = store.zscore(WAITING_KEY, 1)
        early.end(mine, EndReason.LEFT)
        assert early.touch(mine).ended_reason is EndReason.LEFT

        again = early.join(1)

        assert again.is_new
        assert store.zscore(WAITING_KEY, 1) == slot
        assert early.touch(mine).outcome is VisitStatus.WAITING

    def test_no_visitor_is_admitted_before_opening(self, early, clock):
        early.join_all(*range(10))
        clock.advance(seconds=1799)

        before = early.tick()
        clock.advance(seconds=1)

        assert (before, early.tick()) == (0, 10)

    def test_later_arrivals_stand_behind_all_early_ones_in_order(self, early, clock):
        early.join_all(*range(1, 6))
        clock.advance(minutes=30)

        late = [early.join(customer) for customer in (9, 8, 7)]

        assert [visit.position for visit in late] == [6, 7, 8]
        assert sorted(early.join(customer).position or 0 for customer in range(1, 6)) == [
            *range(1, 6)
        ]

    def test_the_lottery_does_not_come_back_when_the_opening_is_postponed(self, early, clock):
        clock.advance(minutes=30)
        [first] = early.join_all(1)
        early.set_policy(version=3, opens_at=clock.now + 60 * SECOND)

        second = early.join(2)

        assert second.slot > first.slot

    def test_the_lottery_is_over_at_the_first_look_though_nobody_has_come(self, early, clock):
        clock.advance(minutes=30)
        early.tick()
        early.set_policy(version=3, opens_at=clock.now + 60 * SECOND)

        assert early.join(1).slot == clock.now + 1

    def test_a_new_generation_draws_anew(self, early, clock, store):
        early.join(1)
        first = store.zscore(WAITING_KEY, 1)
        inner, outer = key_blocks(b"another key")
        opens_at = clock.now + 600 * SECOND
        early.set_policy(version=3, generation=2, state="CLOSED", opens_at=opens_at)
        early.set_policy(
            version=4, generation=2, opens_at=opens_at, lottery_inner=inner, lottery_outer=outer
        )

        early.join(1)

        assert store.zscore(WAITING_KEY, 1) != first

    def test_an_early_bird_who_polls_as_advised_is_there_at_the_opening_an_hour_later(
        self, room, clock
    ):
        opens_at = clock.now + 3600 * SECOND
        room.set_policy(version=2, opens_at=opens_at)
        [mine] = room.join_all(1)
        while clock.now < opens_at:
            visit = room.touch(mine)
            room.tick()
            clock.advance(seconds=visit.poll_after_seconds or 0)

        room.tick()

        assert room.touch(mine).outcome is VisitStatus.ACTIVE

    def test_patience_lasts_beyond_the_opening(self, early, clock):
        [mine] = early.join_all(1)
        opens_at = clock.now + 1800 * SECOND
        clock.advance(minutes=29)

        assert early.touch(mine).expires_at == opens_at + 300 * SECOND

    def test_absent_early_birds_are_out_a_while_after_the_opening(self, early, clock):
        """However early they came: what holds up the others does not grow with the lottery window."""
        opens_at = clock.now + 1800 * SECOND

        assert early.join(1).expires_at <= opens_at + 300 * SECOND

    def test_opening_earlier_than_announced_costs_no_visitor_the_place(self, early, clock):
        """Twenty were told to come back in half an hour; staff open now. Slots do not wait for them, places do."""
        claims_of_all = early.join_all(*range(20))
        advice = {mine: early.touch(mine).poll_after_seconds or 0 for mine in claims_of_all}
        early.set_policy(version=2, capacity=50, opens_at=clock.now)
        opened_at = clock.now
        [newcomer] = early.join_all(99)

        early.pass_time(minutes=2)
        assert early.glance().active == 0  # but for the newcomer, all were given up
        assert early.touch(newcomer).ended_reason is EndReason.TIMED_OUT

        for mine in sorted(advice, key=advice.__getitem__):
            early.pass_time(seconds=(opened_at + advice[mine] * SECOND - clock.now) / SECOND)
            visit = early.touch(mine)
            if visit.outcome is RoomFault.UNKNOWN:  # no end on record
                visit = early.restore(mine)
            early.tick()
            assert early.touch(mine).outcome is VisitStatus.ACTIVE

    def test_after_an_opening_in_a_pause_no_place_is_drawn_any_more(self, early, clock):
        early.set_policy(version=2, state="PAUSED")
        claims_of_all = early.join_all(*range(5))
        clock.set(OPENED_AT + SECOND)
        early.tick()
        before = [early.touch(mine).position for mine in claims_of_all]
        early.set_policy(version=3, opens_at=clock.now + 60 * SECOND)
        early.join_all(*range(100, 200))
        clock.advance(seconds=61)

        assert [early.touch(mine).position for mine in claims_of_all] == before

    def test_who_left_came_back_and_paid_has_paid(self, early, clock):
        clock.advance(minutes=29)
        [mine] = early.join_all(1)
        early.end(mine, EndReason.LEFT)
        early.join(1)
        clock.advance(minutes=1)
        early.tick()
        early.touch(mine)

        early.end(mine)

        assert early.touch(mine).ended_reason is EndReason.COMPLETED

    def test_advice_reaches_to_the_opening_and_spreads_the_crowd(self, early, store):
        store.zadd(WAITING_KEY, {f"x{n}": n for n in range(20_000)})

        advice = {early.join(customer).poll_after_seconds for customer in range(200)}

        assert min(advice, key=lambda seconds: seconds or 0) >= 1800  # type: ignore[operator]
        assert max(advice, key=lambda seconds: seconds or 0) <= 1811  # type: ignore[operator]
        assert len(advice) > 8

    def test_a_key_longer_than_a_block_is_refused(self):
        with pytest.raises(ValueError, match="block"):
            key_blocks(bytes(65))


class TestPreviousToken:
    def test_a_place_that_the_store_lost_is_asked_for(self, room):
        [mine] = room.join_all(1)
        lost = replace(mine, customer_id=2)

        assert room.join(2, previous=lost).outcome is RoomFault.UNKNOWN

    def test_a_place_that_ended_does_not_stand_in_the_way(self, room, clock):
        [mine] = room.join_all(1)
        room.end(mine, EndReason.LEFT)
        clock.advance(seconds=1)

        again = room.join(1, previous=mine)

        assert again.is_new
        assert again.slot > mine.slot

    def test_an_older_generation_does_not_count(self, room):
        [mine] = room.join_all(1)
        room.set_policy(version=2, generation=2, state="CLOSED")
        room.set_policy(version=3, generation=2)

        assert room.join(1, previous=mine).is_new

    def test_the_place_in_the_room_is_given_back_whatever_the_token_says(self, room):
        [mine] = room.join_all(1)

        again = room.join(1, previous=replace(mine, slot=mine.slot + 5))

        assert claims(1, again).slot == mine.slot
