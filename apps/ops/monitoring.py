"""Watch the invariants: beat has them checked, a line in the log and `/metrics` say how they stand.

Every few minutes what has changed is checked, every night everything. Both outcomes are kept apart, so that a breach that
only the night finds is not forgotten five minutes later.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from django.core.cache import cache
from django.db.models.functions import Greatest
from prometheus_client import Metric

from apps.core.audit_sessions import audit_session
from apps.core.caching import ProcessCache
from apps.core.transactions import database_now
from apps.ops.invariants import Invariant, check_invariants
from apps.ops.metrics import SharedCollector, gauge
from apps.ops.models import JobProgress

logger = structlog.get_logger(__name__)

CHECK_SECONDS = 240.0  # below the time between two of them
NIGHT_SECONDS = 3_000.0
# Above the time from the moment that a row tells to its commit, and above that until a sweep notes the end of a hold.
OVERLAP = timedelta(minutes=15)
LONGEST = timedelta(days=1)  # what lies further back has been seen by a check of everything
JOB = "check invariants"
KEPT_SECONDS = 2 * 24 * 3600


class Scope(StrEnum):
    """Tell checks of what has changed lately from those of everything."""

    LATELY = "lately"
    EVERYTHING = "everything"

    @property
    def key(self) -> str:
        """Return the cache key of the outcome."""
        # Another number with another shape: releases share the cache while they take turns.
        return f"invariants_checked:2:{self}"


_last_checks: ProcessCache[None, dict[str, Any]] = ProcessCache(seconds=5.0, entries_max=1)


def watch_invariants(*, scope: Scope = Scope.LATELY) -> bool:
    """Check what has changed since the last check that found nothing, or everything; says whether all is well.

    The outcome is logged as one line and kept for `/metrics`. After a breach the same time is looked at again and again, so
    that the breach is reported until it is mended. Several at once do no harm: whichever ends last is kept.
    """
    begun_at = time.monotonic()
    is_nightly = scope is Scope.EVERYTHING
    with audit_session():
        now = database_now()
        since = None if is_nightly else _checked_until(now) - OVERLAP
    results = check_invariants(
        since=since,
        seconds=NIGHT_SECONDS if is_nightly else CHECK_SECONDS,
    )
    breaches = {result.name: result.breaches for result in results}
    is_sound = not any(breaches.values())
    seconds = round(time.monotonic() - begun_at, 3)
    (logger.info if is_sound else logger.error)(
        "invariants_checked",
        scope=scope.value,
        breaches=breaches,
        examples={result.name: result.examples for result in results if result.breaches},
        not_checked={result.name: result.not_checked for result in results if result.not_checked},
        seconds=seconds,
    )
    keep_outcome(results, scope=scope, seconds=seconds)
    if is_sound:
        with audit_session():
            JobProgress.objects.bulk_create([JobProgress(name=JOB)], ignore_conflicts=True)
            JobProgress.objects.filter(pk=JOB).update(
                reached_at=Greatest("reached_at", now), finished_at=now
            )
    return is_sound


def keep_outcome(results: Sequence[Invariant], *, scope: Scope, seconds: float) -> None:
    """Let `/metrics` tell how a check came out."""
    checked = {
        result.name: result.breaches
        for result in results
        if result.breaches or not result.not_checked
    }
    cache.set(
        scope.key,
        {"checked_at": time.time(), "seconds": seconds, "breaches": checked},
        timeout=KEPT_SECONDS,
    )


def _checked_until(now: datetime) -> datetime:
    reached = JobProgress.objects.filter(pk=JOB).values_list("reached_at", flat=True).first()
    return max(reached or now - LONGEST, now - LONGEST)


class InvariantCollector(SharedCollector):
    """Tell how the last checks came out; nothing when there was none for two days, or the cache does not answer."""

    def collect(self) -> Iterator[Metric]:
        last = last_checks()
        if not last:
            return
        breaches = gauge(
            "invariant_breaches",
            "Breaches that the last check found; an invariant that could not be checked is left out.",
            "invariant",
            "scope",
        )
        checked_at = gauge(
            "invariants_checked_timestamp_seconds",
            "When the invariants were last checked.",
            "scope",
        )
        seconds = gauge(
            "invariants_check_seconds", "How long the last check of the invariants took.", "scope"
        )
        for scope, outcome in last.items():
            for name, number in outcome["breaches"].items():
                breaches.add_metric([name, scope], number)
            checked_at.add_metric([scope], outcome["checked_at"])
            seconds.add_metric([scope], outcome["seconds"])
        yield from (breaches, checked_at, seconds)


def last_checks() -> dict[str, Any]:
    """Return the outcomes of the last checks by scope: `checked_at`, `seconds` and `breaches` by name; five seconds old at most."""
    return _last_checks.get(None, _read_outcomes)


def _read_outcomes() -> dict[str, Any]:
    kept = cache.get_many([scope.key for scope in Scope])
    return {scope.value: kept[scope.key] for scope in Scope if scope.key in kept}
