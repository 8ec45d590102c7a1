"""Tell the outside data platform about every sale, every cancellation and every date that is moved."""

from email.utils import parsedate_to_datetime

import httpx
from django.conf import settings
from django.utils import timezone

from apps.outbox.consumers import DeliveryPostponed, DeliveryRefused, one_by_one
from apps.outbox.models import OutboxEvent
from apps.outbox.receiver_health import UNHEALTHY_FAILURES
from apps.reservations.clients import Answer, post_message

INTERNAL_FIELDS = {"queue_slot", "queue_generation", "request_id"}
LONGEST_WAIT = 3600.0  # seconds
MESSAGES_AT_ONCE = 8  # of one batch: a platform that is far away is waited for, not worked for


def sync_externally(event: OutboxEvent) -> None:
    """POST the event; without a `WEBHOOK_URL` there is no receiver to tell.

    :raises DeliveryRefused: the platform is gone and says so (410).
    :raises DeliveryPostponed: it answers anything else but 2xx, cannot be reached, or takes too long. A 404 or a 401 is as likely
        a deploy or a wrong secret, which staff mend, as a decision.
    """
    if not settings.WEBHOOK_URL:
        return
    data = {name: value for name, value in event.payload.items() if name not in INTERNAL_FIELDS}
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
    if answer.status_code == httpx.codes.GONE:
        raise DeliveryRefused(outcome)
    raise DeliveryPostponed(outcome, retry_after=_named_wait(answer))


def _named_wait(answer: Answer) -> float:
    """Return the seconds that `Retry-After` asks for, by number or by date, up to `LONGEST_WAIT`; 0 without any."""
    value = answer.headers.get("retry-after", "")
    try:
        if value.isdecimal():
            seconds = float(value)
        else:
            seconds = (parsedate_to_datetime(value) - timezone.now()).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
        return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT)


sync_all_externally = one_by_one(
    sync_externally, at_once=MESSAGES_AT_ONCE, gives_up_after=UNHEALTHY_FAILURES
)
