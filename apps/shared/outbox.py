"""Transactional outbox with one delivery record per consumer.

The event and a PENDING delivery for each consumer are written in the transaction of what happened (`event_to_record`). The
fast path (signal, task, `deliver`) usually settles it within milliseconds. What it misses, because the broker was down or a
worker was killed, becomes due after a while and is taken by `drain`, which beat starts for every consumer that has something
due: that is the guarantee. A claim is a conditional update that moves `next_attempt_at` beyond the time an effect may take,
so a worker that dies gives its claim back by doing nothing. Effects run at least once and must be idempotent.

The pattern: Chris Richardson, "Transactional outbox" and "Idempotent consumer" (microservices.io).
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from apps.shared.database import Call, fetch_pipelined, load_statements
from apps.shared.models import EventDelivery, OutboxEvent
from apps.shared.transactions import requires_transaction, run_in_transaction

logger = structlog.get_logger(__name__)

SQL = load_statements(Path(__file__).with_suffix(".sql"))

GRACE = timedelta(seconds=10)  # what the fast path has before the relay takes over
CLAIM = timedelta(
    seconds=20
)  # above the longest effect; a killed worker holds up its delivery for as long
BACKOFF_FIRST = timedelta(seconds=5)
BACKOFF_LONGEST = timedelta(hours=1)
MAX_ATTEMPTS = 15
DRAIN_SECONDS = 20.0


class DeliveryRefused(Exception):
    """Raised by an effect that will never succeed: the delivery is dead at once."""


class DeliveryPostponed(Exception):
    """Raised by an effect whose other side named the time to wait, in seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Consumer:
    """Somebody who wants every event of some types. `queue` is the Celery queue that its work runs in."""

    name: str
    event_types: frozenset[str]
    effect: Callable[[OutboxEvent], None]
    queue: str = "default"


_consumers: dict[str, Consumer] = {}


def register_consumer(consumer: Consumer) -> None:
    """Make a consumer known; called by each app when Django starts."""
    _consumers[consumer.name] = consumer


def consumers() -> Iterable[Consumer]:
    return _consumers.values()


def deliveries_of(type: str) -> list[str]:
    """The names of the consumers that want events of this type."""
    return [consumer.name for consumer in consumers() if type in consumer.event_types]


def event_to_record(
    *, type: str, payload: dict[str, Any], occurred_at: datetime
) -> tuple[UUID, Call]:
    """Return an event's id, and the statement that writes it with one pending delivery for each consumer of its type."""
    event_id = uuid.uuid4()
    return event_id, (
        SQL["record_event"],
        {
            "event_id": event_id,
            "type": type,
            "payload": json.dumps(payload),
            "occurred_at": occurred_at,
            "consumers": deliveries_of(type),
            "next_attempt_at": occurred_at + GRACE,
        },
    )


@requires_transaction
def record_event(*, type: str, payload: dict[str, Any], occurred_at: datetime) -> OutboxEvent:
    """Write the event and its deliveries in the caller's transaction."""
    event_id, call = event_to_record(type=type, payload=payload, occurred_at=occurred_at)
    fetch_pipelined([call])
    return OutboxEvent(id=event_id, type=type, payload=payload, occurred_at=occurred_at)


def deliver(*, consumer: str, event_id: UUID | str) -> bool:
    """The fast path: run one consumer's effect for one event now. Says whether this call settled it.

    Does nothing when it was done before or somebody is at work on it.
    """
    event_id = UUID(str(event_id))
    first_or_due = Q(attempts=0) | Q(next_attempt_at__lte=Now())
    delivery = EventDelivery.objects.pending().filter(
        first_or_due, consumer=consumer, event_id=event_id
    )
    if not delivery.update(attempts=F("attempts") + 1, next_attempt_at=Now() + CLAIM):
        return False
    return _run(
        EventDelivery.objects.select_related("event").get(consumer=consumer, event_id=event_id)
    )


def drain(*, consumer: str, seconds: float = DRAIN_SECONDS) -> int:
    """The relay: take what is due for one consumer, oldest first, for at most `seconds`. Returns how many were settled."""
    settled = 0
    stop_at = time.monotonic() + seconds
    while time.monotonic() < stop_at:
        delivery = run_in_transaction(lambda: _claim_next(consumer))
        if delivery is None:
            break
        settled += _run(delivery)
    return settled


def consumers_with_due_deliveries() -> list[Consumer]:
    due = set(EventDelivery.objects.due().values_list("consumer", flat=True).distinct())
    return [consumer for consumer in consumers() if consumer.name in due]


def replay_dead(*, consumer: str | None = None, delivery_ids: Iterable[int] | None = None) -> int:
    """Give dead deliveries another full set of attempts; returns how many."""
    dead = EventDelivery.objects.dead()
    if consumer is not None:
        dead = dead.filter(consumer=consumer)
    if delivery_ids is not None:
        dead = dead.filter(pk__in=delivery_ids)
    return dead.update(
        status=EventDelivery.Status.PENDING, attempts=0, next_attempt_at=Now(), done_at=None
    )


def _claim_next(consumer: str) -> EventDelivery | None:
    delivery = (
        EventDelivery.objects.due()
        .filter(consumer=consumer)
        .select_related("event")
        .select_for_update(of=("self",), skip_locked=True)
        .order_by("next_attempt_at", "pk")
        .first()
    )
    if delivery is not None:
        delivery.attempts += 1
        delivery.next_attempt_at = timezone.now() + CLAIM
        delivery.save(update_fields=["attempts", "next_attempt_at"])
    return delivery


def _run(delivery: EventDelivery) -> bool:
    consumer = _consumers[delivery.consumer]
    record = EventDelivery.objects.pending().filter(pk=delivery.pk)
    try:
        if delivery.attempts > MAX_ATTEMPTS:
            raise DeliveryRefused("The last attempts took their worker with them.")
        consumer.effect(delivery.event)
    except Exception as error:
        dead = isinstance(error, DeliveryRefused) or delivery.attempts >= MAX_ATTEMPTS
        wait = _backoff(delivery.attempts)
        if isinstance(error, DeliveryPostponed):
            wait = max(wait, timedelta(seconds=error.retry_after))
        record.update(
            status=EventDelivery.Status.DEAD if dead else EventDelivery.Status.PENDING,
            next_attempt_at=Now() + wait,
            last_error=_storable(f"{type(error).__name__}: {error}"[:2000]),
        )
        logger.warning(
            "delivery_failed",
            consumer=consumer.name,
            event_id=str(delivery.event_id),
            attempt=delivery.attempts,
            dead=dead,
            exc_info=not isinstance(error, (DeliveryRefused, DeliveryPostponed)),
        )
        return False
    record.update(status=EventDelivery.Status.DONE, done_at=Now())
    return True


def _storable(text: str) -> str:
    """Without what PostgreSQL takes into no text: what went wrong may quote what the other side sent."""
    return text.encode(errors="backslashreplace").decode().replace("\x00", "\\x00")


def _backoff(attempts: int) -> timedelta:
    """Exponential with full jitter in its upper half (Marc Brooker, "Exponential backoff and jitter", AWS 2015)."""
    longest = min(BACKOFF_FIRST * 2.0 ** min(attempts, 20), BACKOFF_LONGEST)
    return longest * random.uniform(0.5, 1.0)
