"""The picture of a hall that the server draws."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from apps.concerts.hall_pictures import COLOURS, hall_svg
from apps.concerts.layouts import PlannedSeat, SectionLayout, build_seats
from apps.concerts.models import Grade

ROOT = Path(__file__).resolve().parents[2]


def seat(number: int, x: int, **changes) -> PlannedSeat:
    values = {"section": "1", "row": "A", "grade": "R", "price": 1_000, "y": 2, **changes}
    return PlannedSeat(number=number, x=x, **values)


def paths(svg: str) -> list[str]:
    return re.findall(r'<path d="([^"]+)"', svg)


def test_seats_side_by_side_are_one_line_and_an_aisle_ends_it():
    svg = hall_svg([seat(1, 0), seat(2, 1), seat(3, 3)])

    assert paths(svg) == ["M1 25h18M31 25h8"]


def test_each_grade_has_its_colour():
    svg = hall_svg([seat(1, 0), seat(2, 1, grade="VIP")])

    assert [grade for grade, (fill, _ink) in COLOURS.items() if f'stroke="{fill}"' in svg] == [
        "VIP",
        "R",
    ]


def test_the_colours_are_those_of_the_seat_map():
    styles = (ROOT / "apps/storefront/static/storefront/base.css").read_text()
    light = styles[: styles.index("prefers-color-scheme: dark")]

    assert set(COLOURS) == set(Grade.values)
    for grade, colours in COLOURS.items():
        for suffix, colour in zip(("", "-ink"), colours, strict=True):
            assert f"--grade-{grade.lower()}{suffix}: {colour};" in light


@pytest.mark.parametrize("name", ["<script>", '"&"', "가구역"])
def test_names_are_text(name):
    svg = hall_svg([seat(1, 0, section=name, row="<b>")])

    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]  # noqa: S314
    assert {name, "<b>", "1"} <= set(texts)


def test_a_large_hall_stays_small_and_has_no_numbers():
    layout = [
        SectionLayout(name=str(n), rows=50, seats_per_row=100, grade=Grade.R, price=1)
        for n in range(10)
    ]

    svg = hall_svg(list(build_seats(layout)))

    assert len(svg) < 100_000
    assert ">100<" not in svg


def test_no_seats_are_no_picture():
    assert hall_svg([]) == ""
