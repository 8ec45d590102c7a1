"""Staff paint a hall in a real browser; customers see what kind of seats there are."""

import re
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.boxoffice.roles import BOX_OFFICE
from apps.concerts.models import Performance, SeatKind
from apps.reservations.models import Hold
from tests.browser.conftest import OpenMap, StartVisit
from tests.browser.seat_map import CHECKOUT, seat
from tests.browser.staff import staff_of
from tests.factories.accounts import CustomerFactory
from tests.factories.reservations import reservation

MARGIN, LARGEST = 12, 48  # px, as in picture.js


@pytest.fixture
def boss(transactional_db: None) -> User:
    return staff_of(BOX_OFFICE, "Jun Park")


def url_of(performance: Performance) -> str:
    return reverse("admin:concerts_performance_paint", args=[performance.pk])


def open_painting(visit: StartVisit, boss: User, performance: Performance) -> Page:
    return visit("desktop", boss).open(url_of(performance))


def chosen(page: Page) -> Any:
    return page.locator('[data-slot="chosen"]')


def place_of(page: Page, performance: Performance, name: str) -> tuple[float, float, float]:
    """Return where the canvas shows the middle of a seat while all of the hall is seen, and how wide it is, in px."""
    canvas = page.locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    places = performance.seats.values_list("x", "y")
    (left, right), (top, bottom) = ((min(of), max(of)) for of in zip(*places, strict=True))
    wide, high = right - left + 1, bottom - top + 1
    width, height = box["width"] - 2, box["height"] - 2  # without its border
    scale = min((width - 2 * MARGIN) / wide, (height - 2 * MARGIN) / high, LARGEST)
    wanted = seat(performance, name)
    x = box["x"] + 1 + width / 2 + (wanted.x + 0.5 - left - wide / 2) * scale
    y = box["y"] + 1 + height / 2 + (wanted.y + 0.5 - top - high / 2) * scale
    return x, y, scale


def draw_around(page: Page, performance: Performance, first: str, last: str) -> None:
    x, y, side = place_of(page, performance, first)
    to_x, to_y, _ = place_of(page, performance, last)
    corners = [
        (x - side / 2, y - side / 2),
        (to_x + side / 2, y - side / 2),
        (to_x + side / 2, to_y + side / 2),
        (x - side / 2, to_y + side / 2),
    ]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=4)
    page.mouse.up()


def change(page: Page, to: str) -> None:
    page.get_by_label("Change to").select_option(label=to)
    page.get_by_label("Reason").fill("Guests of the band")
    page.get_by_role("button", name="Change these seats").click()


class TestPainting:
    def test_seats_that_are_drawn_around_are_kept_back_but_for_a_sold_one(
        self, visit: StartVisit, boss: User, performance: Performance
    ) -> None:
        reservation(CustomerFactory(), [seat(performance, "Floor A A-2")])
        page = open_painting(visit, boss, performance)
        expect(chosen(page)).to_have_text("No seats chosen")

        draw_around(page, performance, "Floor A A-1", "Floor A B-4")
        expect(chosen(page)).to_have_text("Seats chosen: 7")
        change(page, "House")

        expect(page.get_by_text("7 seats changed.")).to_be_visible()
        kept = performance.seats.filter(is_blocked=True)
        assert {(kept_seat.row, kept_seat.number) for kept_seat in kept} == {
            (row, number) for row in "AB" for number in (1, 2, 3, 4)
        } - {("A", 2)}
        expect(page.locator(".painting-counts tbody tr").nth(1)).to_have_text(
            re.compile(r"House\s+7")
        )

    def test_a_click_takes_a_seat_a_row_or_a_section(
        self, visit: StartVisit, boss: User, performance: Performance
    ) -> None:
        page = open_painting(visit, boss, performance)

        def click(name: str) -> None:
            page.mouse.click(*place_of(page, performance, name)[:2])

        click("Floor A A-1")
        expect(chosen(page)).to_have_text("Seats chosen: 1")
        page.get_by_label("Whole rows").check()
        click("Floor B A-3")
        expect(chosen(page)).to_have_text("Seats chosen: 7")
        page.get_by_label("Whole sections").check()
        click("Floor A B-6")
        expect(chosen(page)).to_have_text("Seats chosen: 18")
        click("Floor A B-6")
        expect(chosen(page)).to_have_text("Seats chosen: 6")
        page.get_by_role("button", name="Clear the choice").click()
        expect(chosen(page)).to_have_text("No seats chosen")

    def test_the_keyboard_alone_names_seats_where_the_map_does_not_come(
        self, visit: StartVisit, boss: User, performance: Performance
    ) -> None:
        made = visit("desktop", boss, expects="Failed to load resource")
        made.context.route("**/concerts/painting*", lambda route: route.abort())
        page = made.open(url_of(performance))

        page.get_by_label("Section", exact=True).select_option("Floor B")
        page.locator("#id_rows").fill("A")
        page.get_by_label("Seat numbers").fill("1-2")
        page.get_by_label("Change to").select_option(label="wheelchair space")
        page.get_by_label("Reason").fill("Ramp")
        page.get_by_label("Reason").press("Enter")

        expect(page.get_by_text("2 seats changed.")).to_be_visible()
        spaces = performance.seats.filter(kind=SeatKind.WHEELCHAIR)
        assert [str(space) for space in spaces.order_by("pk")] == ["Floor B A-1", "Floor B A-2"]


class TestKindsOnTheMap:
    @pytest.fixture(autouse=True)
    def kinds(self, performance: Performance) -> None:
        front = performance.seats.filter(section="Floor B", row="A")
        front.filter(number=1).update(kind=SeatKind.WHEELCHAIR)
        front.filter(number=2).update(kind=SeatKind.COMPANION)

    def test_are_told_in_words_and_signs_and_can_be_looked_for(
        self, open_map: OpenMap, performance: Performance
    ) -> None:
        page = open_map()

        expect(page.locator(".legend--wide")).to_contain_text("wheelchair space")
        assert page.locator(".map-signs path").count() == 4
        page.get_by_text("Choose from a list instead").click()
        page.get_by_label("Show", exact=True).select_option("WHEELCHAIR")
        page.locator(".seat-list__part > summary", has_text="Floor B").click()
        page.locator(".seat-list__part summary", has_text="Row A").last.click()
        buttons = page.locator(".seat-button:visible")
        expect(buttons).to_have_count(1)
        expect(buttons).to_have_accessible_name(
            "Floor B, row A, seat 1, R, ₩99,000, wheelchair space, free"
        )

    def test_a_wheelchair_space_comes_with_the_best_seats_when_asked_for(
        self, open_map: OpenMap, performance: Performance
    ) -> None:
        page = open_map()

        page.get_by_label("Seats", exact=True).select_option("2")
        page.get_by_label("With a wheelchair space").check()
        page.get_by_role("button", name="Hold the best seats").click()
        page.wait_for_url(CHECKOUT)

        held = Hold.objects.get().claims.order_by("seat")
        assert [str(claim.seat) for claim in held] == ["Floor B A-1", "Floor B A-2"]
