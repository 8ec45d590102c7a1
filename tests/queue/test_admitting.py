"""Being admitted, being seen, being dropped. The core alone, against Valkey."""

from dataclasses import replace

import pytest

from apps.queue.core.room import SECOND, EndReason, Room, RoomFault, VisitStatus
from apps.queue.core.tokens import TokenClaims
from tests.factories.queue import policy
from tests.queue.rooms import CONCERT, FROZEN_CLOCK, Clock, TestedRoom


def standings(room: TestedRoom, *customers: int) -> list[str]:
    return [room.join(customer).outcome.value for customer in customers]


def advice_to(room: TestedRoom, claims_of_all: list[TokenClaims]) -> dict[TokenClaims, int]:
    """Return in how many seconds each is told to come back, the first to come back first."""
    advice = {mine: room.touch(mine).poll_after_seconds or 0 for mine in claims_of_all}
    return dict(sorted(advice.items(), key=lambda told: told[1]))


class TestAdmitting:
    def test_admits_from_the_head_up_to_the_capacity(self, room):
        claims_of_all = room.join_all(5, 4, 3, 2, 1)

        admitted = room.tick()

        assert admitted == 3
        outcomes = [room.touch(mine).outcome.value for mine in claims_of_all]
        assert outcomes == ["ACTIVE"] * 3 + ["WAITING"] * 2
        assert [room.touch(mine).position for mine in claims_of_all[3:]] == [1, 2]

    def test_a_second_tick_admits_no_more(self, room):
        room.join_all(*range(10))

        assert [room.tick(), room.tick(), room.tick()] == [3, 0, 0]

    def test_a_slot_that_is_given_back_goes_to_the_next(self, room):
        first, *_, next_one = room.join_all(1, 2, 3, 4)
        room.tick()
        room.end(first)

        assert room.tick() == 1
        assert room.touch(next_one).outcome is VisitStatus.ACTIVE

    def test_a_lower_capacity_ends_no_lease_and_admits_none(self, room):
        claims_of_all = room.join_all(1, 2, 3, 4)
        room.tick()
        room.set_policy(version=2, capacity=1)
        for mine in claims_of_all[:2]:
            room.end(mine)

        assert room.tick() == 0
        assert room.touch(claims_of_all[2]).outcome is VisitStatus.ACTIVE

    def test_works_in_bounded_steps(self, room):
        room.set_policy(version=2, capacity=100)
        room.join_all(*range(30))

        steps = [room.admit(batch=10) for _ in range(4)]

        assert [step.admitted for step in steps] == [10, 10, 10, 0]
        assert [step.has_more for step in steps] == [True, True, True, False]

    def test_an_empty_room_admits_none_and_says_so(self, room):
        step = room.admit()

        assert (step.is_done, step.admitted, step.has_more, step.present) == (True, 0, False, 0)

    def test_a_closed_room_admits_none(self, room, clock):
        room.join_all(1)
        room.set_policy(version=2, closes_at=clock.now)

        assert room.tick() == 0


class TestAdmissionsPerMinute:
    def test_no_minute_sees_more_than_the_limit(self, room, clock):
        room.set_policy(version=2, capacity=10_000, per_minute=30)
        room.join_all(*range(200))

        admitted_in_second = []
        for _ in range(180):
            admitted_in_second.append(room.tick())
            clock.advance(seconds=1)

        worst = max(sum(admitted_in_second[at : at + 60]) for at in range(120))
        assert worst <= 30
        assert sum(admitted_in_second) >= 75  # and it is not far below the limit either

    def test_a_minute_does_not_come_in_one_burst(self, room, clock):
        room.set_policy(version=2, capacity=10_000, per_minute=30)
        room.join_all(*range(200))

        admitted_in_second = []
        for _ in range(8):
            admitted_in_second.append(room.tick())
            clock.advance(seconds=1)

        assert admitted_in_second == [3, 0, 0, 0, 0, 0, 0, 3]

    def test_one_a_minute_is_possible(self, room, clock):
        room.set_policy(version=2, capacity=10_000, per_minute=1)
        room.join_all(1, 2)

        admitted = [room.tick()]
        clock.advance(seconds=59)
        admitted.append(room.tick())
        clock.advance(seconds=2)
        admitted.append(room.tick())

        assert admitted == [1, 0, 1]


class TestLease:
    def test_lasts_from_admission(self, room, clock):
        [mine] = room.join_all(1)
        room.tick()
        admitted_at = clock.now
        clock.advance(seconds=30)

        visit = room.touch(mine)

        assert visit.expires_at == admitted_at + 300 * SECOND
        assert visit.new_holds_until == admitted_at + 600 * SECOND

    def test_is_over_at_that_instant_without_any_tick(self, room, clock):
        [mine] = room.join_all(1)
        room.tick()
        room.touch(mine)
        clock.advance(seconds=299)
        assert room.touch(mine).outcome is VisitStatus.ACTIVE
        clock.advance(seconds=1)

        visit = room.touch(mine)

        assert (visit.outcome, visit.ended_reason) == (VisitStatus.EXPIRED, EndReason.TIMED_OUT)
        assert [end.customer_id for end in room.exits(count=10)] == [1]

    def test_goes_at_once_to_the_next_when_it_ends(self, room, clock):
        claims_of_all = room.join_all(1, 2, 3, 4)
        room.tick()
        for mine in claims_of_all[:3]:
            room.touch(mine)
        clock.advance(minutes=5)

        assert room.tick() == 1
        assert standings(room, 4) == ["ACTIVE"]

    def test_who_does_not_show_up_within_a_minute_loses_it(self, room, clock):
        idle, present = room.join_all(1, 2)
        room.tick()
        room.touch(present)
        clock.advance(seconds=59)
        room.tick()
        assert room.glance().active == 2
        clock.advance(seconds=1)

        room.tick()

        assert room.touch(idle).ended_reason is EndReason.TIMED_OUT
        assert room.touch(present).outcome is VisitStatus.ACTIVE

    def test_joining_again_counts_as_showing_up(self, room, clock):
        room.join_all(1)
        room.tick()
        room.join(1)
        clock.advance(minutes=2)
        room.tick()

        assert standings(room, 1) == ["ACTIVE"]

    def test_who_obeys_the_advice_shows_up_in_time(self, room, clock):
        """Far behind the advice is longest. Then the capacity is raised, and all are admitted at once."""
        advice = advice_to(room, room.join_all(*range(2000)))
        room.set_policy(version=2, capacity=5000)
        room.tick()
        started = clock.now

        for mine in advice:
            clock.set(started + advice[mine] * SECOND)
            room.tick()
            assert room.touch(mine).outcome is VisitStatus.ACTIVE

    @pytest.mark.parametrize("lease", [10, 45])
    def test_a_short_lease_costs_no_visitor_who_obeys_the_turn(self, room, clock, lease):
        room.set_policy(version=2, lease=lease * SECOND)
        advice = advice_to(room, room.join_all(*range(500)))
        room.set_policy(version=3, lease=lease * SECOND, capacity=500)
        room.tick()
        admitted_at = clock.now

        for mine in advice:
            clock.set(max(clock.now, admitted_at + advice[mine] * SECOND))
            room.tick()
            assert room.touch(mine).outcome is VisitStatus.ACTIVE


class TestExtending:
    @pytest.fixture
    def slot(self, room):
        """The place of an active visitor."""
        [mine] = room.join_all(1)
        room.tick()
        room.join(1)
        return mine.slot

    def lease_of(self, room: TestedRoom) -> int:
        return room.join(1).expires_at

    def test_a_hold_extends_the_lease(self, room, slot, clock):
        until = clock.now + 360 * SECOND

        assert room.extend_lease(customer_id=1, slot=slot, until=until)

        assert self.lease_of(room) == until

    def test_never_shortens_it(self, room, slot, clock):
        before = self.lease_of(room)

        room.extend_lease(customer_id=1, slot=slot, until=clock.now + 100 * SECOND)

        assert self.lease_of(room) == before

    def test_a_release_takes_it_back(self, room, slot, clock):
        before = self.lease_of(room)
        room.extend_lease(customer_id=1, slot=slot, until=clock.now + 900 * SECOND)

        room.shorten_lease(customer_id=1, slot=slot)

        assert self.lease_of(room) == before

    def test_a_release_leaves_what_other_holds_need(self, room, slot, clock):
        needed = clock.now + 500 * SECOND
        room.extend_lease(customer_id=1, slot=slot, until=clock.now + 900 * SECOND)

        room.shorten_lease(customer_id=1, slot=slot, until=needed)

        assert self.lease_of(room) == needed

    def test_a_release_after_the_lease_leaves_a_minute_to_choose_again(self, room, slot, clock):
        room.extend_lease(customer_id=1, slot=slot, until=clock.now + 900 * SECOND)
        clock.advance(minutes=7)

        room.shorten_lease(customer_id=1, slot=slot)

        assert self.lease_of(room) == clock.now + 60 * SECOND

    def test_a_release_when_no_new_hold_is_allowed_ends_the_visit(self, room, slot, clock):
        room.extend_lease(customer_id=1, slot=slot, until=clock.now + 900 * SECOND)
        clock.advance(minutes=11)

        room.shorten_lease(customer_id=1, slot=slot)
        room.tick()

        assert room.visit_of(1) is None

    def test_another_visit_of_the_same_customer_is_left_alone(self, room, slot, clock):
        before = self.lease_of(room)

        extended = room.extend_lease(customer_id=1, slot=slot - 1, until=clock.now + 900 * SECOND)

        assert not extended
        assert self.lease_of(room) == before

    def test_who_is_not_active_gets_no_lease(self, room, clock):
        *_, waiting = room.join_all(1, 2, 3, 4)
        room.tick()

        extended = room.extend_lease(
            customer_id=4, slot=waiting.slot, until=clock.now + 900 * SECOND
        )

        assert not extended
        assert room.touch(waiting).outcome is VisitStatus.WAITING


class TestPatience:
    def test_who_is_not_seen_loses_the_place(self, room):
        *inside, gone, stays = room.join_all(1, 2, 3, 4, 5)
        room.tick()
        for active in inside:
            room.touch(active)
        room.pass_time(seconds=299)
        room.touch(stays)

        room.pass_time(seconds=1)

        assert room.touch(gone).ended_reason is EndReason.TIMED_OUT
        assert room.touch(stays).outcome is VisitStatus.ACTIVE

    def test_who_comes_back_before_being_dropped_keeps_the_place(self, room, clock):
        *_, mine = room.join_all(1, 2, 3, 4)
        room.tick()
        clock.advance(minutes=20)

        assert room.touch(mine).position == 1

    def test_absentees_at_the_head_are_passed_over(self, room, clock):
        """They need not be purged before: one step has room for a few visitors only."""
        room.set_policy(version=2, state="PAUSED")
        room.join_all(*range(20))
        room.pass_time(seconds=299)
        present = room.join_all(100, 101, 102)
        clock.advance(seconds=1)
        room.set_policy(version=3)

        step = room.admit(batch=23)

        assert (step.admitted, step.dropped) == (3, 20)
        assert [room.touch(mine).outcome.value for mine in present] == ["ACTIVE"] * 3

    def test_patience_outlasts_twice_the_advice(self, room, clock):
        room.set_policy(version=2, patience=10 * SECOND)
        *_, last = room.join_all(*range(400))
        advice = room.touch(last).poll_after_seconds or 0
        assert advice >= 40

        clock.advance(seconds=2 * advice - 1)
        room.tick()

        assert room.touch(last).outcome is VisitStatus.WAITING

    def test_half_of_ten_thousand_vanish_and_the_others_move_up_and_are_admitted(self, room):
        claims_of_all = room.join_all(*range(10_000))
        room.set_policy(version=2, state="PAUSED")
        room.pass_time(minutes=4)
        there = claims_of_all[1::2]
        for mine in there:
            room.touch(mine)

        room.pass_time(minutes=1)

        assert [room.touch(mine).position for mine in there] == [*range(1, 5_001)]
        assert room.glance().waiting == 5_000
        assert room.glance().exits_pending == 5_000
        room.set_policy(version=3, state="OPEN")
        assert room.tick() == 3
        assert [room.touch(mine).outcome for mine in there[:4]] == [*["ACTIVE"] * 3, "WAITING"]

    def test_half_of_ten_thousand_vanish_from_an_open_room_and_delay_no_other(self, room, clock):
        """They are not dropped in time: the tick that finds them at the head goes on to those who are there."""
        room.set_policy(version=2, state="PAUSED")
        room.join_all(*range(0, 10_000, 2))
        room.pass_time(seconds=290)
        there = room.join_all(*range(1, 10_000, 2))
        clock.advance(seconds=15)
        room.set_policy(version=3, capacity=5_000)

        assert room.tick() == 5_000
        assert {room.touch(mine).outcome for mine in there} == {VisitStatus.ACTIVE}

    def test_no_visitor_is_dropped_because_the_store_could_not_be_reached(self, room, clock):
        """Ten minutes without ticks are an outage: people could not be seen, however they tried."""
        active, *_, waiting = room.join_all(1, 2, 3, 4)
        room.tick()
        clock.advance(minutes=10)

        room.tick()

        assert room.touch(active).outcome is VisitStatus.ACTIVE
        assert room.touch(waiting).outcome is VisitStatus.WAITING

    def test_an_empty_room_that_was_not_looked_after_has_had_no_outage(self, room, clock):
        room.tick()
        clock.advance(minutes=10)
        *inside, gone = room.join_all(1, 2, 3, 4)
        clock.advance(seconds=5)
        room.tick()
        for active in inside:
            room.touch(active)

        room.pass_time(seconds=295)

        assert room.touch(gone).ended_reason is EndReason.TIMED_OUT

    def test_who_was_admitted_just_before_an_outage_may_still_show_up(self, room, clock):
        [mine] = room.join_all(1)
        room.tick()
        clock.advance(minutes=4)

        room.tick()
        clock.advance(seconds=30)

        assert room.touch(mine).outcome is VisitStatus.ACTIVE


class TestOutage:
    """The ticks, or the store, were away for a while."""

    def test_all_just_admitted_get_another_minute_however_many(self, room, clock):
        room.set_policy(version=2, capacity=300)
        claims_of_all = room.join_all(*range(300))
        room.tick()
        clock.advance(seconds=61)

        room.tick()

        assert {room.touch(mine).outcome for mine in claims_of_all} == {VisitStatus.ACTIVE}

    def test_who_comes_before_the_first_tick_is_still_admitted(self, room, clock):
        first, second = room.join_all(1, 2)
        room.tick()
        clock.advance(seconds=70)

        assert room.touch(first).outcome is VisitStatus.ACTIVE
        joined = room.join(2)
        assert (joined.outcome, joined.slot) == (VisitStatus.ACTIVE, second.slot)

    def test_is_noticed_from_the_first_place_on(self, room, clock):
        room.set_policy(version=2, capacity=1)
        room.tick()
        _, waiting = room.join_all(1, 2)
        clock.advance(minutes=10)

        room.tick()

        assert room.touch(waiting).outcome is VisitStatus.WAITING

    def test_a_lease_that_was_used_is_over_all_the_same(self, room, clock):
        [mine] = room.join_all(1)
        room.tick()
        room.touch(mine)
        clock.advance(minutes=6)

        assert room.touch(mine).ended_reason is EndReason.TIMED_OUT


class TestClockSetBack:
    def test_waits_stay_sensible(self, room, clock):
        *_, last = room.join_all(*range(20))
        room.tick()
        clock.advance(minutes=-10)
        room.tick()

        visit = room.touch(last)

        assert visit.wait_seconds is not None
        assert visit.wait_seconds > 0
        assert (visit.poll_after_seconds or 0) > 1

    def test_the_limit_per_minute_does_not_stop_admission(self, room, clock):
        room.set_policy(version=2, per_minute=60, capacity=100)
        room.join_all(*range(100))
        room.tick()
        clock.advance(minutes=-10)

        assert room.tick() > 0

    def test_a_hold_off_that_lies_far_ahead_is_none(self, room, clock, store):
        room.join_all(*range(5))
        store.hset(f"{{queue:{CONCERT}}}:room", "healing_until", clock.now + 3600 * SECOND)

        assert room.tick() == 3


class TestFinishing:
    def test_ends_the_visit_for_good(self, room):
        [mine] = room.join_all(1)
        room.tick()

        finish = room.end(mine)

        assert (finish.was_there, finish.admitted_at > 0) == (True, True)
        assert room.touch(mine).ended_reason is EndReason.COMPLETED

    def test_of_many_has_an_outcome_for_each(self, room):
        room.set_policy(version=2, capacity=1)
        active, waiting, other = room.join_all(1, 2, 3)
        room.tick()

        finishes = room.finish_all(
            [
                (1, active.slot, 1),
                (2, waiting.slot, 1),
                (3, other.slot, 7),
                (4, other.slot, 1),
                (1, active.slot, 1),
            ],
            reason=EndReason.COMPLETED,
        )

        assert [(finish.was_there, finish.admitted_at > 0) for finish in finishes] == [
            (True, True),
            (True, False),
            (False, False),
            (False, False),
            (False, False),
        ]
        assert len({finish.ended_at for finish in finishes}) == 1
        assert room.touch(active).ended_reason is EndReason.COMPLETED
        assert room.touch(waiting).ended_reason is EndReason.COMPLETED
        assert room.touch(other).outcome is VisitStatus.WAITING

    def test_a_late_payment_does_not_end_a_later_visit(self, room, clock):
        [old] = room.join_all(1)
        room.tick()
        room.touch(old)
        clock.advance(minutes=6)
        room.tick()
        [new] = room.join_all(1)

        room.end(old)

        assert room.touch(new).outcome is VisitStatus.WAITING
        assert room.touch(old).ended_reason is EndReason.TIMED_OUT

    def test_another_generation_is_left_alone(self, room):
        [old] = room.join_all(1)
        room.set_policy(version=2, generation=2, state="CLOSED")
        room.set_policy(version=3, generation=2)
        [new] = room.join_all(1)

        room.end(replace(new, generation=1))

        assert room.touch(new).outcome is VisitStatus.WAITING
        assert room.touch(old).ended_reason is EndReason.CLOSED

    def test_an_old_tab_does_not_speak_for_the_new_visit(self, room, clock):
        [old] = room.join_all(1)
        room.end(old, EndReason.LEFT)
        clock.advance(seconds=1)
        room.join_all(1)

        assert room.touch(old).ended_reason is EndReason.LEFT

    def test_the_first_reason_stands(self, room):
        [mine] = room.join_all(1)

        for reason in (EndReason.LEFT, EndReason.COMPLETED):
            room.end(mine, reason)

        assert room.touch(mine).ended_reason is EndReason.LEFT

    def test_is_remembered_for_ten_minutes(self, room, clock, store):
        [mine] = room.join_all(1)
        room.end(mine, EndReason.LEFT)
        clock.advance(minutes=9)
        room.tick()
        assert store.zcard(f"{{queue:{CONCERT}}}:ended") == 1
        clock.advance(minutes=2)

        room.tick()

        assert store.zcard(f"{{queue:{CONCERT}}}:ended") == 0


class TestClosing:
    def test_all_visitors_are_sent_away(self, room):
        claims_of_all = room.join_all(1, 2, 3, 4)
        room.tick()

        room.set_policy(version=2, generation=2, state="CLOSED")

        assert {room.touch(mine).ended_reason for mine in claims_of_all} == {EndReason.CLOSED}
        assert room.glance().active == room.glance().waiting == 0

    def test_tokens_from_before_stay_out_when_it_opens_again(self, room):
        [old] = room.join_all(1)
        room.set_policy(version=2, generation=2, state="CLOSED")

        room.set_policy(version=3, generation=2)

        assert room.touch(old).ended_reason is EndReason.CLOSED
        assert room.restore(old).ended_reason is EndReason.CLOSED

    def test_the_end_of_sales_sends_away_and_forgets_no_visitor(self, room, clock):
        [mine] = room.join_all(1)
        room.set_policy(version=2, closes_at=clock.now)
        closed = room.touch(mine)

        room.set_policy(version=3)

        assert closed.ended_reason is EndReason.CLOSED
        assert room.touch(mine).position == 1


class TestConfiguring:
    def test_an_older_copy_does_not_replace_a_newer_one(self, room):
        room.set_policy(version=5, capacity=9)

        room.set_policy(version=4, capacity=1)

        assert room.glance().capacity == 9

    def test_another_life_of_the_room_starts_empty(self, room):
        """The database was made anew and numbers its concerts from one again; the store was not."""
        [mine] = room.join_all(1)

        room.configure(policy(), epoch="second", was_stored=False)

        assert room.touch(mine).outcome is RoomFault.UNKNOWN


@pytest.mark.slow
class TestEstimating:
    def test_is_unknown_before_the_first_admission(self, room):
        assert room.join(1).wait_seconds is None

    def test_begins_with_whole_leases(self, room):
        *_, mine = room.join_all(*range(33))
        room.tick()

        assert room.touch(mine).wait_seconds == 30 * 300 // 3

    def test_follows_the_limit_per_minute(self, room):
        room.set_policy(version=2, capacity=1000, per_minute=60)
        *_, mine = room.join_all(*range(126))
        room.tick()

        assert room.touch(mine).wait_seconds == 120

    def test_is_right_within_a_third_in_a_steady_sale(self, store):
        """Visits of 60 to 120 seconds, ten at once: what each was told in the middle of the wait, against what came."""
        clock = Clock(store, CONCERT, 2_000_000_000 * SECOND)
        room = TestedRoom(store, CONCERT, clock=FROZEN_CLOCK)
        room.configure(
            policy(opens_at=clock.now, capacity=10, lottery_window=0), epoch="e", was_stored=False
        )
        waiting = {mine.customer_id: mine for mine in room.join_all(*range(200))}
        leaves_at: dict[int, int] = {}
        told: dict[int, tuple[int, int]] = {}
        errors = []
        while waiting:
            room.tick()
            for customer, mine in list(waiting.items()):
                visit = room.touch(mine)
                if visit.outcome is VisitStatus.ACTIVE:
                    del waiting[customer]
                    leaves_at[customer] = clock.now + (60 + customer % 61) * SECOND
                    if customer in told:
                        told_at, wait = told[customer]
                        actual = (clock.now - told_at) / SECOND
                        errors.append(abs(wait - actual) / actual)
                elif customer >= 40 and visit.position == 30:
                    told.setdefault(customer, (clock.now, visit.wait_seconds or 0))
            clock.advance(seconds=5)
            for customer in [c for c, at in leaves_at.items() if at <= clock.now]:
                slot, _ = room.visit_of(customer)
                room.finish_all([(customer, slot, 1)], reason=EndReason.COMPLETED)
                del leaves_at[customer]

        errors.sort()
        assert len(errors) > 50
        assert errors[len(errors) // 2] < 0.3


class TestFigures:
    def test_tell_the_room_at_a_glance(self, room, clock):
        room.join_all(*range(5))
        room.tick()
        clock.advance(seconds=30)

        figures = room.glance()

        assert (figures.state, figures.waiting, figures.active) == ("OPEN", 2, 3)
        assert (figures.admitted_total, figures.admitted_per_minute) == (3, 3)
        assert figures.longest_wait == 30 * SECOND - 3

    @pytest.mark.parametrize(
        ("changes", "state"),
        [
            ({"state": "PAUSED"}, "PAUSED"),
            ({"state": "CLOSED", "generation": 2}, "CLOSED"),
            ({"opens_at": 2_000_000_000 * SECOND}, "SCHEDULED"),
            ({"closes_at": 1}, "CLOSED"),
        ],
    )
    def test_tell_the_state(self, room, changes, state):
        room.set_policy(version=2, **changes)

        assert room.glance().state == state

    def test_there_are_none_without_a_room(self, store):
        assert Room(store, 8).figures() is None
