"""`make screenshots`: a stack of its own, its scenes set, and a camera."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Page as Tab
from rich.console import Console

from apps.core.commands import file_path, progress_bars
from dev.browser import NAMES, find_browser, open_browser
from dev.screenshots.catalogue import PICTURES, path_of
from dev.screenshots.pictures import SIZES, Picture, Scene, Spot, Stage
from dev.screenshots.staff import KEPT
from dev.stack.stack import ROOT
from dev.stack.throwaway import exit_when_it_fails, running_stack

SETTINGS = {"RATE_LIMIT_ENABLED": "0", "LOG_LEVEL": "ERROR"}
QUALITY = 80
HEIGHT_MAX = 1600  # px; the rest of a longer page is left out
PATIENCE = 20_000  # ms
LOCALES = {"en": "en-GB", "ko": "ko-KR"}


class PictureFailed(Exception):
    """A page is not what its picture should show. The message is for people."""


def main(arguments: Sequence[str]) -> int:
    """Return 0 if there are the pictures, 1 if not."""
    options = _parser().parse_args(arguments)
    wanted = [picture for picture in PICTURES if not options.only or picture.name in options.only]
    console = Console(highlight=False)
    browser_path = find_browser()
    if browser_path is None:
        console.print(f"[bold red]✗[/] There is no browser: install one of {', '.join(NAMES)}.")
        return 1
    started_at = time.monotonic()
    with exit_when_it_fails(console, PictureFailed, BrowserError):
        options.output.mkdir(parents=True, exist_ok=True)  # first: a refusal should come early
        with _stage(console) as stage, open_browser(browser_path) as browser:
            sizes = _take_pictures(wanted, stage, browser, options.output)
    console.print(
        f"[green]✓[/] {len(wanted)} pictures, {sum(sizes) / 1e6:.1f} MB, in {options.output}, "
        f"{time.monotonic() - started_at:.0f} s",
        soft_wrap=True,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dev.screenshots",
        description=(
            "Take pictures of every page of the storefront, as a phone and as a desktop show it, and of every page "
            "of staff, on a desktop and on a tablet, with the demo's data. Starts a stack of its own and throws it away; no running stack is touched. "
            "Needs Chromium."
        ),
        epilog="Names: " + ", ".join(picture.name for picture in PICTURES),
    )
    parser.add_argument(
        "--output",
        type=file_path,
        default=ROOT / "docs" / "screenshots",
        metavar="FOLDER",
        help="where to write NAME.jpg, and staff/NAME.jpg; others stay (default: docs/screenshots)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[picture.name for picture in PICTURES],
        metavar="NAME",
        help="only these pictures",
    )
    return parser


@contextmanager
def _stage(console: Console) -> Iterator[Stage]:
    """Set the scenes on a stack that is gone afterwards.

    :raises ServerFailed, ChildFailed, TimeoutError: it did not come to that.
    """
    with running_stack("screenshots", SETTINGS) as stack:
        from dev.screenshots.stage import set_stage

        with console.status("Scenes ..."):
            started_at = time.monotonic()
            stage = set_stage(stack.environment["BASE_URL"])
        console.print(f"[green]✓[/] Scenes  [dim]{time.monotonic() - started_at:.1f} s[/]")
        yield stage


def _take_pictures(
    pictures: Sequence[Picture], stage: Stage, browser: Browser, folder: Path
) -> list[int]:
    """Return how large each is, in bytes."""
    sizes = []
    with progress_bars() as progress:
        task = progress.add_task("Pictures", total=len(pictures))
        for picture in pictures:
            progress.update(task, description=picture.name)
            taken = _take(picture, stage, browser)
            file = folder / path_of(picture)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(taken)
            sizes.append(len(taken))
            progress.advance(task)
        progress.update(task, description="Pictures")
    return sizes


def _take(picture: Picture, stage: Stage, browser: Browser) -> bytes:
    """:raises PictureFailed, BrowserError: the page is not what it should be."""
    scene, look = picture.scene, picture.look
    key = stage.key_of(picture)
    with browser.new_context(
        **SIZES[look.size],
        base_url=stage.base_url,
        color_scheme=look.scheme,
        locale=LOCALES[look.language],
        reduced_motion="reduce",
        device_scale_factor=1,
    ) as context:
        context.set_default_timeout(PATIENCE)
        context.add_cookies(stage.cookies[scene.visitor])
        tab = context.new_page()
        problems: list[str] = []
        tab.on("pageerror", lambda error: problems.append(str(error)))
        answer = tab.goto(stage.paths[key])
        if answer is None or answer.status != scene.status:
            raise PictureFailed(f"{picture.name}: {tab.url} answered {answer and answer.status}.")
        _fill_in(tab, scene)
        tab.locator(scene.ready).first.wait_for()
        one_screen = "body" if picture.name in KEPT else picture.screen_top
        if scene.is_of_staff and not one_screen:
            _stretch(tab)
        _choose(tab, stage.chosen.get(key, []), by_finger=look.size == "phone")
        taken = _expose(tab, screen_top=one_screen)
        if problems:
            raise PictureFailed(f"{picture.name}: {problems[0]}")
        return taken


def _fill_in(tab: Tab, scene: Scene) -> None:
    """Fill in a form as the scene says, and send it."""
    for selector, text in scene.typed:
        field = tab.locator(selector)
        if field.get_attribute("type") in ("checkbox", "radio"):
            field.check()
            continue
        if not field.is_visible():  # folded away
            tab.locator("details", has=field).locator("summary").click()
        field.fill(text)
    if scene.pressed:
        tab.locator(scene.pressed).first.click()
        tab.wait_for_load_state()


def _stretch(tab: Tab) -> None:
    """Make the window as high as the page, which has bars at the bottom of the window."""
    height = tab.evaluate("document.documentElement.scrollHeight")
    shown = tab.viewport_size
    assert shown is not None
    tab.set_viewport_size(
        {"width": shown["width"], "height": min(max(height, shown["height"]), HEIGHT_MAX)}
    )


def _choose(tab: Tab, spots: Sequence[Spot], *, by_finger: bool) -> None:
    """Choose seats on the map."""
    if not spots:
        return
    press = tab.touchscreen.tap if by_finger else tab.mouse.click
    if by_finger:
        # The first tap only comes closer.
        press(*_place(tab, spots[0]))
        tab.locator(".map__view--near").wait_for()
    for number, spot in enumerate(spots, start=1):
        press(*_place(tab, spot))
        tab.locator(f".map-marks .seat-chosen >> nth={number - 1}").wait_for()
    if not by_finger:
        tab.mouse.move(0, 0)


def _place(tab: Tab, spot: Spot) -> tuple[float, float]:
    """Return where a seat is on the screen."""
    x, y = tab.evaluate(
        """([x, y]) => {
            const svg = document.querySelector(".map__svg");
            svg.scrollIntoView({ block: "center" });
            const point = new DOMPoint(x * 10 + 5, y * 10 + 5).matrixTransform(svg.getScreenCTM());
            return [point.x, point.y];
        }""",
        list(spot),
    )
    return x, y


def _expose(tab: Tab, *, screen_top: str | None) -> bytes:
    """Return the page with every image and font there: the whole of it as far as it fits, or one screen."""
    tab.evaluate(
        """async () => {
            for (const image of document.images) image.loading = "eager";
            await Promise.all([...document.images].map((image) => image.decode()));
            await document.fonts.ready;
        }"""
    )
    if screen_top is not None:
        tab.locator(screen_top).evaluate("top => scrollBy(0, top.getBoundingClientRect().top - 8)")
        return tab.screenshot(type="jpeg", quality=QUALITY, animations="disabled")
    tab.evaluate("window.scrollTo(0, 0)")
    width, height = tab.evaluate(
        "[document.documentElement.clientWidth, document.documentElement.scrollHeight]"
    )
    return tab.screenshot(
        type="jpeg",
        quality=QUALITY,
        full_page=True,
        animations="disabled",
        clip={"x": 0, "y": 0, "width": width, "height": min(height, HEIGHT_MAX)},
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
