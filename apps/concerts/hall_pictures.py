"""A hall drawn on the server as SVG, in the colours of the seat map that customers see.

One stroke with dashes draws all seats of a kind, so a hall of 50,000 seats is a few hundred kilobytes at most.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.concerts.layouts import PlannedSeat

PITCH = 10  # units of the drawing from one seat to the next
SEAT = 8
NUMBERED_MAX = 2_000  # seats of a hall in which every seat shows its number
GROUND = "#fffdf9"
INK = "#1c1815"
FAINT = "#857a70"
# Those of `storefront/base.css`, with the ink on them; a test compares both.
COLOURS = {
    "VIP": ("#b97900", "#1c1200"),
    "R": ("#c02f70", "#ffffff"),
    "S": ("#2a55ad", "#ffffff"),
    "A": ("#163f3b", "#ffffff"),
}


def hall_svg(seats: Sequence[PlannedSeat]) -> SafeString:
    """Return a picture of a hall with its stage, names of sections and rows; numbers on the seats where they can be read.

    Every text is escaped. Nothing in it needs a style sheet, so it is the same in each layout and within any content policy.
    """
    if not seats:
        return SafeString("")
    left, right = min(seat.x for seat in seats) - 3, max(seat.x for seat in seats) + 3
    top, bottom = min(seat.y for seat in seats) - 6, max(seat.y for seat in seats) + 2
    label = ngettext(
        "Plan of a hall with %(count)s seat", "Plan of a hall with %(count)s seats", len(seats)
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="100%" '
        f'viewBox="{left * PITCH} {top * PITCH} {(right - left) * PITCH} {(bottom - top) * PITCH}" '
        f'aria-label="{escape(label % {"count": f"{len(seats):,}"})}" font-family="sans-serif">',
        f'<rect x="{left * PITCH}" y="{top * PITCH}" width="{(right - left) * PITCH}" '
        f'height="{(bottom - top) * PITCH}" fill="{GROUND}"/>',
        *_stage(left, right, top),
        *_seats(seats),
        *_names(seats),
        *_numbers(seats),
        "</svg>",
    ]
    return mark_safe("".join(parts))  # noqa: S308 - made of numbers and escaped names


def _stage(left: int, right: int, top: int) -> Iterator[str]:
    middle, half = (left + right) * PITCH / 2, max(40.0, (right - left) * PITCH * 0.3)
    yield (
        f'<rect x="{middle - half:.0f}" y="{(top + 1) * PITCH}" width="{2 * half:.0f}" height="20" rx="4" '
        f'fill="none" stroke="{FAINT}"/>'
        f'<text x="{middle:.0f}" y="{(top + 2) * PITCH + 4}" text-anchor="middle" font-size="11" fill="{INK}">'
        f"{escape(_('Stage'))}</text>"
    )


def _seats(seats: Iterable[PlannedSeat]) -> Iterator[str]:
    """Draw the seats of each grade as one path: a line for each run of seats side by side, dashed into seats."""
    in_order = sorted(seats, key=lambda seat: (seat.grade, seat.y, seat.x))
    for grade, alike in groupby(in_order, key=lambda seat: seat.grade):
        path = "".join(
            f"M{x * PITCH + 1} {y * PITCH + 5}h{length * PITCH - 2}"
            for x, y, length in _runs(alike)
        )
        yield (
            f'<path d="{path}" fill="none" stroke="{COLOURS[grade][0]}" stroke-width="{SEAT}" '
            f'stroke-dasharray="{SEAT} {PITCH - SEAT}"/>'
        )


def _runs(seats: Iterable[PlannedSeat]) -> Iterator[tuple[int, int, int]]:
    """Yield place and length of each run of seats that stand side by side; they come in the order of their places."""
    # Within a run the place grows as the count does.
    for _key, group in groupby(enumerate(seats), key=lambda pair: (pair[1].y, pair[1].x - pair[0])):
        run = [seat for _count, seat in group]
        yield run[0].x, run[0].y, len(run)


def _names(seats: Iterable[PlannedSeat]) -> Iterator[str]:
    """Write the name of each section above it, and that of each row to the left of it."""
    by_section = sorted(seats, key=lambda seat: seat.section)
    for section, group in groupby(by_section, key=lambda seat: seat.section):
        own = list(group)
        middle = (min(seat.x for seat in own) + max(seat.x for seat in own) + 1) * PITCH / 2
        above = min(seat.y for seat in own) * PITCH - 5
        yield (
            f'<text x="{middle:.0f}" y="{above}" text-anchor="middle" font-size="9" font-weight="600" '
            f'fill="{INK}">{escape(section)}</text>'
        )
        first: dict[str, PlannedSeat] = {}
        for seat in own:
            if seat.row not in first or seat.x < first[seat.row].x:
                first[seat.row] = seat
        for row, seat in first.items():
            yield (
                f'<text x="{seat.x * PITCH - 2}" y="{seat.y * PITCH + 7}" text-anchor="end" font-size="6" '
                f'fill="{FAINT}">{escape(row)}</text>'
            )


def _numbers(seats: Sequence[PlannedSeat]) -> Iterator[str]:
    if len(seats) > NUMBERED_MAX:
        return
    yield '<g font-size="4" text-anchor="middle">'
    for seat in seats:
        yield (
            f'<text x="{seat.x * PITCH + 5}" y="{seat.y * PITCH + 6.5}" fill="{COLOURS[seat.grade][1]}">'
            f"{seat.number}</text>"
        )
    yield "</g>"
