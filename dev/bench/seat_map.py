"""Measure how soon a seat map can be used, and how it moves, in a browser.

    make bench-seat-map                      3 halls, each opened 11 times in turn
    make bench-seat-map ARGS="--repeats 3"

A throw-away stack sells three halls in which every third seat is taken. Each opening is by a browser that has never been there:
what is measured is the time from the navigation to the moment at which the map takes clicks and keys, and then how long frames
take while it is zoomed and moved by the wheel. The smallest hall is the baseline: what the page costs whatever the hall.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser
from playwright.sync_api import Error as BrowserError
from rich.console import Console

from apps.core.commands import progress_bars, whole_number
from dev.bench.markdown import table
from dev.browser import NAMES, find_browser, open_browser
from dev.screenshots.pictures import SIZES
from dev.stack.throwaway import exit_when_it_fails, running_stack
from dev.tool import parser_of

SETTINGS = {"RATE_LIMIT_ENABLED": "0", "LOG_LEVEL": "ERROR"}
HALLS = (50, 5_000, 50_000)  # seats; the first is the baseline
BOUNDED, BOUND = 5_000, 1_500.0  # ms within which that hall has to be ready
FRAMES = 60

MOVE = """async (frames) => {
  const view = document.getElementById("map");
  const box = view.getBoundingClientRect();
  const at = { clientX: box.x + box.width / 3, clientY: box.y + box.height / 2, bubbles: true, cancelable: true };
  const kinds = [{ deltaY: -30, ctrlKey: true }, { deltaY: 80, shiftKey: true }, { deltaY: 120 }];
  const lengths = [];
  let before = await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < frames; frame += 1) {
    view.dispatchEvent(new WheelEvent("wheel", { ...at, ...kinds[Math.floor((frame * kinds.length) / frames)] }));
    const now = await new Promise(requestAnimationFrame);
    lengths.push(now - before);
    before = now;
  }
  return lengths;
}"""
DATA = """performance.getEntriesByType("resource")
  .filter(({ name }) => /\\/(map|availability)\\//.test(name))
  .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)"""


@dataclass(slots=True)
class Hall:
    """Times are in milliseconds, one for each opening or frame."""

    seats: int
    path: str
    cookies: list[Any]
    ready: list[float] = field(default_factory=list)
    frames: list[float] = field(default_factory=list)
    data: int = 0  # bytes, compressed


def main(arguments: Sequence[str]) -> int:
    """Return 1 if the bounded hall was too slow, or there is no browser."""
    repeats = _parser().parse_args(arguments).repeats
    browser_path = find_browser()
    if browser_path is None:
        sys.stderr.write(f"There is no browser: install one of {', '.join(NAMES)}.\n")
        return 1
    with (
        exit_when_it_fails(Console(stderr=True), BrowserError),
        running_stack("seat-map", SETTINGS) as stack,
    ):
        base_url = stack.environment["BASE_URL"]
        halls = _sell_halls(base_url)
        with open_browser(browser_path) as browser, progress_bars() as progress:
            task = progress.add_task("Openings", total=repeats * len(halls))
            for _ in range(repeats):
                for hall in halls:
                    _open(browser, base_url, hall)
                    progress.advance(task)
            version = browser.version
    bounded = next(hall for hall in halls if hall.seats == BOUNDED)
    Console(highlight=False).print(_report(halls, version), markup=False, soft_wrap=True)
    return 0 if statistics.median(bounded.ready) < BOUND else 1


def _sell_halls(base_url: str) -> list[Hall]:
    from apps.concerts.inventory import SEATS_AT_ONCE, allocate_seats
    from apps.concerts.models import InventoryCategory
    from dev.demo.loadtest import prepare_load_test
    from dev.stack.visitors import admitted_cookies

    house = InventoryCategory.objects.get(code=InventoryCategory.Code.HOUSE)
    halls = []
    for seats in HALLS:
        made = prepare_load_test(customers=1, seats=seats, capacity=1, seats_per_customer=4)
        third = made.seat_ids[::3]
        for first in range(0, len(third), SEATS_AT_ONCE):
            allocate_seats(
                performance_id=made.performance_id,
                seat_ids=third[first : first + SEATS_AT_ONCE],
                category_id=house.pk,
                reason="Taken",
                staff_id=None,
            )
        halls.append(
            Hall(
                seats,
                f"/concerts/{made.concert_id}/seats/{made.performance_id}/",
                admitted_cookies(base_url, made.concert_id, made.customers[0].user_id),
            )
        )
    return halls


def _open(browser: Browser, base_url: str, hall: Hall) -> None:
    with browser.new_context(**SIZES["desktop"], base_url=base_url) as context:
        context.add_cookies(hall.cookies)
        page = context.new_page()
        page.goto(hall.path)
        page.locator("#seats[data-ready]").wait_for()
        marks = "performance.getEntriesByName('seats-interactive')"
        hall.ready.append(page.evaluate(f"{marks}[0].startTime"))
        hall.frames += page.evaluate(MOVE, FRAMES)
        hall.data = page.evaluate(DATA)


def _report(halls: Sequence[Hall], version: str) -> str:
    """Return Markdown."""
    baseline = halls[0]
    rows = []
    for hall in halls:
        ratio = statistics.median(
            ready / base for ready, base in zip(hall.ready, baseline.ready, strict=True)
        )
        within = statistics.quantiles(hall.frames, n=20)[-1]
        rows.append(
            f"{hall.seats:,} | {statistics.median(hall.ready):.0f} | {max(hall.ready):.0f} | {ratio:.2f} "
            f"| {statistics.median(hall.frames):.1f} | {within:.1f} | {hall.data / 1000:.0f}"
        )
    headings = "seats | ready: ms | slowest | × the smallest | frame: ms | 95 % within | data: kB"
    openings = f"{len(baseline.ready)} openings of each hall in turn, {os.cpu_count()} cores."
    return "\n".join((f"Chromium {version}, {openings}\n", *table(headings, "r" * 7, rows)))


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("make bench-seat-map", __doc__)
    parser.add_argument(
        "--repeats",
        type=whole_number(1, 100),
        default=11,
        metavar="N",
        help="how often each hall is opened (default: 11)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
