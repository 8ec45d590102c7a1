"""Test what charts are drawn of."""

import re
from xml.etree import ElementTree

import pytest

from apps.boxoffice.charts import HEIGHT, TOP, Bar, bar_chart

SPACE = 148  # what a bar of the whole scale is tall


def picture(drawn: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawn)  # noqa: S314 - our own


def heights(drawn: str, kind: str) -> list[float]:
    return [
        float(bar.attrib["height"])
        for bar in picture(drawn).iter("rect")
        if bar.attrib["class"] == kind
    ]


class TestBars:
    def test_are_as_tall_as_their_values(self) -> None:
        drawn = bar_chart(
            [Bar("12:00", 50, "50 sold", behind=100), Bar("12:01", 25, "25 sold")], title="Sales"
        )

        assert heights(drawn, "chart-bar") == [SPACE / 2, SPACE / 4]
        assert heights(drawn, "chart-behind") == [SPACE]

    @pytest.mark.parametrize(
        ("highest", "top"),
        [(0, 1), (1, 1), (2, 2), (3, 5), (7, 10), (12, 20), (99, 100), (1_001, 2_000)],
    )
    def test_stand_on_a_round_scale(self, highest: int, top: int) -> None:
        drawn = bar_chart([Bar("a", highest, "x")], title="Sales")

        scale = re.findall(r'chart-scale"[^>]*>([\d,]+)<', drawn)
        assert scale[-1] == f"{top:,}"

    def test_stay_within_the_picture(self) -> None:
        drawn = bar_chart([Bar(str(n), n, "x", behind=3 * n) for n in range(60)], title="Sales")

        for bar in picture(drawn).iter("rect"):
            top, height = float(bar.attrib["y"]), float(bar.attrib["height"])
            assert top >= TOP - 0.1
            assert top + height <= HEIGHT

    def test_say_in_words_what_they_show(self) -> None:
        drawn = bar_chart([Bar("<b>", 1, "1 & more")], title='"Sales"')

        root = picture(drawn)
        assert root.attrib["aria-label"] == '"Sales"'
        assert [title.text for title in root.iter("title")] == ["1 & more"]

    def test_of_nothing_are_none(self) -> None:
        assert heights(bar_chart([], title="Sales"), "chart-bar") == []
