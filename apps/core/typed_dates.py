"""Days and times as people type them and pages print them, in English and Korean, by the clock at the venues."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings

YEARS = range(2000, 2100)

# Days from today to the first one, and how many there are.
_WORDS = {
    "today": 0,
    "오늘": 0,
    "yesterday": -1,
    "어제": -1,
    "the day before yesterday": -2,
    "day before yesterday": -2,
    "그저께": -2,
    "그제": -2,
    "tomorrow": 1,
    "내일": 1,
    "the day after tomorrow": 2,
    "day after tomorrow": 2,
    "모레": 2,
}
# Weeks from this one; a week begins on Monday.
_WEEKS = {"thisweek": 0, "이번주": 0, "lastweek": -1, "지난주": -1, "nextweek": 1, "다음주": 1}
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)

_MONTH = r"(?P<month>[a-z]{3,9})\.?"
_NTH = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
_DAYS = [
    re.compile(rf"{_YEAR}\s*[-./]\s*(?P<month>\d{{1,2}})\s*[-./]\s*(?P<day>\d{{1,2}})\.?"),
    re.compile(rf"(?:{_YEAR}\s*년\s*)?(?P<month>\d{{1,2}})\s*월\s*(?P<day>\d{{1,2}})\s*일"),
    re.compile(rf"{_MONTH}\s+{_NTH}(?:,?\s+{_YEAR})?"),
    re.compile(rf"{_NTH}\s+{_MONTH}(?:,?\s+{_YEAR})?"),
    re.compile(rf"(?P<month>\d{{1,2}})/(?P<day>\d{{1,2}})/{_YEAR}"),  # short, in English
]
_WEEKDAY = re.compile(r"\([^()]{1,9}\)|^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+|\S요일")
_HALF = r"a\.?m\.?|p\.?m\.?|오전|오후"
_TIME = re.compile(
    rf"(?P<before>{_HALF})?\s*(?P<hour>\d{{1,2}})(?:\s*[:시]\s*(?P<minute>\d{{2}})?\s*분?)?(?::\d\d(?:\.\d+)?)?\s*(?P<after>{_HALF})?"
)


class Span(NamedTuple):
    """The time from `since` to before `until`, and the days that it touches, from `first` to `last`."""

    since: datetime
    until: datetime
    first: date
    last: date


def span_of(text: str, *, now: datetime) -> Span | None:
    """Return the time that a text names: a day, a week or a minute; None if it names none.

    A day without a year is the nearest one.
    """
    venue = ZoneInfo(settings.VENUE_TIME_ZONE)
    today = now.astimezone(venue).date()
    typed = " ".join(text.lower().split()).strip(" .,")
    if (days := _WORDS.get(typed)) is not None:
        return _days(today + timedelta(days), 1, venue)
    if (weeks := _WEEKS.get(typed.replace(" ", ""))) is not None:
        return _days(today + timedelta(7 * weeks - today.weekday()), 7, venue)
    if exact := _iso_time(typed):
        return _minute(exact, venue)
    typed = " ".join(_WEEKDAY.sub(" ", typed).split())
    for pattern in _DAYS:
        if (found := pattern.match(typed)) and (day := _day(found, today)):
            return _at_time(day, typed[found.end() :].strip(" ,"), venue)
    return None


def _iso_time(typed: str) -> datetime | None:
    """Return a moment with its time zone, as the API writes it."""
    try:
        at = datetime.fromisoformat(typed.upper())
        return at.astimezone(UTC) if at.tzinfo and at.year in YEARS else None
    except (ValueError, OverflowError):
        return None


def _day(found: re.Match[str], today: date) -> date | None:
    month = found["month"]
    named = [number for number, name in enumerate(_MONTHS, 1) if name.startswith(month)]
    number = int(month) if month.isdecimal() else (named or [0])[0]
    years = [int(found["year"])] if found["year"] else [today.year + n for n in (-1, 0, 1)]
    days = []
    for year in years:
        try:
            days.append(date(year, number, int(found["day"])))
        except ValueError:
            continue
    days = [day for day in days if day.year in YEARS]
    return min(days, key=lambda day: abs(day - today)) if days else None


def _at_time(day: date, rest: str, venue: ZoneInfo) -> Span | None:
    if not rest:
        return _days(day, 1, venue)
    rest = {"noon": "12:00", "midnight": "0:00"}.get(rest, rest)
    found = _TIME.fullmatch(rest)
    if not found:
        return None
    half = (found["before"] or found["after"] or "").replace(".", "")
    hour, minute = int(found["hour"]), int(found["minute"] or 0)
    if half in ("am", "오전", "pm", "오후"):
        hour = hour % 12 + (12 if half in ("pm", "오후") else 0)
    if hour > 23 or minute > 59:
        return None
    return _minute(datetime.combine(day, time(hour, minute), venue), venue)


def _days(first: date, days: int, venue: ZoneInfo) -> Span:
    until = first + timedelta(days)
    since_at, until_at = (datetime.combine(day, time(), venue) for day in (first, until))
    return Span(since_at, until_at, first, until - timedelta(1))


def _minute(at: datetime, venue: ZoneInfo) -> Span:
    since = at.astimezone(venue).replace(second=0, microsecond=0)
    return Span(since, since + timedelta(minutes=1), since.date(), since.date())
