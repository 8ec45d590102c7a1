"""Reads of the rankings: the most reserved concerts, the performances that sold out fastest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

import structlog
from django.db.models import Sum
from django.utils import timezone

from apps.concerts import ranking_store
from apps.concerts.models import Concert, Performance, RankingEntry, venue_day
from apps.core.caching import ProcessCache
from apps.core.store import StoreUnavailable

logger = structlog.get_logger(__name__)


class RankingWindow(StrEnum):
    """Today, the last seven days including today, or ever; days are those of the venues."""

    DAY = "day"
    WEEK = "week"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class PopularConcert:
    """`reservations` is what was reserved in the window less what was cancelled in it."""

    rank: int
    concert_id: int
    title: str
    venue: str
    reservations: int


@dataclass(frozen=True, slots=True)
class SoldOutPerformance:
    rank: int
    concert_id: int
    performance_id: int
    title: str
    sold_out_in_seconds: int


RANKING_LIMIT_MAX = 100
# With the second that clients may keep the answer: two seconds at most.
RANKING_SECONDS = 1.0

popular_answers: ProcessCache[RankingWindow, list[PopularConcert]] = ProcessCache(
    seconds=RANKING_SECONDS, entries_max=len(RankingWindow)
)
_earlier_ranks: ProcessCache[None, dict[int, int]] = ProcessCache(seconds=60, entries_max=1)
sold_out_answers: ProcessCache[None, list[SoldOutPerformance]] = ProcessCache(
    seconds=RANKING_SECONDS, entries_max=1
)
# Hardly anything changes about what is over, and it is nearly everything.
_past_sold_out: ProcessCache[None, tuple[datetime, list[int]]] = ProcessCache(
    seconds=60, entries_max=1
)


def popular_concerts(*, window: RankingWindow, limit: int) -> list[PopularConcert]:
    """Return the `limit` (at most 100) published concerts with the most reservations in `window`, ties by id.

    Answered by the projection; by PostgreSQL while the store is down or has lost it.
    """
    return popular_answers.get(window, lambda: _most_reserved(_days_of(window)))[:limit]


def ranks_of_yesterday() -> dict[int, int]:
    """Return where concerts stood in the week's ranking when yesterday ended, by id; at most a minute old."""
    return _earlier_ranks.get(None, _ranks_of_yesterday)


def fastest_sold_out(*, limit: int) -> list[SoldOutPerformance]:
    """Return the `limit` (at most 100) published performances that sold out soonest after their sales opened."""
    return sold_out_answers.get(None, _soonest_sold_out)[:limit]


def recorded_reservations(window: RankingWindow) -> dict[int, int]:
    """Reservations by concert id in `window`, from the table."""
    return _recorded_reservations(_days_of(window))


def _recorded_reservations(days: Sequence[date]) -> dict[int, int]:
    entries = RankingEntry.objects.all()
    if days:
        entries = entries.between(first_day=min(days), last_day=max(days))
    return dict(
        entries.values("concert")
        .annotate(total=Sum("reservations"))
        .values_list("concert", "total")
    )


def _ranks_of_yesterday() -> dict[int, int]:
    yesterday = venue_day(timezone.now()) - timedelta(days=1)
    best = _most_reserved(ranking_store.window_days(yesterday))
    return {concert.concert_id: concert.rank for concert in best}


def _most_reserved(days: Sequence[date]) -> list[PopularConcert]:
    """Within `days`; none means of all time."""
    # Some of the best may have been withdrawn since; hardly ever are there so many that the others have to be read.
    for best in (2 * RANKING_LIMIT_MAX, None):
        sums = _projected_reservations(days, best)
        if sums is None:
            best, sums = None, _recorded_reservations(days)
        found = _published_in_order({pk: total for pk, total in sums.items() if total > 0})
        if best is None or len(sums) < best or len(found) == RANKING_LIMIT_MAX:
            break
    return found


def _published_in_order(sums: Mapping[int, int]) -> list[PopularConcert]:
    """Return the first `RANKING_LIMIT_MAX`; looks up no more concerts than that takes."""
    ranked = sorted(sums, key=lambda pk: (-sums[pk], pk))
    found: list[Concert] = []
    for start in range(0, len(ranked), RANKING_LIMIT_MAX):
        part = ranked[start : start + RANKING_LIMIT_MAX]
        published = Concert.objects.published().only("title", "venue").in_bulk(part)
        found += [published[pk] for pk in part if pk in published]
        if len(found) >= RANKING_LIMIT_MAX:
            break
    return [
        PopularConcert(rank, concert.pk, concert.title, concert.venue, sums[concert.pk])
        for rank, concert in enumerate(found[:RANKING_LIMIT_MAX], start=1)
    ]


def _projected_reservations(days: Sequence[date], best: int | None) -> dict[int, int] | None:
    try:
        sums = ranking_store.read(days=days, best=best)
    except StoreUnavailable:
        logger.warning("ranking_store_unavailable")
        return None
    return None if sums is None else sums.reservations


def _days_of(window: RankingWindow) -> list[date]:
    """Empty for all time."""
    today = venue_day(timezone.now())
    match window:
        case RankingWindow.DAY:
            return [today]
        case RankingWindow.WEEK:
            return ranking_store.window_days(today)
        case RankingWindow.ALL:
            return []


def _soonest_sold_out() -> list[SoldOutPerformance]:
    until, best = _past_sold_out.get(None, _read_past_sold_out)
    ahead = Performance.objects.not_begun(at=until).values("pk")
    past = Performance.objects.filter(pk__in=best).values("pk")
    fastest = (
        Performance.objects.published()
        .filter(pk__in=ahead.union(past, all=True))
        .fastest_sold_out()
        .select_related("concert")
    )
    return [
        SoldOutPerformance(
            rank,
            performance.concert_id,
            performance.pk,
            performance.concert.title,
            int(performance.sold_out_in.total_seconds()),
        )
        for rank, performance in enumerate(fastest[:RANKING_LIMIT_MAX], start=1)
    ]


def _read_past_sold_out() -> tuple[datetime, list[int]]:
    """Return the best of all performances that have begun, with some to spare, and the moment until when those had."""
    until = timezone.now()
    past = Performance.objects.published().filter(starts_at__lte=until).fastest_sold_out()
    return until, list(past.values_list("pk", flat=True)[: 2 * RANKING_LIMIT_MAX])
