"""Write seats into a file that staff open in a spreadsheet, and that can be read again."""

import csv
import io
from codecs import BOM_UTF8
from collections.abc import Iterable
from typing import IO

import xlsxwriter
from django.utils.translation import gettext as _

from apps.concerts.layouts import PlannedSeat
from apps.concerts.sheets.columns import COLUMNS, without_formula

ROWS_AT_ONCE = 2_000


def write_csv(seats: Iterable[PlannedSeat], file: IO[bytes]) -> None:
    """Write seats as CSV: UTF-8 with a byte order mark, by which Excel knows it, with commas and a header.

    A text that a spreadsheet would take for a formula begins with an apostrophe; reading takes it away again.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    file.write(BOM_UTF8)
    writer.writerow([column.header for column in COLUMNS])
    for count, seat in enumerate(seats, start=1):
        writer.writerow([_harmless(getattr(seat, column.field)) for column in COLUMNS])
        if count % ROWS_AT_ONCE == 0:
            _move(text, file)
    _move(text, file)


def _harmless(value: object) -> object:
    return without_formula(value) if isinstance(value, str) else value


def _move(text: io.StringIO, file: IO[bytes]) -> None:
    file.write(text.getvalue().encode())
    text.seek(0)
    text.truncate()


def write_xlsx(seats: Iterable[PlannedSeat], file: IO[bytes]) -> None:
    """Write seats as a workbook, row by row: no more than one is in memory. Texts are texts there, and never formulas."""
    with xlsxwriter.Workbook(file, {"constant_memory": True}) as workbook:
        sheet = workbook.add_worksheet(_("Seats"))
        bold = workbook.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(COLUMNS) - 1, 12)
        for place, column in enumerate(COLUMNS):
            sheet.write_string(0, place, column.header, bold)
        for line, seat in enumerate(seats, start=1):
            for place, column in enumerate(COLUMNS):
                value = getattr(seat, column.field)
                if isinstance(value, int):
                    sheet.write_number(line, place, value)
                elif value:
                    sheet.write_string(line, place, value)
