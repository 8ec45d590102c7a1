"""Reads of concerts, seats and rankings, for this app and for those above it."""

import gzip
import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from django.db.models import (
    Count,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)
from django.utils import timezone

from apps.concerts import projection
from apps.concerts.errors import ConcertNotFound, PerformanceNotFound
from apps.concerts.models import (
    Concert,
    ConcertQuerySet,
    Grade,
    Performance,
    PerformanceQuerySet,
    RankingEntry,
    Seat,
    venue_day,
)
from apps.shared.caching import ProcessCache
from apps.shared.store import StoreUnavailable

logger = structlog.get_logger(__name__)


# --- Concerts and their dates -----------------------------------------------------------------------------------------


# For as long as clients may keep a list of concerts.
_undated: ProcessCache[None, list[int]] = ProcessCache(seconds=5.0, entries_max=1)


def concerts_not_over(*, at: datetime, text: str = "") -> ConcertQuerySet:
    """Published concerts with a date left, or none yet, that match `text`; the next to begin first, undated ones last.

    Those without a date are known from a few seconds ago.
    """
    undated = _undated.get(
        None, lambda: list(Concert.objects.undated().values_list("pk", flat=True))
    )
    # What is typed on a Mac arrives decomposed, what is stored is composed: for Korean not a single letter would be equal.
    text = unicodedata.normalize("NFC", text)
    return (
        Concert.objects.published()
        .not_over(at=at, undated=Concert.objects.filter(pk__in=undated))
        .matching(text)
        .with_dates()
        .order_by(F("first_performance_at").asc(nulls_last=True), "pk")
    )


def published_concert(concert_id: int) -> Concert:
    """A published concert with its dates and prices, also when it is over.

    :raises ConcertNotFound: there is none, or it is not published.
    """
    concert = _published(concert_id, Concert.objects.with_dates())
    concert.price_min, concert.price_max = _price_range(concert_id)
    return concert


def concert_in_brief(concert_id: int) -> Concert:
    """A published concert without its dates and prices.

    :raises ConcertNotFound: there is none, or it is not published.
    """
    return _published(concert_id, Concert.objects.all())


def _published(concert_id: int, concerts: ConcertQuerySet) -> Concert:
    concert = concerts.published().filter(pk=concert_id).first()
    if concert is None:
        raise ConcertNotFound
    return concert


def _price_range(concert_id: int) -> tuple[int | None, int | None]:
    # Two index look-ups for each performance, however many seats it has.
    by_price = Seat.objects.filter(performance=OuterRef("pk")).values("price")
    found = (
        Performance.objects.of_concert(concert_id)
        .annotate(
            cheapest=Subquery(by_price.order_by("price")[:1]),
            dearest=Subquery(by_price.order_by("-price")[:1]),
        )
        .aggregate(lowest=Min("cheapest"), highest=Max("dearest"))
    )
    return found["lowest"], found["highest"]


@dataclass(frozen=True, slots=True)
class SaleSummary:
    """What a customer wants to know of a concert before looking closer. `price_from` is in won, None without seats."""

    price_from: int | None
    is_sold_out: bool


def sale_summaries(concert_ids: Sequence[int], *, at: datetime) -> dict[int, SaleSummary]:
    """By concert, over the performances that have not begun; one query, and none of the seats is counted."""
    cheapest = Seat.objects.filter(performance=OuterRef("pk")).order_by("price").values("price")
    found = (
        Performance.objects.filter(concert__in=concert_ids)
        .not_begun(at=at)
        .annotate(cheapest=Subquery(cheapest[:1]))
        .values("concert")
        .annotate(
            lowest=Min("cheapest"),
            dates=Count("pk"),
            sold_out=Count("pk", filter=Q(sold_out_at__isnull=False)),
        )
        .values_list("concert", "lowest", "dates", "sold_out")
    )
    return {
        concert_id: SaleSummary(lowest, is_sold_out=dates == sold_out)
        for concert_id, lowest, dates, sold_out in found
    }


def dates_of(concert_id: int) -> PerformanceQuerySet:
    """The dates of a published concert in order."""
    return (
        Performance.objects.published().of_concert(concert_id).select_related("concert").by_date()
    )


def published_performance(performance_id: int) -> Performance:
    """A performance with its concert.

    :raises PerformanceNotFound: there is none, or its concert is not published.
    """
    performance = (
        Performance.objects.published().select_related("concert").filter(pk=performance_id).first()
    )
    if performance is None:
        raise PerformanceNotFound
    return performance


# --- Seats ------------------------------------------------------------------------------------------------------------


def seats_of(performance_id: int, section: str | None = None) -> QuerySet[Seat]:
    """The seats of a performance, or of one section of it, in seat-map order."""
    seats = Seat.objects.of_performance(performance_id).in_map_order()
    return seats if section is None else seats.in_section(section)


@dataclass(frozen=True, slots=True)
class GradePrices:
    """What the seats of one grade cost, in won."""

    grade: str
    lowest: int
    highest: int


# Prices never change within a version of the seat map; reading them takes every seat of the hall.
_grade_prices: ProcessCache[tuple[int, int], list[tuple[str, int]]] = ProcessCache(
    seconds=24 * 3600, entries_max=1_000
)


def grade_prices(performances: Sequence[Performance]) -> list[tuple[str, int]]:
    """Each grade of some performances with each of its prices, the dearest grade first."""
    versions = [(performance.pk, performance.seat_map_version) for performance in performances]
    found = _grade_prices.get_many(versions, _read_grade_prices)
    pairs = {pair for pairs in found.values() for pair in pairs}
    return sorted(pairs, key=lambda pair: (Grade.values.index(pair[0]), pair[1]))


def _read_grade_prices(
    versions: list[tuple[int, int]],
) -> dict[tuple[int, int], list[tuple[str, int]]]:
    prices: dict[int, list[tuple[str, int]]] = {
        performance_id: [] for performance_id, _ in versions
    }
    seats = Seat.objects.filter(performance__in=prices)
    for performance_id, grade, price in seats.values_list(
        "performance", "grade", "price"
    ).distinct():
        prices[performance_id].append((grade, price))
    return {version: prices[version[0]] for version in versions}


def grade_price_ranges(performances: Sequence[Performance]) -> list[GradePrices]:
    """What each grade costs over several performances, the dearest grade first."""
    prices: dict[str, list[int]] = {}
    for grade, price in grade_prices(performances):
        prices.setdefault(grade, []).append(price)
    return [
        GradePrices(grade, min(prices[grade]), max(prices[grade]))
        for grade in Grade.values
        if grade in prices
    ]


@dataclass(frozen=True, slots=True)
class SeatMap:
    """The part of a hall that does not change while seats are sold.

    `data` is the answer's `data` as JSON, ready to be put into an envelope, and `gzipped` is the same compressed; `seat_ids` are
    in the order of its seats; `etag` is a strong validator of `data` alone, in quotes.
    """

    performance_id: int
    concert_id: int
    version: int
    etag: str
    data: bytes = field(repr=False)
    gzipped: bytes = field(repr=False)
    seat_ids: tuple[int, ...] = field(repr=False)


# A map never changes within its version, so this bounds memory and not age: a map of 5,000 seats takes 0.4 MB.
seat_maps: ProcessCache[tuple[int, int], SeatMap] = ProcessCache(seconds=24 * 3600, entries_max=32)


def seat_map(performance_id: int) -> SeatMap:
    """The seat map of a published performance: one query, and one more the first time a process needs this version.

    :raises PerformanceNotFound: there is none, or its concert is not published.
    """
    return seat_map_of(published_performance(performance_id))


def seat_map_of(performance: Performance) -> SeatMap:
    """The seat map of a performance as it has just been read; one query the first time a process needs this version."""
    key = (performance.pk, performance.seat_map_version)
    return seat_maps.get(key, lambda: _drawn_map(performance))


_current_maps: ProcessCache[int, SeatMap] = ProcessCache(seconds=1.0, entries_max=32)


def current_seat_map(performance_id: int) -> SeatMap:
    """The same for a crowd: its performance may have been read a second ago.

    :raises PerformanceNotFound: there is none, or its concert is not published.
    """
    return _current_maps.get(performance_id, lambda: seat_map(performance_id))


def _drawn_map(performance: Performance) -> SeatMap:
    seats = list(
        seats_of(performance.pk).values_list(
            "pk", "section", "row", "number", "x", "y", "grade", "price"
        )
    )
    corners: dict[str, tuple[int, int]] = {}
    for _pk, section, _row, _number, x, y, _grade, _price in seats:
        left, top = corners.get(section, (x, y))
        corners[section] = (min(left, x), min(top, y))
    prices = {(seat[6], seat[7]) for seat in seats}
    drawn: dict[str, Any] = {
        "performance_id": performance.pk,
        "sections": [{"name": name, "x": x, "y": y} for name, (x, y) in corners.items()],
        "grades": [
            {"grade": grade, "price": price}
            for grade, price in sorted(
                prices, key=lambda pair: (Grade.values.index(pair[0]), pair[1])
            )
        ],
        "seats": [list(seat[:7]) for seat in seats],
    }
    data = json.dumps(drawn, ensure_ascii=False, separators=(",", ":")).encode()
    return SeatMap(
        performance_id=performance.pk,
        concert_id=performance.concert_id,
        version=performance.seat_map_version,
        etag=f'"{hashlib.sha256(data).hexdigest()[:32]}"',
        data=data,
        gzipped=gzip.compress(data, compresslevel=6, mtime=0),
        seat_ids=tuple(seat[0] for seat in seats),
    )


# --- Rankings ---------------------------------------------------------------------------------------------------------


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
    """The `limit` (at most 100) published concerts with the most reservations in `window`, ties by id.

    Answered by the projection; by PostgreSQL while the store is down or has lost it.
    """
    return popular_answers.get(window, lambda: _most_reserved(_days_of(window)))[:limit]


def ranks_of_yesterday() -> dict[int, int]:
    """Where concerts stood in the week's ranking when yesterday ended, by id; at most a minute old."""
    return _earlier_ranks.get(None, _ranks_of_yesterday)


def fastest_sold_out(*, limit: int) -> list[SoldOutPerformance]:
    """The `limit` (at most 100) published performances that sold out soonest after their sales opened."""
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
    best = _most_reserved(projection.window_days(yesterday))
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
        sums = projection.read(days=days, best=best)
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
            return projection.window_days(today)
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
