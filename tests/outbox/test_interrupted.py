"""A worker that dies between two steps of a drain: what it claimed is given back by the clock, and marked once."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from apps.outbox import draining
from apps.outbox import events as events_module
from apps.outbox.consumers import Consumer
from apps.outbox.draining import Drained, drain
from apps.outbox.models import EventDelivery
from tests.outbox.deliveries import TYPE, WorkerKilled, add, die, make_due, only, record
from tests.protections import before, change

pytestmark = pytest.mark.django_db

A_CLAIM = timedelta(seconds=20)


def stored(*fields: str) -> list[tuple]:
    return list(EventDelivery.objects.order_by("consumer", "pk").values_list(*fields))


def test_a_claim_is_for_twenty_seconds(monkeypatch):
    only(monkeypatch)
    now, until = timezone.now(), set()

    def look(events):
        until.update(EventDelivery.objects.values_list("next_attempt_at", flat=True))
        return {}

    add(monkeypatch, Consumer("first", frozenset({TYPE}), look))
    change(monkeypatch, "claim", ("statement_timestamp() +", f"'{now.isoformat()}'::timestamptz +"))
    for _ in range(2):
        record()

    assert drain(consumer="first").settled == 2
    assert until == {now + A_CLAIM}


@pytest.mark.parametrize("step", ["finish", "fail"])
def test_the_effect_is_had_again_when_it_could_not_be_marked(consumer, monkeypatch, step):
    first, second = consumer("first"), consumer("second")
    events = [record().pk for _ in range(2)]
    if step == "fail":
        first.failures = [ValueError("once"), ValueError("once more")]
    with monkeypatch.context() as patch:
        before(patch, step, die)
        with pytest.raises(WorkerKilled):
            drain(consumer="first")
    assert (
        stored("status", "attempts", "last_error")
        == [("PENDING", 1, "")] * 2 + [("PENDING", 0, "")] * 2
    )
    assert drain(consumer="first") == Drained(0, has_more=False)
    had = len(first.event_ids)

    make_due(A_CLAIM)

    assert drain(consumer="first") == Drained(2, has_more=False)
    assert first.event_ids[had:] == events
    assert second.event_ids == []
    assert (
        stored("consumer", "status", "attempts")
        == [("first", "DONE", 2)] * 2 + [("second", "PENDING", 0)] * 2
    )


def test_a_batch_that_is_marked_in_part_is_not_had_twice_in_that_part(consumer, monkeypatch):
    """Some have succeeded and are marked; the worker dies before it notes who failed."""
    effect = consumer("first")
    events = [record().pk for _ in range(3)]
    effect.failures = [ValueError("the first fails")]
    with monkeypatch.context() as patch:
        before(patch, "fail", die)
        with pytest.raises(WorkerKilled):
            drain(consumer="first")
    assert effect.event_ids == events[1:]

    EventDelivery.objects.update(next_attempt_at=F("next_attempt_at") - A_CLAIM)
    assert drain(consumer="first").settled == 1

    assert effect.event_ids == [*events[1:], events[0]]
    assert stored("status", "attempts") == [("DONE", 2), ("DONE", 1), ("DONE", 1)]


def test_what_was_not_begun_and_could_not_be_given_back_is_claimed_again(consumer, monkeypatch):
    effect = consumer("first")
    events = [record().pk for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr("apps.outbox.consumers.EFFECTS_SECONDS", -1.0)
        before(patch, "give_back", die)
        with pytest.raises(WorkerKilled):
            drain(consumer="first")
    assert effect.event_ids == []

    make_due(A_CLAIM)

    assert drain(consumer="first").settled == 2
    assert effect.event_ids == events


def test_what_loses_its_worker_is_tried_with_others_three_times_then_alone(monkeypatch):
    only(monkeypatch)
    batches: list[int] = []

    def effect(events):
        batches.append(len(events))
        if poison in events:
            raise WorkerKilled
        return {}

    add(monkeypatch, Consumer("first", frozenset({TYPE}), effect))
    poison, *_others = [record() for _ in range(4)]
    for _ in range(5):
        make_due()
        with suppress(WorkerKilled):
            drain(consumer="first")

    assert batches == [4, 4, 4, 1, 1]
    assert drain(consumer="first").settled == 3
    assert stored("status", "attempts")[1:] == [("DONE", 4)] * 3


def test_what_is_given_back_is_as_it_was_each_by_its_own_event(consumer):
    effect = consumer("first")
    effect.failures = [ValueError("the first"), ValueError("the second")]
    events = [record() for _ in range(4)]
    drain(consumer="first")
    EventDelivery.objects.update(status="PENDING", done_at=None)
    make_due()
    before_the_claim = stored("attempts", "last_error")
    claims = draining._claim(events_module.CONSUMERS["first"])

    assert draining._give_back(claims[:3]) == 3

    assert stored("attempts", "last_error")[:3] == before_the_claim[:3]
    assert stored("next_attempt_at")[:3] == [(event.occurred_at,) for event in events[:3]]
    assert stored("attempts", "last_error")[3:] == [(2, "")]
