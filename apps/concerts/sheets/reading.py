"""Read seats from a file that staff have made in a spreadsheet, and say line by line what is wrong with it.

CSV may be UTF-8 with or without a byte order mark, or cp949, with commas, semicolons or tabs; workbooks are XLSX. Columns are found by
their headers, English or Korean, in any order; further columns are passed over.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import structlog
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.concerts.layouts import SEATS_MAX, PlannedSeat
from apps.concerts.sheets.columns import COLUMNS, CellRefused, Column, cut, folded
from apps.concerts.sheets.workbooks import WorkbookTooLarge, read_cells

logger = structlog.get_logger(__name__)

BYTES_MAX = 8 * 1024 * 1024  # a CSV of 60,000 seats with long names has a third of it
COLUMNS_MAX = 40
LINES_MAX = SEATS_MAX + 1_000
ERRORS_SHOWN = 100
ERRORS_MAX = 1_000  # after which a file is not read further: each has its words made
_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_DELIMITERS = ",;\t"

Rows = Iterator[tuple[int, Sequence[str]]]


class SheetRefused(Exception):
    """A file as a whole cannot be read; `reason` says why to people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class LineError:
    """Say what is wrong in one line of a file; `column` is empty if it is about the line as a whole."""

    line: int
    column: str
    reason: str


@dataclass(slots=True)
class Sheet:
    """The seats of a file, and the first of its errors; `error_count` counts them until the file is read no further.

    Without `has_places` the file does not say where seats stand: all of them are at 0, 0.
    """

    has_places: bool
    seats: list[PlannedSeat] = field(default_factory=list)
    errors: list[LineError] = field(default_factory=list)
    error_count: int = 0

    def refuse(self, line: int, column: str, reason: str) -> None:
        self.error_count += 1
        if len(self.errors) < ERRORS_SHOWN:
            self.errors.append(LineError(line, column, reason))


def read_sheet(file: IO[bytes]) -> Sheet:
    """Return what a file contains; nothing is compared with a performance yet.

    :raises SheetRefused: it is no such file, has no such columns, or too many seats.
    """
    start = file.read(4)
    file.seek(0)
    if start == _OLD_EXCEL:
        raise SheetRefused(
            _("This is an old or a protected Excel file. Save it as .xlsx or as CSV.")
        )
    rows = _rows_of_workbook(file) if start == _ZIP else _rows_of_csv(file)
    for _line, header in rows:
        if any(header):
            columns = _columns_in(header)
            return _read(rows, columns)
    raise SheetRefused(_("The file is empty."))


def _columns_in(header: Sequence[str]) -> dict[int, Column]:
    """Return the known columns by their places.

    :raises SheetRefused: one is missing, or is there twice.
    """
    names = {name: column for column in COLUMNS for name in column.names}
    found: dict[int, Column] = {}
    for place, cell in enumerate(header[:COLUMNS_MAX]):
        column = names.get(folded(cut(cell)))
        if column is None:
            continue
        if column in found.values():
            raise SheetRefused(_("There are two columns “%(name)s”.") % {"name": column.header})
        found[place] = column
    has_place = any(column.field in ("x", "y") for column in found.values())
    missing = [
        column
        for column in COLUMNS
        if column not in found.values()
        and (not column.is_optional or (has_place and column.field in ("x", "y")))
    ]
    if missing:
        raise SheetRefused(
            _("These columns are missing in the first line: %(names)s.")
            % {"names": ", ".join(column.header for column in missing)}
        )
    return found


def _read(rows: Rows, columns: dict[int, Column]) -> Sheet:
    fields = [column.field for column in columns.values()]
    sheet = Sheet(has_places="x" in fields)
    nowhere: dict[str, Any] = {} if sheet.has_places else {"x": 0, "y": 0}
    # Of each column what its cells were read as: a hall has few different ones.
    cells_of = [(place, column, column.reader(), {}) for place, column in columns.items()]  # type: ignore[var-annotated]
    check = _Check(sheet)
    for line, cells in rows:
        if not any(cells):
            continue
        values: dict[str, Any] = {}
        for place, column, read, known in cells_of:
            cell = cells[place] if place < len(cells) else ""
            value = known.get(cell)
            if value is None:
                try:
                    value = known[cell] = read(cut(cell).strip())
                except CellRefused as refusal:
                    sheet.refuse(line, column.header, refusal.reason)
                    continue
            values[column.field] = value
        if len(values) == len(fields):
            seat = PlannedSeat(**values, **nowhere)
            sheet.seats.append(seat)
            check.take(line, seat)
        if sheet.error_count >= ERRORS_MAX:
            break
        if len(sheet.seats) > SEATS_MAX:
            raise SheetRefused(
                ngettext(
                    "A performance has at most %(count)d seat.",
                    "A performance has at most %(count)d seats.",
                    SEATS_MAX,
                )
                % {"count": SEATS_MAX}
            )
    if not sheet.seats and not sheet.errors:
        raise SheetRefused(_("There are no seats below the headers."))
    return sheet


class _Check:
    """Compare each seat of a file with those before it."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._names: dict[object, int] = {}
        self._places: dict[object, int] = {}
        self._prices: dict[str, tuple[int, int]] = {}

    def take(self, line: int, seat: PlannedSeat) -> None:
        before = self._names.setdefault(seat.name, line)
        if before != line:
            words = _("Seat %(seat)s is in line %(line)s already.")
            self._sheet.refuse(line, "", words % {"seat": seat.name, "line": before})
        if self._sheet.has_places:
            before = self._places.setdefault((seat.x, seat.y), line)
            if before != line:
                words = _("The seat of line %(line)s is in the same place on the map.")
                self._sheet.refuse(line, "x, y", words % {"line": before})
        price, before = self._prices.setdefault(seat.grade, (seat.price, line))
        if price != seat.price:
            words = _("Seats of one grade have one price: in line %(line)s it is %(price)s won.")
            self._sheet.refuse(line, "", words % {"line": before, "price": f"{price:,}"})


def _rows_of_csv(file: IO[bytes]) -> Rows:
    text = _decoded(file.read())
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for line, cells in enumerate(reader, start=1):
            if line > LINES_MAX and any(cells):
                raise _too_many_lines()
            yield reader.line_num, cells
    except csv.Error as error:
        raise SheetRefused(
            _("The file cannot be read from line %(line)s on.") % {"line": reader.line_num}
        ) from error


def _too_many_lines() -> SheetRefused:
    return SheetRefused(_("A file may have at most %(max)s lines.") % {"max": f"{LINES_MAX:,}"})


def _decoded(content: bytes) -> str:
    """
    :raises SheetRefused: it is neither UTF-8 nor cp949.
    """
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise SheetRefused(
        _("The characters of this file are neither UTF-8 nor cp949. Save it as UTF-8.")
    )


def _rows_of_workbook(file: IO[bytes]) -> Rows:
    """Yield the rows of the first sheet, formulas with the value that they had when it was saved."""
    try:
        for count, (line, cells) in enumerate(read_cells(file, columns_max=COLUMNS_MAX), start=1):
            # Counted as well: the file says itself which line a row is.
            if max(count, line) > LINES_MAX and any(cells):
                raise _too_many_lines()
            yield line, cells
    except SheetRefused:
        raise
    except WorkbookTooLarge as error:
        raise SheetRefused(
            _("This workbook is too large. Save the sheet with the seats as CSV.")
        ) from error
    except Exception as error:  # the library lets through whatever a damaged file makes happen
        logger.info("workbook_refused", exc_info=error)
        raise SheetRefused(
            _("This workbook cannot be read. Save it again, or save it as CSV.")
        ) from error
