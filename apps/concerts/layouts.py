"""Lay out seats before they exist: sections of rows of seats, and where each stands in the seat map."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.concerts.errors import LayoutRefused
from apps.concerts.models import Grade, SeatKind

SEATS_MAX = 60_000
ROWS_MAX = 200
SEATS_PER_ROW_MAX = 500
NUMBER_MAX = 30_000  # of a seat in its row
ROW_NAME_MAX = 5  # characters
PRICE_MAX = 10_000_000
SECTIONS_ABREAST = 3
AISLE = 2  # units of the seat map between two sections, and in front of the first row
GAP = 1  # units that an aisle within a row takes


class PlannedSeat(NamedTuple):
    """A seat of a hall that belongs to no performance yet; `price` is in whole won.

    `category` is the code of the one that it is kept back in, "" for none. Where nothing is said, by None, a seat that there is stays
    what it is, and a new one is a standard seat for the public. `reason` is why it is kept back, and counts with a category only.
    """

    section: str
    row: str
    number: int
    grade: str
    price: int
    x: int
    y: int
    kind: str | None = None
    category: str | None = None
    reason: str = ""

    @property
    def name(self) -> "SeatName":
        return SeatName(self.section, self.row, self.number)


class SeatName(NamedTuple):
    """The part of a seat that is printed on its ticket, and that no other of its performance has."""

    section: str
    row: str
    number: int

    def __str__(self) -> str:
        return f"{self.section} {self.row}-{self.number}"


class Numbering(TextChoices):
    """Say how the seats of a row are numbered, seen from the hall with the stage in front."""

    FROM_LEFT = "FROM_LEFT", gettext_lazy("from the left: 1 2 3 4")
    FROM_RIGHT = "FROM_RIGHT", gettext_lazy("from the right: 4 3 2 1")
    ODD_LEFT = "ODD_LEFT", gettext_lazy("odd left, even right: 3 1 2 4")
    EVEN_LEFT = "EVEN_LEFT", gettext_lazy("even left, odd right: 4 2 1 3")
    BY_TWO_FROM_LEFT = "BY_TWO_FROM_LEFT", gettext_lazy("every second, from the left: 1 3 5 7")
    BY_TWO_FROM_RIGHT = "BY_TWO_FROM_RIGHT", gettext_lazy("every second, from the right: 7 5 3 1")

    def numbers(self, seats: int, *, first: int) -> list[int]:
        """Return the numbers of so many seats from the left; `first` is the lowest of them."""
        by_one, by_two = range(first, first + seats), range(first, first + 2 * seats, 2)
        # Of the two halves the one with the lowest number has one more if they are not alike.
        lowest_half = list(range(first, first + seats, 2))
        other_half = list(range(first + 1, first + seats, 2))
        match self:
            case Numbering.FROM_LEFT:
                return list(by_one)
            case Numbering.FROM_RIGHT:
                return list(reversed(by_one))
            case Numbering.ODD_LEFT:
                return self._halves(lowest_half, other_half, first, left_is_odd=True)
            case Numbering.EVEN_LEFT:
                return self._halves(lowest_half, other_half, first, left_is_odd=False)
            case Numbering.BY_TWO_FROM_LEFT:
                return list(by_two)
            case Numbering.BY_TWO_FROM_RIGHT:
                return list(reversed(by_two))

    @staticmethod
    def _halves(
        lowest_half: list[int], other_half: list[int], first: int, *, left_is_odd: bool
    ) -> list[int]:
        is_lowest_left = (first % 2 == 1) == left_is_odd
        left, right = (lowest_half, other_half) if is_lowest_left else (other_half, lowest_half)
        return [*reversed(left), *right]


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


USUAL = SpecialSeats(1, ROWS_MAX)  # what a seat is that no range names


@dataclass(frozen=True, slots=True)
class SectionLayout:
    """`rows` rows of `seats_per_row` seats of one grade; `price` is in whole won.

    One that has the name of the one before it adds its rows behind that one's. `aisles` are counts of seats, from the left, after
    which there is an aisle. `first_row` is a letter or a number from which rows go on, without those `skipped`; an empty one goes on
    behind the rows before it, or begins with A. With `is_behind` a section begins a new line of sections.
    """

    name: str
    rows: int
    seats_per_row: int
    grade: Grade
    price: int
    special: tuple[SpecialSeats, ...] = ()
    aisles: tuple[int, ...] = ()
    numbering: Numbering = Numbering.FROM_LEFT
    first_number: int = 1
    first_row: str = ""
    skipped: frozenset[str] = frozenset()
    is_behind: bool = False

    @property
    def width(self) -> int:
        """Return how many units of the seat map a row takes."""
        return self.seats_per_row + GAP * len(self.aisles)

    @property
    def offsets(self) -> list[int]:
        """Return where each seat of a row stands, in units of the map from the first."""
        return [
            place + GAP * sum(aisle <= place for aisle in self.aisles)
            for place in range(self.seats_per_row)
        ]

    def special_at(self, row: int, number: int) -> SpecialSeats:
        """Return what is said of a seat; `row` counts from 1, through all lines of the section."""
        for special in reversed(self.special):
            if special.has(row, number):
                return special
        return USUAL

    @property
    def is_possible(self) -> bool:
        first_row = self.first_row
        return (
            1 <= self.rows <= ROWS_MAX
            and 1 <= self.seats_per_row <= SEATS_PER_ROW_MAX
            and 1 <= self.price <= PRICE_MAX
            and self.grade in Grade.values
            and self.numbering in Numbering.values
            and 1 <= self.first_number <= NUMBER_MAX - 2 * SEATS_PER_ROW_MAX
            and all(1 <= aisle < self.seats_per_row for aisle in self.aisles)
            and len(set(self.aisles)) == len(self.aisles)
            and (not first_row or row_index(first_row) is not None)
        )


DEFAULT_LAYOUT = (SectionLayout(name="1", rows=1, seats_per_row=50, grade=Grade.R, price=50_000),)


def validate_layout(layout: Sequence[SectionLayout]) -> None:
    """
    :raises LayoutRefused: empty, too large, with a section or a row twice, an impossible aisle, or a grade with two prices.
    """
    if not layout:
        raise LayoutRefused(_("Give at least one section."))
    names = [name for name, _lines in groupby(layout, key=attrgetter("name"))]
    if len(set(names)) < len(names) or not all(
        name.strip() == name and 1 <= len(name) <= 20 for name in names
    ):
        raise LayoutRefused(_("Every section needs a name of its own, of 1 to 20 characters."))
    for section in layout:
        if not section.is_possible:
            raise LayoutRefused(
                _(
                    "Section %(name)s needs 1 to %(rows)s rows of 1 to %(seats)s seats, a grade, "
                    "a price of 1 to %(price)s won, aisles between its seats, and a first row such as A or 1."
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
    for name, lines in groupby(layout, key=attrgetter("name")):
        _refuse_rows_that_cannot_be(name, list(_rows_of(list(lines))))


def _refuse_rows_that_cannot_be(name: str, rows: list[tuple[str, SectionLayout]]) -> None:
    labels = [label for label, _line in rows]
    for label in labels:
        if len(label) > ROW_NAME_MAX or labels.count(label) > 1:
            raise LayoutRefused(
                _("Section %(name)s would have row %(row)s twice, or its name would be too long.")
                % {"name": name, "row": label}
            )


def row_label(index: int) -> str:
    """Name a row A to Z, then AA, AB and so on; `index` counts from 0."""
    label = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        label = chr(ord("A") + letter) + label
    return label


def row_index(label: str) -> int | None:
    """Return the place of a row among those of its kind, numbers or letters; None if it is neither."""
    if len(label) > ROW_NAME_MAX or not label.isascii():
        return None
    if label.isdecimal():
        return int(label)
    if not label.isalpha():
        return None
    index = 0
    for letter in label.upper():
        index = index * 26 + ord(letter) - ord("A") + 1
    return index - 1


def _rows_of(lines: Sequence[SectionLayout]) -> Iterator[tuple[str, SectionLayout]]:
    """Yield the rows of a section from the front: the name of each, and the line that describes it."""
    index = 0
    label_of: Callable[[int], str] = row_label
    for line in lines:
        if line.first_row:
            index = row_index(line.first_row) or 0
            label_of = str if line.first_row.isdecimal() else row_label
        for _row in range(line.rows):
            while label_of(index) in line.skipped:
                index += 1
            yield label_of(index), line
            index += 1


class _Section:
    """Rows of one name, which may have different widths; each is centred in the widest."""

    def __init__(self, name: str, lines: Sequence[SectionLayout]) -> None:
        self.name = name
        self.rows = list(_rows_of(lines))
        self.width = max(line.width for line in lines)
        self.is_behind = lines[0].is_behind

    def seats(self, left: int, top: int) -> Iterator[PlannedSeat]:
        for row, (label, line) in enumerate(self.rows):
            start = left + (self.width - line.width) // 2
            numbers = line.numbering.numbers(line.seats_per_row, first=line.first_number)
            seat = partial(
                PlannedSeat, self.name, label, grade=Grade(line.grade).value, price=line.price
            )
            for number, offset in sorted(zip(numbers, line.offsets, strict=True)):
                special = line.special_at(row + 1, number)
                yield seat(
                    number,
                    x=start + offset,
                    y=top + row,
                    kind=special.kind.value,
                    category=special.category,
                )


def build_seats(layout: Sequence[SectionLayout]) -> Iterator[PlannedSeat]:
    """Return the seats of a layout that was validated: section by section, row by row, number by number.

    Three sections stand abreast, or as many as there are before one that is to stand behind them; the next ones behind them. Every
    such tier is centred on the stage.
    """
    tiers: list[list[_Section]] = []
    for name, lines in groupby(layout, key=attrgetter("name")):
        section = _Section(name, list(lines))
        if not tiers or section.is_behind or len(tiers[-1]) == SECTIONS_ABREAST:
            tiers.append([])
        tiers[-1].append(section)
    hall_width = max(map(_width, tiers))
    top = AISLE
    for tier in tiers:
        left = (hall_width - _width(tier)) // 2
        for section in tier:
            yield from section.seats(left, top)
            left += section.width + AISLE
        top += max(len(section.rows) for section in tier) + AISLE


def _width(tier: Sequence[_Section]) -> int:
    return sum(section.width for section in tier) + AISLE * (len(tier) - 1)
