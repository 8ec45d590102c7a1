"""Days by the calendar at the venues: in forms, and as the time from one midnight to another."""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from unfold.widgets import UnfoldAdminTextInputWidget


class DayInput(UnfoldAdminTextInputWidget):
    input_type = "date"


class DayField(forms.DateField):
    """A day of 2000 to 2099, picked in the browser's own calendar or typed as 2026-11-28."""

    widget = DayInput
    FIRST, LAST = date(2000, 1, 1), date(2099, 12, 31)

    def __init__(self, **options: Any) -> None:
        super().__init__(input_formats=["%Y-%m-%d"], **options)

    def clean(self, value: Any) -> date | None:
        day: date | None = super().clean(value)
        if day is not None and not self.FIRST <= day <= self.LAST:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return day


def days_as_time(first: date, last: date) -> tuple[datetime, datetime]:
    """Return the moments at which days begin and are over at the venue, the second excluded."""
    venue = ZoneInfo(settings.VENUE_TIME_ZONE)
    return (
        datetime.combine(first, time(), venue),
        datetime.combine(last + timedelta(days=1), time(), venue),
    )
