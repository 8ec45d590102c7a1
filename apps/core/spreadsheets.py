"""Tables as files for spreadsheets: CSV and XLSX, line by line, so that the longest takes no more memory than the shortest.

Each ends with a line that says so, with the number of lines: a file without it was cut off. A text is never a formula.
"""

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO, TextIOWrapper
from typing import IO

from django.utils.translation import gettext as _
from xlsxwriter import Workbook

Cell = str | int | date | datetime | None
Line = Sequence[Cell]

# A spreadsheet takes what begins so for a formula (OWASP, "CSV Injection").
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
DAY, MOMENT, NUMBER = "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "#,##0"
WIDTH = 18  # characters of a column


@dataclass(frozen=True, slots=True)
class Table:
    """`closing` gives the last lines when all others are written, such as the sums of what `lines` has yielded.

    Numbers are whole. Times are of no zone, as the reader's clock shows them.
    """

    name: str
    header: Sequence[str]
    lines: Iterable[Line]
    closing: Callable[[], Iterable[Line]] = lambda: ()


def end_line(lines: int) -> Line:
    """Return the line without which a file is not whole."""
    return (_("End of the file, %(lines)s lines") % {"lines": f"{lines:,}"},)


def write_csv(table: Table, file: IO[bytes]) -> None:
    """Write UTF-8 with a byte order mark, by which Excel knows it, with commas and LF."""
    file.write(BOM_UTF8)
    text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    for line in _all_lines(table):
        writer.writerow([_harmless(cell) for cell in line])
    text.detach()


def write_xlsx(table: Table, file: IO[bytes]) -> None:
    """Write a workbook of one sheet. A line goes to the disk as soon as the next one comes."""
    texts_only = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with Workbook(file, {"constant_memory": True, **texts_only}) as book:
        sheet = book.add_worksheet(table.name)
        bold = book.add_format({"bold": True})
        number = book.add_format({"num_format": NUMBER})
        day = book.add_format({"num_format": DAY})
        moment = book.add_format({"num_format": MOMENT})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(table.header) - 1, WIDTH)
        for row, line in enumerate(_all_lines(table)):
            for column, cell in enumerate(line):
                match cell:
                    case None:
                        pass
                    case int():
                        sheet.write_number(row, column, cell, number)
                    case datetime():
                        sheet.write_datetime(row, column, cell, moment)
                    case date():
                        sheet.write_datetime(row, column, cell, day)
                    case _:
                        sheet.write_string(row, column, cell, None if row else bold)


FORMATS: dict[str, tuple[Callable[[Table, IO[bytes]], None], str]] = {
    "csv": (write_csv, "text/csv; charset=utf-8"),
    "xlsx": (write_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}


def file_of(table: Table, format: str) -> bytes:
    """Return a whole file in one of `FORMATS`."""
    write, _content_type = FORMATS[format]
    file = BytesIO()
    write(table, file)
    return file.getvalue()


def _all_lines(table: Table) -> Iterable[Line]:
    yield table.header
    written = 0
    for line in table.lines:
        yield line
        written += 1
    yield from table.closing()
    yield end_line(written)


def _harmless(cell: Cell) -> object:
    if isinstance(cell, str) and _FORMULA.match(cell):
        return f"'{cell}"
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M:%S}"
    return "" if cell is None else cell
