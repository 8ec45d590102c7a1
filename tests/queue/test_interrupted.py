"""A process that dies between two steps, or whose next step fails: nothing is lost, and doing it again does it once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db import OperationalError, connection
from django.utils import timezone

from apps.concerts.models import Concert, Performance
from apps.core.errors import ServiceUnavailable
from apps.outbox.models import OutboxEvent
from apps.queue import services
from apps.queue.core.room import Room
from apps.queue.live import live_room, token_signer
from apps.queue.models import QueueExit, WaitingRoom
from apps.queue.services import finishing, visits
from apps.queue.services.clock import to_micros
from apps.queue.services.exit_log import drain_exits, move_exits
from apps.queue.services.finishing import finish_paid_visits
from apps.queue.services.retiring import RETIRED_AFTER
from tests.factories.concerts import PerformanceFactory, begin_at
from tests.factories.queue import WaitingRoomFactory
from tests.queue.rooms import Visitor

pytestmark = pytest.mark.django_db

STORES = ["node"]


class WorkerKilled(BaseException):
    """Ends the call without a chance to tidy up."""


@contextmanager
def failing(statement: str) -> Iterator[None]:
    """The database goes away before a statement that begins so."""

    def execute(run: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if sql.startswith(statement):
            raise OperationalError("the connection is gone")
        return run(sql, *arguments)

    with connection.execute_wrapper(execute):
        yield


def make_due() -> None:
    WaitingRoom.objects.exclude(activity="RETIRED").update(next_tick_at="2000-01-01T00:00:00Z")


def tick() -> int:
    make_due()
    return services.admit_visitors()


def paid(visitor: Visitor) -> OutboxEvent:
    claims = token_signer().read(visitor.token)
    payload = {
        "concert_id": claims.concert_id,
        "customer_id": claims.customer_id,
        "queue_slot": claims.slot,
        "queue_generation": claims.generation,
    }
    return OutboxEvent(type="reservation.confirmed", payload=payload)


class TestMovingExits:
    """Read from the stream, insert, forget."""

    @pytest.fixture
    def live(self, concert: Concert, store: redis.Redis) -> Room:
        at = to_micros(timezone.now())
        for customer_id in range(3):
            end = f"{customer_id}:{at + customer_id}:1:TIMED_OUT:{at}:0:{at}"
            store.xadd(f"{{queue:{concert.pk}}}:exits", {"end": end})
        return live_room(concert.pk)

    @pytest.mark.django_db(transaction=True)
    def test_forgets_nothing_that_the_database_did_not_take(self, live: Room) -> None:
        with failing('INSERT INTO "queue_queueexit"'), pytest.raises(OperationalError):
            move_exits(live)

        assert len(live.exits(count=10)) == 3
        assert drain_exits(live, seconds=60) == 3
        assert QueueExit.objects.count() == 3
        assert live.exits(count=10) == []

    def test_inserts_nothing_twice_that_it_could_not_forget(
        self, live: Room, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_: object) -> None:
            raise WorkerKilled

        with monkeypatch.context() as patch:
            patch.setattr(Room, "forget_exits", die)
            with pytest.raises(WorkerKilled):
                move_exits(live)
        before = list(QueueExit.objects.order_by("pk").values())
        assert len(before) == len(live.exits(count=10)) == 3

        assert drain_exits(live, seconds=60) == 3

        assert list(QueueExit.objects.order_by("pk").values()) == before
        assert live.exits(count=10) == []


class TestFinishing:
    """Into the exit log, out of the live rooms, correct the time, admit the next."""

    @pytest.fixture
    def inside(self, concert: Concert) -> list[Visitor]:
        """One who is inside, in each of two rooms for one; another waits in each."""
        WaitingRoom.objects.update(capacity=1)
        concerts = [concert, WaitingRoomFactory(capacity=1).concert]
        first, self.next = ([Visitor(concert).join() for concert in concerts] for _ in range(2))
        assert tick() == 2
        assert [visitor.standing for visitor in first] == ["ACTIVE"] * 2
        return first

    def test_is_done_when_it_is_called_again_after_an_outage(
        self, inside: list[Visitor], settings: LazySettings
    ) -> None:
        finish = partial(finish_paid_visits, [paid(visitor) for visitor in inside])
        url = settings.QUEUE_URL
        settings.QUEUE_URL = "redis://127.0.0.1:1/0"
        with pytest.raises(ServiceUnavailable):
            finish()
        assert QueueExit.objects.count() == 2
        settings.QUEUE_URL = url
        assert [visitor.standing for visitor in inside] == ["ACTIVE"] * 2

        finish()

        assert [visitor.standing for visitor in inside] == ["COMPLETED"] * 2
        assert [visitor.standing for visitor in self.next] == ["ACTIVE"] * 2
        assert QueueExit.objects.count() == 2

    @pytest.mark.parametrize("step", ["fetch_all", "admit_now"])
    def test_is_made_up_for_by_the_tick_after_a_crash_behind_the_store(
        self, inside: list[Visitor], monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        finish = partial(finish_paid_visits, [paid(visitor) for visitor in inside])
        original = getattr(finishing, step)

        def die(*arguments: Any) -> Any:
            if arguments[0] in (finishing._SQL["correct"], inside[0].concert.pk):
                raise WorkerKilled
            return original(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(finishing, step, die)
            with pytest.raises(WorkerKilled):
                finish()

        finish()
        tick()

        assert [visitor.standing for visitor in inside] == ["COMPLETED"] * 2
        assert [visitor.standing for visitor in self.next] == ["ACTIVE"] * 2
        assert QueueExit.objects.count() == 2


@pytest.mark.django_db(transaction=True)
class TestRetiring:
    """Out of the store, then off the list of those that are ticked."""

    def test_is_done_at_a_later_tick_after_a_crash(self, visitor: Visitor) -> None:
        PerformanceFactory(concert=visitor.concert)
        visitor.join()
        tick()
        visitor.leave()
        tick()
        dates = Performance.objects.filter(concert=visitor.concert)
        begin_at(dates, timezone.now() - RETIRED_AFTER - timedelta(minutes=1))
        make_due()

        with failing('UPDATE "queue_waitingroom"'):
            services.admit_visitors()
        room = WaitingRoom.objects.get()
        assert (room.activity, room.generation) == ("RESTING", 1)
        assert live_room(visitor.concert.pk).figures() is None

        ticks = [tick() for _ in range(3)]

        room.refresh_from_db()
        assert (ticks, room.activity, room.generation) == ([0] * 3, "RETIRED", 2)
        assert live_room(visitor.concert.pk).figures() is None
        assert room.epoch_stored_at is None


@pytest.mark.django_db(transaction=True)
class TestMakingARoom:
    """Into the store, then into the row that the store has it."""

    def test_is_put_on_record_by_who_comes_next_after_a_crash(
        self, concert: Concert, visitor: Visitor
    ) -> None:
        with failing('UPDATE "queue_waitingroom"'), pytest.raises(OperationalError):
            visitor.join()
        assert WaitingRoom.objects.get().epoch_stored_at is None

        second = Visitor(concert).join()
        tick()

        assert WaitingRoom.objects.get().epoch_stored_at is not None
        assert second.standing == "ACTIVE"
        assert live_room(concert.pk).visit_of(visitor.customer.pk) is None


class TestJoining:
    """Make the live room anew, then take a place in it."""

    def test_is_refused_for_the_moment_when_the_store_is_lost_in_between(
        self, concert: Concert, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        revive = visits._revive

        def revive_and_lose(concert_id: int) -> None:
            revive(concert_id)
            live_room(concert_id).drop()

        with monkeypatch.context() as patch:
            patch.setattr(visits, "_revive", revive_and_lose)
            with pytest.raises(ServiceUnavailable):
                visitor.join()

        assert visitor.join().poll().status == "WAITING"
