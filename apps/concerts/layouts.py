"""Lay out seats before they exist: sections of rows of seats, and where each stands in the seat map."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.concerts.errors import LayoutRefused
from apps.concerts.models import Grade, Seat, SeatKind

SEATS_MAX = 60_000
ROWS_MAX = 200
SEATS_PER_ROW_MAX = 500
PRICE_MAX = 10_000_000
SECTIONS_ABREAST = 3
AISLE = 2  # units of the seat map between two sections, and in front of the first row


@dataclass(frozen=True, slots=True)
class SpecialSeats:
    """Seats of some rows of a section that are of another kind, or kept back in a category; the last range that names a seat counts.

    Rows and numbers count from 1, both ends included; `last_number` None is the end of the row. `category` is the code of one, "" for
    none.
    """

    first_row: int
    last_row: int
    first_number: int = 1
    last_number: int | None = None
    kind: SeatKind = SeatKind.STANDARD
    category: str = ""

    def has(self, row: int, number: int) -> bool:
        return (
            self.first_row <= row <= self.last_row
            and self.first_number <= number
            and (self.last_number is None or number <= self.last_number)
        )


@dataclass(frozen=True, slots=True)
class SectionLayout:
    """`rows` rows of `seats_per_row` seats of one grade; `price` is in whole won."""

    name: str
    rows: int
    seats_per_row: int
    grade: Grade
    price: int
    special: tuple[SpecialSeats, ...] = ()


DEFAULT_LAYOUT = (SectionLayout(name="1", rows=1, seats_per_row=50, grade=Grade.R, price=50_000),)


def validate_layout(layout: Sequence[SectionLayout]) -> None:
    """:raises LayoutRefused: empty, too large, a section named twice, or a grade with two prices."""
    if not layout:
        raise LayoutRefused(_("Give at least one section."))
    names = [section.name for section in layout]
    if len(set(names)) < len(names) or not all(
        name.strip() == name and 1 <= len(name) <= 20 for name in names
    ):
        raise LayoutRefused(_("Every section needs a name of its own, of 1 to 20 characters."))
    for section in layout:
        if not (
            1 <= section.rows <= ROWS_MAX
            and 1 <= section.seats_per_row <= SEATS_PER_ROW_MAX
            and 1 <= section.price <= PRICE_MAX
            and section.grade in Grade.values
        ):
            raise LayoutRefused(
                _(
                    "Section %(name)s needs 1 to %(rows)s rows of 1 to %(seats)s seats, a grade, "
                    "and a price of 1 to %(price)s won."
                )
                % {
                    "name": section.name,
                    "rows": ROWS_MAX,
                    "seats": SEATS_PER_ROW_MAX,
                    "price": f"{PRICE_MAX:,}",
                }
            )
    if len({(section.grade, section.price) for section in layout}) > len(
        {section.grade for section in layout}
    ):
        # The seat map gives the price of a grade, not of each seat.
        raise LayoutRefused(_("Seats of one grade have one price in a performance."))
    if sum(section.rows * section.seats_per_row for section in layout) > SEATS_MAX:
        raise LayoutRefused(
            ngettext(
                "A performance has at most %(count)d seat.",
                "A performance has at most %(count)d seats.",
                SEATS_MAX,
            )
            % {"count": SEATS_MAX}
        )


def row_label(index: int) -> str:
    """Name a row A to Z, then AA, AB and so on; `index` counts from 0."""
    label = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        label = chr(ord("A") + letter) + label
    return label


def build_seats(layout: Sequence[SectionLayout]) -> Iterator[Seat]:
    """Unsaved seats without a performance, in seat-map order.

    Three sections stand abreast, the next three behind them; every such tier is centred on the stage.
    """
    sections = iter(layout)
    tiers = []
    while tier := list(islice(sections, SECTIONS_ABREAST)):
        tiers.append(tier)
    hall_width = max(_width(tier) for tier in tiers)
    top = AISLE
    for tier in tiers:
        left = (hall_width - _width(tier)) // 2
        for section in tier:
            for row in range(section.rows):
                for number in range(1, section.seats_per_row + 1):
                    seat = Seat(
                        section=section.name,
                        row=row_label(row),
                        number=number,
                        grade=section.grade,
                        price=section.price,
                        x=left + number - 1,
                        y=top + row,
                    )
                    for special in section.special:
                        if special.has(row + 1, number):
                            seat.kind, seat.laid_out_for = special.kind, special.category
                    yield seat
            left += section.seats_per_row + AISLE
        top += max(section.rows for section in tier) + AISLE


def _width(tier: Sequence[SectionLayout]) -> int:
    return sum(section.seats_per_row for section in tier) + AISLE * (len(tier) - 1)
