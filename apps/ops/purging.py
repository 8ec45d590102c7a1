"""Purge tables of old rows that are not needed any more, batch by batch.

`retention.py` lists the tables. A batch is one short transaction: it takes the keys of some rows that are
old, by an index, so that a run that finds nothing costs next to nothing; rows that are locked elsewhere are left for the
next run. How far a table was purged is recorded in that transaction, so that a later count of rows knows what to expect
(see the invariants).
"""

import time
from collections.abc import Callable
from datetime import datetime

import structlog
from django.db import connection

from apps.core.transactions import database_now, run_in_transaction
from apps.ops.models import JobProgress
from apps.ops.retention import RETENTIONS, Retention

logger = structlog.get_logger(__name__)

BATCH = 1_000
SECONDS_PER_TABLE = 8.0


def purge(
    retention: Retention,
    *,
    seconds: float | None = SECONDS_PER_TABLE,
    on_progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Delete what is old until nothing is left or `seconds` are over; returns how many rows, dependent ones aside.

    `on_progress` gets the number of each batch. Two runs at once do no harm: the second one leaves the table to the first.
    """
    purged = 0
    stop_at = None if seconds is None else time.monotonic() + seconds
    JobProgress.objects.bulk_create([JobProgress(name=retention.job)], ignore_conflicts=True)
    while True:
        deleted = run_in_transaction(lambda: _purge_batch(retention))
        purged += deleted
        on_progress(deleted)
        if deleted < BATCH or (stop_at is not None and time.monotonic() > stop_at):
            break
    if purged:
        logger.info("rows_purged", table=retention.name, rows=purged)
    return purged


def purge_all(*, seconds_per_table: float = SECONDS_PER_TABLE) -> int:
    """Purge every table; one that fails does not keep the others from it. Returns how many rows."""
    purged = 0
    for retention in RETENTIONS:
        try:
            purged += purge(retention, seconds=seconds_per_table)
        except Exception:
            logger.exception("purge_failed", table=retention.name)
    return purged


def count_old(retention: Retention) -> int:
    """Return how many rows a purge would delete now."""
    before = database_now() - retention.keep
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({retention.old}) found", {"before": before})  # noqa: S608
        count: int = cursor.fetchone()[0]
    return count


def _purge_batch(retention: Retention) -> int:
    jobs = JobProgress.objects.select_for_update(skip_locked=True, no_key=True)
    progress = jobs.filter(pk=retention.job).first()
    if progress is None:
        return 0  # another run is at it
    now = database_now()
    before = now - retention.keep
    keys = _lock_old(retention, before)
    if keys:
        _delete(retention, keys)
        progress.rows += len(keys)
        progress.reached_at = max(before, progress.reached_at or before)
    if len(keys) < BATCH:
        progress.finished_at = now
    progress.save()
    return len(keys)


def _lock_old(retention: Retention, before: datetime) -> list[object]:
    with connection.cursor() as cursor:
        cursor.execute(
            f'{retention.old} LIMIT %(limit)s FOR UPDATE OF "old" SKIP LOCKED',
            {"before": before, "limit": BATCH},
        )
        return [row[0] for row in cursor.fetchall()]


def _delete(retention: Retention, keys: list[object]) -> None:
    with connection.cursor() as cursor:
        for table, column in retention.tables:
            cursor.execute(f'DELETE FROM "{table}" WHERE "{column}" = ANY(%s)', [keys])  # noqa: S608
