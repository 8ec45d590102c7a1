"""The live picture of a hall, in a real browser: it follows what customers do. Seats are sold from it in `test_staff_tasks.py`."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from apps.accounts.models import User
from apps.boxoffice.roles import BOX_OFFICE
from apps.concerts.models import Performance, Seat
from tests.browser.conftest import Work
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import hold

HALL = "/admin/reservations/reservation/seats/{}/"


@pytest.fixture
def performance(transactional_db: None) -> Performance:
    made: Performance = PerformanceFactory(seats=6, concert__seats_per_customer=4)
    return made


@pytest.fixture
def seats(performance: Performance) -> list[Seat]:
    return list(performance.seats.order_by("pk"))


@pytest.fixture
def hall(work: Work, performance: Performance) -> Page:
    page = work(BOX_OFFICE)
    page.goto(HALL.format(performance.pk))
    expect(page.locator(".picture__frame")).to_be_visible()
    return page


def click_seat(page: Page, seat: Seat) -> None:
    """Click where the seat is drawn."""
    drawing: Locator = page.locator(".picture__drawing")
    place = drawing.evaluate(
        "(svg, [x, y]) => { const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());"
        " const box = svg.getBoundingClientRect(); return [at.x - box.x, at.y - box.y]; }",
        [seat.x + 0.4, seat.y + 0.4],
    )
    drawing.click(position={"x": place[0], "y": place[1]})


def test_follows_what_customers_do(hall: Page, seats: list[Seat]) -> None:
    held = hall.locator('[data-count="H"]')
    expect(held).to_have_text("0")

    hold(CustomerFactory(name="Max Stone"), seats[:2])

    expect(held).to_have_text("2")
    expect(
        hall.get_by_role("row", name=re.compile("1 A-1")).get_by_text("Max Stone")
    ).to_be_visible()


def test_drops_a_choice_that_a_customer_takes(hall: Page, seats: list[Seat]) -> None:
    click_seat(hall, seats[1])
    click_seat(hall, seats[2])

    other: User = CustomerFactory()
    hold(other, seats[1:2])

    expect(hall.get_by_label("Choose 1 A-2")).to_have_count(0)
    expect(hall.get_by_label("Choose 1 A-3")).to_be_checked()
    expect(hall.locator("[data-choice-words]")).to_have_text("1 A-3")
