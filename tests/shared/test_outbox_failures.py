"""What becomes of a delivery that fails, and of one whose worker never came back."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from apps.shared import outbox
from apps.shared.models import EventDelivery
from apps.shared.outbox import (
    CLAIM,
    MAX_ATTEMPTS,
    DeliveryPostponed,
    DeliveryRefused,
    deliver,
    drain,
    replay_dead,
)
from apps.shared.transactions import database_now
from tests.shared.deliveries import delivery, make_due, record

pytestmark = pytest.mark.django_db

Status = EventDelivery.Status


class TestFailure:
    def test_is_recorded_and_tried_again_later(self, consumer):
        effect = consumer()
        effect.failures = [ValueError("the first time")]
        event = record()

        assert deliver(consumer="first", event_id=event.pk) is False
        assert (delivery().status, delivery().attempts) == (Status.PENDING, 1)
        assert delivery().last_error == "ValueError: the first time"
        assert drain(consumer="first") == 0

        make_due()
        assert drain(consumer="first") == 1
        assert (delivery().status, delivery().attempts) == (Status.DONE, 2)
        assert effect.event_ids == [event.pk]

    @pytest.mark.parametrize(
        ("attempt", "seconds"), [(1, 10), (2, 20), (5, 160), (9, 2_560), (10, 3_600), (14, 3_600)]
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
        assert timedelta(seconds=seconds / 2) <= wait <= timedelta(seconds=seconds) + slack
        assert delivery().status == Status.PENDING

    def test_is_final_after_the_last_attempt(self, consumer):
        effect = consumer()
        effect.failures = [ValueError("hopeless")] * MAX_ATTEMPTS
        event = record()

        for _ in range(MAX_ATTEMPTS):
            assert delivery().status == Status.PENDING
            make_due()
            drain(consumer="first")

        assert (delivery().status, delivery().attempts) == (Status.DEAD, MAX_ATTEMPTS)
        assert delivery().last_error == "ValueError: hopeless"
        make_due()
        assert drain(consumer="first") == 0
        assert deliver(consumer="first", event_id=event.pk) is False
        assert effect.event_ids == []

    def test_by_a_refusal_is_final_at_once(self, consumer):
        consumer().failures = [DeliveryRefused("HTTP 410")]
        record()
        make_due()

        drain(consumer="first")

        assert (delivery().status, delivery().attempts) == (Status.DEAD, 1)
        assert delivery().last_error == "DeliveryRefused: HTTP 410"

    def test_with_a_named_time_waits_that_long(self, consumer):
        consumer().failures = [DeliveryPostponed("HTTP 429", retry_after=900)]
        record()
        make_due()

        began_at = database_now()
        drain(consumer="first")

        wait = delivery().next_attempt_at - began_at
        assert timedelta(seconds=900) <= wait < timedelta(seconds=960)

    def test_with_a_short_named_time_still_backs_off(self, consumer):
        consumer().failures = [DeliveryPostponed("HTTP 503", retry_after=0)]
        record()
        make_due()

        began_at = database_now()
        drain(consumer="first")

        assert delivery().next_attempt_at - began_at >= timedelta(seconds=5)

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


class WorkerKilled(BaseException):
    """Ends the call without a chance to record anything, as a killed worker does."""


class TestClaim:
    def test_of_a_killed_worker_is_given_back_after_a_while(self, consumer):
        effect = consumer()
        effect.failures = [WorkerKilled()]
        event = record()

        with pytest.raises(WorkerKilled):
            deliver(consumer="first", event_id=event.pk)

        assert (delivery().status, delivery().attempts) == (Status.PENDING, 1)
        assert drain(consumer="first") == 0
        assert deliver(consumer="first", event_id=event.pk) is False
        EventDelivery.objects.update(next_attempt_at=F("next_attempt_at") - CLAIM)
        assert drain(consumer="first") == 1
        assert effect.event_ids == [event.pk]

    def test_that_killed_every_worker_is_given_up(self, consumer):
        effect = consumer()
        event = record()
        make_due()
        EventDelivery.objects.update(attempts=MAX_ATTEMPTS)

        drain(consumer="first")

        assert delivery().status == Status.DEAD
        assert effect.event_ids == []
        assert deliver(consumer="first", event_id=event.pk) is False

    def test_that_was_overtaken_undoes_nothing(self, consumer):
        """A slow attempt fails after another one has succeeded."""
        consumer()
        event = record()
        slow = delivery()
        deliver(consumer="first", event_id=event.pk)

        outbox._consumers["first"].effect.failures = [ValueError("late")]
        outbox._run(slow)

        assert (delivery().status, delivery().last_error) == (Status.DONE, "")


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

        assert drain(consumer="first") == 1
        assert drain(consumer="second") == 1
        assert delivery("first").attempts == 1

    def test_can_be_of_one_consumer(self, dead):
        assert replay_dead(consumer="first") == 1

        assert [delivery(name).status for name in dead] == [Status.PENDING, Status.DEAD]

    def test_can_be_of_some(self, dead):
        assert replay_dead(delivery_ids=[delivery("second").pk]) == 1

        assert [delivery(name).status for name in dead] == [Status.DEAD, Status.PENDING]

    def test_touches_no_other(self, dead):
        EventDelivery.objects.filter(consumer="first").update(
            status=Status.DONE, done_at=timezone.now()
        )
        EventDelivery.objects.filter(consumer="second").update(status=Status.PENDING)

        assert replay_dead() == 0
        assert delivery("first").status == Status.DONE
        assert delivery("second").attempts == MAX_ATTEMPTS
