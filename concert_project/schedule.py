"""Everything Celery beat does, in one place. Intervals are seconds.

Nothing here decides whether a sale is right: expiry is a predicate of the hold, and what a lost run leaves undone the next
one does. `expires` keeps a worker that was away from running what piled up meanwhile.
"""

from typing import Any

from celery.schedules import crontab


def _every(seconds: float, task: str, *, queue: str = "default") -> dict[str, Any]:
    return {
        "task": task,
        "schedule": seconds,
        "options": {"expires": seconds * 2, "queue": queue},
    }


def _nightly(task: str, *, queue: str) -> dict[str, Any]:
    """Run at 04:10 in Seoul."""
    return {
        "task": task,
        "schedule": crontab(hour="19", minute="10"),
        "options": {"expires": 3600, "queue": queue},
    }


BEAT_SCHEDULE = {
    "admit visitors": _every(1, "queue.admit_visitors", queue="admission"),
    "expire holds": _every(5, "reservations.expire_holds"),
    "relay events": _every(5, "outbox.relay_events"),
    # Each begins at once after its commit; this finds those whose announcement was lost.
    "run jobs of staff": _every(15, "boxoffice.run_jobs", queue="external"),
    "release seats that were kept back until now": _every(10, "concerts.release_due_allocations"),
    "rebuild a lost ranking": _every(60, "concerts.rebuild_lost_ranking"),
    # Reads all of history, so not each minute.
    "verify the ranking of all time": _every(6 * 3600, "concerts.verify_ranking", queue="external"),
    # Minutes of waiting for the database: in a thread beside the webhooks, not in a process that admits and expires.
    "verify invariants": _every(300, "ops.verify_invariants", queue="external"),
    "verify all invariants": _nightly("ops.verify_all_invariants", queue="external"),
    "purge": _every(600, "ops.purge", queue="external"),
}
