"""Events and their deliveries to consumers that exist for these tests only."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import redis
from django.db.models import F
from django.utils import timezone

from apps.core.transactions import run_in_transaction
from apps.outbox.consumers import Consumer
from apps.outbox.draining import drain
from apps.outbox.events import CONSUMERS
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.outbox.recording import record_event

TYPE = "tests.happened"
FAR = timedelta(days=3650)


class WorkerKilled(BaseException):
    """Ends the call without a chance to record anything, as a killed worker does."""


def die(*_: object) -> None:
    raise WorkerKilled


class Recorder:
    """A consumer's effect that remembers its events and fails as often as it is told to."""

    def __init__(self) -> None:
        self.event_ids: list = []
        self.failures: list[BaseException] = []

    def __call__(self, event: OutboxEvent) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.event_ids.append(event.pk)


def record(type: str = TYPE, payload: dict | None = None) -> OutboxEvent:
    return run_in_transaction(
        lambda: record_event(type=type, payload=payload or {}, occurred_at=timezone.now())
    )


def delivery(name: str = "first") -> EventDelivery:
    return EventDelivery.objects.get(consumer=name)


def deliver(*, consumer: str, event_id: UUID) -> bool:
    """Drain one delivery while all others of its consumer are kept back; says whether that settled it."""
    others = EventDelivery.objects.pending().filter(consumer=consumer).exclude(event=event_id)
    kept_back = list(others.values_list("pk", flat=True))
    others.update(next_attempt_at=F("next_attempt_at") + FAR)
    try:
        return drain(consumer=consumer).settled == 1
    finally:
        kept = EventDelivery.objects.filter(pk__in=kept_back)
        kept.update(next_attempt_at=F("next_attempt_at") - FAR)


def make_due(after: timedelta = timedelta(days=1)) -> None:
    """Let this time pass for every delivery."""
    EventDelivery.objects.update(next_attempt_at=F("next_attempt_at") - after)


def only(monkeypatch: pytest.MonkeyPatch, *consumers: Consumer) -> None:
    """Let these be all consumers there are, for as long as the test runs."""
    for name in list(CONSUMERS):
        monkeypatch.delitem(CONSUMERS, name)
    for consumer in consumers:
        add(monkeypatch, consumer)


def add(monkeypatch: pytest.MonkeyPatch, consumer: Consumer) -> None:
    monkeypatch.setitem(CONSUMERS, consumer.name, consumer)


def run_first(monkeypatch: pytest.MonkeyPatch, run: Callable[[Sequence[OutboxEvent]], Any]) -> None:
    """Let the only consumer be one of the name "first", which is given batches of events in this way."""
    only(monkeypatch, Consumer("first", frozenset({TYPE}), run))


def queued(store: redis.Redis, queue: str = "default") -> list[dict[str, Any]]:
    """Return the messages that wait in a queue of the broker."""
    messages: Any = store.lrange(f"celery:{queue}", 0, -1)
    return [json.loads(message) for message in messages]
