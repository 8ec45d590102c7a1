import math
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from apps.concerts.errors import SalesClosed, SalesNotOpen

# Every date that staff type lies between them: nothing was sold before, and a mistyped year is noticed.
DATES = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
OUT_OF_DATES = _("The year must be 2000 to 2099.")


def venue_day(at: datetime) -> date:
    """Return the calendar day at the venues; rankings count such days, not days of UTC."""
    return at.astimezone(ZoneInfo(settings.VENUE_TIME_ZONE)).date()


class SalesWindow(NamedTuple):
    """The time within which seats of one performance are sold. One that is called off has begun at that moment, as far as sales go."""

    opens_at: datetime
    closes_at: datetime | None
    starts_at: datetime

    @property
    def ends_at(self) -> datetime:
        return self.starts_at if self.closes_at is None else min(self.starts_at, self.closes_at)

    def refuse_unless_open(self, at: datetime) -> None:
        """
        :raises SalesNotOpen: before the sales window.
        :raises SalesClosed: after it, or once the performance has begun.
        """
        if at < self.opens_at:
            raise SalesNotOpen(retry_after=math.ceil((self.opens_at - at).total_seconds()))
        if at >= self.ends_at:
            raise SalesClosed
