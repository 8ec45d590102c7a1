"""Rooms without visitors: they cost little, whatever their number, and nothing once their concert is over."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
import redis
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.concerts.errors import SalesClosed
from apps.concerts.models import Concert, Performance
from apps.concerts.services import create_performance
from apps.core.caching import clear_process_caches
from apps.core.errors import ServiceUnavailable
from apps.queue import services
from apps.queue.core.room import Room
from apps.queue.live import live_room
from apps.queue.models import QueueExit, WaitingRoom
from apps.queue.selectors import waiting_room_status
from apps.queue.services import admission, rooms
from apps.queue.services.clock import to_micros
from apps.queue.services.exit_log import EXITS_BATCH
from apps.queue.services.retiring import RETIRED_AFTER
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory, alike, begin_at
from tests.protections import (
    UPDATING_THE_LIVE_ROOM,
    WAIT_FOR_THE_EXIT_LOG,
    WAKING_A_ROOM,
    after,
    replace,
    without,
)
from tests.queue.rooms import LONG_AGO, Clock, Visitor, tick

pytestmark = pytest.mark.django_db


def add_exit(store: redis.Redis, live: Room, customer_id: int, *, at: int) -> None:
    """Put an end onto its way to the exit log, as scripts do."""
    end = f"{customer_id}:{at}:1:TIMED_OUT:{at}:0:{at}"
    store.xadd(f"{{queue:{live.concert_id}}}:exits", {"end": end})


def activity(concert: Concert) -> str:
    return WaitingRoom.objects.get(concert=concert).activity


def add_a_date(concert: Concert) -> None:
    create_performance(concert_id=concert.pk, starts_at=timezone.now() + timedelta(days=9))


def move_dates(concert: Concert, *, to: datetime) -> None:
    begin_at(Performance.objects.filter(concert=concert), to)


@pytest.fixture
def finished(visitor) -> Visitor:
    """A visitor who had a turn in a room whose concert ended more than a day ago; the room rests."""
    PerformanceFactory(concert=visitor.concert)
    visitor.join()
    tick()
    visitor.poll()
    visitor.leave()
    tick()
    assert activity(visitor.concert) == "RESTING"
    move_dates(visitor.concert, to=timezone.now() - RETIRED_AFTER - timedelta(minutes=1))
    return visitor


@pytest.mark.slow
class TestManyRooms:
    ROOMS = 3_000

    @pytest.fixture(autouse=True)
    def _unhurried(self, monkeypatch) -> None:
        """A busy machine would end a call early; how many rooms it looks at is what counts here."""
        monkeypatch.setattr(admission, "SECONDS_PER_CALL", 60)

    @pytest.fixture
    def idle(self) -> None:
        """Thousands of rooms without visitors, all of them due, and long before any other."""
        concerts = Concert.objects.bulk_create(alike(ConcertFactory.build(), [{}] * self.ROOMS))
        WaitingRoom.objects.bulk_create(
            WaitingRoom(concert=concert, next_tick_at=LONG_AGO) for concert in concerts
        )

    def calls(self, store: redis.Redis) -> int:
        nodes: Any = store.info("stats", **self.everywhere(store))
        found = nodes.values() if "total_commands_processed" not in nodes else [nodes]
        return sum(node["total_commands_processed"] for node in found)

    def everywhere(self, store: redis.Redis) -> dict[str, Any]:
        return {} if isinstance(store, redis.Redis) else {"target_nodes": "primaries"}

    def test_do_not_keep_the_only_visitor_waiting(self, idle, visitor, store):
        visitor.join()
        calls_before = self.calls(store)

        with CaptureQueriesContext(connection) as queries:
            assert services.admit_visitors() == 1

        looked_at = admission.RESTING_PER_CALL
        assert visitor.standing == "ACTIVE"
        assert WaitingRoom.objects.filter(next_tick_at=LONG_AGO).count() == self.ROOMS - looked_at
        first_claim = queries.captured_queries[0]["sql"]
        assert "'AWAKE'" in first_claim
        assert len(queries) <= 20 + looked_at  # each room is noted as stored once
        # What the scripts call themselves is counted as well.
        assert self.calls(store) - calls_before <= 40 * (looked_at + 1)

    def test_would_without_the_order(self, idle, visitor):
        visitor.join()
        WaitingRoom.objects.update(activity="RESTING")  # as if all of them were alike

        assert services.admit_visitors() == 0

    def test_are_due_at_different_times_after_a_look(self, idle):
        services.admit_visitors()

        looked_at = WaitingRoom.objects.exclude(next_tick_at=LONG_AGO)
        seconds = {(room.next_tick_at - timezone.now()).total_seconds() for room in looked_at}
        assert len(seconds) == admission.RESTING_PER_CALL
        assert 20 < min(seconds) < max(seconds) < 36

    def test_are_claimed_by_an_index(self, idle):
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE queue_waitingroom")
        with CaptureQueriesContext(connection) as queries:
            services.admit_visitors()

        claims = [query["sql"] for query in queries if "SKIP LOCKED" in query["sql"]]
        assert claims
        for claim in claims:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {claim}")
                plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "waiting_room_due" in plan, plan


class TestResting:
    def test_an_empty_room_rests(self, concert):
        services.schedule_tick_now(concert.pk)

        services.admit_visitors()

        room = WaitingRoom.objects.get(concert=concert)
        assert room.activity == "RESTING"
        assert room.next_tick_at > timezone.now() + admission.IDLE_INTERVAL / 2

    def test_a_room_with_a_visitor_in_it_does_not(self, visitors):
        tick()

        assert activity(visitors[0].concert) == "AWAKE"

    def test_a_call_for_help_that_got_lost_is_made_up_for(self, visitor):
        """As when a web process dies between joining and waking."""
        visitor.join()
        WaitingRoom.objects.update(activity="RESTING")

        assert tick() == 1

        assert activity(visitor.concert) == "AWAKE"


class TestClosing:
    """Sales of a concert are over when the last date has begun, whatever the sales window says."""

    def test_no_visitor_joins_after_the_last_date(self, visitor):
        PerformanceFactory(concert=visitor.concert, starts_at=timezone.now())
        waiting = Visitor(visitor.concert)

        with pytest.raises(SalesClosed):
            waiting.join()

        assert live_room(visitor.concert.pk).visit_of(waiting.customer.pk) is None

    def test_who_is_inside_is_sent_away(self, concert, visitors):
        PerformanceFactory(concert=concert)
        tick()
        assert visitors[0].standing == "ACTIVE"

        move_dates(concert, to=timezone.now())
        tick()

        assert {visitor.standing for visitor in visitors} == {"CLOSED"}

    def test_one_date_ahead_is_enough(self, visitor):
        PerformanceFactory(concert=visitor.concert, starts_at=timezone.now())
        PerformanceFactory(concert=visitor.concert)

        assert visitor.join().standing == "WAITING"

    def test_a_concert_without_dates_is_open(self, visitor):
        assert visitor.join().standing == "WAITING"

    def test_sales_may_close_before_the_last_date(self, visitor):
        PerformanceFactory(concert=visitor.concert)
        Concert.objects.update(sales_close_at=timezone.now())

        with pytest.raises(SalesClosed):
            visitor.join()

    @pytest.mark.parametrize("is_live", [True, False])
    def test_the_board_says_so(self, concert, is_live):
        PerformanceFactory(concert=concert, starts_at=timezone.now())
        if is_live:
            tick()

        assert waiting_room_status(concert.pk).state == "CLOSED"


class TestRetiring:
    def test_a_room_of_a_concert_that_is_over_is_forgotten(self, finished, store):
        tick()

        room = WaitingRoom.objects.get()
        assert (room.activity, room.generation) == ("RETIRED", 2)
        assert store.keys("*queue*") == []
        assert QueueExit.objects.count() == 1

    def test_is_not_looked_at_any_more(self, finished, store):
        tick()
        WaitingRoom.objects.update(next_tick_at=LONG_AGO)

        services.admit_visitors()

        assert WaitingRoom.objects.get().next_tick_at.year == 2000
        assert store.keys("*queue*") == []

    def test_staff_have_a_day_to_go_on(self, finished):
        move_dates(finished.concert, to=timezone.now() - RETIRED_AFTER + timedelta(minutes=1))

        tick()

        assert activity(finished.concert) == "RESTING"

    def test_needs_the_ends_on_record(self, finished, store):
        live = live_room(finished.concert.pk)
        add_exit(store, live, CustomerFactory().pk, at=to_micros(timezone.now()))

        assert not live.drop_if_empty()
        for _ in range(2):
            tick()

        assert activity(finished.concert) == "RETIRED"
        assert QueueExit.objects.count() == 2

    def test_a_visitor_inside_keeps_it(self, finished):
        move_dates(finished.concert, to=timezone.now() + timedelta(days=1))
        tick()
        Visitor(finished.concert).join()

        assert not live_room(finished.concert.pk).drop_if_empty()

    def test_a_date_that_is_added_brings_it_back(self, finished):
        tick()
        add_a_date(finished.concert)

        newcomer = Visitor(finished.concert).join()

        assert activity(finished.concert) == "AWAKE"
        assert newcomer.poll().position == 1
        assert services.admit_visitors() == 1  # new, not lost: no visitor has to come back first
        assert newcomer.standing == "ACTIVE"

    def test_a_join_that_is_refused_changes_nothing_for_those_after_it(self, finished, store):
        tick()
        with pytest.raises(SalesClosed):
            Visitor(finished.concert).join()
        assert activity(finished.concert) == "RETIRED"
        assert store.keys("*queue*") == []
        add_a_date(finished.concert)
        clear_process_caches()

        Visitor(finished.concert).join()

        assert activity(finished.concert) == "AWAKE"

    def test_a_live_room_from_before_does_not_keep_it_closed(self, finished):
        """A store that came back from an old file has it, or a join was faster than the row."""
        tick()
        room = rooms.get_or_create_waiting_room(finished.concert.pk)
        rooms.bring_up_to_date(room)
        WaitingRoom.objects.update(activity="RETIRED")
        add_a_date(finished.concert)

        newcomer = Visitor(finished.concert).join()

        assert activity(finished.concert) == "AWAKE"
        assert services.admit_visitors() == 1
        assert newcomer.standing == "ACTIVE"

    def test_a_visitor_for_whom_it_was_not_woken_is_found(self, finished, monkeypatch):
        """The process of the first one died between joining and waking."""
        tick()
        add_a_date(finished.concert)
        replace(monkeypatch, WAKING_A_ROOM, by=lambda _concert_id: None)
        newcomer = Visitor(finished.concert).join()

        services.admit_visitors()

        assert activity(finished.concert) == "AWAKE"
        assert newcomer.standing == "ACTIVE"

    def test_old_tokens_bring_nothing_back(self, finished):
        early = Visitor(finished.concert)
        move_dates(finished.concert, to=timezone.now() + timedelta(days=1))
        tick()
        early.join()
        old_token = early.token
        early.leave()
        move_dates(finished.concert, to=timezone.now() - 2 * RETIRED_AFTER)
        for _ in range(3):
            tick()
        assert activity(finished.concert) == "RETIRED"
        QueueExit.objects.all().delete()  # the retention has passed
        add_a_date(finished.concert)

        early.token = old_token

        assert early.standing == "CLOSED"
        assert live_room(finished.concert.pk).visit_of(early.customer.pk) is None

    def test_staff_may_wake_it(self, finished):
        tick()

        with TestCase.captureOnCommitCallbacks(execute=True):
            services.set_capacity(concert_id=finished.concert.pk, capacity=9, staff_id=None)
        assert activity(finished.concert) == "AWAKE"
        for _ in range(2):
            tick()

        assert activity(finished.concert) == "RETIRED"
        assert WaitingRoom.objects.get().capacity == 9

    def test_the_board_looks_the_same(self, finished):
        services.admit_visitors()
        tick()
        clear_process_caches()

        board = waiting_room_status(finished.concert.pk)

        assert (board.state, board.waiting, board.active) == ("CLOSED", 0, 0)

    def test_a_date_added_in_the_last_moment_saves_it(self, finished, monkeypatch):
        """Between reading the room and retiring it."""
        add = partial(PerformanceFactory, concert=finished.concert)
        after(monkeypatch, UPDATING_THE_LIVE_ROOM, add)

        tick()

        assert activity(finished.concert) == "RESTING"
        assert WaitingRoom.objects.get().generation == 1


class TestHealingBehindManyEnds:
    @pytest.fixture
    def clock(self, concert, time_of) -> Clock:
        return time_of(concert)

    @pytest.fixture
    def second_turn(self, clock, concert, store) -> Visitor:
        """Holds a token of a place that the store has lost, and has ended a later one since; nothing of it is on record.

        More ends than fit into one batch are on their way to the exit log, this one the last of them.
        """
        visitor = Visitor(concert).join()
        clock.lose_everything()
        Visitor(concert, visitor.customer).join()
        tick()
        live = live_room(concert.pk)
        for customer_id in range(1_000_000, 1_000_000 + EXITS_BATCH):
            add_exit(store, live, customer_id, at=clock.now)
        for _ in range(32):
            clock.advance(seconds=10)
            live.admit()
        assert live.visit_of(visitor.customer.pk) is None
        return visitor

    def test_waits_until_the_exit_log_has_them(self, second_turn):
        with pytest.raises(ServiceUnavailable):
            second_turn.poll()

        assert QueueExit.objects.count() == EXITS_BATCH  # bounded
        assert second_turn.standing == "TIMED_OUT"
        assert live_room(second_turn.concert.pk).visit_of(second_turn.customer.pk) is None

    def test_would_give_a_second_turn_if_it_did_not(self, second_turn, monkeypatch):
        without(monkeypatch, WAIT_FOR_THE_EXIT_LOG)

        assert second_turn.standing == "WAITING"
