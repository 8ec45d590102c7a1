"""Files for spreadsheets: whole or seen to be cut off, read by Excel, and never a formula."""

import csv
import tracemalloc
from collections.abc import Iterator
from datetime import date, datetime
from io import BytesIO, StringIO
from zipfile import BadZipFile

import pytest
from openpyxl import load_workbook

from apps.core.spreadsheets import FORMATS, Line, Table, file_of

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1+1", "－1"]


def table(*lines: Line) -> Table:
    amounts: list[int] = []

    def counted():
        for line in lines:
            amounts.append(line[1])
            yield line

    return Table("Sales", ("Title", "Amount", "Day"), counted(), lambda: [["Total", sum(amounts)]])


def rows_of(content: bytes, format: str) -> list[list[object]]:
    if format == "csv":
        text = content.decode("utf-8-sig")
        return [list(row) for row in csv.reader(StringIO(text, newline=""))]
    [sheet] = load_workbook(BytesIO(content)).worksheets
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


@pytest.mark.parametrize("format", FORMATS)
class TestFile:
    def test_ends_with_sums_and_the_number_of_its_lines(self, format):
        content = file_of(table(["밤 기차", 1_000, None], ["Glass", 500, None]), format)

        rows = rows_of(content, format)
        assert [row[0] for row in rows] == [
            *("Title", "밤 기차", "Glass", "Total"),
            "End of the file, 2 lines",
        ]
        assert str(rows[3][1]) == "1500"

    def test_of_nothing_is_whole_too(self, format):
        rows = rows_of(file_of(table(), format), format)

        assert rows[-1][0] == "End of the file, 0 lines"

    @pytest.mark.parametrize("text", FORMULAS)
    def test_has_no_formulas(self, format, text):
        content = file_of(table([text, 1, None]), format)

        shown = rows_of(content, format)[1][0]
        if format == "csv":
            assert shown == f"'{text}"
        else:
            [sheet] = load_workbook(BytesIO(content)).worksheets
            assert sheet["A2"].data_type == "s"
            assert str(shown).strip() == text.strip()

    def test_takes_no_more_memory_for_more_lines(self, format):
        def peak(lines: int) -> int:
            day = date(2026, 11, 28)
            many: Iterator[Line] = ([f"Title {place}", place, day] for place in range(lines))
            tracemalloc.start()
            file = BytesIO()
            FORMATS[format][0](Table("Sales", ("Title", "Amount", "Day"), many), file)
            taken = tracemalloc.get_traced_memory()[1] - len(file.getvalue())
            tracemalloc.stop()
            return taken

        peak(10)
        few, many = peak(100), peak(5_000)
        # The file itself grows in steps of an eighth.
        assert many < few + 600_000


def test_csv_is_known_as_utf_8_by_excel():
    content = file_of(table(["밤", 1, date(2026, 11, 28)]), "csv")

    assert content.startswith(b"\xef\xbb\xbf")
    assert "밤,1,2026-11-28\n".encode() in content
    assert b"\r" not in content


def test_a_workbook_has_numbers_and_days_that_a_spreadsheet_calculates_with():
    at = datetime.fromisoformat("2026-11-28T19:30:15")
    content = file_of(table(["a", 1_234_567, date(2026, 11, 28)], ["b", -5, at]), "xlsx")

    [sheet] = load_workbook(BytesIO(content)).worksheets
    assert sheet["B2"].value == 1_234_567
    assert sheet["B2"].number_format == "#,##0"
    assert sheet["C2"].value == datetime.fromisoformat("2026-11-28")
    assert sheet["B3"].value == -5
    assert sheet["C3"].value == at


def test_a_workbook_that_was_cut_off_does_not_open():
    content = file_of(table(*[[f"a{number}", number, None] for number in range(50)]), "xlsx")

    with pytest.raises(BadZipFile):
        load_workbook(BytesIO(content[:-200]))


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_whose_lines_fail_is_never_returned(format):
    def failing():
        yield ["a", 1, None]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        file_of(Table("Sales", ("Title", "Amount", "Day"), failing()), format)
