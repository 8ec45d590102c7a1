"""Draft what ticket holders are told when their performance is called off or moved; staff change it before it is sent.

A draft is written before the reason and the new time are typed, so it names them: `{reason}`, `{time}` and `{deadline}` are filled in, each in the
language of the text.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import override

from apps.concerts.models import Performance
from apps.core.notices import NoticeText

LANGUAGES = ("en", "ko")
REASON, TIME, DEADLINE = "{reason}", "{time}", "{deadline}"

# What stands for a name in the texts: a moment is written as its readers write it.
Fillings = Mapping[str, str | datetime]


def calling_off_draft(performance: Performance) -> NoticeText:
    return _in_both_languages(
        performance,
        lambda: _(
            "“%(title)s” on %(date)s will not take place. {reason} Your tickets are refunded to your wallet; you need not do anything."
        ),
    )


def moving_draft(performance: Performance) -> NoticeText:
    return _in_both_languages(
        performance,
        lambda: _(
            "“%(title)s” on %(date)s has been moved to {time}. {reason} Your tickets stay valid. If the new time does not suit you, you can cancel until {deadline}."
        ),
    )


def filled_in(text: NoticeText, fillings: Fillings) -> NoticeText:
    """Return a text in which each name that `fillings` has is replaced by what it stands for."""
    texts = text._asdict()
    for code in LANGUAGES:
        with override(code):
            for name, value in fillings.items():
                words = _written(value) if isinstance(value, datetime) else value
                texts[code] = texts[code].replace(name, words)
    return NoticeText(**texts)


def _in_both_languages(performance: Performance, draft: Callable[[], str]) -> NoticeText:
    texts = {}
    for code in LANGUAGES:
        with override(code):
            words = {"title": performance.concert.title, "date": _written(performance.starts_at)}
            texts[code] = draft() % words
    return NoticeText(**texts)


def _written(at: datetime) -> str:
    """Return a moment by the clocks of the venue as the pages of customers have it."""
    local = timezone.localtime(at, ZoneInfo(settings.VENUE_TIME_ZONE))
    return f"{date_format(local, 'DATE_FORMAT')}, {date_format(local, 'TIME_FORMAT')}"
