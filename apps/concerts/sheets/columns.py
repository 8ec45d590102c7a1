"""Columns of a file of seats: how each is called, read and checked."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from apps.concerts.layouts import NUMBER_MAX, PRICE_MAX, ROW_NAME_MAX
from apps.concerts.models import REASON_MAX, Grade, InventoryCategory, SeatKind
from apps.core.texts import normalized, refuse_hidden, refuse_lines
from apps.core.typed_numbers import NoWholeNumber, read_whole_number

SECTION_NAME_MAX = 20  # characters
PLACE_MAX = 10_000  # of a seat on the map, in either direction
TEXT_MAX = (
    1_000  # characters of a cell that are looked at; the longest name has 200, decomposed up to 800
)
ALLOWED_SHOWN = 12  # of the names that a column takes
_FORMULA = "=+-@\t\r\n＝＋－＠"  # what begins with one of these is run by a spreadsheet


class CellRefused(Exception):
    """A cell has no value that its column takes; `reason` says why to people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Reader = Callable[[str], Any]  # of the text of a cell


@dataclass(frozen=True, slots=True)
class Column:
    """A field of `PlannedSeat` in a file; `also` are further names by which its header is known.

    `reader` is called once for each file, and returns what reads the cells of the column.
    """

    field: str
    english: str
    korean: str
    reader: Callable[[], Reader]
    also: tuple[str, ...] = ()
    is_optional: bool = False

    @property
    def header(self) -> str:
        """Return its header in the language of the page."""
        return self.korean if get_language() == "ko" else self.english

    @property
    def names(self) -> set[str]:
        return {folded(name) for name in (self.field, self.english, self.korean, *self.also)}


def folded(header: str) -> str:
    """Return a header as it is compared: width, case, spaces and what stands in brackets do not matter."""
    text = unicodedata.normalize("NFKC", header).casefold()
    # Up to the next bracket of either kind: of many that are opened and never closed each would be followed to the end.
    return re.sub(r"\([^()]*\)|[\s_\-.]+", "", text)


def cut(text: str) -> str:
    """Return what is looked at of the text of a cell: composing a text can take time by the square of its length.

    The end of a text that was cut is marked, so that no column takes its beginning for the whole.
    """
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}\ufffd"


def without_formula(text: str) -> str:
    """Return a text in which a spreadsheet sees no formula, by an apostrophe before it (OWASP, "CSV Injection")."""
    return f"'{text}" if text[:1] and text[0] in _FORMULA else text


def _with_formula(text: str) -> str:
    return text[1:] if text[:1] == "'" and text[1:2] and text[1] in _FORMULA else text


def _name(length_max: int, *, may_be_empty: bool = False) -> Reader:
    def read(text: str) -> str:
        name = normalized(_with_formula(text)).strip()
        if not name and may_be_empty:
            return name
        # Before the other checks, whose work may grow faster than the text.
        if not 1 <= len(name) <= length_max:
            raise CellRefused(_("Enter 1 to %(max)s characters.") % {"max": length_max})
        try:
            refuse_hidden(name)
            refuse_lines(name)
        except ValidationError as error:
            raise CellRefused(error.messages[0]) from error
        return name

    return read


def _whole_number(least: int, most: int, *, is_money: bool = False) -> Reader:
    def read(text: str) -> int:
        try:
            number = read_whole_number(text, is_money=is_money)
        except NoWholeNumber:
            number = None
        if number is None or not least <= number <= most:
            raise CellRefused(
                _("Enter a whole number from %(least)s to %(most)s.")
                % {"least": f"{least:,}", "most": f"{most:,}"}
            )
        return number

    return read


def _grade() -> Reader:
    def read(text: str) -> str:
        """Read "VIP", and "VIP석" as well."""
        grade = unicodedata.normalize("NFKC", text).strip().upper().removesuffix("석").strip()
        if grade not in Grade.values:
            raise CellRefused(
                _("Enter one of the grades %(grades)s.") % {"grades": ", ".join(Grade.values)}
            )
        return grade

    return read


def _kind() -> Reader:
    """Read kinds by their values and by their names in each language; an empty cell is a standard seat."""
    return _one_of(
        {kind.value: _in_all_languages(kind) for kind in SeatKind}, empty=SeatKind.STANDARD.value
    )


def _category() -> Reader:
    """Read categories by their codes and by their names, those that always are in each language; an empty cell is an open seat."""
    categories = InventoryCategory.objects.order_by("pk")
    return _one_of(
        {category.code: _in_all_languages(category) for category in categories}, empty=""
    )


def _in_all_languages(named: SeatKind | InventoryCategory) -> list[str]:
    names = []
    for language, _name_of_language in settings.LANGUAGES:
        with override(language):
            names.append(str(named.label if isinstance(named, SeatKind) else named))
    return names


def _one_of(values: dict[str, list[str]], *, empty: str) -> Reader:
    """Read values as they are or nearly so, or else names of theirs, as far as only one has such a name."""
    by_value, by_name = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for value, names in values.items():
        by_value[folded(value)].add(value)
        for name in names:
            by_name[folded(name)].add(value)

    def read(text: str) -> str:
        if not text:
            return empty
        if text in values:
            return text
        key = folded(_with_formula(text))
        meant = by_value.get(key) or by_name.get(key) or ()
        if len(meant) != 1:
            raise CellRefused(
                _("Enter one of %(values)s, or leave the cell empty.") % {"values": _some(values)}
            )
        return next(iter(meant))

    return read


def _some(values: Iterable[str]) -> str:
    names = list(values)
    return ", ".join(names[:ALLOWED_SHOWN]) + (" …" if len(names) > ALLOWED_SHOWN else "")


COLUMNS = (
    Column("section", "section", "구역", partial(_name, SECTION_NAME_MAX), ("block", "zone", "area", "구역명", "블록")),
    Column("row", "row", "열", partial(_name, ROW_NAME_MAX), ("line", "행", "열명")),
    Column("number", "number", "번호", partial(_whole_number, 1, NUMBER_MAX), ("seat", "seat number", "no", "좌석", "좌석번호")),
    Column("grade", "grade", "등급", _grade, ("class", "좌석등급")),
    Column("price", "price", "가격", partial(_whole_number, 1, PRICE_MAX, is_money=True), ("price in won", "amount", "금액")),
    Column("x", "x", "가로 위치", partial(_whole_number, 0, PLACE_MAX), ("가로", "x좌표"), is_optional=True),
    Column("y", "y", "세로 위치", partial(_whole_number, 0, PLACE_MAX), ("세로", "y좌표"), is_optional=True),
    Column("kind", "kind", "종류", _kind, ("kind of seat", "seat kind", "type", "좌석종류"), is_optional=True),
    Column("category", "category", "분류", _category, ("inventory category", "inventory", "보류분류"), is_optional=True),
    Column("reason", "reason", "사유", partial(_name, REASON_MAX, may_be_empty=True), ("reason of category", "보류사유"), is_optional=True),
)  # fmt: skip
