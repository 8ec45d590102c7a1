"""Record an event, with a delivery for each of its consumers, in the transaction of what happened."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from uuid import UUID

from apps.core.database import Call, fetch_pipelined, load_statements
from apps.core.identifiers import new_id
from apps.core.transactions import requires_transaction
from apps.outbox import events
from apps.outbox.models import OutboxEvent

SQL = load_statements(Path(__file__).with_suffix(".sql"))


def event_to_record(
    *, type: str, payload: Mapping[str, object], occurred_at: datetime
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
            "consumers": events.consumers_of(type),
            "next_attempt_at": occurred_at,
        },
    )


@requires_transaction
def record_event(*, type: str, payload: Mapping[str, object], occurred_at: datetime) -> OutboxEvent:
    """Write the event and its deliveries in the caller's transaction."""
    event_id, call = event_to_record(type=type, payload=payload, occurred_at=occurred_at)
    fetch_pipelined([call])
    return OutboxEvent(id=event_id, type=type, payload=payload, occurred_at=occurred_at)
