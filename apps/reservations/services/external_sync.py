"""Telling the outside data platform about every sale, every cancellation and every date that is moved."""

import httpx
from django.conf import settings

from apps.concerts.scheduling import PERFORMANCE_RESCHEDULED
from apps.reservations.clients import Answer, post_message
from apps.reservations.events import RESERVATION_CANCELLED, RESERVATION_CONFIRMED
from apps.shared.models import OutboxEvent
from apps.shared.outbox import Consumer, DeliveryPostponed, DeliveryRefused, one_by_one

RETRYABLE_CLIENT_ERRORS = {408, 429}
OURS_ALONE = {"queue_place", "queue_generation", "request_id"}
LONGEST_WAIT = 3600.0  # seconds
MESSAGES_AT_ONCE = 8  # of one batch: a platform that is far away is waited for, not worked for


def sync_externally(event: OutboxEvent) -> None:
    """POST the event; without a `WEBHOOK_URL` there is nobody to tell.

    :raises DeliveryRefused: the platform will never take it: a 3xx or a 4xx that repeating does not change.
    :raises DeliveryPostponed: it is overloaded or broken, cannot be reached, or takes too long.
    """
    if not settings.WEBHOOK_URL:
        return
    data = {name: value for name, value in event.payload.items() if name not in OURS_ALONE}
    try:
        answer = post_message(
            message_id=event.pk,
            type=event.type,
            occurred_at=event.occurred_at,
            data=data,
            request_id=event.payload.get("request_id"),
        )
    except httpx.TransportError as error:
        raise DeliveryPostponed(f"{type(error).__name__}: {error}", retry_after=0) from error
    if httpx.codes.is_success(answer.status_code):
        return
    outcome = f"HTTP {answer.status_code}: {answer.text[:200]}"
    is_in_trouble = httpx.codes.is_server_error(answer.status_code)
    if is_in_trouble or answer.status_code in RETRYABLE_CLIENT_ERRORS:
        raise DeliveryPostponed(outcome, retry_after=_named_wait(answer))
    raise DeliveryRefused(outcome)


def _named_wait(answer: Answer) -> float:
    """Seconds of `Retry-After`; 0 without one, or when it is a date."""
    value = answer.headers.get("retry-after", "")
    return min(float(value), LONGEST_WAIT) if value.isdecimal() else 0.0


EXTERNAL_SYNC = Consumer(
    name="external_sync",
    event_types=frozenset({RESERVATION_CONFIRMED, RESERVATION_CANCELLED, PERFORMANCE_RESCHEDULED}),
    effect=one_by_one(sync_externally, at_once=MESSAGES_AT_ONCE),
    task="reservations.sync_externally",
)
