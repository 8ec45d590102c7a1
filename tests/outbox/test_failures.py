"""Test what becomes of a delivery that fails, and of one whose worker never came back."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from apps.core.transactions import database_now
from apps.outbox import consumers, draining
from apps.outbox.consumers import DeliveryPostponed, DeliveryRefused, one_by_one
from apps.outbox.draining import CLAIM_TIMEOUT, LOST_ALONE, MAX_ATTEMPTS, Drained, drain
from apps.outbox.events import CONSUMERS
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.outbox.replaying import replay_dead
from tests.outbox.deliveries import TYPE, WorkerKilled, delivery, make_due, record, run_first

pytestmark = pytest.mark.django_db

Status = EventDelivery.Status


class TestFailure:
    def test_is_recorded_and_tried_again_later(self, consumer):
        effect = consumer()
        effect.failures = [ValueError("the first time")]
        event = record()

        assert drain(consumer="first").settled == 0
        assert (delivery().status, delivery().attempts) == (Status.PENDING, 1)
        assert delivery().last_error == "ValueError: the first time"
        assert drain(consumer="first").settled == 0
        assert delivery().attempts == 1

        make_due()
        assert drain(consumer="first").settled == 1
        assert (delivery().status, delivery().attempts) == (Status.DONE, 2)
        assert effect.event_ids == [event.pk]

    @pytest.mark.parametrize(
        ("attempt", "seconds"), [(1, 7.5), (2, 15), (5, 120), (9, 1_920), (10, 3_600), (14, 3_600)]
    )
    def test_waits_twice_as_long_each_time_up_to_an_hour(self, consumer, attempt, seconds):
        consumer().failures = [ValueError("again")]
        record()
        make_due()
        EventDelivery.objects.update(attempts=attempt - 1)

        began_at = database_now()
        drain(consumer="first")

        wait = delivery().next_attempt_at - began_at
        slack = timedelta(seconds=30)
        nominal = timedelta(seconds=seconds)
        assert nominal * 0.8 <= wait <= nominal * 1.2 + slack
        assert delivery().status == Status.PENDING

    def test_is_final_after_the_last_attempt(self, consumer):
        effect = consumer()
        effect.failures = [ValueError("hopeless")] * MAX_ATTEMPTS
        record()

        for _ in range(MAX_ATTEMPTS):
            assert delivery().status == Status.PENDING
            make_due()
            drain(consumer="first")

        assert (delivery().status, delivery().attempts) == (Status.DEAD, MAX_ATTEMPTS)
        assert delivery().last_error == "ValueError: hopeless"
        make_due()
        assert drain(consumer="first").settled == 0
        assert effect.event_ids == []

    def test_by_a_refusal_is_final_at_once(self, consumer):
        consumer().failures = [DeliveryRefused("HTTP 410")]
        record()
        make_due()

        drain(consumer="first")

        assert (delivery().status, delivery().attempts) == (Status.DEAD, 1)
        assert delivery().last_error == "DeliveryRefused: HTTP 410"

    @pytest.mark.parametrize(("retry_after", "least", "most"), [(900, 900, 960), (0, 5, 60)])
    def test_waits_as_long_as_it_names_and_backs_off_all_the_same(
        self, consumer, retry_after, least, most
    ):
        consumer().failures = [DeliveryPostponed("HTTP 503", retry_after=retry_after)]
        record()
        make_due()

        began_at = database_now()
        drain(consumer="first")

        wait = delivery().next_attempt_at - began_at
        assert timedelta(seconds=least) <= wait < timedelta(seconds=most)

    @pytest.mark.parametrize(
        ("said", "kept"),
        [("a\0b", "a\\x00b"), ("\ud800", "\\ud800"), ("밤", "밤"), ("x" * 9_000, "x" * 1_988)],
    )
    def test_is_recorded_whatever_the_other_side_said(self, consumer, said, kept):
        consumer().failures = [ValueError(said)]
        record()
        make_due()

        drain(consumer="first")

        assert delivery().last_error == f"ValueError: {kept}"


class TestClaim:
    def test_of_a_killed_worker_is_given_back_after_a_while(self, consumer):
        effect = consumer()
        effect.failures = [WorkerKilled()]
        event = record()

        with pytest.raises(WorkerKilled):
            drain(consumer="first")

        assert (delivery().status, delivery().attempts) == (Status.PENDING, 1)
        assert drain(consumer="first").settled == 0
        EventDelivery.objects.update(next_attempt_at=F("next_attempt_at") - CLAIM_TIMEOUT)
        assert drain(consumer="first").settled == 1
        assert effect.event_ids == [event.pk]

    def test_that_killed_every_worker_is_given_up_after_it_was_alone(self, consumer):
        effect = consumer()
        effect.failures = [WorkerKilled()]
        record()
        EventDelivery.objects.update(attempts=MAX_ATTEMPTS)

        with pytest.raises(WorkerKilled):
            drain(consumer="first")
        assert (delivery().status, delivery().last_error) == (Status.PENDING, LOST_ALONE)
        make_due()
        drain(consumer="first")

        assert delivery().status == Status.DEAD
        assert "the worker died during every attempt" in delivery().last_error
        assert effect.event_ids == []

    @pytest.mark.parametrize("failed", [1, MAX_ATTEMPTS - 1])
    def test_of_a_batch_costs_the_others_nothing_after_an_ordinary_error(self, monkeypatch, failed):
        failures = {}
        run_first(monkeypatch, lambda _: failures)
        poison, *others = events = [record() for _ in range(6)]
        failures |= {event.pk: ValueError("the store is down") for event in events}
        EventDelivery.objects.update(attempts=failed - 1)
        make_due()
        drain(consumer="first")
        assert set(EventDelivery.objects.values_list("last_error", flat=True)) == {
            "ValueError: the store is down"
        }

        def effect(batch):
            if poison in batch:
                raise WorkerKilled
            return {}

        run_first(monkeypatch, effect)
        for _ in range(2 * MAX_ATTEMPTS):
            make_due()
            with suppress(WorkerKilled):
                drain(consumer="first")

        found = {delivery.event_id: delivery for delivery in EventDelivery.objects.all()}
        assert found.pop(poison.pk).status == Status.DEAD
        assert found.keys() == {event.pk for event in others}
        assert {(left.status, left.last_error) for left in found.values()} == {(Status.DONE, "")}

    def test_that_is_given_back_keeps_its_error(self, consumer):
        consumer().failures = [ValueError("the first time")]
        record()
        drain(consumer="first")
        make_due()
        [claim] = draining._claim(CONSUMERS["first"])
        assert (claim.last_error, delivery().last_error) == ("ValueError: the first time", "")

        draining._give_back([claim])

        assert (delivery().attempts, delivery().last_error) == (1, claim.last_error)

    @pytest.mark.parametrize("fails", [False, True])
    def test_that_was_overtaken_undoes_nothing(self, monkeypatch, fails):
        """A slow attempt ends after another one has succeeded."""

        def overtaken(events):
            run_first(monkeypatch, lambda _: {})
            make_due()
            assert drain(consumer="first").settled == 1
            return {events[0].pk: ValueError("late")} if fails else {}

        run_first(monkeypatch, overtaken)
        record()

        drain(consumer="first")

        assert (delivery().status, delivery().last_error) == (Status.DONE, "")
        assert delivery().attempts == 2

    def test_does_not_take_others_with_it_when_it_kills_its_worker(self, monkeypatch):
        settled: list = []

        def effect(events):
            if poison.pk in {event.pk for event in events}:
                raise WorkerKilled
            settled.extend(event.pk for event in events)
            return {}

        run_first(monkeypatch, effect)
        poison, *others = [record() for _ in range(4)]
        for _ in range(draining.LOST_WORKERS_MAX + 2):
            make_due()
            with suppress(WorkerKilled):
                drain(consumer="first")
        assert settled == []
        drain(consumer="first")

        assert settled == [event.pk for event in others]
        left = EventDelivery.objects.pending().get()
        assert (left.event_id, left.attempts) == (poison.pk, draining.LOST_WORKERS_MAX + 2)


class TestBatch:
    def test_fails_only_where_one_event_breaks_it(self, monkeypatch):
        calls: list[list] = []

        def effect(batch):
            calls.append([event.payload["n"] for event in batch])
            if 3 in calls[-1]:
                raise ValueError("poisoned")
            return {}

        run_first(monkeypatch, effect)
        events = [record(payload={"n": n}) for n in range(5)]

        assert drain(consumer="first") == Drained(4, has_more=False)

        assert calls == [[0, 1, 2, 3, 4], [0], [1], [2], [3], [4]]
        failed = EventDelivery.objects.pending().get()
        assert (failed.event_id, failed.attempts) == (events[3].pk, 1)
        assert failed.last_error == "ValueError: poisoned"
        assert failed.next_attempt_at > timezone.now()

    def test_fails_for_those_that_it_names(self, monkeypatch):
        failures = {}
        run_first(monkeypatch, lambda _: failures)
        fine, refused, postponed = (record() for _ in range(3))
        failures[refused.pk] = DeliveryRefused("HTTP 410")
        failures[postponed.pk] = DeliveryPostponed("HTTP 429", retry_after=900)

        began_at = database_now()
        assert drain(consumer="first").settled == 1

        found = {delivery.event_id: delivery for delivery in EventDelivery.objects.all()}
        assert found[fine.pk].status == Status.DONE
        assert found[refused.pk].status == Status.DEAD
        assert found[postponed.pk].status == Status.PENDING
        assert found[postponed.pk].next_attempt_at >= began_at + timedelta(seconds=900)

    def test_leaves_what_it_has_no_time_for(self, consumer, monkeypatch):
        effect = consumer()
        monkeypatch.setattr(consumers, "EFFECTS_SECONDS", -1.0)
        record()
        before = delivery().next_attempt_at

        assert drain(consumer="first", seconds=0.2) == Drained(0, has_more=True)

        assert effect.event_ids == []
        assert (delivery().status, delivery().attempts) == (Status.PENDING, 0)
        assert delivery().next_attempt_at == before

    def test_gives_nothing_back_that_another_drain_has_claimed_since(self, consumer):
        consumer()
        record()
        [claim] = draining._claim(CONSUMERS["first"])
        make_due()
        draining._claim(CONSUMERS["first"])
        claimed_until = delivery().next_attempt_at

        draining._give_back([claim])

        assert (delivery().attempts, delivery().next_attempt_at) == (2, claimed_until)

    def test_marks_nothing_that_it_has_not_claimed_itself(self, consumer):
        effect = consumer()
        events = [record(), record()]
        claim, _ = draining._claim(CONSUMERS["first"])
        EventDelivery.objects.filter(pk=claim.delivery_id).update(attempts=2)

        draining._run_suspect(CONSUMERS["first"], claim)

        assert effect.event_ids == [events[0].pk]
        assert set(EventDelivery.objects.values_list("last_error", flat=True)) == {""}

    def test_of_many_threads_has_an_outcome_for_each(self):
        events = [OutboxEvent(type=TYPE, payload={"n": n}) for n in range(20)]

        def fail_for_some(event):
            if event.payload["n"] % 3 == 0:
                raise ValueError(event.payload["n"])

        failures = one_by_one(fail_for_some, at_once=4)(events)

        assert {str(error) for error in failures.values()} == {str(n) for n in range(0, 20, 3)}
        assert set(failures) == {event.pk for event in events[::3]}


class TestReplayDead:
    @pytest.fixture
    def dead(self, consumer):
        effects = {name: consumer(name) for name in ("first", "second")}
        record()
        EventDelivery.objects.update(
            status=Status.DEAD, attempts=MAX_ATTEMPTS, last_error="ValueError: hopeless"
        )
        return effects

    def test_gives_all_of_them_another_set_of_attempts(self, dead):
        assert replay_dead() == 2

        assert drain(consumer="first").settled == 1
        assert drain(consumer="second").settled == 1
        assert delivery("first").attempts == 1

    def test_can_be_of_one_consumer(self, dead):
        assert replay_dead(deliveries=EventDelivery.objects.filter(consumer="first")) == 1

        assert [delivery(name).status for name in dead] == [Status.PENDING, Status.DEAD]

    def test_touches_no_other(self, dead):
        EventDelivery.objects.filter(consumer="first").update(
            status=Status.DONE, done_at=timezone.now()
        )
        EventDelivery.objects.filter(consumer="second").update(status=Status.PENDING)

        assert replay_dead() == 0
        assert delivery("first").status == Status.DONE
        assert delivery("second").attempts == MAX_ATTEMPTS
