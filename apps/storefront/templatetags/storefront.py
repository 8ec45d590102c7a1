import math
from datetime import datetime

from django import template
from django.utils.formats import date_format
from django.utils.timezone import localtime, now
from django.utils.translation import gettext_lazy

from apps.storefront.wording import figure, won

register = template.Library()
register.filter("won", won)
register.filter("figure", figure)


@register.filter
def weekday(at: datetime) -> str:
    """Fri or 금, by the clock of the page: what Django calls the abbreviation of 금요일 is the whole word."""
    return date_format(localtime(at), "D").removesuffix("요일")


# Those that have a name of their own in some language.
ZONES = {"KST": gettext_lazy("KST")}


@register.filter
def zone(at: datetime) -> str:
    """KST or 한국 표준시: the time zone by whose clocks the page shows a moment."""
    name = localtime(at).tzname() or ""
    return str(ZONES.get(name, f"UTC{name}" if name[:1] in ("+", "-") else name))


@register.filter
def seconds_until(at: datetime) -> float:
    """Return 0 for what is past."""
    return max(0.0, (at - now()).total_seconds())


@register.filter
def clock(seconds: float) -> str:
    """12:34 or 1:02:03 for a number of seconds; what `countdown.js` goes on counting from."""
    left = max(0, math.ceil(seconds))
    minutes, hours = left // 60, left // 3600
    return f"{hours}:{minutes % 60:02}:{left % 60:02}" if hours else f"{minutes}:{left % 60:02}"


@register.filter
def code_groups(code: str) -> str:
    """Return the code of a ticket in groups of four, so that people can read it to each other."""
    return " ".join(code[start : start + 4] for start in range(0, len(code), 4))
