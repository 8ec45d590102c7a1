"""The store loses everything, or wakes up with an old file, in the middle of a sale."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from django.conf import settings as django_settings
from django.db.models import F

from apps.queue import services
from apps.queue.core.room import SECOND, End, EndReason, VisitStatus
from apps.queue.errors import QueueTokenExpired, QueueTokenInvalid
from apps.queue.live import live_room, token_signer
from apps.queue.models import QueueExit
from apps.queue.services.exit_log import recorded_end
from dev.stack.servers import ValkeyServer
from tests.protections import ASKING_THE_EXIT_LOG, after
from tests.queue.rooms import Clock, Visitor, tick

pytestmark = pytest.mark.django_db


class TestLosingEverything:
    @pytest.fixture
    def clock(self, concert, time_of) -> Clock:
        return time_of(concert)

    def test_places_come_back_in_the_old_order(self, clock, visitors):
        tick()
        clock.lose_everything()

        for visitor in reversed(visitors):
            visitor.poll()
        clock.advance(seconds=10)
        tick()

        assert [visitor.standing for visitor in visitors] == ["ACTIVE"] * 2 + ["WAITING"] * 3
        assert [visitor.poll().position for visitor in visitors] == [0, 0, 1, 2, 3]

    def test_newcomers_stand_behind_all_from_before(self, clock, concert, visitors):
        clock.lose_everything()

        newcomer = Visitor(concert).join()
        for visitor in visitors:
            visitor.poll()
        tick()
        clock.advance(seconds=10)

        assert newcomer.poll().position == 6

    def test_no_visitor_is_admitted_until_the_head_had_time_to_come_back(
        self, clock, concert, visitors
    ):
        clock.lose_everything()
        newcomers = [Visitor(concert).join() for _ in range(2)]

        admitted = [tick()]
        clock.advance(seconds=9)
        admitted.append(tick())
        visitors[0].poll()
        visitors[1].poll()
        clock.advance(seconds=1)
        admitted.append(tick())

        assert admitted == [0, 0, 2]
        standings = [visitor.standing for visitor in (*visitors[:2], *newcomers)]
        assert standings == ["ACTIVE"] * 2 + ["WAITING"] * 2

    def test_positions_are_not_shown_meanwhile(self, clock, visitors):
        clock.lose_everything()

        status = visitors[3].poll()

        assert status.status == "WAITING"
        assert status.position is status.estimated_wait_seconds is None

    def test_a_new_room_admits_at_once(self, clock, visitors):
        assert tick() == 2

    def test_running_leases_come_back_as_they_were(self, clock, visitors):
        tick()
        before = visitors[0].poll()
        clock.lose_everything()
        clock.advance(minutes=1)

        after = visitors[0].poll()

        assert (after.status, after.expires_at) == ("ACTIVE", before.expires_at)
        assert visitors[0].enter().slot > 0

    def test_a_lease_that_ran_out_meanwhile_is_over(self, clock, visitors):
        tick()
        visitors[0].poll()
        clock.lose_everything()
        clock.advance(minutes=5)

        assert visitors[0].standing == "TIMED_OUT"

    def test_a_lease_that_ran_out_gives_no_place_in_a_full_room_either(self, clock, visitors):
        tick()
        clock.advance(seconds=1)
        first, second, third, fourth, _ = visitors
        first.poll()
        second.leave()
        first_token = first.token
        first.pay()
        clock.lose_everything()
        QueueExit.objects.filter(customer=first.customer).delete()  # a sale not recorded yet
        clock.advance(minutes=5)
        third.poll()
        fourth.poll()
        tick()
        clock.advance(seconds=10)
        assert tick() == 2
        first.token = first_token

        assert first.standing == "TIMED_OUT"

    def test_newcomers_stand_behind_who_came_back_even_if_the_clock_was_set_back(
        self, clock, concert, visitors
    ):
        clock.lose_everything()
        clock.advance(minutes=-10)
        visitors[4].poll()

        newcomer = Visitor(concert).join()

        slots = [visitor.slot for visitor in (visitors[4], newcomer)]
        assert slots == sorted(slots)

    def test_capacity_holds_when_more_come_back(self, clock, concert, visitors):
        """Four leases under a capacity that was lowered to two since."""
        services.set_capacity(concert_id=concert.pk, capacity=4, staff_id=None)
        tick()
        for visitor in visitors[:4]:
            visitor.poll()
        services.set_capacity(concert_id=concert.pk, capacity=2, staff_id=None)
        clock.lose_everything()

        standings = [visitor.standing for visitor in visitors[:4]]
        tick()

        assert standings == ["ACTIVE", "ACTIVE", "WAITING", "WAITING"]
        assert live_room(concert.pk).figures().active == 2

    def end(self, visitors: list[Visitor], clock: Clock) -> None:
        """One pays, one leaves, one idles out, one lets the patience run out, one waits on."""
        paying, idling, leaving, _impatient, waiting = visitors
        tick()
        paying.poll()
        idling.poll()
        paying.pay()
        leaving.leave()
        for _ in range(31):
            clock.advance(seconds=10)
            waiting.poll()
            tick()
        assert QueueExit.objects.count() == 4

    @pytest.mark.parametrize("action", ["poll", "join", "enter"])
    def test_what_ended_stays_ended(self, clock, concert, visitors, action):
        first_tokens = [visitor.token for visitor in visitors]
        self.end(visitors, clock)
        clock.lose_everything()

        for visitor, first_token in zip(visitors[:4], first_tokens, strict=False):
            old_place = token_signer().read(first_token).slot
            visitor.token = first_token
            if action == "join":
                visitor.join()
                assert visitor.slot > old_place
            elif action == "enter":
                with pytest.raises(QueueTokenExpired) as refusal:
                    visitor.enter()
                assert refusal.value.details["expired_reason"] == visitor.standing
            else:
                assert visitor.standing in ("COMPLETED", "TIMED_OUT", "LEFT")

    def test_without_the_exit_log_they_would_slip_back_in(self, clock, visitors):
        """The twin: the same with the durable memory taken away."""
        first_tokens = [visitor.token for visitor in visitors]
        self.end(visitors, clock)
        clock.lose_everything()
        QueueExit.objects.all().delete()

        for visitor, first_token in zip(visitors, first_tokens, strict=True):
            visitor.token = first_token

        assert [visitor.standing for visitor in visitors] == ["WAITING"] * 5

    def test_joining_without_a_token_and_then_polling_with_one_keeps_the_older_place(
        self, clock, concert, visitors
    ):
        first = visitors[0]
        clock.lose_everything()
        clock.advance(seconds=1)
        other_device = Visitor(concert, first.customer).join()
        clock.advance(seconds=1)

        old_place = first.slot
        first.poll()
        other_device.poll()

        assert other_device.slot == old_place
        assert first.slot == old_place

    def test_of_two_places_one_turn_is_had(self, clock, concert, visitors):
        """Joined anew without the token on another device, then shown it: the second place is over with that."""
        first = visitors[0]
        clock.lose_everything()
        other = Visitor(concert, first.customer).join()
        second_token = other.token
        first.poll()
        clock.advance(seconds=11)
        tick()
        first.poll()
        first.pay()
        newcomer = Visitor(concert).join()

        other.token = second_token
        assert other.poll().expired_reason == "LEFT"
        clock.lose_everything()
        other.token = second_token
        assert other.poll().expired_reason == "LEFT"
        assert newcomer.standing == "WAITING"

    def test_the_place_that_was_lost_is_no_second_turn(self, clock, concert, visitors):
        """The other way round: the turn was had with the new place, and then the old token is shown."""
        first = visitors[0]
        clock.lose_everything()
        other = Visitor(concert, first.customer).join()
        clock.advance(seconds=11)
        tick()
        other.poll()
        other.pay()

        assert first.standing == "COMPLETED"

    @pytest.mark.parametrize("how", ["leave", "pay"])
    def test_what_another_tab_ends_in_the_middle_of_healing_stays_ended(
        self,
        clock,
        concert,
        visitors,
        monkeypatch,
        how,
    ):
        tick()
        mine = visitors[0]
        mine.poll()
        clock.lose_everything()
        visitors[1].poll()
        tick()
        tab = Visitor(concert, mine.customer)
        tab.token = mine.token
        after(monkeypatch, ASKING_THE_EXIT_LOG, getattr(tab, how))
        mine.poll()

        assert mine.standing == ("LEFT" if how == "leave" else "COMPLETED")

    def test_joining_with_the_old_token_brings_the_place_back(self, clock, visitors):
        clock.lose_everything()
        old_place = visitors[1].slot
        clock.advance(seconds=5)

        visitors[1].join()

        assert visitors[1].slot == old_place

    def test_an_early_bird_gets_the_drawn_place_back(self, time_of, store, upcoming):
        clock = time_of(upcoming)
        early = Visitor(upcoming).join()
        waiting = f"{{queue:{upcoming.pk}}}:waiting"
        slot = store.zscore(waiting, early.customer.pk)
        clock.lose_everything()

        early.poll()

        assert slot is not None
        assert store.zscore(waiting, early.customer.pk) == slot

    def test_a_closed_room_stays_closed_to_old_tokens(self, clock, concert, visitors):
        services.close_room(concert_id=concert.pk, staff_id=None)
        services.open_room(concert_id=concert.pk, staff_id=None)
        clock.lose_everything()

        assert visitors[0].standing == "CLOSED"

    def test_lost_once_more_while_it_heals(self, clock, visitors):
        clock.lose_everything()
        visitors[0].poll()
        clock.advance(seconds=8)
        clock.lose_everything()
        visitors[0].poll()
        clock.advance(seconds=8)

        assert tick() == 0

    def test_a_token_of_a_concert_that_is_gone_is_worth_nothing(self, clock, visitors, concert):
        stranger = replace(token_signer().read(visitors[0].token), concert_id=concert.pk + 1)
        clock = Clock(clock._store, concert.pk + 1, clock.now)

        with pytest.raises(QueueTokenInvalid):
            services.visitor_status(token=token_signer().issue(stranger))


class TestRoomThatWasLost:
    def test_the_limit_per_minute_outlives_the_loss(self, room, clock):
        """The room has forgotten who was admitted in the last minute, so as many as allowed are supposed to have been."""
        room.set_policy(version=2, per_minute=30, capacity=1000)
        claims_of_all = room.join_all(*range(100))
        admitted = [(clock.now, room.tick())]
        clock.lose_everything()
        room.set_policy(version=2, per_minute=30, capacity=1000, was_stored=True)
        room.replay([], generation=1, is_last=True)
        for mine in claims_of_all:
            room.restore(mine)

        for _ in range(60):
            clock.advance(seconds=2)
            admitted.append((clock.now, room.tick()))

        for now, _ in admitted:
            minute = [count for at, count in admitted if now - 60 * SECOND < at <= now]
            assert sum(minute) <= 30
        assert sum(count for _, count in admitted) > 30

    def test_ends_of_a_generation_that_is_over_do_not_touch_the_next(self, room, clock):
        [mine] = room.join_all(1)
        ends = [End(1, mine.slot, 0, EndReason.LEFT, clock.now)]

        room.replay(ends, generation=0, is_last=True)

        assert room.touch(mine).outcome is VisitStatus.WAITING


@pytest.mark.slow
@pytest.mark.no_live_room  # of those; each has a server of its own
class TestRestarting:
    """A server that keeps an append-only file, and comes back with a copy of it that lacks the last moments."""

    @pytest.fixture
    def server(self, valkey_server, settings) -> ValkeyServer:
        server = valkey_server(append_only=True, options={"appendfsync": "always"})
        settings.QUEUE_URL = server.url
        return server

    @pytest.fixture
    def keep(self, server, tmp_path):
        """Copy the file of the server as it is now; what is returned brings the server back with it."""

        def restart() -> None:
            server.kill()
            shutil.rmtree(server.directory)
            shutil.copytree(tmp_path / "kept", server.directory)
            server.start()

        def copy() -> Callable[[], None]:
            shutil.copytree(server.directory, tmp_path / "kept")
            return restart

        return copy

    def test_what_ended_in_the_lost_moments_stays_ended(self, keep, visitors):
        tick()
        paying, leaving, *_ = visitors
        paying.poll()
        leaving.poll()
        come_back = keep()
        paying.pay()
        leaving.leave()
        come_back()

        assert paying.standing == "COMPLETED"
        assert leaving.standing == "LEFT"

    def test_the_tick_tells_the_room_what_it_forgot(
        self,
        keep,
        visitors,
        concert,
    ):
        tick()
        visitors[0].poll()
        come_back = keep()
        visitors[0].pay()
        come_back()

        admitted = tick()

        assert admitted == 0  # the hold-off
        assert live_room(concert.pk).visit_of(visitors[0].customer.pk) is None
        assert live_room(concert.pk).figures().is_healing

    def test_no_visitor_is_admitted_before_a_tick_has_told_it(
        self,
        keep,
        visitors,
        concert,
    ):
        come_back = keep()
        come_back()

        step = live_room(concert.pk).admit()

        assert (step.is_done, step.admitted) == (False, 0)
        assert tick() == 0
        assert live_room(concert.pk).admit().is_done

    def test_who_had_paid_may_join_anew_at_the_end(self, keep, visitors):
        tick()
        visitors[0].poll()
        come_back = keep()
        visitors[0].pay()
        old_place = visitors[0].slot
        come_back()
        visitors[0].token = ""

        visitors[0].join()

        assert visitors[0].slot > old_place

    def test_who_was_admitted_in_the_lost_moments_is_still_active(self, keep, visitors):
        come_back = keep()
        tick()
        before = visitors[0].poll()
        come_back()

        after = visitors[0].poll()

        assert (before.status, after.status) == ("ACTIVE", "ACTIVE")
        assert after.expires_at == before.expires_at

    def test_a_restart_without_persistence(self, valkey_server, settings, concert):
        server = valkey_server()
        settings.QUEUE_URL = server.url
        visitors = [Visitor(concert).join() for _ in range(3)]
        tick()
        visitors[0].poll()
        server.kill()
        server.start()

        assert [visitor.standing for visitor in visitors] == ["ACTIVE", "WAITING", "WAITING"]

    @pytest.mark.parametrize("was_admitted", [False, True])
    def test_the_second_place_is_kept(
        self,
        keep,
        visitors,
        was_admitted,
    ):
        tick()
        mine = visitors[0 if was_admitted else 4]
        mine.poll()
        come_back = keep()
        mine.leave()
        mine.token = ""
        slot = token_signer().read(mine.join().token).slot
        come_back()

        mine.poll()
        tick()

        assert mine.standing == "WAITING"
        assert mine.slot == slot

    def test_who_left_and_joins_again_without_a_token_gets_a_new_place(
        self,
        keep,
        visitors,
    ):
        mine = visitors[4]
        come_back = keep()
        mine.leave()
        come_back()
        mine.token = ""

        mine.join()
        tick()

        assert mine.standing == "WAITING"

    def test_what_ended_stays_ended_however_long_the_server_was_away(
        self,
        keep,
        visitors,
    ):
        tick()
        mine = visitors[4]
        come_back = keep()
        mine.leave()
        come_back()
        # Eleven minutes go by for the log and for the file alike.
        QueueExit.objects.update(ended_at=F("ended_at") - timedelta(minutes=11))
        key = f"{{queue:{mine.concert.pk}}}:room"
        with redis.Redis.from_url(django_settings.QUEUE_URL) as client:
            for field in ("ticked_at", "last_slot"):
                client.hincrby(key, field, -11 * 60 * SECOND)
        tick()

        assert mine.standing == "LEFT"


def test_the_exit_log_tells_one_visit_from_another(concert, visitor):
    visitor.join()
    mine = token_signer().read(visitor.token)
    visitor.leave()

    ended = {"concert_id": concert.pk, "customer_id": visitor.customer.pk}
    assert recorded_end(**ended, slot=mine.slot, generation=1) is EndReason.LEFT
    assert recorded_end(**ended, slot=mine.slot, generation=2) is None
    assert recorded_end(**ended, slot=mine.slot + 1, generation=1) is None
