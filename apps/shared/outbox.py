"""Transactional outbox with one delivery record per consumer.

An event and a PENDING delivery for each consumer are written in the transaction of what happened (`event_to_record`); a
delivery is due at once. `drain` takes what is due for one consumer, a batch at a time: it claims, runs the consumer's effect and
records what came of it, each for the whole batch. A drain is started after the commit (`draining.py`), and by a relay on beat
for whatever that missed, because the broker was down or a worker was killed: the relay is the guarantee. A claim is a
conditional update that moves `next_attempt_at` beyond the time an effect may take, so a worker that dies gives its claim back by
doing nothing. Effects run at least once and must be idempotent.

The pattern: Chris Richardson, "Transactional outbox" and "Idempotent consumer" (microservices.io).
"""

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from django.db.models.functions import Now

from apps.shared.database import Call, fetch_all, fetch_pipelined, load_statements
from apps.shared.identifiers import new_id
from apps.shared.models import EventDelivery, OutboxEvent
from apps.shared.transactions import requires_transaction

logger = structlog.get_logger(__name__)

SQL = load_statements(Path(__file__).with_suffix(".sql"))

BATCH_SIZE = 100
# Above the longest effect on a batch; a killed worker holds up its deliveries for as long.
CLAIM = timedelta(seconds=20)
EFFECTS_SECONDS = 5.0  # after which an effect that runs event by event begins no other one
DRAIN_SECONDS = 2.0  # after which others have their turn
BACKOFF_FIRST = timedelta(seconds=5)
BACKOFF_LONGEST = timedelta(hours=1)
MAX_ATTEMPTS = 15
# What has lost this many workers is taken alone, so that it can take no others with it.
LOST_WORKERS_MAX = 2
LOST_ALONE = "The worker was lost, with this delivery alone."

Failures = Mapping[UUID, Exception]
Effect = Callable[[Sequence[OutboxEvent]], Failures]


class DeliveryRefused(Exception):
    """Raised by an effect that will never succeed: the delivery is dead at once."""


class DeliveryPostponed(Exception):
    """Raised by an effect whose other side named the time to wait, in seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _NotBegun(Exception):
    """There was no time left for this event."""


@dataclass(frozen=True)
class Consumer:
    """Somebody who wants every event of some types.

    `effect` takes events that are due and returns the failures by event id; what it does not name has succeeded. If it raises, it
    is run again for one event at a time, so one event that breaks it fails alone. `task` names the Celery task that drains it.
    """

    name: str
    event_types: frozenset[str]
    effect: Effect
    task: str


class Drained(NamedTuple):
    """Outcome of a drain: how many it settled, and if the time was over before everything was."""

    settled: int
    has_more: bool


class _Claim(NamedTuple):
    """`last_error` is of the attempt before; none if that lost its worker."""

    delivery_id: int
    attempts: int
    last_error: str
    event: OutboxEvent


_consumers: dict[str, Consumer] = {}


def register_consumer(consumer: Consumer) -> None:
    """Make a consumer known; called by each app when Django starts."""
    _consumers[consumer.name] = consumer


def consumers() -> Iterable[Consumer]:
    return _consumers.values()


def deliveries_of(type: str) -> list[str]:
    """Return the names of the consumers that are owed a delivery of each event of this type."""
    return [consumer.name for consumer in consumers() if type in consumer.event_types]


def event_to_record(
    *, type: str, payload: dict[str, Any], occurred_at: datetime
) -> tuple[UUID, Call]:
    """Return an event's id, and the statement that writes it with one pending delivery for each consumer of its type."""
    event_id = new_id()
    return event_id, (
        SQL["record_event"],
        {
            "event_id": event_id,
            "type": type,
            "payload": json.dumps(payload),
            "occurred_at": occurred_at,
            "consumers": deliveries_of(type),
            "next_attempt_at": occurred_at,
        },
    )


@requires_transaction
def record_event(*, type: str, payload: dict[str, Any], occurred_at: datetime) -> OutboxEvent:
    """Write the event and its deliveries in the caller's transaction."""
    event_id, call = event_to_record(type=type, payload=payload, occurred_at=occurred_at)
    fetch_pipelined([call])
    return OutboxEvent(id=event_id, type=type, payload=payload, occurred_at=occurred_at)


def one_by_one(effect: Callable[[OutboxEvent], None], *, at_once: int = 1) -> Effect:
    """Make an effect on many events of one on a single event, which succeeds or raises for itself.

    `at_once` threads run it, for an effect that waits for an answer; they have no database connection. What has not begun after
    `EFFECTS_SECONDS` is left for later.
    """

    def run(events: Sequence[OutboxEvent]) -> Failures:
        stop_at = time.monotonic() + EFFECTS_SECONDS

        def attempt(event: OutboxEvent) -> Exception | None:
            if time.monotonic() > stop_at:
                return _NotBegun()
            try:
                effect(event)
            except Exception as error:
                return error
            return None

        if min(at_once, len(events)) > 1:
            with ThreadPoolExecutor(min(at_once, len(events))) as threads:
                outcomes = list(threads.map(attempt, events))
        else:
            outcomes = [attempt(event) for event in events]
        return {
            event.pk: outcome for event, outcome in zip(events, outcomes, strict=True) if outcome
        }

    return run


def drain(*, consumer: str, seconds: float = DRAIN_SECONDS) -> Drained:
    """Take what is due for one consumer, oldest first, and begin no further batch after `seconds`.

    Drains of one consumer share the work.
    """
    settled = 0
    stop_at = time.monotonic() + seconds
    while time.monotonic() < stop_at:
        claims = _claim(consumer)
        done, given_back = _settle(_consumers[consumer], claims) if claims else (0, 0)
        settled += done
        if len(claims) < BATCH_SIZE and not given_back:
            return Drained(settled, has_more=False)
    return Drained(settled, has_more=True)


def consumers_with_due_deliveries() -> list[Consumer]:
    names = [consumer.name for consumer in consumers()]
    due = {name for [name] in fetch_all(SQL["due_consumers"], {"consumers": names})}
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


def _claim(consumer: str) -> list[_Claim]:
    rows = fetch_all(
        SQL["claim"],
        {"consumer": consumer, "limit": BATCH_SIZE, "claim_seconds": CLAIM.total_seconds()},
    )
    claims = [
        _Claim(
            delivery_id,
            attempts,
            last_error,
            OutboxEvent(
                id=event_id, type=type, payload=json.loads(payload), occurred_at=occurred_at
            ),
        )
        for delivery_id, attempts, last_error, event_id, type, payload, occurred_at in rows
    ]
    return sorted(claims, key=lambda claim: (claim.event.occurred_at, claim.delivery_id))


def _settle(consumer: Consumer, claims: Sequence[_Claim]) -> tuple[int, int]:
    """Run the effect for what was claimed and record what came of it; returns how many succeeded and were given back."""
    given_back = 0
    suspect = next((claim for claim in claims if _has_lost_workers(claim)), None)
    if suspect is not None:
        given_back = _give_back([claim for claim in claims if claim is not suspect])
        claims = [suspect]
    failures = _run(consumer, claims) if suspect is None else _run_suspect(consumer, suspect)
    outcomes = [(claim, failures.get(claim.event.pk)) for claim in claims]
    done = [claim for claim, error in outcomes if error is None]
    if done:
        fetch_all(SQL["finish"], {"ids": [claim.delivery_id for claim in done]})
    given_back += _give_back([claim for claim, error in outcomes if isinstance(error, _NotBegun)])
    _record_failures(
        consumer,
        [(claim, error) for claim, error in outcomes if error and not isinstance(error, _NotBegun)],
    )
    return len(done), given_back


def _has_lost_workers(claim: _Claim) -> bool:
    """An attempt that ends in this process leaves an error behind."""
    if claim.last_error == LOST_ALONE:
        return True
    return claim.attempts > LOST_WORKERS_MAX + 1 and not claim.last_error


def _run_suspect(consumer: Consumer, claim: _Claim) -> Failures:
    """Run it alone, and give it up only when it was alone before: otherwise another one may be to blame."""
    if claim.attempts > MAX_ATTEMPTS and claim.last_error == LOST_ALONE:
        return {claim.event.pk: DeliveryRefused("The last attempts took their worker with them.")}
    fetch_all(
        SQL["take_alone"],
        {"id": claim.delivery_id, "attempts": claim.attempts, "error": LOST_ALONE},
    )
    return _run(consumer, [claim])


def _run(consumer: Consumer, claims: Sequence[_Claim]) -> Failures:
    events = [claim.event for claim in claims]
    try:
        return consumer.effect(events)
    except Exception as error:
        if len(events) == 1:
            return {events[0].pk: error}
        logger.warning(
            "batch_failed", consumer=consumer.name, events=len(events), error=str(error)[:200]
        )
    return one_by_one(lambda event: _run_alone(consumer, event))(events)


def _run_alone(consumer: Consumer, event: OutboxEvent) -> None:
    for error in consumer.effect([event]).values():
        raise error


def _give_back(claims: Sequence[_Claim]) -> int:
    if claims:
        fetch_all(
            SQL["give_back"],
            {
                "ids": [claim.delivery_id for claim in claims],
                "attempts": [claim.attempts for claim in claims],
                "errors": [claim.last_error for claim in claims],
            },
        )
    return len(claims)


def _record_failures(consumer: Consumer, failed: Sequence[tuple[_Claim, Exception]]) -> None:
    if not failed:
        return
    records = []
    for claim, error in failed:
        is_dead = isinstance(error, DeliveryRefused) or claim.attempts >= MAX_ATTEMPTS
        wait = _backoff(claim.attempts).total_seconds()
        if isinstance(error, DeliveryPostponed):
            wait = max(wait, float(error.retry_after))
        status = EventDelivery.Status.DEAD if is_dead else EventDelivery.Status.PENDING
        text = _storable(f"{type(error).__name__}: {error}"[:2000])
        records.append((claim.delivery_id, str(status), wait, text))
        is_expected = isinstance(error, (DeliveryRefused, DeliveryPostponed))
        logger.warning(
            "delivery_failed",
            consumer=consumer.name,
            event_id=str(claim.event.pk),
            attempt=claim.attempts,
            dead=is_dead,
            exc_info=None if is_expected else error,
        )
    columns = map(list, zip(*records, strict=True))
    fetch_all(SQL["fail"], dict(zip(("ids", "statuses", "waits", "errors"), columns, strict=True)))


def _storable(text: str) -> str:
    """Without what PostgreSQL takes into no text: what went wrong may quote what the other side sent."""
    return text.encode(errors="backslashreplace").decode().replace("\x00", "\\x00")


def _backoff(attempts: int) -> timedelta:
    """Exponential with full jitter in its upper half (Marc Brooker, "Exponential backoff and jitter", AWS 2015)."""
    longest = min(BACKOFF_FIRST * 2.0 ** min(attempts, 20), BACKOFF_LONGEST)
    return longest * random.uniform(0.5, 1.0)
