"""The page of the seat map as its visitor uses it. Seats are named as they are printed: `Floor A B-3`."""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta

from playwright.sync_api import Locator, Page, Route, expect

from apps.concerts.layouts import SectionLayout
from apps.concerts.models import Concert, Grade, Performance, Seat
from apps.concerts.services import create_performance
from tests.browser.waiting import admit

CHECKOUT = re.compile("/checkout/")
SEATS = re.compile(r"/seats/(\d+)/$")
AVAILABILITY = "**/availability/"
HALL = (
    SectionLayout(name="Floor A", rows=2, seats_per_row=6, grade=Grade.VIP, price=165_000),
    SectionLayout(name="Floor B", rows=2, seats_per_row=6, grade=Grade.R, price=99_000),
)


def add_date(
    concert: Concert, *, days: int = 0, layout: Sequence[SectionLayout] = HALL
) -> Performance:
    """Add a date, so many days after the first one: twelve dear seats beside twelve others."""
    starts_at = concert.sales_open_at + timedelta(days=40 + days)
    return create_performance(concert_id=concert.pk, starts_at=starts_at, layout=layout)


def seat(performance: Performance, name: str) -> Seat:
    section, _, place = name.rpartition(" ")
    row, number = place.split("-")
    return performance.seats.get(section=section, row=row, number=number)


def be_admitted(page: Page, concert: Concert) -> None:
    """Lead a page through the waiting room."""
    page.goto(f"/concerts/{concert.pk}/")
    page.locator('form[action$="/queue/"] button').click()
    page.wait_for_url(re.compile("/queue/$|/seats/"))
    admit(concert)
    page.wait_for_url(re.compile("/seats/"))


def await_map(page: Page) -> None:
    page.wait_for_url(SEATS)
    expect(page.locator("#seats[data-ready]")).to_be_visible()


def click_seats(page: Page, *names: str) -> None:
    """Click with the mouse, where the map shows them."""
    for name in names:
        page.mouse.click(*place_of(page, name)[:2])


def place_of(page: Page, name: str) -> tuple[float, float, float]:
    """Return where the map shows the middle of a seat, and how wide, in px; the map comes into view first."""
    shown = SEATS.search(page.url)
    assert shown
    wanted = seat(Performance.objects.get(pk=shown[1]), name)
    x, y, width = page.evaluate(
        """([x, y]) => {
            const svg = document.querySelector('.map__svg');
            svg.scrollIntoView({block: 'center'});
            const matrix = svg.getScreenCTM();
            const point = new DOMPoint(x * 10 + 5, y * 10 + 5).matrixTransform(matrix);
            return [point.x, point.y, matrix.a * 10];
        }""",
        [wanted.x, wanted.y],
    )
    return x, y, width


def tray(page: Page) -> Locator:
    return page.locator("#hold")


def open_tray(page: Page) -> None:
    """Unfold the list of what was chosen, where it is folded."""
    button = tray(page).locator('[data-slot="open"]')
    if button.is_visible():
        button.click()


def chosen(page: Page) -> Locator:
    return tray(page).get_by_role("listitem")


def alert(page: Page) -> Locator:
    return tray(page).get_by_role("alert")


def hold_button(page: Page) -> Locator:
    return tray(page).get_by_role("button", name="Hold these seats")


def news(page: Page) -> Locator:
    """Return what a screen reader is told."""
    return page.locator('[data-slot="news"]')


def without_news(page: Page) -> None:
    """Keep away what the poll would tell about seats; the console says ERR_FAILED."""
    page.context.route(AVAILABILITY, lambda route: route.abort())


def answer_holds(page: Page, answer: Callable[[Route], None]) -> None:
    """Answer the forms of the seat map, until it is unrouted."""
    page.context.route(
        SEATS,
        lambda route: answer(route) if route.request.method == "POST" else route.fallback(),
    )
