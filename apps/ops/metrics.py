"""Collect the figures of `/metrics` that are not of one process.

Figures are read when a monitoring system asks, from what all processes share, so each of them answers alike. Every app that
has some registers a collector of `prometheus_client` when Django starts. A collector whose source does not answer yields
nothing: the other figures still come, and an alert on the absence of a figure tells.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Min
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from apps.core.caching import ProcessCache
from apps.ops.models import JobProgress
from apps.ops.retention import RETENTIONS
from apps.outbox.events import CONSUMERS
from apps.outbox.models import EventDelivery, Receiver

logger = structlog.get_logger(__name__)

KEPT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """Work that one consumer has before it. `oldest_at` is the moment of the event that has waited the longest for it.

    `is_unhealthy` is of the receiver that it tells; None if that is not outside.
    """

    pending: int = 0
    dead: int = 0
    oldest_at: datetime | None = None
    is_unhealthy: bool | None = None


_backlogs: ProcessCache[None, dict[str, Backlog]] = ProcessCache(
    seconds=KEPT_SECONDS, entries_max=1
)


def backlogs() -> dict[str, Backlog]:
    """Return the backlog of each consumer, a few seconds old at most: read by an index of what is not done."""
    return _backlogs.get(None, _read_backlogs)


def _read_backlogs() -> dict[str, Backlog]:
    pending = {
        row["consumer"]: row
        for row in EventDelivery.objects.pending()
        .values("consumer")
        .annotate(number=Count("pk"), first=Min("pk"))
    }
    # Of a consumer's deliveries the first that was recorded is of the oldest event. The events of all of them would be as many
    # looks into a table that grows.
    firsts = EventDelivery.objects.filter(pk__in=[row["first"] for row in pending.values()])
    oldest = dict(firsts.values_list("consumer", "event__occurred_at"))
    dead = dict(
        EventDelivery.objects.dead()
        .values("consumer")
        .annotate(number=Count("pk"))
        .values_list("consumer", "number")
    )
    unhealthy = set(
        Receiver.objects.filter(unhealthy_since__isnull=False).values_list("pk", flat=True)
    )
    outside = {consumer.name for consumer in CONSUMERS.values() if consumer.is_outside}
    return {
        name: Backlog(
            pending=pending[name]["number"] if name in pending else 0,
            dead=dead.get(name, 0),
            oldest_at=oldest.get(name),
            is_unhealthy=name in unhealthy if name in outside else None,
        )
        for name in sorted(
            {consumer.name for consumer in CONSUMERS.values()} | pending.keys() | dead.keys()
        )
    }


class SharedCollector(Collector):
    """Collect figures that all processes share."""

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not ask the database or the cache."""
        return []


def gauge(name: str, words: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"encore_{name}", words, labels=labels)


class DeliveryCollector(SharedCollector):
    """Deliveries of events that are still to be done, or will not be."""

    def collect(self) -> Iterator[Metric]:
        try:
            found = backlogs()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("metrics_unavailable", source="database", error=str(error))
            return
        pending = gauge(
            "deliveries_pending",
            "Deliveries of events that a consumer has not done yet.",
            "consumer",
        )
        dead = gauge(
            "deliveries_dead",
            "Deliveries of events that were given up and wait for staff.",
            "consumer",
        )
        oldest = gauge(
            "oldest_pending_delivery_seconds",
            "Age of the oldest event that a consumer has not done yet, 0 without one.",
            "consumer",
        )
        unhealthy = gauge(
            "receiver_unhealthy",
            "1 while the receiver that a consumer tells has only failed, and is tried gently; else 0.",
            "consumer",
        )
        for name, backlog in found.items():
            pending.add_metric([name], backlog.pending)
            dead.add_metric([name], backlog.dead)
            age = time.time() - backlog.oldest_at.timestamp() if backlog.oldest_at else 0.0
            oldest.add_metric([name], max(0.0, age))
            if backlog.is_unhealthy is not None:
                unhealthy.add_metric([name], backlog.is_unhealthy)
        yield from (pending, dead, oldest, unhealthy)


_purges: ProcessCache[None, dict[str, JobProgress]] = ProcessCache(
    seconds=KEPT_SECONDS, entries_max=1
)


def _read_purges() -> dict[str, JobProgress]:
    jobs = {retention.job: retention.name for retention in RETENTIONS}
    return {jobs[job.name]: job for job in JobProgress.objects.filter(name__in=jobs)}


class RetentionCollector(SharedCollector):
    """Tell how many rows were purged of each table, and when a purge last left nothing old; also of one that never was."""

    def collect(self) -> Iterator[Metric]:
        try:
            found = _purges.get(None, _read_purges)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("metrics_unavailable", source="database", error=str(error))
            return
        rows = CounterMetricFamily(
            "encore_purged_rows",
            "Rows that were deleted because their retention was over.",
            labels=["table"],
        )
        finished = gauge(
            "purge_finished_timestamp_seconds",
            "When a purge last left nothing that was old, 0 if none ever has.",
            "table",
        )
        for name in (retention.name for retention in RETENTIONS):
            progress = found.get(name, JobProgress())
            rows.add_metric([name], progress.rows)
            at = progress.finished_at
            finished.add_metric([name], at.timestamp() if at else 0.0)
        yield from (rows, finished)
