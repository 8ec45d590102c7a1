"""Charts drawn on the server, as SVG: they need no script, follow the theme by their classes, and stand beside a table of the same numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

HEIGHT = 180
WHOLE, HALF = (
    880,
    430,
)  # how wide a chart is that has a row of the page, and one of two beside each other
RIGHT, TOP, BOTTOM = 8, 10, 22
LETTER = 6.5  # the width of a digit of the scale
LABEL = 90  # what a label below the bars may take


@dataclass(frozen=True, slots=True)
class Bar:
    """Describe one bar: `label` stands below it, `value` is its height, and `behind` that of a paler one behind it. `words` say it to people."""

    label: str
    value: int
    words: str
    behind: int = 0


def bar_chart(bars: Sequence[Bar], *, title: str, width: int = WHOLE) -> SafeString:
    """Return a chart of bars from the left to the right; `title` says to those who do not see it what it shows."""
    top = _round_top(max((max(bar.value, bar.behind) for bar in bars), default=0))
    left = LETTER * len(f"{top:,}") + 12
    step = (width - left - RIGHT) / max(len(bars), 1)
    height = HEIGHT - TOP - BOTTOM
    longest = max((LETTER * len(bar.label) for bar in bars), default=0)
    every = max(1, ceil(max(longest + 12, LABEL if len(bars) > 30 else 0) / step))

    def place(index: int) -> float:
        return left + index * step

    def rectangle(index: int, value: int, kind: str, words: str) -> SafeString:
        tall = round(height * value / top, 1)
        wide = round(step * 0.72, 2)
        return format_html(
            '<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
            kind,
            round(place(index) + step * 0.14, 2),
            round(TOP + height - tall, 1),
            wide,
            tall,
            words,
        )

    drawn = [
        rectangle(index, value, kind, bar.words)
        for index, bar in enumerate(bars)
        for kind, value in (("chart-behind", bar.behind), ("chart-bar", bar.value))
        if value > 0
    ]
    lines = [
        (
            left,
            round(TOP + height * (1 - part), 1),
            width - RIGHT,
            left - 6,
            f"{round(top * part):,}",
        )
        for part in (0, 0.5, 1)
        if part == 0 or top * part >= 1
    ]
    labels = [
        (round(place(index) + step / 2, 1), HEIGHT - 6, bar.label)
        for index, bar in enumerate(bars)
        if index % every == 0
    ]
    return format_html(
        '<svg class="figure-chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>',
        width,
        HEIGHT,
        title,
        format_html_join(
            "",
            '<line class="chart-line" x1="{0}" y1="{1}" x2="{2}" y2="{1}"></line>'
            '<text class="chart-text chart-scale" x="{3}" y="{1}">{4}</text>',
            lines,
        ),
        format_html_join("", "{}", ((bar,) for bar in drawn)),
        format_html_join(
            "", '<text class="chart-text chart-label" x="{}" y="{}">{}</text>', labels
        ),
    )


def _round_top(highest: int) -> int:
    """Return the end of the scale: 1, 2 or 5 times a power of ten that no bar exceeds."""
    if highest <= 1:
        return 1
    power: int = 10 ** int(log10(highest))
    return next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor >= highest)
