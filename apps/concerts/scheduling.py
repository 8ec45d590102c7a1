"""Move performances or call them off, and tell of it."""

from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext
from structlog.contextvars import get_contextvars

from apps.boxoffice.base.words import at_venue
from apps.concerts.errors import CalledOff, PerformanceNotFound
from apps.concerts.models import Performance
from apps.concerts.signals import (
    PerformanceCalledOff,
    PerformanceRescheduled,
    performance_called_off,
    performance_rescheduled,
)
from apps.core.transactions import database_now, requires_transaction, send_on_commit
from apps.outbox.events import PERFORMANCE_CALLED_OFF, PERFORMANCE_RESCHEDULED
from apps.outbox.recording import record_event


@requires_transaction
def reschedule_performance(
    *,
    performance_id: int,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    free_cancellation_until: datetime | None = None,
) -> Performance:
    """Move a performance to another time; its end moves along unless `ends_at` names another. Times that it has change nothing.

    Customers who hold or have bought seats by then may cancel until `free_cancellation_until`, or until it begins, and are told on the
    ticket; others are told by an event. A change of the end alone is none to be told, but calendars take it over.

    :raises PerformanceNotFound: there is none.
    :raises CalledOff: it will not be played.
    :raises IntegrityError: the concert has another one at that time, or the times cannot be.
    """
    performance = _locked(performance_id)
    before = performance.starts_at
    starts_at = starts_at or before
    ends_at = ends_at or starts_at + (performance.ends_at - before)
    if (before, performance.ends_at) == (starts_at, ends_at):
        return performance
    now = database_now()
    performance.starts_at, performance.ends_at = starts_at, ends_at
    performance.schedule_version += 1
    performance.schedule_changed_at = now
    if starts_at != before:
        performance.rescheduled_at, performance.previous_starts_at = now, before
        performance.free_cancellation_until = free_cancellation_until
    performance.save(
        update_fields=[
            "starts_at",
            "ends_at",
            "schedule_version",
            "schedule_changed_at",
            "rescheduled_at",
            "previous_starts_at",
            "free_cancellation_until",
        ]
    )
    if starts_at != before:
        payload = _payload(
            performance,
            starts_at=performance.starts_at,
            ends_at=performance.ends_at,
            previous_starts_at=before,
            occurred_at=now,
        )
        event = record_event(type=PERFORMANCE_RESCHEDULED, payload=payload, occurred_at=now)
        send_on_commit(performance_rescheduled, PerformanceRescheduled(event.pk, performance.pk))
    return performance


@requires_transaction
def call_off_performance(*, performance_id: int, reason: str) -> Performance:
    """Say that a performance will not be played, for good: from the commit on nothing more of it is held or paid for.

    What was held or sold stays as it is until it is given back; customers read the `reason` from now on. Others are told by an event.

    :raises PerformanceNotFound: there is none.
    :raises CalledOff: it was called off before.
    """
    if not reason.strip():
        raise ValueError("To call a performance off takes a reason.")
    performance = _locked(performance_id)
    now = database_now()
    performance.called_off_at, performance.called_off_reason = now, reason.strip()
    performance.schedule_version += 1
    performance.schedule_changed_at = now
    performance.save(
        update_fields=[
            "called_off_at",
            "called_off_reason",
            "schedule_version",
            "schedule_changed_at",
        ]
    )
    payload = _payload(performance, starts_at=performance.starts_at, occurred_at=now)
    event = record_event(
        type=PERFORMANCE_CALLED_OFF,
        payload=payload | {"reason": performance.called_off_reason},
        occurred_at=now,
    )
    send_on_commit(performance_called_off, PerformanceCalledOff(event.pk, performance.pk))
    return performance


def _locked(performance_id: int) -> Performance:
    """:raises PerformanceNotFound, CalledOff: there is none that will be played."""
    performance = Performance.objects.lock().filter(pk=performance_id).first()
    if performance is None:
        raise PerformanceNotFound
    if performance.is_called_off:
        raise CalledOff
    return performance


def move_in_words(before: Performance, after: Performance) -> str:
    """Say from when to when the beginning was moved, or the end alone."""
    if before.starts_at == after.starts_at:
        words, old, new = (
            gettext("End moved from %(before)s to %(after)s."),
            before.ends_at,
            after.ends_at,
        )
    else:
        words, old, new = (
            gettext("Moved from %(before)s to %(after)s."),
            before.starts_at,
            after.starts_at,
        )
    return words % {"before": at_venue(old), "after": at_venue(new)}


def _payload(performance: Performance, **times: datetime) -> dict[str, Any]:
    """Return what an outside platform needs to tell ticket holders; times in ISO 8601 and UTC, as the staff who move it have another."""
    return {
        "performance_id": performance.pk,
        "concert_id": performance.concert_id,
        **{name: moment.astimezone(UTC).isoformat() for name, moment in times.items()},
        "request_id": get_contextvars().get("request_id"),
    }
