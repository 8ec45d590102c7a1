"""The front page of the admin: how the shop does today, and what needs somebody.

What it shows is read once for all (`readings/shop.py`, `readings/house.py`); each account sees the parts that its rights are about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.accounts.models import User
from apps.boxoffice.base.words import in_won
from apps.boxoffice.charts import HALF, Bar, bar_chart
from apps.boxoffice.models import StaffJob
from apps.boxoffice.readings.house import house
from apps.boxoffice.readings.series import totals
from apps.boxoffice.readings.shop import DAYS, shop_readings
from apps.boxoffice.rights import COCKPIT, sees_sales
from apps.boxoffice.sale_picture import health_of
from apps.concerts.models import Grade, venue_day
from apps.core.shared_readings import Data
from apps.queue.models import WaitingRoom

JOBS_SHOWN = 5
CONCERTS_SHOWN = 10
# Show the health of the system to those who may look at the machinery.
MACHINES = ("ops.view_jobprogress", "outbox.view_eventdelivery")


@dataclass(frozen=True, slots=True)
class Day:
    """Hold what was sold and given back on a day at the venue; `orders` of the holds that ended were paid for, `lost` were not."""

    day: date
    seats: int
    won: int
    orders: int
    refunds: int
    refunded: int
    lost: int

    @property
    def net(self) -> int:
        return self.won - self.refunded

    @property
    def conversion(self) -> int | None:
        """Return how many percent of the holds that ended were paid for; None if none ended."""
        ended = self.orders + self.lost
        return round(100 * self.orders / ended) if ended else None


@dataclass(frozen=True, slots=True)
class Task:
    """Name something that needs somebody, and where it is done. `level` is warning or danger."""

    words: str
    url: str
    level: str = "warning"


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the front page, as the theme asks for it."""
    user = request.user
    assert isinstance(user, User)
    reading = shop_readings.get()
    shop = reading.data if reading else None
    of_house = house()
    may_see_sales = sees_sales(user)
    may_see_rooms = user.has_perm(COCKPIT)
    may_see_machines = any(user.has_perm(right) for right in MACHINES)
    machines = health_of(of_house) if of_house and may_see_machines else None
    context |= {
        "shop": shop,
        "is_late": reading is not None and reading.is_late,
        "at": shop and datetime.fromtimestamp(shop["at"], UTC),
        "may_see_sales": may_see_sales,
        "may_see_rooms": may_see_rooms,
        "may_see_machines": may_see_machines,
        "machines": machines,
        "tasks": list(_tasks(user, shop, machines)),
    }
    if shop is None:
        return context
    if may_see_sales:
        context |= _sales(shop)
    if may_see_rooms:
        context["rooms"] = shop["rooms"]
    if user.has_perm("concerts.view_concert"):
        context["opening"] = [
            {**concert, "at": datetime.fromtimestamp(concert["at"], UTC)}
            for concert in shop["opening"]
        ]
    return context


def _sales(shop: Data) -> dict[str, Any]:
    at = datetime.fromtimestamp(shop["at"], UTC)
    days = list(_days(shop, venue_day(at)))
    hours = list(_hours(shop, venue_day(at)))
    return {
        "today": days[-1],
        "yesterday": days[-2],
        "days": list(reversed(days)),
        "hours": hours,
        "concerts": list(_concerts(shop, venue_day(at)))[:CONCERTS_SHOWN],
        "dates": [
            {**row, "starts_at": datetime.fromtimestamp(row["starts_at"], UTC)}
            for row in shop["dates"]
        ],
        "ranking": shop["ranking"],
        "chart_of_days": bar_chart(
            [
                Bar(
                    date_format(day.day, "n/j"),
                    day.won,
                    f"{date_format(day.day, 'MONTH_DAY_FORMAT')}: {in_won(day.won)}",
                )
                for day in days
            ],
            title=_("Sales by day, in won"),
            width=HALF,
        ),
        "chart_of_hours": bar_chart(
            [
                Bar(
                    f"{hour:02}",
                    today,
                    _("%(hour)s o'clock: %(today)s seats today, %(yesterday)s yesterday")
                    % {"hour": hour, "today": f"{today:,}", "yesterday": f"{yesterday:,}"},
                    behind=yesterday,
                )
                for hour, today, _won, yesterday in hours
            ],
            title=_("Seats sold by hour, today and yesterday"),
            width=HALF,
        ),
    }


def _days(shop: Data, today: date) -> Iterator[Day]:
    sums = {name: totals(shop[name]) for name in ("days", "refunds", "holds_lost")}
    for ago in range(DAYS - 1, -1, -1):
        day = today - timedelta(days=ago)
        key = day.isoformat()
        yield Day(
            day,
            *sums["days"].get(key, (0, 0, 0)),
            *sums["refunds"].get(key, (0, 0)),
            *sums["holds_lost"].get(key, (0,)),
        )


def _hours(shop: Data, today: date) -> Iterator[tuple[int, int, int, int]]:
    """Yield each hour with the seats and the won of today, and the seats of yesterday."""
    sums = totals(shop["hours"])
    yesterday = today - timedelta(days=1)
    for hour in range(24):
        seats, won = sums.get(f"{today.isoformat()}T{hour:02}", (0, 0))
        before, _won = sums.get(f"{yesterday.isoformat()}T{hour:02}", (0, 0))
        yield hour, seats, won, before


def _concerts(shop: Data, today: date) -> Iterator[dict[str, Any]]:
    """Yield what was sold today of each concert and of its grades, the most money first."""
    concerts: dict[str, dict[str, list[int]]] = {}
    for bucket, sums in totals(shop["grades"]).items():
        day, concert_id, grade = bucket.split("|")
        if day == today.isoformat():
            concerts.setdefault(concert_id, {})[grade] = sums
    rows = [
        {
            "concert_id": int(concert_id),
            "title": shop["titles"].get(concert_id, f"#{concert_id}"),
            "grades": [(grade, *grades[grade]) for grade in sorted(grades, key=Grade.values.index)],
            "seats": sum(seats for seats, _won in grades.values()),
            "won": sum(won for _seats, won in grades.values()),
        }
        for concert_id, grades in concerts.items()
    ]
    yield from sorted(rows, key=lambda row: (-row["won"], row["concert_id"]))


def _tasks(user: User, shop: Data | None, machines: dict[str, Any] | None) -> Iterator[Task]:
    """Yield what needs somebody, as far as this account may do something about it or has to know."""
    if user.has_perm("boxoffice.view_staffjob"):
        for job in StaffJob.objects.awaiting_approval().order_by("id")[:JOBS_SHOWN]:
            words = _("Waits for approval: %(job)s") % {"job": job}
            yield Task(words, reverse("admin:boxoffice_staffjob_change", args=[job.pk]))
    if machines:
        yield from _faults(user, machines)
    if shop and user.has_perm(COCKPIT):
        for room in shop["rooms"]:
            if room["state"] == WaitingRoom.State.PAUSED:
                words = _("Paused: the waiting room of %(concert)s") % {"concert": room["title"]}
                yield Task(words, reverse("boxoffice:cockpit", args=[room["concert_id"]]))


def _faults(user: User, machines: dict[str, Any]) -> Iterator[Task]:
    for server, answers in machines["servers"]:
        if not answers:
            words = _("Does not answer: %(server)s") % {"server": server}
            yield Task(words, "", "danger")
    for name, number in machines["breaches"]:
        words = _("Invariant broken: %(name)s (%(number)s)") % {"name": name, "number": number}
        yield Task(words, "", "danger")
    if machines["dead"]:
        words = ngettext(
            "%(number)s delivery was given up.",
            "%(number)s deliveries were given up.",
            machines["dead"],
        ) % {"number": f"{machines['dead']:,}"}
        url = ""
        if user.has_perm("outbox.view_eventdelivery"):
            url = reverse("admin:outbox_eventdelivery_changelist") + "?status__exact=DEAD"
        yield Task(words, url, "danger")
    for delivery in machines["deliveries"] or ():
        if delivery["is_unhealthy"]:
            words = _("The receiver of %(consumer)s keeps failing")
            yield Task(words % {"consumer": delivery["consumer"]}, "", "danger")
