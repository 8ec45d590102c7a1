"""The exit log is read and filled in batches, however much there is."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.queue.core.room import Room
from apps.queue.live import live_room
from apps.queue.models import QueueExit
from apps.queue.services import exit_log
from apps.queue.services.clock import to_micros
from apps.queue.services.exit_log import drain_exits, ends_since
from tests.factories.queue import QueueExitFactory

pytestmark = pytest.mark.django_db


@pytest.mark.no_live_room
class TestEndsSince:
    def test_come_in_order_of_time_and_each_once(
        self, concert, monkeypatch, django_assert_num_queries
    ):
        monkeypatch.setattr(exit_log, "EXITS_BATCH", 2)
        now = timezone.now()
        minutes = [9, 5, 5, 5, 7, 5, 3]  # some at the same moment, more than a batch
        for ago in minutes:
            QueueExitFactory(concert=concert, ended_at=now - timedelta(minutes=ago))
        QueueExitFactory(concert=concert, ended_at=now - timedelta(minutes=11))
        QueueExitFactory(concert=concert, generation=2, ended_at=now)
        QueueExitFactory(ended_at=now)

        with django_assert_num_queries(5):
            found = list(
                ends_since(now - timedelta(minutes=10), concert_id=concert.pk, generation=1)
            )

        assert [end.ended_at for end in found] == sorted(
            to_micros(now - timedelta(minutes=ago)) for ago in minutes
        )
        assert {(end.customer_id, end.slot) for end in found} == set(
            QueueExit.objects.of_concert(concert.pk)
            .filter(generation=1, ended_at__gte=now - timedelta(minutes=10))
            .values_list("customer_id", "slot")
        )
        assert len({end.customer_id for end in found}) == len(minutes)

    def test_of_an_empty_log_are_none(self, concert):
        assert list(ends_since(timezone.now(), concert_id=concert.pk, generation=1)) == []


class TestDrainExits:
    @pytest.fixture
    def live(self, concert, store, monkeypatch) -> Room:
        monkeypatch.setattr(exit_log, "EXITS_BATCH", 2)
        live = live_room(concert.pk)
        at = to_micros(timezone.now())
        for customer_id in range(5):
            end = f"{customer_id}:{at}:1:TIMED_OUT:{at}:0:{at}"
            store.xadd(f"{{queue:{concert.pk}}}:exits", {"end": end})
        return live

    def test_moves_all_of_them(self, live):
        assert drain_exits(live, seconds=60) == 5

        assert QueueExit.objects.count() == 5
        assert live.exits(count=10) == []

    def test_stops_when_the_time_is_over(self, live):
        assert drain_exits(live, seconds=-1) == 2

        assert QueueExit.objects.count() == 2
        assert len(live.exits(count=10)) == 3
