"""Say in sentences what a control of a waiting room is about to do: who waits, who loses what, and when the queue would be empty."""

from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.queue.core.room import Figures
from apps.queue.forecast import forecast
from apps.queue.models import WaitingRoom

RATES = (0.5, 1, 2, 4)  # of what the room does at the moment, to choose among


def when_admitting(room: WaitingRoom, figures: Figures | None) -> Iterator[str]:
    """Say what becomes of those who wait once the room admits by its policy."""
    if figures is None:
        yield _not_known()
        return
    yield _who_waits(figures)
    if figures.waiting:
        yield when_empty(figures, capacity=room.capacity, per_minute=room.admissions_per_minute)


def when_pausing(figures: Figures | None) -> Iterator[str]:
    if figures is None:
        yield _not_known()
        return
    yield _who_waits(figures)
    yield ngettext(
        "%(count)s visitor is inside and goes on buying.",
        "%(count)s visitors are inside and go on buying.",
        figures.active,
    ) % {"count": f"{figures.active:,}"}


def when_closing(figures: Figures | None) -> Iterator[str]:
    if figures is None:
        yield _not_known()
        return
    yield ngettext(
        "%(count)s visitor who waits loses the place.",
        "%(count)s visitors who wait lose their places.",
        figures.waiting,
    ) % {"count": f"{figures.waiting:,}"}
    yield ngettext(
        "%(count)s visitor who is inside loses the turn.",
        "%(count)s visitors who are inside lose their turns.",
        figures.active,
    ) % {"count": f"{figures.active:,}"}


def at_rates(room: WaitingRoom, figures: Figures | None) -> Iterator[str]:
    """Say what some rates would do, the present one and those around it."""
    if figures is None:
        yield _not_known()
        return
    yield _who_waits(figures)
    usual = forecast(figures, capacity=room.capacity, per_minute=room.admissions_per_minute)
    rates = sorted({max(1, _rounded(usual.per_minute * part)) for part in RATES})
    for rate in rates:
        yield at_rate(figures, capacity=room.capacity, per_minute=rate)
    yield at_rate(figures, capacity=room.capacity, per_minute=None)


def at_rate(figures: Figures, *, capacity: int, per_minute: int | None) -> str:
    """Say what one rate would do; None stands for no limit."""
    expected = forecast(figures, capacity=capacity, per_minute=per_minute)
    rate = _in_figures(expected.per_minute)
    if per_minute is None:
        start = _("Without a limit, about %(rate)s a minute get a turn") % {"rate": rate}
    elif expected.per_minute < per_minute:
        words = _("At %(limit)s a minute the capacity is the limit: about %(rate)s get a turn")
        start = words % {"limit": f"{per_minute:,}", "rate": rate}
    else:
        return _at(f"{per_minute:,}", figures, expected.seconds)
    return _and_then(start, figures, expected.seconds)


def at_capacities(room: WaitingRoom, figures: Figures | None) -> Iterator[str]:
    if figures is None:
        yield _not_known()
        return
    yield _who_waits(figures)
    for capacity in sorted({max(1, _rounded(room.capacity * part)) for part in RATES}):
        yield at_capacity(figures, capacity=capacity, per_minute=room.admissions_per_minute)


def at_capacity(figures: Figures, *, capacity: int, per_minute: int | None) -> str:
    """Say what one capacity would do."""
    expected = forecast(figures, capacity=capacity, per_minute=per_minute)
    start = _("With %(capacity)s inside at once, about %(rate)s a minute get a turn") % {
        "capacity": f"{capacity:,}",
        "rate": _in_figures(expected.per_minute),
    }
    too_many = figures.active - capacity
    if too_many > 0:
        start += " " + _("(none until %(count)s of those inside have left)") % {
            "count": f"{too_many:,}"
        }
    return _and_then(start, figures, expected.seconds)


def when_empty(figures: Figures, *, capacity: int, per_minute: int | None) -> str:
    """Say when the queue is empty under a policy."""
    expected = forecast(figures, capacity=capacity, per_minute=per_minute)
    return _at(_in_figures(expected.per_minute), figures, expected.seconds)


def _at(rate: str, figures: Figures, seconds: float) -> str:
    if not figures.waiting:
        return _("At most %(rate)s a minute get a turn.") % {"rate": rate}
    words = _("At %(rate)s a minute the queue is empty at about %(time)s.")
    return words % {"rate": rate, "time": _time_in(seconds)}


def _and_then(start: str, figures: Figures, seconds: float) -> str:
    if not figures.waiting:
        return f"{start}."
    words = _("%(beginning)s, and the queue is empty at about %(time)s.")
    return words % {"beginning": start, "time": _time_in(seconds)}


def _time_in(seconds: float) -> str:
    at = timezone.localtime(timezone.now() + timedelta(seconds=seconds))
    is_soon = seconds < timedelta(hours=20).total_seconds()
    return date_format(at, "H:i" if is_soon else "DATETIME_FORMAT")


def _who_waits(figures: Figures) -> str:
    return ngettext(
        "%(count)s visitor is waiting.", "%(count)s visitors are waiting.", figures.waiting
    ) % {"count": f"{figures.waiting:,}"}


def _not_known() -> str:
    return _(
        "How many visitors wait is not known: none has come yet, or the store does not answer."
    )


def _rounded(number: float) -> int:
    """Return a number of two digits and zeros, as people would choose one."""
    whole = round(number)
    step: int = 10 ** max(0, len(str(whole)) - 2)
    return round(whole / step) * step


def _in_figures(rate: float) -> str:
    return f"{rate:.1f}" if rate < 10 else f"{round(rate):,}"
