"""Move performances, and tell of it."""

from datetime import UTC, datetime
from typing import Any

from structlog.contextvars import get_contextvars

from apps.concerts.errors import PerformanceNotFound
from apps.concerts.models import Performance
from apps.concerts.signals import PerformanceRescheduled, performance_rescheduled
from apps.core.transactions import database_now, requires_transaction, send_on_commit
from apps.outbox.events import PERFORMANCE_RESCHEDULED
from apps.outbox.recording import record_event


@requires_transaction
def reschedule_performance(
    *, performance_id: int, starts_at: datetime | None = None, ends_at: datetime | None = None
) -> Performance:
    """Move a performance to another time; its end moves along unless `ends_at` names another. Times that it has change nothing.

    Customers who hold or have bought seats by then may cancel until it begins, and are told on the ticket; others are told by an event. A
    change of the end alone is none to be told, but calendars take it over.

    :raises PerformanceNotFound: there is none.
    :raises IntegrityError: the concert has another one at that time, or the times cannot be.
    """
    performance = Performance.objects.lock().filter(pk=performance_id).first()
    if performance is None:
        raise PerformanceNotFound
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
    performance.save(
        update_fields=[
            "starts_at",
            "ends_at",
            "schedule_version",
            "schedule_changed_at",
            "rescheduled_at",
            "previous_starts_at",
        ]
    )
    if starts_at != before:
        payload = _payload(performance, before=before, at=now)
        event = record_event(type=PERFORMANCE_RESCHEDULED, payload=payload, occurred_at=now)
        send_on_commit(performance_rescheduled, PerformanceRescheduled(event.pk, performance.pk))
    return performance


def _payload(performance: Performance, *, before: datetime, at: datetime) -> dict[str, Any]:
    """Return what an outside platform needs to tell ticket holders; times in ISO 8601 and UTC, as the staff who move it have another."""
    times = {
        "starts_at": performance.starts_at,
        "ends_at": performance.ends_at,
        "previous_starts_at": before,
        "occurred_at": at,
    }
    return {
        "performance_id": performance.pk,
        "concert_id": performance.concert_id,
        **{name: moment.astimezone(UTC).isoformat() for name, moment in times.items()},
        "request_id": get_contextvars().get("request_id"),
    }
