"""Files of seats: what is read of them in any encoding, what is said of their errors, and that an export can be read again."""

import csv
import io
import unicodedata
import zipfile
from datetime import date

import pytest
import xlsxwriter
from django.utils.translation import override
from openpyxl import Workbook, load_workbook
from openpyxl.xml.constants import SHEET_MAIN_NS

from apps.concerts.layouts import PlannedSeat
from apps.concerts.models import InventoryCategory
from apps.concerts.sheets import SheetRefused, read_sheet, reading, workbooks, write_csv, write_xlsx

ENGLISH = "section,row,number,grade,price,x,y"
WHOLE = f"{ENGLISH},kind,category,reason"
LINE = "Floor,A,1,VIP,150000,0,2"
SEAT = PlannedSeat("Floor", "A", 1, "VIP", 150_000, 0, 2)
KOREAN = "구역,열,번호,등급,가격,가로 위치,세로 위치"
SEATS = [
    SEAT._replace(kind="STANDARD", category=""),
    PlannedSeat("1층 가구역", "12", 30_000, "R", 9_000, 10_000, 3, "WHEELCHAIR", "HOUSE", "제작사 보류"),
    PlannedSeat("=1+1", "-A", 7, "S", 500, 5, 4, "AISLE", "KILLED", "=Pillar"),
]  # fmt: skip


def read(content: str | bytes, encoding: str = "utf-8"):
    data = content if isinstance(content, bytes) else content.encode(encoding)
    return read_sheet(io.BytesIO(data))


def workbook(*rows) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def shared(*rows: list[str]) -> bytes:
    """Return a workbook as Excel makes it: its texts are in a part of their own."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        for line, row in enumerate(rows):
            sheet.write_row(line, 0, row)
    return file.getvalue()


def with_sheet(content: bytes, rows: str, *, before: str = "") -> bytes:
    """Return a workbook with these rows in place of its own."""
    return with_part(
        content,
        "xl/worksheets/sheet1.xml",
        f'{before}<worksheet xmlns="{SHEET_MAIN_NS}"><sheetData>{rows}</sheetData></worksheet>',
    )


def with_part(content: bytes, name: str, text: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        texts = {name: parts.read(name) for name in parts.namelist()}
    texts[name] = text.encode()
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as parts:
        for each, content in texts.items():
            parts.writestr(each, content)
    return changed.getvalue()


def errors_of(*lines: str) -> list[tuple[int, str]]:
    sheet = read("\n".join([ENGLISH, *lines]))
    return [(error.line, error.column) for error in sheet.errors]


class TestReading:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_takes_any_file_of_a_spreadsheet(self, encoding, delimiter, end):
        lines = [KOREAN, '1층 가구역,가,1,VIP석,"150,000원",0,2']
        text = end.join(lines).replace('"150,000원"', "150000").replace(",", delimiter)

        sheet = read(text, encoding)

        assert (sheet.seats, sheet.errors) == (
            [PlannedSeat("1층 가구역", "가", 1, "VIP", 150_000, 0, 2)],
            [],
        )

    def test_takes_a_workbook(self):
        content = workbook(
            ENGLISH.split(","), ["Floor", "A", 1, "VIP", 150_000, 0, 2.0], [None] * 7, [1, 2, 3, "R", "₩9,000", 1, 2]
        )  # fmt: skip

        assert read(content).seats == [SEAT, PlannedSeat("1", "2", 3, "R", 9_000, 1, 2)]

    def test_finds_columns_by_their_names_in_any_order_and_passes_over_others(self):
        sheet = read("Price (won); GRADE ;remark;Seat Number;Row;Block\n1;r;x;2;B;1")

        assert sheet.seats == [PlannedSeat("1", "B", 2, "R", 1, 0, 0)]
        assert not sheet.has_places

    def test_passes_over_empty_lines_and_counts_them(self):
        assert errors_of("", LINE, ",,,,,,", "Floor,B,x,VIP,150000,1,3") == [(5, "number")]

    def test_says_of_each_line_what_is_wrong_with_it(self):
        assert errors_of(
            LINE,
            "Floor,A,2,B,150000,1,2",
            "Floor,A,0,VIP,0,2,2",
            ",A,3,VIP,150000,3,2",
            "Floor,TOOLONG,3,VIP,150000,3,2",
            "Floor,A,4,VIP,150000,-1,10001",
            "Fl\u202eoor,A,5,VIP,150000,5,2",
            "Floor,A,6",
        ) == [
            (3, "grade"),
            (4, "number"), (4, "price"),
            (5, "section"),
            (6, "row"),
            (7, "x"), (7, "y"),
            (8, "section"),
            (9, "grade"), (9, "price"), (9, "x"), (9, "y"),
        ]  # fmt: skip

    def test_stops_at_more_lines_than_a_hall_has_seats(self, monkeypatch):
        """Each line of a file that is no file of seats would have an error, in millions of lines."""
        monkeypatch.setattr(reading, "LINES_MAX", 3)
        lines = [ENGLISH, "x", "y", "z", "z"]

        assert read("\n".join([*lines[:3], ",", ","])).error_count == 2 * 6
        with pytest.raises(SheetRefused, match="at most 3 lines"):
            read("\n".join(lines))

    def test_says_so_when_a_seat_stands_too_far_down(self, monkeypatch):
        """Left out, it would be removed by an import that removes what is missing."""
        monkeypatch.setattr(reading, "LINES_MAX", 3)
        seat = ["Floor", "A", 1, "VIP", 150_000, 0, 2]

        assert read(workbook(ENGLISH.split(","), seat, *[[None] * 7] * 3)).seats == [SEAT]
        with pytest.raises(SheetRefused, match="at most 3 lines"):
            read(workbook(ENGLISH.split(","), seat, [None] * 7, [None] * 7, [*seat[:2], 2, *seat[3:5], 1, 2]))  # fmt: skip

    def test_counts_lines_that_claim_to_be_the_same(self, monkeypatch):
        monkeypatch.setattr(reading, "LINES_MAX", 3)
        header = "".join(f'<c t="str"><v>{name}</v></c>' for name in ENGLISH.split(","))
        bad = '<row r="2"><c r="A2"><v>1</v></c></row>'

        assert len(read(with_sheet(workbook(["a"]), f"<row>{header}</row>{bad * 2}")).errors) == 12
        with pytest.raises(SheetRefused, match="at most 3 lines"):
            read(with_sheet(workbook(["a"]), f"<row>{header}</row>{bad * 3}"))

    def test_looks_at_no_more_of_a_cell_than_a_name_can_have(self, monkeypatch):
        """Signs that combine are put in order one by one: composing 100,000 of them takes minutes."""
        lengths: list[int] = []
        normalize = unicodedata.normalize

        def counted(form: str, text: str) -> str:
            lengths.append(len(text))
            return normalize(form, text)

        monkeypatch.setattr(unicodedata, "normalize", counted)
        long = "\u0301\u0323" * 1_000
        cells = LINE.split(",")
        lines = [",".join([*cells[:place], cell + long, *cells[place + 1 :]]) for place, cell in enumerate(cells)]  # fmt: skip

        sheet = read("\n".join([f"{ENGLISH},{long}", *lines]))

        assert [error.column for error in sheet.errors] == ENGLISH.split(",")
        assert 0 < max(lengths) < 1_100

    @pytest.mark.parametrize(("place", "cell"), [(0, "Floor"), (2, "1"), (3, "VIP")])
    def test_takes_no_beginning_of_a_long_cell_for_the_whole(self, place, cell):
        cells = LINE.split(",")
        cells[place] = f"{cell}{' ' * 5_000}2"

        assert errors_of(",".join(cells)) == [(2, ENGLISH.split(",")[place])]

    def test_takes_the_longest_name_decomposed(self):
        name = "\u1e66" * 20

        [seat] = read(
            f"{ENGLISH}\n{LINE.replace('Floor', unicodedata.normalize('NFD', name))}"
        ).seats

        assert seat.section == name

    def test_reads_a_header_of_brackets_at_once(self):
        """Followed to the end one by one, they would keep the process busy for minutes."""
        with pytest.raises(SheetRefused, match="These columns are missing"):
            read(",".join(["(" * 100_000] * 20))

    def test_compares_lines_with_each_other(self):
        sheet = read(
            "\n".join([ENGLISH, LINE, LINE, "Floor,A,2,VIP,140000,1,2", "Floor,A,3,VIP,150000,1,2"])
        )

        assert [(error.line, error.column, error.reason) for error in sheet.errors] == [
            (3, "", "Seat Floor A-1 is in line 2 already."),
            (3, "x, y", "The seat of line 2 is in the same place on the map."),
            (4, "", "Seats of one grade have one price: in line 2 it is 150,000 won."),
            (5, "x, y", "The seat of line 4 is in the same place on the map."),
        ]

    def test_shows_the_first_errors_and_counts_all(self, monkeypatch):
        monkeypatch.setattr(reading, "ERRORS_SHOWN", 2)

        sheet = read("\n".join([ENGLISH, *[LINE.replace("VIP", "?")] * 5]))

        assert (len(sheet.errors), sheet.error_count) == (2, 5)

    def test_reads_no_further_when_all_is_wrong(self, monkeypatch):
        """Each error has its words made: of a file with nothing else they would take minutes."""
        monkeypatch.setattr(reading, "ERRORS_MAX", 3)

        sheet = read("\n".join([ENGLISH, *[LINE.replace("VIP", f"?{n}") for n in range(50)]]))

        assert (len(sheet.errors), sheet.error_count) == (3, 3)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "The file is empty."),
            (b"\n\n", "The file is empty."),
            (ENGLISH.encode(), "There are no seats below the headers."),
            (b"section,row,number,grade\n1,A,1,R", "missing in the first line: price."),
            (b"section,row,number,grade,price,x\n1,A,1,R,1,0", "missing in the first line: y."),
            (b"section,row,number,grade,price,Block\n", "There are two columns “section”."),
            (b"\xff\xfe\x00\x81", "neither UTF-8 nor cp949"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old or a protected Excel file"),
            (b"PK\x03\x04 and no more", "This workbook cannot be read."),
            (f'{ENGLISH}\n"{"x" * 200_000}"'.encode(), "cannot be read from line"),
        ],
    )
    def test_refuses_what_is_no_file_of_seats(self, content, reason):
        with pytest.raises(SheetRefused) as refusal:
            read(content)

        assert reason in refusal.value.reason

    def test_refuses_a_zip_that_is_no_workbook(self):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as parts:
            parts.writestr("a.txt", "no workbook")

        with pytest.raises(SheetRefused):
            read(file.getvalue())

    @pytest.mark.parametrize(
        ("limit", "most"),
        [("SHEET_MAX", 100), ("TEXTS_MAX", 100), ("PARTS_MAX", 100), ("ELEMENTS_MAX", 9)],
    )
    def test_refuses_a_workbook_that_unpacks_to_much_more(self, monkeypatch, limit, most):
        content = shared(ENGLISH.split(","), LINE.split(","))
        assert read(content).seats == [SEAT]
        monkeypatch.setattr(workbooks, limit, most)
        monkeypatch.setattr(workbooks._Archive, "bytes_left", workbooks.PARTS_MAX)

        with pytest.raises(SheetRefused, match="too large"):
            read(content)

    def test_unpacks_no_part_that_it_does_not_read(self, monkeypatch):
        """A picture or another sheet may be as large as it likes."""
        file = io.BytesIO(workbook(ENGLISH.split(","), LINE.split(",")))
        with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as parts:
            parts.writestr("xl/worksheets/sheet2.xml", bytes(workbooks.SHEET_MAX + 1))

        assert read(file.getvalue()).seats == [SEAT]

    def test_refuses_a_cell_with_a_text_as_large_as_a_sheet(self, monkeypatch):
        monkeypatch.setattr(workbooks, "CELL_MAX", 2)
        cell = '<row><c t="inlineStr"><is>{}</is></c></row>'
        two, three = (cell.format("<r><t>a</t></r>" * count) for count in (2, 3))

        with pytest.raises(SheetRefused, match="missing in the first line"):
            read(with_sheet(workbook(["a"]), two * 2))
        with pytest.raises(SheetRefused, match="too large"):
            read(with_sheet(workbook(["a"]), three))

    def test_refuses_a_tag_that_does_not_end(self, monkeypatch):
        """The parser would begin it again with every piece of the file."""
        monkeypatch.setattr(workbooks, "TAG_MAX", 10_000)
        monkeypatch.setattr(workbooks, "CHUNK", 1_000)
        long, longer = ("<row/>" * 5_000 + f'<row x="{"y" * size}"/>' for size in (5_000, 50_000))

        with pytest.raises(SheetRefused, match="is empty"):
            read(with_sheet(workbook(["a"]), long))
        with pytest.raises(SheetRefused, match="too large"):
            read(with_sheet(workbook(["a"]), longer))

    def test_reads_shared_texts_in_parts_and_without_how_they_are_spoken(self):
        texts = ("<t>row</t>", "", "<r><t>sec</t></r><r><t>tion</t></r><rPh><t>no</t></rPh>", "<t>_x005F_x000D_</t>")  # fmt: skip
        table = f'<sst xmlns="{SHEET_MAIN_NS}"><si>{"</si><si>".join(texts)}</si></sst>'
        content = with_part(shared(list("abcd")), "xl/sharedStrings.xml", table)

        rows = workbooks.read_cells(io.BytesIO(content), columns_max=9)

        assert next(rows) == (1, ["row", "", "section", "_x000D_"])

    def test_takes_cells_of_every_type_and_texts_of_either_place(self):
        """Read what other programs write: a formula with its value, a date, a cell without a reference, rich and phonetic text."""
        content = with_sheet(
            workbook(ENGLISH.split(",")),
            """
            <row r="1"><c t="inlineStr"><is><t>section</t></is></c><c t="inlineStr"><is><t>row</t></is></c>
              <c t="inlineStr"><is><t>number</t></is></c><c t="str"><f>"gra"&amp;"de"</f><v>grade</v></c>
              <c t="inlineStr"><is><t>price</t></is></c></row>
            <row r="4"><c r="A4" t="inlineStr"><is><r><t>Flo</t></r><r><t>or</t></r><rPh sb="0" eb="1"><t>flo</t></rPh></is></c>
              <c r="B4" t="e"><v>#REF!</v></c><c r="C4"><v>1.0</v></c><c r="D4" t="inlineStr"><is><t>R</t></is></c>
              <c r="E4"><f>500*2</f><v>1E3</v></c><c r="ZZ4"><v>7</v></c></row>
            <row><c r="A5" t="inlineStr"><is><t>Floor</t></is></c><c r="C5"><v>2</v></c><c r="D5" t="inlineStr"><is><t>R</t></is></c>
              <c r="E5"><v>1000</v></c></row>
            """,
        )

        sheet = read(content)

        assert sheet.seats == [PlannedSeat("Floor", "#REF!", 1, "R", 1_000, 0, 0)]
        assert [(error.line, error.column) for error in sheet.errors] == [(5, "row")]

    def test_a_date_is_no_name_of_a_row(self):
        """Spreadsheets take "3-12" for a date, and would be believed if only its number were looked at."""
        content = workbook(ENGLISH.split(","), ["Floor", date(2026, 3, 12), 1, "R", 1_000, 0, 2])

        [error] = read(content).errors

        assert (error.line, error.column) == (2, "row")

    @pytest.mark.parametrize(
        "sheet",
        [
            '<row r="1"><c r="A1" t="s"><v>99</v></c></row>',
            '<row r="1"><c r="A1"><v>one</v></c></row>',
            '<row r="first"></row>',
            '<row r="1"><c r="A1">',
        ],
    )
    def test_refuses_a_damaged_sheet(self, sheet):
        with pytest.raises(SheetRefused, match="cannot be read"):
            read(with_sheet(workbook(["a"]), sheet))

    def test_refuses_a_sheet_whose_entities_grow(self):
        content = with_sheet(workbook(["a"]), "<row/>", before='<!DOCTYPE x [<!ENTITY a "b">]>')

        with pytest.raises(SheetRefused, match="cannot be read"):
            read(content)

    def test_two_cells_at_the_ends_of_a_sheet_take_no_room(self):
        content = with_sheet(
            workbook(["a"]),
            '<row r="1"><c r="A1" t="str"><v>section</v></c></row>'
            '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        )

        with pytest.raises(SheetRefused, match="missing in the first line"):
            read(content)

    def test_refuses_more_seats_than_a_hall_has(self, monkeypatch):
        monkeypatch.setattr(reading, "SEATS_MAX", 2)
        lines = [f"Floor,A,{number},VIP,1,{number},1" for number in range(1, 4)]

        with pytest.raises(SheetRefused, match="at most 2 seats"):
            read("\n".join([ENGLISH, *lines]))

    def test_a_sheet_that_lies_about_its_size_is_read_to_its_end(self):
        book = load_workbook(io.BytesIO(workbook(ENGLISH.split(","), LINE.split(","))))
        file = io.BytesIO()
        book.save(file)
        with zipfile.ZipFile(file) as parts:
            texts = {name: parts.read(name) for name in parts.namelist()}
        sheet = "xl/worksheets/sheet1.xml"
        texts[sheet] = texts[sheet].replace(b'ref="A1:G2"', b'ref="A1:XFD1048576"')
        changed = io.BytesIO()
        with zipfile.ZipFile(changed, "w") as parts:
            for name, text in texts.items():
                parts.writestr(name, text)

        assert read(changed.getvalue()).seats == [SEAT]


@pytest.mark.django_db
class TestKindsAndCategories:
    @pytest.fixture(autouse=True)
    def categories(self) -> None:
        """Categories of staff: one whose name is the code of another, and two with one name."""
        for letter, code, name in (
            ("7", "FAN", "House"),
            ("8", "ONE", "Same"),
            ("9", "TWO", "Same"),
        ):
            InventoryCategory.objects.create(code=code, name=name, letter=letter, colour="#112233")

    def read(self, *cells: str):
        lines = [
            f"Floor,A,{place + 1},VIP,150000,{place},2,{cell}" for place, cell in enumerate(cells)
        ]
        return read("\n".join([WHOLE, *lines]))

    def test_are_read_by_code_and_by_name_in_each_language(self):
        sheet = self.read(
            "WHEELCHAIR,HOUSE,For the band",
            "Wheelchair space,fan,",
            "휠체어석,House,",
            ",,left over",
            ",하우스,",
        )

        assert [(seat.kind, seat.category, seat.reason) for seat in sheet.seats] == [
            ("WHEELCHAIR", "HOUSE", "For the band"),
            ("WHEELCHAIR", "FAN", ""),
            ("WHEELCHAIR", "HOUSE", ""),
            ("STANDARD", "", "left over"),
            ("STANDARD", "HOUSE", ""),
        ]

    def test_that_are_unknown_are_named_by_line(self):
        sheet = self.read(",,", "Sofa,HOUSE,", ",Same,", ",NONE," + "x" * 201)

        assert [(error.line, error.column) for error in sheet.errors] == [
            (3, "kind"),
            (4, "category"),
            (5, "category"),
            (5, "reason"),
        ]
        assert "STANDARD, WHEELCHAIR" in sheet.errors[0].reason
        assert "HOUSE, ARTIST" in sheet.errors[1].reason

    def test_are_left_open_by_a_file_that_has_no_such_columns(self):
        [seat] = read(f"{ENGLISH}\n{LINE}").seats

        assert (seat.kind, seat.category) == (None, None)

    def test_are_looked_up_once_for_a_file(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            self.read(*[f",unknown {number}," for number in range(30)])


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("write", [write_csv, write_xlsx])
def test_what_is_written_can_be_read_again(language, write):
    file = io.BytesIO()

    with override(language):
        write(SEATS, file)

    assert read(file.getvalue()).seats == SEATS


class TestWriting:
    def test_a_csv_opens_in_excel_and_has_no_formulas(self):
        file = io.BytesIO()

        write_csv(SEATS, file)

        assert file.getvalue().startswith(b"\xef\xbb\xbf")
        rows = list(csv.reader(io.StringIO(file.getvalue().decode("utf-8-sig"))))
        assert rows[0] == WHOLE.split(",")
        assert rows[3] == ["'=1+1", "'-A", "7", "S", "500", "5", "4", "AISLE", "KILLED", "'=Pillar"]

    def test_a_workbook_has_texts_and_numbers_and_no_formulas(self):
        file = io.BytesIO()

        write_xlsx(SEATS, file)

        sheet = load_workbook(file).active
        assert [cell.data_type for cell in sheet[4]] == list("ssnsnnnsss")
        assert sheet["A4"].value == "=1+1"

    def test_is_in_the_language_of_the_page(self):
        file = io.BytesIO()

        with override("ko"):
            write_csv([], file)

        assert file.getvalue().decode("utf-8-sig") == f"{KOREAN},종류,분류,사유\r\n"
