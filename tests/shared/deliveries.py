"""Events and their deliveries to consumers that exist for these tests only."""

from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from apps.shared.models import EventDelivery, OutboxEvent
from apps.shared.outbox import record_event
from apps.shared.transactions import run_in_transaction

TYPE = "tests.happened"


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


def make_due() -> None:
    EventDelivery.objects.update(next_attempt_at=F("next_attempt_at") - timedelta(days=1))
