"""Seats that staff name as they stand in the hall: a section, some of its rows, some numbers."""

import re
from collections.abc import Sequence

from django.db.models import Min, Q, QuerySet
from django.utils.translation import gettext as _

from apps.concerts.models import Seat

_NUMBERS = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?")


class NotUnderstood(ValueError):
    """A text names no rows or numbers; the message says so to people."""


def sections_of(performance_id: int) -> list[str]:
    """Return the names of the sections of a performance, in the order in which they stand on the map."""
    return _in_map_order(Seat.objects.of_performance(performance_id), "section")


def named_seat_ids(
    performance_id: int, *, section: str, rows: str = "", numbers: str = ""
) -> list[int]:
    """Return the seats of a section, or of all if it is empty, that stand in certain rows and have certain numbers.

    "A-C, F" are rows from A to C as they follow each other in the section, and F; "1-10, 15" are numbers. Empty is all of them.

    :raises NotUnderstood: there is no such row, or a number is none.
    """
    seats = Seat.objects.of_performance(performance_id).in_map_order()
    if section:
        seats = seats.in_section(section)
    if numbers.strip():
        seats = seats.filter(_has_number(numbers))
    if rows.strip():
        seats = seats.filter(row__in=_rows_named(rows, _in_map_order(seats, "row")))
    return list(seats.values_list("pk", flat=True))


def _in_map_order(seats: QuerySet[Seat], name: str) -> list[str]:
    """Return the values that seats have in a field, as the map comes to them."""
    values = seats.order_by().values(name).annotate(first=Min("pk")).order_by("first")
    return list(values.values_list(name, flat=True))


def _rows_named(text: str, known: Sequence[str]) -> set[str]:
    """Look at each part as a row first: a row may be called "A-C"."""
    folded = [row.casefold() for row in known]
    found: set[str] = set()
    for part in _parts(text):
        first, dash, last = part, "", part
        if part.casefold() not in folded:
            first, dash, last = (word.strip() for word in part.partition("-"))
        ends = [first, last if dash else first]
        if unknown := [row for row in ends if row.casefold() not in folded]:
            raise NotUnderstood(_("There is no row %(row)s here.") % {"row": unknown[0]})
        start, end = sorted(folded.index(row.casefold()) for row in ends)
        found.update(known[start : end + 1])
    return found


def _has_number(text: str) -> Q:
    condition = Q()
    for part in _parts(text):
        found = _NUMBERS.fullmatch(part)
        if found is None:
            raise NotUnderstood(_("%(part)s is not a seat number.") % {"part": part})
        condition |= Q(number__range=(int(found[1]), int(found[2] or found[1])))
    return condition


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
