"""The figures of the whole shop: what the dashboard shows, read once for all who look at it.

Days are those of the venue. What was sold is added up as it comes, so a reading looks at the sales since the one before, and only the first one
at those of a week.
"""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from apps.boxoffice.readings.batches import fetch_batch
from apps.boxoffice.readings.series import SETTLING, Rows, Series, extended, since, totals
from apps.concerts.models import venue_day
from apps.concerts.selectors import RankingWindow, popular_concerts
from apps.core.database import load_statements
from apps.core.errors import ServiceUnavailable
from apps.core.shared_readings import Data, SharedReadings
from apps.queue.selectors import live_figures

SQL = load_statements(Path(__file__).with_suffix(".sql"))
SHOP_SECONDS = 10.0
DAYS = 8  # with today
DATES_MAX, ROOMS_MAX, RANKED_MAX = 15, 10, 5


def read_shop(_key: str, previous: Data | None) -> Data:
    """Return the figures; those of the database are as new as its clock says in `at`."""
    before = previous or {}
    today = venue_day(timezone.now())
    first = _midnight(today - timedelta(days=DAYS - 1))
    names = ("days", "refunds", "holds_lost")
    statements = ("moment", *names, "sales", "dates", "opening", "rooms")
    [[[at]], days, refunds, lost, sales, dates, opening, rooms] = fetch_batch(
        [SQL[f"shop_{name}"] for name in statements],
        {
            "zone": settings.VENUE_TIME_ZONE,
            "settling": SETTLING,
            "dates_max": DATES_MAX,
            "rooms_max": ROOMS_MAX,
            "sales_since": since(before.get("hours")) or _midnight(today - timedelta(days=1)),
            **{f"{name}_since": since(before.get(name)) or first for name in names},
        },
    )
    until = at - SETTLING
    # A day may have begun between the two clocks; sums of other days are dropped by their name.
    week = {(today - timedelta(days=ago)).isoformat() for ago in range(-1, DAYS)}
    lately = {(today - timedelta(days=ago)).isoformat() for ago in range(-1, 2)}

    def grown(name: str, rows: Rows, kept: set[str]) -> Series:
        return extended(
            before.get(name), rows, until=until, keep=lambda bucket: bucket[:10] in kept
        )

    data: Data = {
        "at": at.timestamp(),
        "days": grown("days", days, week),
        "refunds": grown("refunds", refunds, week),
        "holds_lost": grown("holds_lost", lost, week),
        "hours": grown("hours", ((hour, *rest) for hour, _, _, *rest in sales), lately),
        "grades": grown(
            "grades",
            ((f"{hour[:10]}|{concert}|{grade}", *rest) for hour, concert, grade, *rest in sales),
            lately,
        ),
        "dates": [
            {
                "id": pk,
                "starts_at": starts_at.timestamp(),
                "seats": seats,
                "sold": max(sold, 0),
                "concert_id": concert_id,
                "title": title,
            }
            for pk, starts_at, seats, sold, concert_id, title in dates
        ],
        "opening": [
            {"concert_id": pk, "title": title, "at": open_at.timestamp()}
            for pk, title, open_at in opening
        ],
        "rooms": [_room(*row) for row in rooms],
        "ranking": [
            {"concert_id": best.concert_id, "title": best.title, "sold": best.reservations}
            for best in popular_concerts(window=RankingWindow.WEEK, limit=RANKED_MAX)
        ],
    }
    data["titles"] = _titles(data["grades"])
    return data


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, ZoneInfo(settings.VENUE_TIME_ZONE)).astimezone(UTC)


def _titles(grades: Series) -> dict[str, str]:
    concert_ids = sorted({int(bucket.split("|")[1]) for bucket in totals(grades)})
    if not concert_ids:
        return {}
    [rows] = fetch_batch([SQL["shop_titles"]], {"concert_ids": concert_ids})
    return {str(pk): title for pk, title in rows}


def _room(room_id: int, state: str, concert_id: int, title: str) -> dict[str, Any]:
    """Return a room with how many wait and are inside; both are None while the store is away, or has no such room."""
    try:
        figures = live_figures(concert_id)
    except ServiceUnavailable:
        figures = None
    return {
        "id": room_id,
        "state": state,
        "concert_id": concert_id,
        "title": title,
        "waiting": figures and figures.waiting,
        "active": figures and figures.active,
    }


shop_readings = SharedReadings("shop:1", seconds=SHOP_SECONDS, read=read_shop)
