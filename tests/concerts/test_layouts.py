"""Halls as staff describe them: rows, numbers, aisles, and where each seat stands."""

import pytest

from apps.concerts.errors import LayoutRefused
from apps.concerts.layouts import (
    Numbering,
    PlannedSeat,
    SectionLayout,
    build_seats,
    row_label,
    validate_layout,
)
from apps.concerts.models import Grade
from apps.concerts.plans import pack_plan, unpack_plan


def section(**changes):
    return SectionLayout(
        **{"name": "1", "rows": 1, "seats_per_row": 2, "grade": Grade.R, "price": 1_000, **changes}
    )


def seats_of(*layout) -> list[PlannedSeat]:
    validate_layout(layout)
    return list(build_seats(layout))


def rows_of(seats) -> list[str]:
    return list(dict.fromkeys(seat.row for seat in seats))


def from_left(seats) -> list[int]:
    return [seat.number for seat in sorted(seats, key=lambda seat: seat.x)]


class TestPlaces:
    def test_three_sections_stand_abreast_and_the_tier_behind_is_centred(self):
        seats = seats_of(*(section(name=str(n), seats_per_row=10, rows=2) for n in range(4)))

        corners = {}
        for seat in seats:
            corners.setdefault(seat.section, (seat.x, seat.y))
        # 3 x 10 seats and 2 aisles of 2 are 34 wide, so 10 seats behind them begin at 12.
        assert corners == {"0": (0, 2), "1": (12, 2), "2": (24, 2), "3": (12, 6)}

    def test_a_section_may_stand_behind_the_one_before_it(self):
        seats = seats_of(section(name="Stalls"), section(name="Balcony", is_behind=True))

        assert [(seat.section, seat.x, seat.y) for seat in seats] == [
            ("Stalls", 0, 2), ("Stalls", 1, 2), ("Balcony", 0, 5), ("Balcony", 1, 5),
        ]  # fmt: skip

    def test_an_aisle_is_a_gap_in_the_places_and_not_in_the_numbers(self):
        seats = seats_of(section(seats_per_row=6, aisles=(2, 4)))

        assert [seat.x for seat in seats] == [0, 1, 3, 4, 6, 7]
        assert [seat.number for seat in seats] == [1, 2, 3, 4, 5, 6]

    def test_lines_of_one_name_are_one_section_whose_rows_are_centred(self):
        seats = seats_of(
            section(rows=1, seats_per_row=2, grade=Grade.VIP, price=9_000),
            section(rows=2, seats_per_row=4),
        )

        assert [(seat.row, seat.grade, seat.x, seat.y) for seat in seats[:3]] == [
            ("A", "VIP", 1, 2), ("A", "VIP", 2, 2), ("B", "R", 0, 3),
        ]  # fmt: skip
        assert rows_of(seats) == ["A", "B", "C"]


class TestNumbers:
    @pytest.mark.parametrize(
        ("numbering", "seats", "first", "expected"),
        [
            (Numbering.FROM_LEFT, 4, 1, [1, 2, 3, 4]),
            (Numbering.FROM_LEFT, 3, 101, [101, 102, 103]),
            (Numbering.FROM_RIGHT, 4, 1, [4, 3, 2, 1]),
            (Numbering.ODD_LEFT, 6, 1, [5, 3, 1, 2, 4, 6]),
            (Numbering.ODD_LEFT, 5, 1, [5, 3, 1, 2, 4]),
            (Numbering.ODD_LEFT, 4, 2, [5, 3, 2, 4]),
            (Numbering.EVEN_LEFT, 5, 1, [4, 2, 1, 3, 5]),
            (Numbering.EVEN_LEFT, 4, 2, [4, 2, 3, 5]),
            (Numbering.BY_TWO_FROM_LEFT, 3, 1, [1, 3, 5]),
            (Numbering.BY_TWO_FROM_RIGHT, 3, 2, [6, 4, 2]),
        ],
    )
    def test_run_as_chosen(self, numbering, seats, first, expected):
        made = seats_of(section(seats_per_row=seats, numbering=numbering, first_number=first))

        assert from_left(made) == expected
        assert [seat.number for seat in made] == sorted(expected)


class TestRows:
    def test_are_lettered_like_columns_of_a_spreadsheet(self):
        assert [row_label(index) for index in (0, 25, 26, 51, 52, 701, 702)] == [
            "A", "Z", "AA", "AZ", "BA", "ZZ", "AAA",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ({"rows": 3}, ["A", "B", "C"]),
            ({"rows": 3, "first_row": "Y"}, ["Y", "Z", "AA"]),
            ({"rows": 3, "first_row": "9"}, ["9", "10", "11"]),
            ({"rows": 3, "first_row": "H", "skipped": frozenset("IO")}, ["H", "J", "K"]),
            ({"rows": 2, "first_row": "3", "skipped": frozenset("4")}, ["3", "5"]),
        ],
    )
    def test_are_named_from_the_first_one_on(self, line, expected):
        assert rows_of(seats_of(section(**line))) == expected

    def test_go_on_in_the_next_line_of_the_section(self):
        seats = seats_of(
            section(rows=2, skipped=frozenset("B")),
            section(rows=1, grade=Grade.S, price=500),
            section(rows=1, grade=Grade.A, price=400, first_row="AA"),
        )

        assert rows_of(seats) == ["A", "C", "D", "AA"]

    def test_of_one_name_are_refused(self):
        with pytest.raises(LayoutRefused) as refusal:
            validate_layout([section(rows=2), section(rows=2, first_row="B")])

        assert "row B twice" in refusal.value.reason


class TestPlans:
    def test_a_packed_plan_is_the_same_seats(self):
        seats = seats_of(section(name="가구역", rows=3), section(name="2", seats_per_row=5))

        assert unpack_plan(pack_plan(seats)) == seats

    def test_an_empty_one_is_empty(self):
        assert unpack_plan(pack_plan([])) == []

    def test_50_000_seats_are_small(self):
        seats = seats_of(*(section(name=str(n), rows=50, seats_per_row=100) for n in range(10)))

        assert len(seats) == 50_000
        assert len(pack_plan(seats)) < 300_000
