"""The seat map in a real browser."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import LazySettings
from playwright.sync_api import Locator, Page, expect

from apps.accounts.models import User
from apps.concerts.layouts import SectionLayout
from apps.concerts.models import Grade, Performance, Seat
from apps.concerts.services import create_performance
from apps.queue.services import remove_visitor
from apps.reservations.models import Hold, Reservation
from tests.factories.accounts import CustomerFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, reservation
from tests.storefront.browser.conftest import StartVisit, Visit, admit

CHECKOUT = re.compile("/checkout/")
SEATS = re.compile(r"/seats/\d+/$")
HALL = (
    SectionLayout(name="Floor A", rows=2, seats_per_row=6, grade=Grade.VIP, price=165_000),
    SectionLayout(name="Floor B", rows=2, seats_per_row=6, grade=Grade.R, price=99_000),
)


@pytest.fixture
def performance(transactional_db: None) -> Performance:
    """Twelve dear seats beside twelve others, two for each customer."""
    concert = WaitingRoomFactory(concert__seats_per_customer=2).concert
    return create_performance(
        concert_id=concert.pk,
        starts_at=concert.sales_open_at + timedelta(days=40),
        layout=HALL,
    )


@pytest.fixture
def customer(transactional_db: None) -> User:
    customer: User = WalletFactory(balance=500_000).customer
    return customer


def seat(performance: Performance, section: str, row: str, number: int) -> Seat:
    found: Seat = Seat.objects.get(performance=performance, section=section, row=row, number=number)
    return found


def enter(visit: Visit, performance: Performance) -> Page:
    """Through the waiting room to a map that is ready."""
    page = visit.open(f"/concerts/{performance.concert_id}/")
    page.get_by_role("button", name="Join the queue").click()
    page.wait_for_url(re.compile("/queue/$|/seats/"))
    admit(performance.concert)
    page.wait_for_url(SEATS)
    expect(page.locator("#seats[data-ready]")).to_be_visible()
    return page


def click_seat(page: Page, chosen: Seat) -> None:
    """With the mouse, where the map shows it."""
    page.mouse.click(*place_of(page, chosen)[:2])


def place_of(page: Page, chosen: Seat) -> tuple[float, float, float]:
    """Where the map shows the middle of a seat, and how wide, in px; the map comes into view first."""
    x, y, width = page.evaluate(
        """([x, y]) => {
            const svg = document.querySelector('.map__svg');
            svg.scrollIntoView({block: 'center'});
            const matrix = svg.getScreenCTM();
            const point = new DOMPoint(x * 10 + 5, y * 10 + 5).matrixTransform(matrix);
            return [point.x, point.y, matrix.a * 10];
        }""",
        [chosen.x, chosen.y],
    )
    return x, y, width


def pinch(page: Page, x: float, y: float, *, apart: tuple[int, int]) -> None:
    """Two fingers beside a point, as many px apart as `apart` says at first and in the end."""
    first, last = apart
    device = page.context.new_cdp_session(page)

    def touch(kind: str, distance: float | None) -> None:
        fingers = [] if distance is None else [(0, x - distance / 2), (1, x + distance / 2)]
        points = [{"id": finger, "x": at, "y": y} for finger, at in fingers]
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", first)
    for step in range(1, 6):
        touch("touchMove", first + (last - first) * step / 5)
    touch("touchEnd", None)


def tray(page: Page) -> Locator:
    return page.locator("#hold")


class TestChoosing:
    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_on_the_map_fills_the_tray(
        self, visit: StartVisit, performance: Performance, customer: User, size: str
    ) -> None:
        page = enter(visit(size, customer), performance)

        click_seat(page, seat(performance, "Floor A", "A", 3))
        click_seat(page, seat(performance, "Floor B", "B", 1))

        expect(tray(page).get_by_role("listitem")).to_have_count(2)
        expect(tray(page)).to_contain_text("Floor A, row A, seat 3")
        expect(tray(page)).to_contain_text("₩264,000")

        click_seat(page, seat(performance, "Floor B", "B", 2))
        expect(tray(page).get_by_role("alert")).to_have_text("You may choose up to 2 seats.")
        click_seat(page, seat(performance, "Floor B", "B", 1))
        expect(tray(page).get_by_role("listitem")).to_have_count(1)
        tray(page).get_by_role("button", name="Remove Floor A, row A, seat 3").click()
        expect(tray(page).get_by_role("button", name="Hold these seats")).to_be_disabled()

    def test_in_the_list_is_the_same(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        reservation(CustomerFactory(), [seat(performance, "Floor A", "A", 2)])
        page = enter(visit("phone", customer), performance)

        page.get_by_text("Choose from a list instead").click()
        page.get_by_text("Floor A 11 free").click()
        page.get_by_text("Row A 5 free").click()
        page.get_by_role("button", name="Floor A, row A, seat 1, VIP, ₩165,000, free").click()

        expect(
            page.get_by_role("button", name="Floor A, row A, seat 1,", pressed=True)
        ).to_be_visible()
        expect(page.get_by_role("button", name="seat 2, VIP, ₩165,000, taken")).to_be_disabled()
        expect(tray(page)).to_contain_text("Floor A, row A, seat 1")
        assert page.locator(".map-marks .seat-chosen").count() == 1

    def test_the_best_available_needs_no_map(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        page = enter(visit("desktop", customer), performance)

        page.get_by_label("Seats", exact=True).select_option("2")
        page.get_by_label("Grade").select_option("R")
        page.get_by_role("button", name="Hold the best seats").click()

        page.wait_for_url(CHECKOUT)
        held = Hold.objects.get(customer=customer)
        assert set(held.claims.values_list("seat__grade", flat=True)) == {"R"}

    def test_zoom_and_pan_lead_to_the_same_seats(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        page = enter(visit("desktop", customer), performance)
        box = page.locator("#map").bounding_box()
        assert box

        page.get_by_role("button", name="Zoom in").click()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.wheel(0, -200)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2, steps=4)
        page.mouse.up()
        page.wait_for_timeout(100)
        expect(tray(page).get_by_role("listitem")).to_have_count(0)
        click_seat(page, seat(performance, "Floor A", "B", 6))

        expect(tray(page)).to_contain_text("Floor A, row B, seat 6")

    def test_two_fingers_zoom_in_on_what_is_between_them(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        page = enter(visit("phone", customer), performance)
        wanted = seat(performance, "Floor A", "A", 1)
        x, y, width = place_of(page, wanted)

        pinch(page, x, y, apart=(60, 120))
        page.wait_for_timeout(100)

        now_x, now_y, now_width = place_of(page, wanted)
        assert 1.8 < now_width / width < 2.2
        # What is under the fingers stays there; upwards this hall is lower than its view, which keeps it in the middle.
        assert abs(now_x - x) < width
        expect(tray(page).get_by_role("listitem")).to_have_count(0)
        page.touchscreen.tap(now_x, now_y)
        expect(tray(page)).to_contain_text("Floor A, row A, seat 1")


class TestRivals:
    def test_the_slower_of_two_learns_it_at_once_and_keeps_the_rest(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        wanted, other = (seat(performance, "Floor A", "A", number) for number in (1, 2))
        faster = enter(visit("phone", WalletFactory(balance=500_000).customer), performance)
        visitor = visit("desktop", customer)
        visitor.expect("409")
        slower = enter(visitor, performance)
        # What the poll would tell comes too late for this one.
        visitor.context.route("**/availability/", lambda route: route.abort())
        visitor.expect("ERR_FAILED")

        for page in (faster, slower):
            click_seat(page, wanted)
        click_seat(slower, other)
        faster.get_by_role("button", name="Hold these seats").click()
        faster.wait_for_url(CHECKOUT)
        slower.get_by_role("button", name="Hold these seats").click()

        expect(tray(slower).get_by_role("alert")).to_have_text(
            "Another customer was faster: Floor A, row A, seat 1 is taken."
        )
        expect(tray(slower).get_by_role("listitem")).to_have_count(1)
        expect(tray(slower)).to_contain_text("Floor A, row A, seat 2")
        expect(slower.locator(".seat-held.seat")).to_have_count(1)
        slower.get_by_role("button", name="Hold these seats").click()
        slower.wait_for_url(CHECKOUT)

    def test_a_chosen_seat_that_goes_is_seen_within_seconds(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        wanted = seat(performance, "Floor B", "B", 4)
        page = enter(visit("desktop", customer), performance)
        click_seat(page, wanted)
        expect(tray(page).get_by_role("listitem")).to_have_count(1)

        reservation(CustomerFactory(), [wanted])

        expect(tray(page).get_by_role("alert")).to_contain_text("Another customer was faster")
        expect(tray(page).get_by_role("listitem")).to_have_count(0)
        expect(page.locator("[aria-current] .date__left")).to_have_text("23 seats left")

    def test_own_seats_are_shown_as_such(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        hold(customer, [seat(performance, "Floor A", "A", 1)])

        page = enter(visit("desktop", customer), performance)

        expect(page.get_by_text("You hold 1 seat until")).to_be_visible()
        expect(page.locator("#map .seat-mine")).to_have_count(1)
        page.get_by_role("link", name="Go to the checkout").click()
        page.wait_for_url(CHECKOUT)


class TestKeyboard:
    def test_leads_from_the_map_to_the_ticket(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        page = enter(visit("desktop", customer), performance)
        says = page.locator('[data-slot="news"]')

        tab_to(page, page.locator("#map"))
        expect(says).to_contain_text("row A")
        page.keyboard.press("Home")
        expect(says).to_have_text("Floor A, row A, seat 1, VIP, ₩165,000, free")
        for _ in range(6):
            page.keyboard.press("ArrowRight")
        expect(says).to_have_text("Floor B, row A, seat 1, R, ₩99,000, free")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
        expect(says).to_have_text("Floor B, row B, seat 1, R, ₩99,000, chosen")
        page.keyboard.press("+")
        page.keyboard.press("Escape")
        expect(page.locator(".map-ring")).to_be_hidden()

        tab_to(page, page.get_by_role("button", name="Hold these seats"))
        page.keyboard.press("Enter")
        page.wait_for_url(CHECKOUT)
        tab_to(page, page.get_by_role("button", name=re.compile("^Pay ")))
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("/reservations/"))

        booked = Reservation.objects.get(customer=customer)
        assert [str(ticket.seat) for ticket in booked.tickets.all()] == ["Floor B B-1"]


class TestTime:
    def test_the_end_of_the_lease_is_told_and_leads_back(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("phone", customer)
        visitor.expect("403")
        visitor.context.clock.install()
        page = enter(visitor, performance)
        # The countdown alone is to find out.
        visitor.context.route("**/availability/", lambda route: route.abort())
        visitor.expect("ERR_FAILED")

        visitor.context.clock.fast_forward(301_000)
        expect(page.locator("#lease")).to_contain_text(re.compile(r"4:5\d|5:00"))
        remove_visitor(concert_id=performance.concert_id, customer_id=customer.pk, staff_id=None)
        visitor.context.clock.fast_forward(301_000)

        over = page.get_by_role("dialog", name="Your turn is over")
        expect(over).to_be_visible()
        over.get_by_role("link", name="Back to the waiting room").click()
        expect(page.get_by_role("button", name="Join the queue again")).to_be_visible()

    def test_a_hold_that_expires_at_the_checkout_explains_itself(
        self,
        visit: StartVisit,
        performance: Performance,
        customer: User,
        settings: LazySettings,
    ) -> None:
        settings.HOLD_TIME = timedelta(seconds=3)
        page = enter(visit("phone", customer), performance)
        click_seat(page, seat(performance, "Floor A", "A", 3))
        page.get_by_role("button", name="Hold these seats").click()
        page.wait_for_url(CHECKOUT)

        expect(page.get_by_role("heading", name="The time to pay is over")).to_be_visible()
        page.get_by_role("link", name="Choose seats again").click()

        page.wait_for_url(SEATS)
        assert not Reservation.objects.exists()


def tab_to(page: Page, target: Locator) -> None:
    """By the Tab key alone."""
    is_focused: Callable[[], bool] = lambda: bool(  # noqa: E731
        target.evaluate("element => element === document.activeElement")
    )
    for _ in range(60):
        if is_focused():
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached by Tab")
