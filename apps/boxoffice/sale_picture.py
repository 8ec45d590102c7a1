"""Make words and charts for the cockpit out of a reading, without asking any server."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from apps.boxoffice.base.words import NOTHING
from apps.boxoffice.charts import Bar, bar_chart
from apps.boxoffice.readings.sale import KEPT
from apps.boxoffice.readings.series import totals
from apps.boxoffice.rights import Rights
from apps.concerts.models import InventoryCategory
from apps.core.codes import CODES
from apps.core.shared_readings import Data, Reading
from apps.queue.core.room import SECOND, WITHDRAWN, Figures
from apps.queue.forecast import forecast
from apps.queue.models import WaitingRoom

LATELY = 10  # minutes whose conversion stands beside that of the hour
State = WaitingRoom.State

STATES = {
    State.OPEN.value: gettext_lazy("open"),
    State.PAUSED.value: gettext_lazy("paused"),
    State.CLOSED.value: gettext_lazy("closed"),
    "SCHEDULED": gettext_lazy("not open yet"),
    WITHDRAWN: gettext_lazy("offline"),
}
CATEGORIES = {"OPEN": gettext_lazy("for sale"), **dict(InventoryCategory.Code.choices)}
SERVERS = {
    "database": gettext_lazy("Database"),
    "queue_store": gettext_lazy("Store of the waiting rooms"),
    "cache": gettext_lazy("Cache"),
    "broker": gettext_lazy("Task queue"),
}


def picture_of(
    concert_id: int, reading: Reading | None, house: Data | None, rights: Rights
) -> dict[str, Any]:
    """Return the context of `_sale.html`; without a reading it says that there is none yet."""
    about = {
        "rights": rights,
        "house": house and health_of(house),
        "is_late": reading is not None and reading.is_late,
    }
    if reading is None or reading.data["concert"] is None:
        return about
    data = reading.data
    at = datetime.fromtimestamp(data["at"], UTC)
    minutes = list(_minutes(data, at))
    return {
        **about,
        "at": at,
        "concert_id": concert_id,
        "concert": data["concert"],
        "opens_at": datetime.fromtimestamp(data["concert"]["sales_open_at"], UTC),
        "queue": _queue(data, at),
        "controls": _controls(data["concert"]["room"]) if rights.steering else [],
        "seats": _seats(data),
        "holds": _holds(data),
        "minutes": list(reversed(minutes)),
        "last_minute": minutes[-2] if len(minutes) > 1 else None,
        "hour": _summed(minutes),
        "lately": _summed(minutes[-LATELY:]),
        "chart": _chart(minutes),
        "refusals": _refusals(data["refusals"]) if "refusals" in data else None,
    }


# --- The queue --------------------------------------------------------------------------------------------------------


def _queue(data: Data, at: datetime) -> dict[str, Any]:
    """Return what is known of the waiting room. Without live figures `is_away` says whether their store is."""
    room, live = data["concert"]["room"], data.get("live")
    figures = Figures(**live["figures"]) if live and live["figures"] else None
    state = figures.state if figures else ""
    # The live room hears of a decision a moment after the row.
    if room and (not state or room["state"] != State.OPEN):
        state = room["state"]
    if not data["concert"]["is_published"]:
        state = WITHDRAWN
    return {
        "state": STATES.get(state, ""),
        "is_open": state == State.OPEN,
        "reason": room["pause_reason"] if room and state in (State.PAUSED, WITHDRAWN) else "",
        "room": room,
        "is_away": live is None,
        "figures": figures,
        "longest_wait": figures and timedelta(seconds=figures.longest_wait // SECOND),
        "empty_at": _empty_at(figures, room, at) if figures and room else None,
    }


def _empty_at(figures: Figures, room: Data, at: datetime) -> str:
    if not figures.waiting:
        return _("no visitor is waiting")
    if figures.state != State.OPEN:
        return NOTHING
    expected = forecast(
        figures, capacity=room["capacity"], per_minute=room["admissions_per_minute"]
    )
    return time_of_day(at + timedelta(seconds=expected.seconds))


def time_of_day(at: datetime) -> str:
    """Return the time by the clocks of the venue, to the minute."""
    return date_format(timezone.localtime(at, ZoneInfo(settings.VENUE_TIME_ZONE)), "H:i")


def _controls(room: Data | None) -> list[tuple[str, Any, str]]:
    """Return address, label and icon of what may be done to the room as it is."""
    if room is None:
        return []
    state = room["state"]
    offered = [
        ("open", _("Open now"), "play_arrow", state == State.CLOSED),
        ("pause", _("Pause"), "pause", state == State.OPEN),
        ("resume", _("Resume"), "play_arrow", state == State.PAUSED),
        ("rate", _("Rate"), "speed", True),
        ("capacity", _("Capacity"), "groups", True),
        ("close", pgettext("waiting room", "Close"), "block", state != State.CLOSED),
    ]
    return [
        (
            reverse("admin:queue_waitingroom_steer", args=[room["id"], control]) + "?from=cockpit",
            label,
            icon,
        )
        for control, label, icon, makes_sense in offered
        if makes_sense
    ]


# --- Seats and holds --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SeatRow:
    """Count the seats of a grade, a date, or all; `won` is what the sold ones cost, None where that is not known."""

    name: Any
    free: int
    held: int
    sold: int
    category: Any = ""
    won: int | None = None

    @property
    def total(self) -> int:
        return self.free + self.held + self.sold

    @property
    def percent(self) -> int:
        return round(100 * self.sold / self.total) if self.total else 0


def _seats(data: Data) -> dict[str, Any] | None:
    seats = data["seats"]
    if seats is None:
        return None
    grades = [
        SeatRow(grade, free, held, sold, CATEGORIES.get(category, category), won)
        for grade, category, free, held, sold, won in seats["by_grade"]
    ]
    dates = [
        SeatRow(
            datetime.fromtimestamp(date["starts_at"], UTC),
            *seats["by_date"].get(str(date["id"]), (0, 0, 0)),
        )
        for date in data["dates"]
    ]
    return {
        "at": datetime.fromtimestamp(seats["at"], UTC),
        "by_grade": grades,
        "by_date": dates if len(dates) > 1 else [],
        "all": SeatRow(
            "",
            # Without those that are kept back, which are not for sale.
            sum(free for _grade, category, free, *_ in seats["by_grade"] if category == "OPEN"),
            sum(row.held for row in grades),
            sum(row.sold for row in grades),
            won=sum(row.won or 0 for row in grades),
        ),
    }


def _holds(data: Data) -> dict[str, Any]:
    rows = data["holds"]
    return {
        "rows": rows,
        "number": sum(row[1] for row in rows),
        "seats": sum(row[2] for row in rows),
        "won": sum(row[3] for row in rows),
        "oldest": timedelta(seconds=max((row[4] for row in rows), default=0)),
    }


# --- By the minute ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Minute:
    """Sum up one minute, or several. `lost` are holds that ended without a payment."""

    at: datetime
    sold: int
    won: int
    refunds: int
    refunded: int
    held: int
    lost: int

    @property
    def conversion(self) -> str:
        """Return which part of the holds that ended was paid for."""
        ended = self.sold + self.lost
        return f"{round(100 * self.sold / ended)} %" if ended else NOTHING


def _minutes(data: Data, at: datetime) -> Iterator[Minute]:
    """Yield the minutes of the last hour, the one that has begun included, the oldest first."""
    if "sales" not in data:
        return
    sold, refunds = totals(data["sales"]), totals(data["refunds"])
    held, lost = totals(data["holds_begun"]), totals(data["holds_lost"])
    last = int(at.timestamp() // 60)
    for number in range(last - KEPT // timedelta(minutes=1) + 1, last + 1):
        minute = str(number)
        yield Minute(
            datetime.fromtimestamp(number * 60, UTC),
            *sold.get(minute, (0, 0)),
            *refunds.get(minute, (0, 0)),
            *held.get(minute, (0,)),
            *lost.get(minute, (0,)),
        )


def _summed(minutes: list[Minute]) -> Minute | None:
    if not minutes:
        return None
    numbers = [
        sum(getattr(minute, name) for minute in minutes)
        for name in ("sold", "won", "refunds", "refunded", "held", "lost")
    ]
    return Minute(minutes[0].at, *numbers)


def _chart(minutes: list[Minute]) -> Any:
    return bar_chart(
        [
            Bar(
                time_of_day(minute.at),
                minute.sold,
                _("%(time)s: %(sold)s sold, %(held)s held")
                % {
                    "time": time_of_day(minute.at),
                    "sold": f"{minute.sold:,}",
                    "held": f"{minute.held:,}",
                },
                behind=minute.held,
            )
            for minute in minutes
        ],
        title=_("Sales and holds by minute, of the last hour"),
    )


# --- What may be wrong ------------------------------------------------------------------------------------------------


def _refusals(counts: dict[str, int] | None) -> list[tuple[str, Any, int]] | None:
    """Return code, message and number, the most frequent first; None if the counts cannot be reached."""
    if counts is None:
        return None
    return [
        (code, CODES[code].message if code in CODES else "", number)
        for code, number in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def health_of(house: Data) -> dict[str, Any]:
    """Return what is said of deliveries, invariants and servers; deliveries are None if they were never read."""
    deliveries = house["deliveries"]
    checks = house["invariants"] or {}
    breaches: dict[str, int] = {}
    for outcome in checks.values():
        for name, number in outcome["breaches"].items():
            breaches[name] = max(breaches.get(name, 0), number)
    checked_at = max((outcome["checked_at"] for outcome in checks.values()), default=None)
    return {
        "servers": [(SERVERS[name], answers) for name, answers in house["servers"].items()],
        "deliveries": deliveries
        and [
            {
                "consumer": name,
                **figures,
                "oldest_at": figures["oldest_at"]
                and datetime.fromtimestamp(figures["oldest_at"], UTC),
            }
            for name, figures in deliveries.items()
        ],
        "dead": sum(figures["dead"] for figures in (deliveries or {}).values()),
        "pending": sum(figures["pending"] for figures in (deliveries or {}).values()),
        "breaches": sorted((name, number) for name, number in breaches.items() if number),
        "checked_at": checked_at and datetime.fromtimestamp(checked_at, UTC),
    }
