"""Reads of seats, their prices and the map of a hall."""

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from apps.concerts.models import Grade, Performance, Seat, SeatKind
from apps.concerts.selectors.concerts import published_performance
from apps.core.caching import ProcessCache


def seats_of(performance_id: int, section: str | None = None) -> QuerySet[Seat]:
    """Return the seats of a performance, or of one section of it, in seat-map order."""
    seats = Seat.objects.of_performance(performance_id).in_map_order()
    return seats if section is None else seats.in_section(section)


@dataclass(frozen=True, slots=True)
class GradePrices:
    """Hold what the seats of one grade cost, in won."""

    grade: str
    lowest: int
    highest: int


# Prices never change within a version of the seat map; reading them takes every seat of the hall.
_grade_prices: ProcessCache[tuple[int, int], list[tuple[str, int]]] = ProcessCache(
    seconds=24 * 3600, entries_max=1_000
)


def count_sold_seats(performance_id: int) -> int:
    """Count the seats that are sold at this moment, where `seats_sold` follows the ranking and may be late."""
    claims = {"claims__performance": performance_id, "claims__ended_at": None}
    sold = Seat.objects.of_performance(performance_id).filter(
        **claims, claims__hold__status="CONFIRMED"
    )
    return sold.count()


def grade_prices(performances: Sequence[Performance]) -> list[tuple[str, int]]:
    """Return each grade of some performances with each of its prices, the dearest grade first."""
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
    """Return what each grade costs over several performances, the dearest grade first."""
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
    in the order of its seats; `kinds` are those of seats that are no standard ones; `etag` is a strong validator of `data` alone, in quotes.
    """

    performance_id: int
    concert_id: int
    version: int
    etag: str
    data: bytes = field(repr=False)
    gzipped: bytes = field(repr=False)
    seat_ids: tuple[int, ...] = field(repr=False)
    kinds: tuple[SeatKind, ...] = ()


# A map never changes within its version, so this bounds memory and not age: a map of 5,000 seats takes 0.4 MB.
seat_maps: ProcessCache[tuple[int, int], SeatMap] = ProcessCache(seconds=24 * 3600, entries_max=32)


def seat_map(performance_id: int) -> SeatMap:
    """Return the seat map of a published performance: one query, and one more the first time a process needs this version.

    :raises PerformanceNotFound: there is none, or its concert is not published.
    """
    return seat_map_of(published_performance(performance_id))


def seat_map_of(performance: Performance) -> SeatMap:
    """Return the seat map of a performance as it has just been read; one query the first time a process needs this version."""
    key = (performance.pk, performance.seat_map_version)
    return seat_maps.get(key, lambda: _drawn_map(performance))


_current_maps: ProcessCache[int, SeatMap] = ProcessCache(seconds=1.0, entries_max=32)


def current_seat_map(performance_id: int) -> SeatMap:
    """Return the same for a crowd: its performance may have been read a second ago.

    :raises PerformanceNotFound: there is none, or its concert is not published.
    """
    return _current_maps.get(performance_id, lambda: seat_map(performance_id))


def _drawn_map(performance: Performance) -> SeatMap:
    seats = list(
        seats_of(performance.pk).values_list(
            "pk", "section", "row", "number", "x", "y", "grade", "price", "kind"
        )
    )
    of_kind: dict[str, list[int]] = {}
    corners: dict[str, tuple[int, int]] = {}
    for pk, section, _row, _number, x, y, _grade, _price, kind in seats:
        left, top = corners.get(section, (x, y))
        corners[section] = (min(left, x), min(top, y))
        if kind != SeatKind.STANDARD:
            of_kind.setdefault(kind, []).append(pk)
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
        "kinds": [
            {"kind": kind.value, "seat_ids": of_kind[kind]} for kind in SeatKind if kind in of_kind
        ],
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
        kinds=tuple(kind for kind in SeatKind if kind in of_kind),
    )
