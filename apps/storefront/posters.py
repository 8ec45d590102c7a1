"""Posters drawn from the words of a concert: bold type under shapes that its number chooses. The same input, the same poster."""

import math
import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 400, 560
MARGIN = 28
ROOM = WIDTH - 2 * MARGIN
FONTS = (
    "'Helvetica Neue', Helvetica, Arial, 'Apple SD Gothic Neo', 'Malgun Gothic', "
    "'Noto Sans KR', 'Noto Sans CJK KR', sans-serif"
)
TITLE_SIZES = (68, 60, 52, 46, 40, 34, 30, 26, 22)
TITLE_LINES_MAX = 4
TITLE_HEIGHT_MAX = 205  # the rest is for the shapes
LEADING = 1.08
ARTIST_SIZE = 20
# XML 1.0 cannot contain these, escaped or not.
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Palette:
    ground: str
    ink: str
    bright: str
    middle: str
    deep: str


PALETTES = (
    Palette("#14213d", "#fdf6e3", "#fca311", "#e8e4da", "#2f4d85"),
    Palette("#f4e9d8", "#1f1a17", "#d1495b", "#edae49", "#30638e"),
    Palette("#0b3d3a", "#f5efe0", "#f26b5e", "#f7c59f", "#1f7a6f"),
    Palette("#2b1055", "#fbeaff", "#ff6f91", "#ffc75f", "#6a3fb5"),
    Palette("#f6f1e7", "#101820", "#f2542d", "#0e9594", "#101820"),
    Palette("#b8321a", "#fff4e6", "#ffd9b8", "#1c1210", "#8a1f0d"),
    Palette("#101820", "#f2f0ea", "#fee715", "#8d99ae", "#33414f"),
    Palette("#dfe9e4", "#17313e", "#e4572e", "#3b8ea5", "#17313e"),
    Palette("#33202a", "#fbeee6", "#e0a458", "#b84a62", "#5e3a48"),
)


def poster_svg(*, seed: int, title: str, artist: str) -> str:
    """Return an SVG of 400 x 560, fit to be an image of its own."""
    colours = PALETTES[seed % len(PALETTES)]
    # Both cycles together: neighbours in a list never look alike.
    draw = COMPOSITIONS[(seed * 3) % len(COMPOSITIONS)]
    chance = random.Random(seed)
    size, lines = _fitted(_printable(title))
    artist_line = _cut(_printable(artist), ARTIST_SIZE)
    title_height = len(lines) * size * LEADING
    art_height = round(HEIGHT - MARGIN - title_height - ARTIST_SIZE * 2.4 - MARGIN * 0.75)
    shapes = "".join(draw(chance, colours, art_height))
    first = HEIGHT - MARGIN - title_height + size * 0.86
    text = "".join(
        f'<text x="{MARGIN - size * 0.04:.1f}" y="{first + number * size * LEADING:.1f}" '
        f'font-size="{size}" font-weight="800" letter-spacing="{-size * 0.02:.1f}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{colours.ground}"/>{shapes}'
        f'<rect y="{art_height}" width="{WIDTH}" height="{HEIGHT}" fill="{colours.ground}"/>'
        f'<g fill="{colours.ink}" font-family="{FONTS}">'
        f'<text x="{MARGIN}" y="{art_height + MARGIN * 0.75 + ARTIST_SIZE:.1f}" '
        f'font-size="{ARTIST_SIZE}" font-weight="600">{escape(artist_line)}</text>'
        f"{text}</g></svg>"
    )


# --- Type -------------------------------------------------------------------------------------------------------------


def _printable(text: str) -> str:
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def _width(text: str, size: float) -> float:
    """Estimate how wide bold text will be: the visitor's fonts are unknown here."""
    return size * sum(_em(letter) for letter in text)


def _em(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return 0.97
    if unicodedata.combining(letter):
        return 0.0
    if letter in " .,:;'!|iIjl":
        return 0.31
    if letter in "mwMW@%":
        return 0.92
    return 0.72 if letter.isupper() else 0.6


def _fitted(text: str) -> tuple[int, list[str]]:
    """Return the largest size at which the title fits into its lines, words unbroken if that is possible."""
    for size in TITLE_SIZES:
        lines = _wrapped(text, size)
        is_high = len(lines) > TITLE_LINES_MAX or len(lines) * size * LEADING > TITLE_HEIGHT_MAX
        if not is_high and all(_width(line, size) <= ROOM for line in lines):
            return size, _balanced(lines, size)
    size = TITLE_SIZES[-1]
    lines = [piece for line in _wrapped(text, size) for piece in _broken(line, size)]
    if len(lines) > TITLE_LINES_MAX + 1:
        lines = [*lines[:TITLE_LINES_MAX], f"{lines[TITLE_LINES_MAX][:-1]}…"]
    return size, lines


def _balanced(lines: list[str], size: float) -> list[str]:
    """Break a title into as many lines, as even as they get: no last line of one short word."""
    balanced = lines
    for room in range(ROOM, ROOM // 3, -8):
        narrower = _wrapped(" ".join(lines), size, room)
        if len(narrower) > len(lines) or any(_width(line, size) > ROOM for line in narrower):
            break
        balanced = narrower
    return balanced


def _wrapped(text: str, size: float, room: float = ROOM) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and _width(f"{lines[-1]} {word}", size) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _broken(line: str, size: float) -> list[str]:
    pieces = [""]
    for letter in line:
        if _width(pieces[-1] + letter, size) > ROOM:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _cut(text: str, size: float) -> str:
    shown = text
    while shown and _width(shown, size) > ROOM:
        shown = shown[:-1]
    return shown if shown == text else f"{shown[:-1]}…"


# --- Shapes: each fills the part of the poster above the words ---------------------------------------------------------

Shapes = list[str]


def _circle(x: float, y: float, radius: float, fill: str, more: str = "") -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{fill}"{more}/>'


def _rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{more}/>'


def _path(data: str, fill: str, more: str = "") -> str:
    return f'<path d="{data}" fill="{fill}"{more}/>'


def _record(chance: random.Random, colours: Palette, height: int) -> Shapes:
    x, y = chance.choice((70, 200, 330)), height * chance.uniform(0.42, 0.6)
    far = math.hypot(max(x, WIDTH - x), max(y, height - y))
    order = (colours.deep, colours.bright, colours.deep, colours.middle)
    step = chance.uniform(26, 36)
    count = math.ceil(far / step)
    rings = [_circle(x, y, number * step, order[number % 4]) for number in range(count, 1, -1)]
    return [*rings, _circle(x, y, step * 1.6, colours.ground), _circle(x, y, step / 3, colours.ink)]


def _spotlights(chance: random.Random, colours: Palette, height: int) -> Shapes:
    shapes = [_rect(0, 0, WIDTH, height, colours.deep)]
    lamps = ((40, colours.bright), (200, colours.middle), (360, colours.bright))
    for x, fill in lamps:
        target = chance.uniform(60, 340)
        spread = chance.uniform(70, 120)
        cone = f"M{x - 9} 0H{x + 9}L{target + spread:.1f} {height}H{target - spread:.1f}Z"
        shapes.append(_path(cone, fill, ' opacity="0.78"'))
    stage = height - chance.uniform(34, 54)
    shapes.append(
        f'<ellipse cx="200" cy="{height + 30}" rx="280" ry="{height + 30 - stage:.1f}" fill="{colours.ground}"/>'
    )
    return [*shapes, _circle(200, stage - 26, 25, colours.ink)]


def _tiles(chance: random.Random, colours: Palette, height: int) -> Shapes:
    side = 100
    shapes = []
    fills = (colours.bright, colours.middle, colours.deep)
    for row in range(math.ceil(height / side)):
        for column in range(4):
            x, y = column * side, row * side
            back = chance.choice((colours.ground, *fills))
            front = chance.choice([fill for fill in (*fills, colours.ink) if fill != back])
            shapes.append(_rect(x, y, side + 0.5, side + 0.5, back))
            shapes.append(_tile(chance.randrange(6), x, y, side, front))
    return shapes


def _tile(kind: int, x: int, y: int, side: int, fill: str) -> str:
    right, bottom, half = x + side, y + side, side // 2
    match kind:
        case 0:
            return _path(f"M{x} {y}A{side} {side} 0 0 1 {right} {bottom}H{x}Z", fill)
        case 1:
            return _path(f"M{right} {y}A{side} {side} 0 0 0 {x} {bottom}H{right}Z", fill)
        case 2:
            return _circle(x + half, y + half, half, fill)
        case 3:
            return _path(f"M{x} {y}H{right}A{half} {half} 0 0 1 {x} {y}Z", fill)
        case 4:
            return _path(f"M{x} {y}L{right} {bottom}H{x}Z", fill)
        case _:
            return _path(f"M{x} {bottom}A{side} {side} 0 0 1 {right} {y}V{bottom}Z", fill)


def _sound(chance: random.Random, colours: Palette, height: int) -> Shapes:
    shapes = [_rect(0, 0, WIDTH, height, colours.ground)]
    bars, gap = 12, 8
    width = (WIDTH - 2 * MARGIN - gap * (bars - 1)) / bars
    phase, pace = chance.uniform(0, 6), chance.uniform(0.35, 0.75)
    for number in range(bars):
        wave = 0.5 + 0.32 * math.sin(phase + number * pace) + chance.uniform(-0.16, 0.16)
        length = max(0.14, min(0.94, wave)) * (height - MARGIN)
        fill = (colours.bright, colours.middle, colours.bright, colours.deep)[number % 4]
        x = MARGIN + number * (width + gap)
        round_ends = f' rx="{width / 2:.1f}"'
        shapes.append(_rect(x, height - length, width, length + width, fill, round_ends))
    return shapes


def _moon(chance: random.Random, colours: Palette, height: int) -> Shapes:
    x, radius = chance.uniform(120, 290), chance.uniform(88, 122)
    y = height * chance.uniform(0.36, 0.46)
    stars = (
        (chance.uniform(8, 392), chance.uniform(8, height * 0.7), chance.uniform(1, 2.6))
        for _ in range(26)
    )
    shapes = [
        _rect(0, 0, WIDTH, height, colours.deep),
        *(_circle(*star, colours.ink) for star in stars),
        _circle(x, y, radius, colours.bright),
    ]
    for number, fill in enumerate((colours.middle, colours.ground)):
        top = height * (0.66 + number * 0.16)
        lift = chance.uniform(26, 60) * chance.choice((1, -1))
        wave = (
            f"M0 {top:.1f}C130 {top - lift:.1f} 270 {top + lift:.1f} 400 {top - lift / 3:.1f}"
            f"V{height + 4}H0Z"
        )
        shapes.append(_path(wave, fill))
    return shapes


def _rays(chance: random.Random, colours: Palette, height: int) -> Shapes:
    x, y = chance.uniform(60, 340), height * chance.uniform(0.55, 0.95)
    shapes = [_rect(0, 0, WIDTH, height, colours.deep)]
    rays = chance.choice((18, 22, 26))
    turn = chance.uniform(0, 1)
    for number in range(rays):
        start = math.tau * (number + turn) / rays
        end = start + math.pi / rays
        fill = colours.bright if number % 2 else colours.middle
        far = 800
        shapes.append(
            _path(
                f"M{x:.1f} {y:.1f}L{x + far * math.cos(start):.1f} {y + far * math.sin(start):.1f}"
                f"L{x + far * math.cos(end):.1f} {y + far * math.sin(end):.1f}Z",
                fill,
            )
        )
    return [*shapes, _circle(x, y, 74, colours.ground), _circle(x, y, 46, colours.ink)]


def _steps(chance: random.Random, colours: Palette, height: int) -> Shapes:
    shapes = [_rect(0, 0, WIDTH, height, colours.middle)]
    count = chance.choice((5, 6, 7))
    is_rising = chance.random() < 0.5
    width, rise = WIDTH / count, height / (count + 1)
    for number in range(count):
        level = number + 1 if is_rising else count - number
        top = height - level * rise
        fill = (colours.deep, colours.bright)[number % 2]
        shapes.append(_rect(number * width, top, width + 0.5, height - top, fill))
    x = width * (0.9 if is_rising else count - 0.9)
    return [*shapes, _circle(x, height * 0.3, height * 0.17, colours.ink)]


COMPOSITIONS: tuple[Callable[[random.Random, Palette, int], Shapes], ...] = (
    _record,
    _moon,
    _tiles,
    _spotlights,
    _sound,
    _rays,
    _steps,
)
