"""Tell how far the row at work has come, for jobs of one long row: nothing of its transaction can be seen before the commit.

The figure is kept in the cache for a minute. Without a cache the page shows rows alone, and after a rollback the figure begins again.
"""

from uuid import UUID

from django.core.cache import cache

KEPT_SECONDS = 60


def report_progress(job_id: UUID, done: int, *, total: int) -> None:
    """Say how much of the row at work is done, in whatever is counted in it."""
    cache.set(_key(job_id), [done, total], KEPT_SECONDS)


def progress_of(job_id: UUID) -> tuple[int, int] | None:
    """Return what was reported last of the row at work: how much is done, and of how much."""
    found = cache.get(_key(job_id))
    return (int(found[0]), max(1, int(found[1]))) if found else None


def _key(job_id: UUID) -> str:
    return f"staff-job:{job_id}"
