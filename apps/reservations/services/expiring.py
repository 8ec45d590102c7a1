import time
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from uuid import UUID

import structlog

from apps.core.database import Call, fetch_all, load_statements
from apps.core.transactions import database_now, run_in_transaction
from apps.reservations.models import Hold

logger = structlog.get_logger(__name__)

SQL = load_statements(Path(__file__).with_suffix(".sql"))

BATCH = 500
SECONDS = 4.0  # below the time between two sweeps


def expire_holds() -> int:
    """Tidy up holds whose time is over; returns how many.

    Nothing depends on it: an overdue hold claims nothing, swept or not. Holds that another transaction is at work on are left, and so
    is what the time does not suffice for: beat calls again.
    """
    total = 0
    stop_at = time.monotonic() + SECONDS
    while expired := run_in_transaction(_expire_batch):
        total += expired
        if expired < BATCH or time.monotonic() > stop_at:
            break
    if total:
        logger.info("holds_expired", count=total)
    return total


def _expire_batch() -> int:
    now = database_now()
    overdue = Hold.objects.overdue(at=now).order_by("expires_at", "pk")
    locked = overdue.select_for_update(skip_locked=True, no_key=True)
    hold_ids = list(locked.values_list("pk", flat=True)[:BATCH])
    if not hold_ids:
        return 0
    [(expired,)] = fetch_all(*end_of(hold_ids, at=now))
    return int(expired)


def end_in_the_way(hold_ids: Collection[UUID], *, at: datetime) -> list[Call]:
    """Return the statements that lock overdue holds, waiting for each, and note their end; none if there are no such holds."""
    if not hold_ids:
        return []
    return [
        (SQL["lock_overdue_holds"], {"hold_ids": list(hold_ids)}),
        end_of(hold_ids, at=at),
    ]


def end_of(hold_ids: Collection[UUID], *, at: datetime) -> Call:
    """Return the statement that notes the end of locked holds which are over at `at`."""
    return SQL["end_overdue_holds"], {"hold_ids": list(hold_ids), "at": at}
