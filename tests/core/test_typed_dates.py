"""Days and times in words, as they are typed and as pages print them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.template.defaultfilters import date as printed
from django.utils import translation

from apps.core.typed_dates import span_of

VENUE = ZoneInfo(settings.VENUE_TIME_ZONE)
NOW = datetime(2026, 11, 28, 23, 30, tzinfo=UTC)  # a Sunday morning in Seoul
TODAY = date(2026, 11, 29)


def days_of(text: str) -> tuple[date, date] | None:
    span = span_of(text, now=NOW)
    return span and (span.first, span.last)


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        (["today", "Today", " 오늘 "], 0),
        (["yesterday", "YESTERDAY", "어제"], -1),
        (["the day before yesterday", "그저께", "그제"], -2),
        (["tomorrow", "내일"], 1),
        (["모레", "day after tomorrow"], 2),
    ],
)
def test_names_days_by_the_clock_of_the_venue(texts, days):
    day = TODAY + timedelta(days)

    assert {text: days_of(text) for text in texts} == dict.fromkeys(texts, (day, day))


@pytest.mark.parametrize(
    "text",
    [
        *("2026-11-28", "2026.11.28", "2026. 11. 28.", "2026/11/28", "11/28/2026"),
        *("28 Nov", "28 Nov 2026", "Nov 28", "Nov. 28, 2026", "28th of november"[:4] + " november"),
        *("November 28", "Sat, 28 Nov", "Nov. 28, 2026 (Sat)", "11월 28일", "2026년 11월 28일"),
        *("2026년11월28일", "11월 28일 (토)", "11월 28일 토요일"),
    ],
)
def test_reads_a_day(text):
    span = span_of(text, now=NOW)

    assert span is not None
    assert span.since == datetime(2026, 11, 28, tzinfo=VENUE)
    assert span.until == datetime(2026, 11, 29, tzinfo=VENUE)


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(
    "layout", ["DATE_FORMAT", "DATETIME_FORMAT", "SHORT_DATE_FORMAT", "SHORT_DATETIME_FORMAT"]
)
@pytest.mark.parametrize("hour", [0, 9, 12, 19])
def test_reads_what_pages_print(language, layout, hour):
    at = datetime(2026, 11, 28, hour, 5, tzinfo=VENUE)
    with translation.override(language):
        text = printed(at, layout)

    span = span_of(text, now=NOW)

    assert span is not None, text
    assert span.since == (at if "TIME" in layout else at.replace(hour=0, minute=0))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-28 19:30", datetime(2026, 11, 28, 19, 30, tzinfo=VENUE)),
        ("2026-11-28T10:30:59Z", datetime(2026, 11, 28, 19, 30, tzinfo=VENUE)),
        ("28 Nov, 7 p.m.", datetime(2026, 11, 28, 19, tzinfo=VENUE)),
        ("Nov. 28, 2026, noon", datetime(2026, 11, 28, 12, tzinfo=VENUE)),
        ("Nov. 28, 2026, midnight", datetime(2026, 11, 28, tzinfo=VENUE)),
        ("11월 28일 오후 7시 30분", datetime(2026, 11, 28, 19, 30, tzinfo=VENUE)),
        ("11월 28일 오전 12:05", datetime(2026, 11, 28, 0, 5, tzinfo=VENUE)),
    ],
)
def test_reads_a_minute(text, at):
    span = span_of(text, now=NOW)

    assert span is not None
    assert (span.since, span.until - span.since) == (at, timedelta(minutes=1))


def test_names_weeks_from_monday_to_sunday():
    assert days_of("this week") == days_of("이번 주") == (date(2026, 11, 23), date(2026, 11, 29))
    assert days_of("지난주") == days_of("last week") == (date(2026, 11, 16), date(2026, 11, 22))


def test_takes_the_nearest_of_days_without_a_year():
    assert days_of("2 Jan") == (date(2027, 1, 2), date(2027, 1, 2))
    assert days_of("1 Jul") == (date(2026, 7, 1), date(2026, 7, 1))


@pytest.mark.parametrize(
    "text",
    [
        *("", "Kim", "2026-13-01", "2026-02-30", "31 Nov", "Nov", "May", "1999-01-01", "99월 99일"),
        *(
            "2026-11-28 25:00",
            "2026-11-28 nonsense",
            "Marchetti 5",
            "12",
            "0001-01-01T00:00:00+23:59",
        ),
    ],
)
def test_reads_nothing_else(text):
    assert span_of(text, now=NOW) is None
