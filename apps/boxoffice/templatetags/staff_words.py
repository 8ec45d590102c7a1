"""Write values on pages of staff as the rest of the administration does."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.formats import time_format

from apps.boxoffice.base.words import at_venue, in_won

register = template.Library()
register.filter("at_venue", at_venue)
register.filter("in_won", in_won)


@register.filter
def venue_time(at: datetime) -> str:
    """Return the time of day by the clocks of the venue."""
    return time_format(timezone.localtime(at, ZoneInfo(settings.VENUE_TIME_ZONE)), "TIME_FORMAT")


@register.filter
def in_thousands(number: int) -> str:
    return f"{number:,}"
