"""Plots as SVG: bars and lines, in colours that are readable on white and on black."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH = 760
BAR, GAP, LABELS, FIGURES = 18, 10, 280, 90
LINE_HEIGHT, MARGIN = 220, 46
COLOURS = ("#3d7fd9", "#d9822b", "#3a9d5d", "#a55fc4", "#c94f4f", "#7f8c99", "#b39b1f")
# In a page the picture follows its reader's choice of light or dark.
STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.quiet { fill: #59636e } .axis { stroke: #59636e } .bound { stroke: #1f2328; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet { fill: #9198a1 } .axis { stroke: #9198a1 } .bound { stroke: #e6edf3 }
}
</style>"""


def bars(
    title: str,
    rows: Mapping[str, float],
    *,
    unit: str = "",
    marks: Mapping[str, float] | None = None,
) -> str:
    """Draw one bar for each row, of lengths that can be compared; `marks` are the bounds of some rows, drawn as strokes."""
    return _bars(title, {name: {"": value} for name, value in rows.items()}, unit, marks or {})


def stacks(title: str, rows: Mapping[str, Mapping[str, float]], *, unit: str = "") -> str:
    """Draw one bar for each row, made of parts that are the same in all of them."""
    return _bars(title, rows, unit, {})


def _bars(
    title: str, rows: Mapping[str, Mapping[str, float]], unit: str, marks: Mapping[str, float]
) -> str:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    longest = max([*(sum(row.values()) for row in rows.values()), *marks.values()], default=0) or 1
    scale = (WIDTH - LABELS - FIGURES) / longest
    parts = []
    for i, (title_of_row, row) in enumerate(rows.items()):
        y, x = MARGIN + i * (BAR + GAP), float(LABELS)
        parts.append(_text(LABELS - 8, y + 14, title_of_row, anchor="end"))
        for name, value in row.items():
            length = max(value * scale, 1 if len(row) == 1 else 0)
            colour = COLOURS[names.index(name) % len(COLOURS)]
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>'
            )
            x += length
        mark = LABELS + marks.get(title_of_row, 0) * scale
        parts.append(_text(max(x, mark) + 8, y + 14, _number(sum(row.values()), unit)))
        if title_of_row in marks:
            parts.append(f'<path class="bound" d="M{mark:.1f} {y - 3}v{BAR + 6}"/>')
    height = MARGIN + len(rows) * (BAR + GAP)
    if names == [""] or not names:
        return _picture(title, height, parts)
    return _picture(title, height + 24, [*parts, *_legend(names, height + 12)])


def lines(
    title: str, series: Mapping[str, Sequence[tuple[float, float]]], *, across: str, up: str
) -> str:
    """Draw one line for each series of (across, up), all from zero."""
    right = max((x for points in series.values() for x, _ in points), default=0) or 1
    top = max((y for points in series.values() for _, y in points), default=0) or 1
    left, width = 70, WIDTH - 100
    bottom = MARGIN + LINE_HEIGHT
    parts = [
        f'<path class="axis" fill="none" d="M{left} {MARGIN}V{bottom}H{left + width}"/>',
        _text(left - 8, MARGIN + 5, _number(top), anchor="end"),
        _text(left - 8, bottom + 4, "0", anchor="end"),
        _text(left + width, bottom + 18, f"{_number(right)} {across}", anchor="end"),
        _text(left + 6, MARGIN + 5, up, kind="quiet"),
    ]
    for i, points in enumerate(series.values()):
        path = " ".join(
            f"{left + x / right * width:.1f},{bottom - y / top * LINE_HEIGHT:.1f}"
            for x, y in points
        )
        colour = COLOURS[i % len(COLOURS)]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
    return _picture(title, bottom + 48, [*parts, *_legend(list(series), bottom + 40)])


def _legend(names: Sequence[str], y: float) -> list[str]:
    parts, x = [], 70.0
    for i, name in enumerate(names):
        colour = COLOURS[i % len(COLOURS)]
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(x + 17, y, name, kind="quiet"))
        x += 34 + 7.2 * len(name)
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(text)}</text>'


def _number(value: float, unit: str = "") -> str:
    text = f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"
    return f"{text} {unit}".strip()


def _picture(title: str, height: float, parts: Sequence[str]) -> str:
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    heading = f'<text x="0" y="20" style="font-weight:600">{escape(title)}</text>'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
    )
    return "\n".join([head, STYLE, heading, *parts, "</svg>"]) + "\n"
