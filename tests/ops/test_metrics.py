"""Test what `/metrics` says of events that consumers have not done."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from apps.core.caching import clear_process_caches
from apps.ops import metrics
from apps.outbox.models import EventDelivery, OutboxEvent, Receiver
from tests.outbox.deliveries import delivery, record


def figures(client) -> dict[tuple[str, str], float]:
    """Return the figures of this project by name and consumer, freshly read."""
    clear_process_caches()
    return shown(client)


def shown(client) -> dict[tuple[str, str], float]:
    response = client.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name.removeprefix("encore_"), sample.labels["consumer"]): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
        if sample.name.startswith("encore_") and "consumer" in sample.labels
    }


@pytest.mark.django_db
class TestDeliveries:
    def test_are_zero_for_each_consumer_when_nothing_happened(self, client, consumer):
        consumer("first")
        consumer("second")

        assert figures(client) == {
            (figure, name): 0
            for figure in (
                "deliveries_pending",
                "deliveries_dead",
                "oldest_pending_delivery_seconds",
            )
            for name in ("first", "second")
        }

    def test_are_counted_by_consumer(self, client, consumer):
        consumer("first")
        consumer("second")
        for _ in range(3):
            record()
        EventDelivery.objects.filter(consumer="second").update(
            status=EventDelivery.Status.DONE, done_at=timezone.now()
        )
        dead = EventDelivery.objects.filter(consumer="first").order_by("pk")[0]
        EventDelivery.objects.filter(pk=dead.pk).update(status=EventDelivery.Status.DEAD)

        found = figures(client)

        assert found["deliveries_pending", "first"] == 2
        assert found["deliveries_dead", "first"] == 1
        assert found["deliveries_pending", "second"] == found["deliveries_dead", "second"] == 0

    def test_tell_the_age_of_the_oldest_that_is_pending(self, client, consumer):
        consumer("first")
        ages = [timedelta(hours=9), timedelta(hours=2), timedelta(hours=1)]
        events = [record() for _ in ages]
        for event, age in zip(events, ages, strict=True):
            OutboxEvent.objects.filter(pk=event.pk).update(occurred_at=timezone.now() - age)
        EventDelivery.objects.filter(event=events[0]).update(status=EventDelivery.Status.DEAD)

        age = figures(client)["oldest_pending_delivery_seconds", "first"]

        assert 7_200 <= age < 7_300

    def test_tell_which_receivers_outside_are_unhealthy(self, client, consumer):
        consumer("inside")
        for name in ("first", "second", "third"):
            consumer(name, is_outside=True)
        Receiver.objects.create(consumer="second", unhealthy_since=timezone.now())
        Receiver.objects.create(consumer="third", failing_since=timezone.now())

        found = figures(client)

        told = {name: value for (figure, name), value in found.items() if "receiver" in figure}
        assert told == {"first": 0, "second": 1, "third": 0}

    def test_of_a_consumer_that_is_gone_are_shown_too(self, client, consumer):
        consumer("first")
        record()
        EventDelivery.objects.update(consumer="former")

        assert figures(client)["deliveries_pending", "former"] == 1

    def test_are_read_once_for_many_who_ask(self, client, consumer, django_assert_num_queries):
        consumer("first")
        record()

        with django_assert_num_queries(5):  # the progress of purges is one of them
            figures(client)
        delivery().delete()
        with django_assert_num_queries(0):
            again = shown(client)

        assert again["deliveries_pending", "first"] == 1

    def test_find_their_rows_by_the_indexes_of_what_is_not_done(self, consumer):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        plans = [
            EventDelivery.objects.pending().values("consumer").explain(),
            EventDelivery.objects.dead().values("consumer").explain(),
        ]

        assert "event_delivery_pending" in plans[0]
        assert "event_delivery_dead" in plans[1]

    def test_look_at_one_event_for_each_consumer(self, consumer):
        consumer("first")
        consumer("second")
        for _ in range(20):
            record()

        with CaptureQueriesContext(connection) as queries:
            metrics._read_backlogs()

        [search] = [query["sql"] for query in queries if "outbox_outboxevent" in query["sql"]]
        with connection.cursor() as cursor:
            cursor.execute(search)
            assert len(cursor.fetchall()) == 2


class TestOutage:
    @pytest.mark.django_db(transaction=True)
    def test_of_the_database_leaves_the_other_figures(self, client, monkeypatch):
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "PORT", "1")

        response = client.get("/metrics")

        assert response.status_code == 200
        assert b"# TYPE python_info gauge" in response.content
        assert b"encore_deliveries" not in response.content

    @pytest.mark.django_db
    def test_is_over_when_the_database_answers_again(self, client, consumer, monkeypatch):
        consumer("first")
        with monkeypatch.context() as patch:
            patch.setattr(metrics, "_read_backlogs", _refused)
            assert figures(client) == {}

        assert shown(client)["deliveries_pending", "first"] == 0


def _refused():
    raise OperationalError("the database system is starting up")
