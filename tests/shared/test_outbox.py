"""Every committed event reaches every consumer once, by the fast path or by the relay."""

import threading
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.shared import outbox
from apps.shared.models import EventDelivery, OutboxEvent
from apps.shared.outbox import (
    GRACE,
    Consumer,
    consumers_with_due_deliveries,
    deliver,
    drain,
    record_event,
    register_consumer,
)
from apps.shared.tasks import drain_consumer, relay_events
from apps.shared.transactions import run_in_transaction
from tests.shared.deliveries import TYPE, delivery, make_due, record

pytestmark = pytest.mark.django_db

RIVALS = 4
Status = EventDelivery.Status


class TestRecordEvent:
    def test_promises_one_delivery_to_every_consumer_of_its_type(self, consumer):
        consumer("first")
        consumer("second", (TYPE, "tests.other"))
        consumer("third", ("tests.other",))

        event = record(payload={"seats": [1, 2], "title": "밤"})

        assert OutboxEvent.objects.get() == event
        assert OutboxEvent.objects.get().payload == {"seats": [1, 2], "title": "밤"}
        deliveries = EventDelivery.objects.order_by("consumer")
        assert [(one.event_id, one.consumer, one.status, one.attempts) for one in deliveries] == [
            (event.pk, "first", "PENDING", 0),
            (event.pk, "second", "PENDING", 0),
        ]

    def test_leaves_the_fast_path_some_seconds(self, consumer):
        consumer()
        event = record()

        assert delivery().next_attempt_at == event.occurred_at + GRACE
        assert consumers_with_due_deliveries() == []

    @pytest.mark.django_db(transaction=True)
    def test_needs_the_transaction_of_what_happened(self, consumer):
        consumer()

        with pytest.raises(RuntimeError, match="inside a transaction"):
            record_event(type=TYPE, payload={}, occurred_at=timezone.now())

        with pytest.raises(ZeroDivisionError):
            run_in_transaction(self.record_and_fail)
        assert not OutboxEvent.objects.exists()
        assert not EventDelivery.objects.exists()

    @staticmethod
    def record_and_fail():
        record_event(type=TYPE, payload={}, occurred_at=timezone.now())
        raise ZeroDivisionError

    def test_cannot_promise_twice(self, consumer):
        consumer()
        event = record()

        with pytest.raises(IntegrityError, match="event_delivered_once"), transaction.atomic():
            EventDelivery.objects.create(
                event=event, consumer="first", next_attempt_at=timezone.now()
            )


class TestDeliver:
    def test_settles_it_and_says_so(self, consumer):
        effect = consumer()
        event = record()

        assert deliver(consumer="first", event_id=event.pk) is True

        assert effect.event_ids == [event.pk]
        assert (delivery().status, delivery().attempts) == (Status.DONE, 1)
        assert delivery().done_at is not None

    def test_takes_an_id_as_a_task_has_it(self, consumer):
        consumer()

        assert deliver(consumer="first", event_id=str(record().pk)) is True

    def test_does_nothing_the_second_time(self, consumer):
        effect = consumer()
        event = record()
        deliver(consumer="first", event_id=event.pk)
        done_at = delivery().done_at

        assert deliver(consumer="first", event_id=event.pk) is False

        assert effect.event_ids == [event.pk]
        assert (delivery().attempts, delivery().done_at) == (1, done_at)

    @pytest.mark.parametrize("name", ["first", "nobody"])
    def test_does_nothing_for_what_was_not_promised(self, consumer, name):
        effect = consumer()

        assert deliver(consumer=name, event_id=uuid4()) is False
        assert effect.event_ids == []

    def test_is_no_concern_of_other_consumers(self, consumer):
        first, second = consumer("first"), consumer("second")
        first.failures = [ValueError("broken")]
        event = record()

        assert deliver(consumer="first", event_id=event.pk) is False
        assert deliver(consumer="second", event_id=event.pk) is True

        assert second.event_ids == [event.pk]
        assert (delivery("first").status, delivery("second").status) == ("PENDING", "DONE")

    def test_runs_the_effect_outside_any_transaction(self, consumer, monkeypatch):
        seen = []
        monkeypatch.setattr(outbox, "_consumers", {})
        with_count = lambda event: seen.append(len(transaction.get_connection().savepoint_ids))  # noqa: E731
        register_consumer(Consumer("first", frozenset({TYPE}), with_count))
        event = record()
        before = len(transaction.get_connection().savepoint_ids)

        deliver(consumer="first", event_id=event.pk)

        assert seen == [before]


@pytest.mark.django_db(transaction=True)
class TestRace:
    def test_of_deliveries_runs_the_effect_once(self, race, consumer):
        effect = consumer()
        event = record()

        settled = race([lambda: deliver(consumer="first", event_id=event.pk)] * RIVALS)

        assert sorted(settled) == [False] * (RIVALS - 1) + [True]
        assert effect.event_ids == [event.pk]
        assert delivery().attempts == 1

    def test_without_the_claim_runs_it_many_times(self, race, consumer):
        effect = consumer()
        record()

        settled = race([lambda: outbox._run(delivery())] * RIVALS)

        assert len(effect.event_ids) > 1
        assert settled == [True] * RIVALS
        assert delivery().status == Status.DONE

    def test_of_drains_shares_the_work(self, race, consumer):
        effect = consumer()
        event_ids = {record().pk for _ in range(12)}
        make_due()

        settled = race([lambda: drain(consumer="first")] * RIVALS)

        assert sum(settled) == 12
        assert len(effect.event_ids) == 12
        assert set(effect.event_ids) == event_ids

    def test_of_drains_that_lock_nothing_repeats_it(self, race, consumer, monkeypatch):
        effect = consumer()
        record()
        make_due()
        everybody_has_looked = threading.Barrier(RIVALS, timeout=30)
        looked = threading.local()

        def look(name):
            if hasattr(looked, "once"):
                return None
            looked.once = EventDelivery.objects.due().filter(consumer=name).first()
            everybody_has_looked.wait()
            return looked.once

        monkeypatch.setattr(outbox, "_claim_next", look)

        race([lambda: drain(consumer="first")] * RIVALS)

        assert len(effect.event_ids) == RIVALS

    def test_of_fast_path_and_relay_has_one_winner(self, race, consumer):
        effect = consumer()
        event = record()
        make_due()

        settled = race(
            [lambda: deliver(consumer="first", event_id=event.pk), lambda: drain(consumer="first")]
        )

        assert sum(settled) == 1
        assert effect.event_ids == [event.pk]


class TestDrain:
    def test_takes_what_the_fast_path_missed_the_oldest_first(self, consumer):
        effect = consumer()
        event_ids = [record().pk for _ in range(5)]
        make_due()

        assert drain(consumer="first") == 5

        assert effect.event_ids == event_ids
        assert set(EventDelivery.objects.values_list("status", flat=True)) == {Status.DONE}

    def test_goes_on_after_a_failure(self, consumer):
        effect = consumer()
        effect.failures = [ValueError("only the first")]
        [_, *others] = [record().pk for _ in range(3)]
        make_due()

        assert drain(consumer="first") == 2
        assert effect.event_ids == others

    def test_ends_in_time(self, consumer):
        effect = consumer()
        record()
        make_due()

        assert drain(consumer="first", seconds=0) == 0
        assert effect.event_ids == []

    def test_leaves_other_consumers_alone(self, consumer):
        consumer("first")
        second = consumer("second")
        record()
        make_due()

        drain_consumer(consumer="first", something_new=1)

        assert second.event_ids == []
        assert delivery("second").status == Status.PENDING


class TestRelay:
    def test_starts_a_drain_for_who_has_something_due(self, consumer, store):
        consumer("first")
        consumer("second", queue="external")
        consumer("third", ("tests.other",))
        record()
        record()
        make_due()

        relay_events(something_new=1)

        assert [found.name for found in consumers_with_due_deliveries()] == ["first", "second"]
        assert store.llen("celery:default") == 1
        assert store.llen("celery:external") == 1

    def test_does_nothing_when_nothing_is_due(self, consumer, store):
        consumer()
        record()

        relay_events()

        assert store.llen("celery:default") == 0


class TestConstraint:
    @pytest.mark.parametrize(
        ("status", "done_at"),
        [("DONE", None), ("PENDING", timezone.now()), ("DEAD", timezone.now())],
    )
    def test_of_done_and_its_time(self, consumer, status, done_at):
        consumer()
        record()

        with pytest.raises(IntegrityError, match="done_has_time"), transaction.atomic():
            EventDelivery.objects.update(status=status, done_at=done_at)
