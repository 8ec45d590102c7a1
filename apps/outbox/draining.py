"""Transactional outbox with one delivery record per consumer: taking what is due, and recording what came of it.

An event and a PENDING delivery for each consumer are written in the transaction of what happened (`recording.py`); a delivery is
due at once. `drain` takes what is due for one consumer, a batch at a time: it claims, runs the consumer's effect and records what
came of it, each for the whole batch. A drain is started after the commit (`announcing.py`), and by a relay on beat for whatever that
missed, because the broker was down or a worker was killed: the relay is the guarantee. A claim is a conditional update that moves
`next_attempt_at` beyond the time an effect may take, so a worker that dies gives its claim back by doing nothing. Effects run at
least once and must be idempotent. A consumer that tells a receiver outside leaves it alone while it is unhealthy
(`receiver_health.py`).

The pattern: Chris Richardson, "Transactional outbox" and "Idempotent consumer" (microservices.io).
"""

import json
import random
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import structlog

from apps.core.database import fetch_all, load_statements
from apps.outbox import events
from apps.outbox.consumers import (
    Consumer,
    DeliveryPostponed,
    DeliveryRefused,
    Failures,
    NotBegun,
    one_by_one,
)
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.outbox.receiver_health import JITTER, note_failures, note_success, take_probe

logger = structlog.get_logger(__name__)

SQL = load_statements(Path(__file__).with_suffix(".sql"))

BATCH_SIZE = 100
# Above the longest effect on a batch; a killed worker holds up its deliveries for as long.
CLAIM_TIMEOUT = timedelta(seconds=20)
DRAIN_SECONDS = 2.0  # after which others have their turn
MINUTE, HOUR = 60.0, 3_600.0
# Seconds to wait after each failed attempt. Within our own walls twice as long each time, up to an hour. Outside three days in all, in
# the spirit of Standard Webhooks: soon again for a receiver that restarts, and then long enough for staff who come back from a
# weekend to mend it.
WAITS_INSIDE: tuple[float, ...] = tuple(min(7.5 * 2**n, HOUR) for n in range(14))
WAITS_OUTSIDE = (
    *(5.0, 15.0, 40.0, MINUTE, 3 * MINUTE, 10 * MINUTE, 45 * MINUTE),
    *(HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 12 * HOUR, 20 * HOUR, 24 * HOUR),
)
MAX_ATTEMPTS = len(WAITS_OUTSIDE) + 1
# What has lost more workers than these is taken alone, so that it can take no others with it.
LOST_WORKERS_MAX = 2
LOST_ALONE = "The worker was lost, with this delivery alone."


class Drained(NamedTuple):
    """Outcome of a drain: how many it settled, and if the time was over before everything was."""

    settled: int
    has_more: bool


class _Claim(NamedTuple):
    """`last_error` is of the attempt before; none if that lost its worker.

    `is_failing` says that the last attempt on its receiver failed, of whichever delivery.
    """

    delivery_id: int
    attempts: int
    last_error: str
    is_failing: bool
    event: OutboxEvent


class _Settled(NamedTuple):
    """Count what succeeded of a batch, and say if something is left to do at once: given back, or released."""

    done: int
    has_more: bool


def drain(*, consumer: str, seconds: float = DRAIN_SECONDS) -> Drained:
    """Take what is due for one consumer, oldest first, and begin no further batch after `seconds`.

    Drains of one consumer share the work.
    """
    settled = 0
    stop_at = time.monotonic() + seconds
    while time.monotonic() < stop_at:
        claims = _claim(events.CONSUMERS[consumer])
        if not claims:
            return Drained(settled, has_more=False)
        done, has_more = _settle(events.CONSUMERS[consumer], claims)
        settled += done
        if len(claims) < BATCH_SIZE and not has_more:
            return Drained(settled, has_more=False)
    return Drained(settled, has_more=True)


def consumers_with_due_deliveries() -> list[Consumer]:
    names = list(events.CONSUMERS)
    return [
        events.CONSUMERS[name] for [name] in fetch_all(SQL["due_consumers"], {"consumers": names})
    ]


def _claim(consumer: Consumer) -> list[_Claim]:
    parameters = {
        "consumer": consumer.name,
        "limit": BATCH_SIZE,
        "claim_seconds": CLAIM_TIMEOUT.total_seconds(),
    }
    rows = fetch_all(SQL["claim"], parameters)
    if (
        not rows
        and consumer.is_outside
        and take_probe(consumer=consumer.name, seconds=CLAIM_TIMEOUT.total_seconds())
    ):
        rows = fetch_all(SQL["claim_probe"], parameters)
    claims = [
        _Claim(
            *(delivery_id, attempts, last_error, is_failing),
            OutboxEvent(
                id=event_id, type=type, payload=json.loads(payload), occurred_at=occurred_at
            ),
        )
        for delivery_id, attempts, last_error, is_failing, event_id, type, payload, occurred_at in rows
    ]
    # What has failed before comes last: it says less of how the receiver is.
    return sorted(
        claims, key=lambda claim: (claim.attempts > 1, claim.event.occurred_at, claim.delivery_id)
    )


def _settle(consumer: Consumer, claims: Sequence[_Claim]) -> _Settled:
    """Run the effect for what was claimed and record what came of it."""
    given_back = 0
    suspect = next((claim for claim in claims if _has_lost_workers(claim)), None)
    if suspect is not None:
        given_back = _give_back([claim for claim in claims if claim is not suspect])
        claims = [suspect]
    failures = _run(consumer, claims) if suspect is None else _run_suspect(consumer, suspect)
    outcomes = [(claim, failures.get(claim.event.pk)) for claim in claims]
    done = [claim for claim, error in outcomes if error is None]
    failed = [
        (claim, error) for claim, error in outcomes if error and not isinstance(error, NotBegun)
    ]
    if done:
        fetch_all(SQL["finish"], {"ids": [claim.delivery_id for claim in done]})
    given_back += _give_back([claim for claim, error in outcomes if isinstance(error, NotBegun)])
    _record_failures(consumer, failed)
    has_recovered = consumer.is_outside and _note_health(consumer, done, failed)
    return _Settled(len(done), has_more=has_recovered or bool(given_back))


def _note_health(
    consumer: Consumer, done: Sequence[_Claim], failed: Sequence[tuple[_Claim, Exception]]
) -> bool:
    """Record what a batch says of its receiver; says whether that was unhealthy and is no more."""
    if done:
        is_failing = any(claim.is_failing for claim in done)
        return is_failing and note_success(consumer=consumer.name, lost_alone=LOST_ALONE)
    if failed:
        note_failures(
            consumer=consumer.name,
            failures=len(failed),
            error=_in_words(failed[-1][1]),
            retry_after=max(_named_wait(error) for _, error in failed),
        )
    return False


def _has_lost_workers(claim: _Claim) -> bool:
    """Tell whether the worker died: an attempt that ends in this process leaves an error behind."""
    if claim.last_error == LOST_ALONE:
        return True
    return claim.attempts > LOST_WORKERS_MAX + 1 and not claim.last_error


def _run_suspect(consumer: Consumer, claim: _Claim) -> Failures:
    """Run it alone, and give it up only when it was alone before: otherwise another one may be to blame."""
    if claim.attempts > MAX_ATTEMPTS and claim.last_error == LOST_ALONE:
        return {claim.event.pk: DeliveryRefused("Gave up: the worker died during every attempt.")}
    fetch_all(
        SQL["take_alone"],
        {"id": claim.delivery_id, "attempts": claim.attempts, "error": LOST_ALONE},
    )
    return _run(consumer, [claim])


def _run(consumer: Consumer, claims: Sequence[_Claim]) -> Failures:
    due = [claim.event for claim in claims]
    try:
        return consumer.run(due)
    except Exception as error:
        if len(due) == 1:
            return {due[0].pk: error}
        logger.warning(
            "batch_failed", consumer=consumer.name, events=len(due), error=str(error)[:200]
        )
    return one_by_one(lambda event: _run_alone(consumer, event))(due)


def _run_alone(consumer: Consumer, event: OutboxEvent) -> None:
    for error in consumer.run([event]).values():
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
        wait = 0.0 if is_dead else max(_wait(consumer, claim.attempts), _named_wait(error))
        status = EventDelivery.Status.DEAD if is_dead else EventDelivery.Status.PENDING
        records.append((claim.delivery_id, str(status), wait, _in_words(error)))
        is_expected = isinstance(error, (DeliveryRefused, DeliveryPostponed))
        if consumer.is_outside and is_expected and not is_dead:
            continue  # a receiver that is away would fill the log; a line tells when it is taken for unhealthy
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


def _wait(consumer: Consumer, attempts: int) -> float:
    """Return for how many seconds a delivery waits after so many attempts, at random around what the schedule says.

    See Marc Brooker, "Exponential backoff and jitter" (AWS 2015).
    """
    waits = WAITS_OUTSIDE if consumer.is_outside else WAITS_INSIDE
    return waits[attempts - 1] * random.uniform(*JITTER)


def _named_wait(error: Exception) -> float:
    return error.retry_after if isinstance(error, DeliveryPostponed) else 0.0


def _in_words(error: Exception) -> str:
    return _storable(f"{type(error).__name__}: {error}"[:2000])


def _storable(text: str) -> str:
    """Without what PostgreSQL takes into no text: what went wrong may quote what the other side sent."""
    return text.encode(errors="backslashreplace").decode().replace("\x00", "\\x00")
