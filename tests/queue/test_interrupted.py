"""A process that dies between two steps, or whose next step fails: nothing is lost, and doing it again does it once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from django.db import OperationalError, connection
from django.utils import timezone

from apps.concerts.models import Concert
from apps.queue.core.room import Room
from apps.queue.live import live_room
from apps.queue.models import QueueExit
from apps.queue.services.clock import to_micros
from apps.queue.services.exit_log import drain_exits, move_exits

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
