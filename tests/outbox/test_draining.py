"""Every committed event reaches every consumer once, a batch at a time."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.core.transactions import run_in_transaction
from apps.outbox import draining
from apps.outbox.consumers import one_by_one
from apps.outbox.draining import BATCH_SIZE, Drained, consumers_with_due_deliveries, drain
from apps.outbox.events import consumers_of
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.outbox.recording import record_event
from apps.outbox.tasks import relay_events
from tests.outbox.deliveries import TYPE, delivery, record, run_first
from tests.protections import CLAIM_OF_A_DELIVERY, without
from tests.reservations.racing import meet_before

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
        assert [*deliveries.values_list("event", "consumer", "status", "attempts")] == [
            (event.pk, "first", "PENDING", 0),
            (event.pk, "second", "PENDING", 0),
        ]

    def test_is_due_at_once(self, consumer):
        consumer()
        event = record()

        assert delivery().next_attempt_at == event.occurred_at
        assert [found.name for found in consumers_with_due_deliveries()] == ["first"]

    def test_owes_what_is_said_of_its_type(self, consumer):
        consumer("first")
        consumer("second", ("tests.other",))

        assert consumers_of(TYPE) == ["first"]
        assert consumers_of("tests.unheard") == []

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


class TestDrain:
    def test_settles_what_is_due_the_oldest_first(self, consumer):
        effect = consumer()
        event_ids = [record().pk for _ in range(5)]

        assert drain(consumer="first") == Drained(5, has_more=False)

        assert effect.event_ids == event_ids
        assert set(EventDelivery.objects.values_list("status", "attempts")) == {(Status.DONE, 1)}
        assert not EventDelivery.objects.filter(done_at=None).exists()

    def test_gives_the_effect_the_event_as_it_was_recorded(self, monkeypatch):
        seen: list[OutboxEvent] = []
        run_first(monkeypatch, lambda events: seen.extend(events) or {})
        event = record(payload={"seats": [1, 2], "title": "밤", "nothing": None})

        drain(consumer="first")

        [found] = seen
        told = (found.pk, found.type, found.payload, found.occurred_at)
        assert told == (event.pk, event.type, event.payload, event.occurred_at)

    def test_does_nothing_the_second_time(self, consumer):
        effect = consumer()
        event = record()
        drain(consumer="first")
        done_at = delivery().done_at

        assert drain(consumer="first") == Drained(0, has_more=False)

        assert effect.event_ids == [event.pk]
        assert (delivery().attempts, delivery().done_at) == (1, done_at)

    def test_takes_as_many_batches_as_there_are(self, consumer, monkeypatch):
        effect = consumer()
        monkeypatch.setattr(draining, "BATCH_SIZE", 2)
        event_ids = [record().pk for _ in range(5)]

        assert drain(consumer="first") == Drained(5, has_more=False)
        assert effect.event_ids == event_ids

    def test_says_that_there_is_more_when_its_time_is_over(self, consumer, monkeypatch):
        effect = consumer()
        record()

        assert drain(consumer="first", seconds=0) == Drained(0, has_more=True)
        assert effect.event_ids == []

    def test_costs_two_statements_for_a_whole_batch(self, consumer, django_assert_num_queries):
        effect = consumer()
        for _ in range(30):
            record()

        with django_assert_num_queries(2):
            drain(consumer="first")

        assert len(effect.event_ids) == 30 < BATCH_SIZE

    def test_is_no_concern_of_other_consumers(self, consumer):
        first, second = consumer("first"), consumer("second")
        first.failures = [ValueError("broken")]
        event = record()

        assert drain(consumer="first").settled == 0
        assert second.event_ids == []
        assert drain(consumer="second").settled == 1

        assert second.event_ids == [event.pk]
        assert (delivery("first").status, delivery("second").status) == ("PENDING", "DONE")

    def test_runs_the_effect_outside_any_transaction(self, monkeypatch):
        seen = []
        count = lambda _event: seen.append(len(transaction.get_connection().savepoint_ids))  # noqa: E731
        run_first(monkeypatch, one_by_one(count))
        record()
        before = len(transaction.get_connection().savepoint_ids)

        drain(consumer="first")

        assert seen == [before]


@pytest.mark.django_db(transaction=True)
class TestRace:
    def test_of_drains_runs_an_effect_once(self, race, consumer):
        effect = consumer()
        event = record()

        drained = race([lambda: drain(consumer="first")] * RIVALS)

        assert sum(outcome.settled for outcome in drained) == 1
        assert effect.event_ids == [event.pk]
        assert delivery().attempts == 1

    def test_of_drains_shares_the_work(self, race, consumer, monkeypatch):
        effect = consumer()
        monkeypatch.setattr(draining, "BATCH_SIZE", 2)
        event_ids = {record().pk for _ in range(12)}

        drained = race([lambda: drain(consumer="first")] * RIVALS)

        assert sum(outcome.settled for outcome in drained) == 12
        assert len(effect.event_ids) == 12
        assert set(effect.event_ids) == event_ids
        assert set(EventDelivery.objects.values_list("attempts", flat=True)) == {1}

    def test_of_drains_that_claim_nothing_repeats_it(self, race, consumer, monkeypatch):
        """The twin: the claim reads what is due and neither locks nor moves it."""
        effect = consumer()
        record()
        without(monkeypatch, CLAIM_OF_A_DELIVERY)
        meet_before(monkeypatch, "finish", RIVALS)

        drained = race([lambda: drain(consumer="first")] * RIVALS)

        assert len(effect.event_ids) == RIVALS
        assert [outcome.settled for outcome in drained] == [1] * RIVALS


class TestRelay:
    def test_announces_a_drain_for_who_has_something_due(self, consumer, broker_store):
        consumer("first")
        consumer("second", is_outside=True)
        consumer("third", ("tests.other",))
        record()
        record()

        relay_events(something_new=1)

        assert [found.name for found in consumers_with_due_deliveries()] == ["first", "second"]
        assert broker_store.llen("celery:default") == 1
        assert broker_store.llen("celery:external") == 1

    def test_does_not_pile_up_behind_a_consumer_that_has_a_backlog(self, consumer, broker_store):
        consumer()
        record()

        for _ in range(5):
            relay_events()

        assert broker_store.llen("celery:default") == 1

    def test_does_nothing_when_nothing_is_due(self, consumer, broker_store):
        consumer()
        record()
        drain(consumer="first")

        relay_events()

        assert broker_store.llen("celery:default") == 0


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
