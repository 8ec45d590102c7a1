"""The invariants under watch: beat has them checked, a line in the log and `/metrics` say how they stand."""

import time
from collections.abc import Iterator
from typing import Any

import structlog
from django.core.cache import cache
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from apps.reservations.invariants import check_invariants
from apps.shared.caching import ProcessCache

logger = structlog.get_logger(__name__)

CHECK_SECONDS = 240.0  # below the time between two of them
KEY = "invariants_checked:1"  # another number with another shape: releases share the cache while they take turns
KEPT_SECONDS = 24 * 3600

_last_checks: ProcessCache[None, dict[str, Any]] = ProcessCache(seconds=5.0, entries_max=1)


def watch_invariants() -> bool:
    """Check everything, log it as one line and keep it for `/metrics`; says whether all is well.

    Several at once do no harm: whichever ends last is kept.
    """
    begun_at = time.monotonic()
    results = check_invariants(seconds=CHECK_SECONDS)
    breaches = {one.name: one.breaches for one in results}
    is_sound = not any(breaches.values())
    seconds = round(time.monotonic() - begun_at, 3)
    (logger.info if is_sound else logger.error)(
        "invariants_checked",
        breaches=breaches,
        examples={one.name: one.examples for one in results if one.breaches},
        not_checked={one.name: one.not_checked for one in results if one.not_checked},
        seconds=seconds,
    )
    checked = {one.name: one.breaches for one in results if one.breaches or not one.not_checked}
    cache.set(
        KEY,
        {"checked_at": time.time(), "seconds": seconds, "breaches": checked},
        timeout=KEPT_SECONDS,
    )
    return is_sound


class InvariantCollector(Collector):
    """How the last check by beat came out; nothing when there was none for a day, or the cache does not answer."""

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the cache."""
        return []

    def collect(self) -> Iterator[Metric]:
        last = _last_checks.get(None, lambda: cache.get(KEY))
        if not last:
            return
        breaches = GaugeMetricFamily(
            "encore_invariant_breaches",
            "Breaches that the last check found; an invariant that could not be checked is left out.",
            labels=["invariant"],
        )
        for name, number in last["breaches"].items():
            breaches.add_metric([name], number)
        yield breaches
        yield GaugeMetricFamily(
            "encore_invariants_checked_timestamp_seconds",
            "When the invariants were last checked.",
            value=last["checked_at"],
        )
        yield GaugeMetricFamily(
            "encore_invariants_check_seconds",
            "How long the last check of the invariants took.",
            value=last["seconds"],
        )
