"""Read the cells of a workbook as a stream.

openpyxl knows where the parts of a workbook are, its texts and its styles. Its way of reading cells makes several objects of each and
takes most of the time of an import, so the cells are taken straight from the events of the XML parser. Memory does not grow with the
sheet, whatever places its cells claim to have.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from string import digits
from typing import IO, Any
from xml.parsers import expat

from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.utils import get_column_letter
from openpyxl.utils.datetime import from_excel
from openpyxl.xml.constants import SHEET_MAIN_NS

CHUNK = 128 * 1024  # bytes of XML between two looks at the rows that are complete
_ROW, _CELL, _VALUE, _TEXT, _PHONETIC = (
    f"{SHEET_MAIN_NS} {name}" for name in ("row", "c", "v", "t", "rPh")
)

Row = tuple[int, Sequence[str]]


def read_cells(file: IO[bytes], *, lines_max: int, columns_max: int) -> Iterator[Row]:
    """Yield the rows of the first sheet: the number of each, and its cells as a CSV would have them, up to the last that has a value.

    A formula has the value that it had when the workbook was saved. Whatever a damaged file makes the libraries raise is let through.
    """
    book = ExcelReader(file, read_only=True, data_only=True, keep_links=False)
    book.read_manifest()
    book.read_strings()
    book.read_workbook()
    apply_stylesheet(book.archive, book.wb)
    rows = _Rows(
        texts=book.shared_strings,
        date_styles={str(style) for style in book.wb._date_formats},
        epoch=book.wb.epoch,
        columns={get_column_letter(place + 1): place for place in range(columns_max)},
    )
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = rows.begin
    parser.EndElementHandler = rows.end
    parser.CharacterDataHandler = rows.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    with book.archive.open(_path_of_first_sheet(book)) as sheet:
        while chunk := sheet.read(CHUNK):
            parser.Parse(chunk, False)
            for row in rows.take():
                if row[0] > lines_max:
                    return
                yield row
    parser.Parse(b"", True)


def _path_of_first_sheet(book: ExcelReader) -> str:
    """
    :raises ValueError: there is none.
    """
    for _sheet, part in book.parser.find_sheets():
        if "chartsheet" not in part.Type:
            path: str = part.target
            return path
    raise ValueError("The workbook has no sheet.")


def _refuse_doctype(*_declaration: object) -> None:
    """Refuse what no workbook has, and what entities that grow are declared in."""
    raise ValueError("A workbook has no document type.")


class _Rows:
    """Handlers of the XML parser, which put rows together; `take` returns those that are complete."""

    def __init__(
        self, *, texts: Sequence[str], date_styles: Set[str], epoch: Any, columns: Mapping[str, int]
    ) -> None:
        self._texts = texts
        self._date_styles = date_styles
        self._epoch = epoch
        self._columns = columns
        self._complete: list[Row] = []
        self._line = 0
        self._cells: list[str] = []
        self._place = -1
        self._type: str | None = None
        self._style: str | None = None
        self._parts: list[str] = []  # of the text of a cell
        self._is_text = self._is_phonetic = False

    def take(self) -> list[Row]:
        complete, self._complete = self._complete, []
        return complete

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == _CELL:
            known = attributes.get
            where = known("r")
            # Columns behind the last one that is read are all the same.
            self._place = (
                self._columns.get(where.rstrip(digits), len(self._columns))
                if where
                else self._place + 1
            )
            self._type, self._style = known("t"), known("s")
        elif name in (_VALUE, _TEXT):
            self._is_text = not self._is_phonetic
        elif name == _ROW:
            number = attributes.get("r")
            self._line = int(number) if number else self._line + 1
            self._cells, self._place = [], -1
        elif name == _PHONETIC:
            self._is_phonetic = True

    def text(self, text: str) -> None:
        if self._is_text:
            self._parts.append(text)

    def end(self, name: str) -> None:
        if name in (_VALUE, _TEXT):
            self._is_text = False
        elif name == _CELL:
            if self._parts:
                text, self._parts = "".join(self._parts), []
                self._put(self._value_of(text))
        elif name == _ROW:
            self._complete.append((self._line, self._cells))
        elif name == _PHONETIC:
            self._is_phonetic = False

    def _put(self, value: str) -> None:
        cells, place = self._cells, self._place
        if place == len(cells):
            cells.append(value)
        elif place < len(cells):
            cells[place] = value
        elif place < len(self._columns):
            cells.extend([""] * (place - len(cells)))
            cells.append(value)

    def _value_of(self, text: str) -> str:
        kind = self._type
        if kind == "s":
            return self._texts[int(text)]
        if kind not in (None, "n"):
            return text
        if self._style in self._date_styles:
            return self._as_date(text)
        if text.isdecimal():
            return text
        number = float(text)
        return str(int(number)) if number.is_integer() else str(number)

    def _as_date(self, text: str) -> str:
        """Return a date as a date: what looks like "3-12" is one to a spreadsheet, and its number would be taken for a name."""
        try:
            return str(from_excel(float(text), self._epoch))
        except (OverflowError, ValueError):
            return text
