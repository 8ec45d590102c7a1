"""Sentences and figures that several pages and their scripts need, in the visitor's language."""

import math
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.concerts.models import SeatKind

# An estimate is honest as a range: the pace of the last two minutes may change.
SHORTEST, LONGEST = 0.7, 1.4
COARSE = 20  # minutes; above, it is not known better than by fives


def won(amount: int) -> str:
    """₩130,000, or 130,000원 in Korean."""
    written = won_pattern().format(amount=f"{abs(amount):,}")
    return written if amount >= 0 else f"−{written}"


def won_pattern() -> str:
    """Return how an amount is written, for scripts: with `{amount}` for its figures."""
    # Translators: an amount of money.
    return _("₩{amount}")


def figure(number: int | None) -> str:
    """1,203, in both languages; nothing for nothing."""
    return f"{number:,}" if isinstance(number, int) else ""


def ahead_words(people: int | None) -> str:
    """Name what the number of people ahead counts."""
    if people == 0:
        return _("You are next")
    return ngettext("person ahead of you", "people ahead of you", people or 0)


def refresh_words(seconds: int) -> str:
    """Say how soon a page without scripts loads itself anew."""
    return ngettext(
        "This page refreshes by itself in %(seconds)s second.",
        "This page refreshes by itself in %(seconds)s seconds.",
        seconds,
    ) % {"seconds": seconds}


def cancellation_hours() -> int:
    """Say until how long before a performance its reservations can be cancelled."""
    return int(settings.CANCELLATION_WINDOW.total_seconds() // 3600)


def wait_words(seconds: int | None) -> str | None:
    """Say about how long a visitor still waits, as a range in minutes; None if that is unknown."""
    if seconds is None:
        return None
    low, high = math.floor(seconds * SHORTEST / 60), math.ceil(seconds * LONGEST / 60)
    if high > COARSE:
        low, high = low // 5 * 5, math.ceil(high / 5) * 5
    if high <= 1:
        return _("less than a minute")
    if high >= 120:
        hours = round(seconds / 3600, 1)
        return _("about %(hours)s hours") % {"hours": f"{hours:g}"}
    if low < 1:
        return ngettext("up to %(high)s minute", "up to %(high)s minutes", high) % {"high": high}
    return _("%(low)s to %(high)s minutes") % {"low": low, "high": high}


def refusal_words(code: str, details: Mapping[str, Any]) -> str | None:
    """Return what a refusal says that has figures; None if there is no more to say than the code's own message."""
    match code:
        case "UNPAID_LIMIT_EXCEEDED":
            return _(
                "Unpaid seats of this concert: you hold %(unpaid)s, and the limit for all dates together is %(limit)s. "
                "Pay for them or release them first."
            ) % {"limit": details["limit"], "unpaid": details["unpaid"]}
        case "PRICE_LIMIT_EXCEEDED":
            return _(
                "In total these seats cost %(price)s, more than a balance can hold (%(limit)s). Take fewer at a time."
            ) % {"price": won(details["total_price"]), "limit": won(details["limit"])}
        case "SINGLE_SEAT_LEFT":
            named = _("{section}, row {row}, seat {number}")
            seats = " · ".join(named.format(**seat) for seat in details["seats"])
            return _(
                "This would leave a single seat on its own: %(seats)s. Please choose differently."
            ) % {"seats": seats}
        case "HOLD_NOT_EXTENDABLE":
            return _not_extendable_words(details["reason"])
        case _:
            return None


def _not_extendable_words(reason: str) -> str:
    match reason:
        case "ALREADY_EXTENDED":
            return _("You have already extended the time for these seats. That is possible once.")
        case "WITHDRAWN":
            return _(
                "The time for these seats cannot be extended while sales are interrupted. You can still pay for them."
            )
        case "SALES_END":
            return _("The time for these seats cannot be extended: sales are about to close.")
        case _:
            return _(
                "The time for these seats cannot be extended because your visit is over. You can still pay for them."
            )


def ended_words(reason: str | None) -> str:
    """Say why a visit to the waiting room is over."""
    match reason:
        case "COMPLETED":
            return _("You have booked. Enjoy the concert.")
        case "TIMED_OUT":
            return _(
                "Your time ran out: the time to choose is over, or this browser was away for too long."
            )
        case "LEFT":
            return _("You have left the queue.")
        case "REMOVED":
            return _("The box office has taken you out of the queue.")
        case _:
            return _("The waiting room was closed.")


def seat_map_words() -> dict[str, str]:
    """Return the texts of the seat map's script, which fills in what stands in braces."""
    return {
        "won": won_pattern(),
        "seat": _("{section}, row {row}, seat {number}"),
        "details": _("{grade}, {price}, {state}"),
        "detailsOfKind": _("{grade}, {price}, {kind}, {state}"),
        **{kind.value: str(kind.label) for kind in SeatKind if kind != SeatKind.STANDARD},
        "described": _("{seat}, {details}"),
        "free": _("free"),
        "held": _("held by another customer"),
        "sold": _("taken"),
        "mine": _("yours"),
        "chosen": _("chosen"),
        "removed": _("{seat} is no longer chosen."),
        "seatLost": _("Another customer was faster: {seat} is taken."),
        "seatsLost": _("Another customer was faster: {seats} are taken."),
        "seatBusy": _("Another customer is claiming one of these seats at this moment. Try again."),
        "limit": _("You may choose up to {limit} seats."),
        "single": _(
            "This would leave a single seat on its own: {seats}. If you can, choose differently."
        ),
        "singleRefused": _(
            "This would leave a single seat on its own: {seats}. Please choose differently."
        ),
        "tooDear": _(
            "In total these seats cost {price}, more than a balance can hold ({limit}). Take fewer at a time."
        ),
        "noneLeft": _("No seats are left at this moment."),
        "count": _("{count} of {limit}"),
        "section": _("Section {section}"),
        "row": _("Row {row}"),
        "freeCount": _("{count} free"),
        "oneLeft": ngettext("{seats} seat left", "{seats} seats left", 1),
        "manyLeft": ngettext("{seats} seat left", "{seats} seats left", 2),
        "soldOut": _("sold out"),
        "remove": _("Remove {seat}"),
        "stage": _("Stage"),
        "stale": _("The map may be out of date: we cannot reach the server. Trying again."),
        "offline": _("We could not reach the server. Check your connection and try again."),
        "failed": _("That did not work. Reload the page and try again."),
        "lastMinute": _("Less than a minute left to choose."),
        "yourTurn": _("Your turn"),
    }
