"""Read the cells of a workbook as a stream.

openpyxl knows where the parts of a workbook are, and its styles. Its way of reading cells and texts makes several objects of each and
takes most of the time of an import, so they are taken straight from the events of the XML parser. Memory does not grow with the
sheet, whatever places its cells claim to have; and as a small file may unpack to very much, each part has a size that it may have.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence, Set
from string import digits
from typing import IO, Any, Literal, Protocol
from xml.parsers import expat

from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.utils import get_column_letter
from openpyxl.utils.datetime import from_excel
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

_MB = 1024 * 1024
SHEET_MAX = (
    72 * _MB
)  # bytes unpacked; 60,000 seats as they are exported have 27 MB, with the longest names and reasons 63 MB
TEXTS_MAX = 8 * _MB
PARTS_MAX = _MB  # of all that openpyxl makes objects of: relations, names, styles
ELEMENTS_MAX = 5_000_000  # of a sheet: two for each cell of as many lines and columns as are read
CHUNK = 128 * 1024  # bytes of XML between two looks at the rows that are complete
CELL_MAX = 1_000_000  # characters; Excel has at most 32,767
TAG_MAX = _MB  # bytes; the parser begins one that is not complete again with each chunk
_ROW, _CELL, _VALUE, _TEXT, _PHONETIC, _SHARED = (
    f"{SHEET_MAIN_NS} {name}" for name in ("row", "c", "v", "t", "rPh", "si")
)

Row = tuple[int, Sequence[str]]


class WorkbookTooLarge(Exception):
    """A workbook has more than is read of one."""


def read_cells(file: IO[bytes], *, columns_max: int) -> Iterator[Row]:
    """Yield the rows of the first sheet: the number of each, and its cells as a CSV would have them, up to the last that has a value.

    A formula has the value that it had when the workbook was saved. Whatever a damaged file makes the libraries raise is let through.

    :raises WorkbookTooLarge: it has more than is read of one.
    """
    book = ExcelReader(file, read_only=True, data_only=True, keep_links=False)
    book.archive = _Archive(file)
    book.read_manifest()
    book.read_workbook()
    apply_stylesheet(book.archive, book.wb)
    rows = _Rows(
        texts=_shared_texts(book),
        date_styles={str(style) for style in book.wb._date_formats},
        epoch=book.wb.epoch,
        columns={get_column_letter(place + 1): place for place in range(columns_max)},
    )
    path = _path_of_first_sheet(book)
    book.archive.bytes_left = SHEET_MAX
    with book.archive.open(path) as sheet:
        for _chunk in _parsed(sheet, rows):
            yield from rows.take()


class _Archive(zipfile.ZipFile):
    """The parts of a workbook, of which no more are opened than `bytes_left` has room for when they are unpacked."""

    bytes_left = PARTS_MAX

    def open(
        self,
        name: str | zipfile.ZipInfo,
        mode: Literal["r", "w"] = "r",
        pwd: bytes | None = None,
        *,
        force_zip64: bool = False,
    ) -> IO[bytes]:
        info = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        self.bytes_left -= info.file_size  # and no more than this is ever unpacked
        if self.bytes_left < 0:
            raise WorkbookTooLarge
        return super().open(name, mode, pwd, force_zip64=force_zip64)


class _Handlers(Protocol):
    """Take the events of the XML parser."""

    def begin(self, name: str, attributes: dict[str, str]) -> None: ...

    def text(self, text: str) -> None: ...

    def end(self, name: str) -> None: ...


def _parsed(part: IO[bytes], handlers: _Handlers) -> Iterator[None]:
    """Hand a part to the handlers, and return after each piece of it."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = handlers.begin
    parser.EndElementHandler = handlers.end
    parser.CharacterDataHandler = handlers.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    size = 0
    while chunk := part.read(CHUNK):
        parser.Parse(chunk, False)
        size += len(chunk)
        if size - parser.CurrentByteIndex > TAG_MAX:
            raise WorkbookTooLarge
        yield
    parser.Parse(b"", True)


def _shared_texts(book: ExcelReader) -> list[str]:
    shared = _SharedTexts()
    part = book.package.find(SHARED_STRINGS)
    if part is not None:
        book.archive.bytes_left = TEXTS_MAX
        with book.archive.open(part.PartName[1:]) as texts:
            for _chunk in _parsed(texts, shared):
                pass
    return shared.texts


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


class _SharedTexts:
    """Handlers of the XML parser, which collect the texts that cells refer to by their numbers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._parts: list[str] = []
        self._is_text = self._is_phonetic = False

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == _TEXT:
            self._is_text = not self._is_phonetic
        elif name == _PHONETIC:
            self._is_phonetic = True

    def text(self, text: str) -> None:
        if self._is_text:
            self._parts.append(text)

    def end(self, name: str) -> None:
        if name == _TEXT:
            self._is_text = False
        elif name == _SHARED:
            # Before what would look like the escape of a character stands an escaped underscore.
            self.texts.append("".join(self._parts).replace("x005F_", ""))
            self._parts = []
        elif name == _PHONETIC:
            self._is_phonetic = False


class _Rows:
    """Handlers of the XML parser, which put rows together; `take` returns those that are complete."""

    def __init__(
        self, *, texts: Sequence[str], date_styles: Set[str], epoch: Any, columns: Mapping[str, int]
    ) -> None:
        self._texts = texts
        self._date_styles = date_styles
        self._epoch = epoch
        self._columns = columns
        self._elements = 0
        self._complete: list[Row] = []
        self._line = 0
        self._cells: list[str] = []
        self._place = -1
        self._type: str | None = None
        self._style: str | None = None
        self._parts: list[str] = []  # of the text of a cell
        self._length = 0  # of them all, in characters
        self._is_text = self._is_phonetic = False

    def take(self) -> list[Row]:
        complete, self._complete = self._complete, []
        return complete

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > ELEMENTS_MAX:
            raise WorkbookTooLarge
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
            self._length += len(text)
            if self._length > CELL_MAX:
                raise WorkbookTooLarge
            self._parts.append(text)

    def end(self, name: str) -> None:
        if name in (_VALUE, _TEXT):
            self._is_text = False
        elif name == _CELL:
            if self._parts:
                text, self._parts, self._length = "".join(self._parts), [], 0
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
