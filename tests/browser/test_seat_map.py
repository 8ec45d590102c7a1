"""The seat map in a real browser."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from playwright.sync_api import Locator, Page, Route, expect

from apps.accounts.models import User
from apps.concerts.layouts import SectionLayout
from apps.concerts.models import Grade, Performance, Seat
from apps.concerts.services import block_seats, create_performance
from apps.queue.models import WaitingRoom
from apps.queue.services import Admission, remove_visitor
from apps.reservations.models import Hold, Reservation
from apps.reservations.services import admission_to_performance, release_hold
from tests.browser.conftest import PATIENCE, StartVisit, Visit, admit
from tests.factories.accounts import CustomerFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, reservation

CHECKOUT = re.compile("/checkout/")
SEATS = re.compile(r"/seats/\d+/$")
AVAILABILITY, STATUS = "**/availability/", "**/queue/status/"
# Ten seconds of patience are half a second of these tests.
IMPATIENT = """{
    const start = setTimeout;
    window.setTimeout = (call, ms) => start(call, ms === 10_000 ? ms / 20 : ms);
}"""
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


def be_admitted(visit: Visit, performance: Performance) -> Page:
    """Through the waiting room."""
    page = visit.open(f"/concerts/{performance.concert_id}/")
    page.get_by_role("button", name="Join the queue").click()
    page.wait_for_url(re.compile("/queue/$|/seats/"))
    admit(performance.concert)
    page.wait_for_url(re.compile("/seats/"))
    return page


def enter(visit: Visit, performance: Performance) -> Page:
    """Through the waiting room to a map that is ready."""
    page = be_admitted(visit, performance)
    page.wait_for_url(SEATS)
    expect(page.locator("#seats[data-ready]")).to_be_visible()
    return page


def enter_sold_out(visit: Visit, performance: Performance) -> Page:
    """The same by the address of the date: the way in leads past a date that has no seats."""
    page = be_admitted(visit, performance)
    page.goto(f"{visit.base_url}/concerts/{performance.concert_id}/seats/{performance.pk}/")
    expect(page.locator("#seats[data-ready]")).to_be_visible()
    return page


def block_all_but(seats: Sequence[Seat]) -> None:
    others = Seat.objects.exclude(pk__in=[one.pk for one in seats])
    block_seats(seat_ids=list(others.values_list("pk", flat=True)))


def click_seat(page: Page, chosen: Seat) -> None:
    """With the mouse, where the map shows it."""
    page.mouse.click(*place_of(page, chosen)[:2])


def place_of(page: Page, chosen: Seat) -> tuple[float, float, float]:
    """Return where the map shows the middle of a seat, and how wide, in px; the map comes into view first."""
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


def await_picture(page: Page) -> None:
    """Wait until what happened before is drawn."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def await_wider(page: Page, width: float) -> None:
    """Wait until the map shows its seats wider than this, in px."""
    await_above(page, "() => document.querySelector('.map__svg').getScreenCTM().a * 10", width)


def await_above(page: Page, script: str, limit: float) -> None:
    """Wait until a figure is above a limit. Asked from here again and again, because the pages' policy forbids to evaluate text in them."""
    for _ in range(PATIENCE // 50):
        if page.evaluate(script) > limit:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{script} is {page.evaluate(script)}, not above {limit}.")


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


def pass_seconds(page: Page, seconds: int) -> None:
    """Of the page's own time, one by one: at one leap it would lose patience with an answer that is on its way."""
    for _ in range(seconds):
        page.wait_for_timeout(50)
        page.clock.run_for(1_000)


def width_of(page: Page) -> int:
    """Return how wide the page is, in px: wider than its window is sideways scrolling."""
    width: int = page.evaluate("document.documentElement.scrollWidth")
    return width


def tray(page: Page) -> Locator:
    return page.locator("#hold")


def open_tray(page: Page) -> None:
    """Unfold the list of what was chosen, where it is folded."""
    button = tray(page).locator('[data-slot="open"]')
    if button.is_visible():
        button.click()


def without_news(visit: Visit) -> None:
    """Keep away what the poll would tell about seats."""
    visit.context.route(AVAILABILITY, lambda route: route.abort())
    visit.expect("ERR_FAILED")


def answer_holds(visit: Visit, answer: Callable[[Route], None]) -> None:
    """To the forms of the seat map, until it is unrouted."""
    visit.context.route(
        SEATS,
        lambda route: answer(route) if route.request.method == "POST" else route.fallback(),
    )


def never_answer(route: Route) -> None:
    """Nothing comes through, and nothing comes back."""


def lose_the_answer(route: Route) -> None:
    """The hold comes through; what the browser hears of it is a page of the gateway."""
    route.fetch()
    route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")


class TestChoosing:
    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_on_the_map_fills_the_tray(
        self, visit: StartVisit, performance: Performance, customer: User, size: str
    ) -> None:
        page = enter(visit(size, customer), performance)

        click_seat(page, seat(performance, "Floor A", "A", 3))
        click_seat(page, seat(performance, "Floor B", "B", 1))

        open_tray(page)
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
        page.get_by_text("Row A · VIP ₩165,000 5 free").click()
        page.get_by_role("button", name="Floor A, row A, seat 1, VIP, ₩165,000, free").click()

        expect(
            page.get_by_role("button", name="Floor A, row A, seat 1,", pressed=True)
        ).to_be_visible()
        expect(page.get_by_role("button", name="seat 2, VIP, ₩165,000, taken")).to_be_disabled()
        expect(tray(page)).to_contain_text("Floor A, row A, seat 1")
        assert page.locator(".map-marks .seat-chosen").count() == 1

    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_the_forms_are_seen_in_the_order_of_the_tab_key(
        self, visit: StartVisit, performance: Performance, customer: User, size: str
    ) -> None:
        page = enter(visit(size, customer), performance)

        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        order = page.locator("#hold, #best").evaluate_all("forms => forms.map((form) => form.id)")
        boxes = [page.locator(f"#{name}").bounding_box() for name in order]

        assert [box["y"] for box in boxes if box] == sorted(box["y"] for box in boxes if box)
        # And until then the tray is at hand.
        page.evaluate("scrollTo(0, 0)")
        expect(tray(page)).to_be_in_viewport(ratio=1)

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
        await_picture(page)
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
        await_wider(page, 1.8 * width)

        now_x, now_y, now_width = place_of(page, wanted)
        assert 1.8 < now_width / width < 2.2
        # What is under the fingers stays there; upwards this hall is lower than its view, which keeps it in the middle.
        assert abs(now_x - x) < width
        expect(tray(page).get_by_role("listitem")).to_have_count(0)
        page.touchscreen.tap(now_x, now_y)
        expect(tray(page)).to_contain_text("Floor A, row A, seat 1")

    def test_a_wheel_that_passes_scrolls_the_page_and_one_that_is_meant_zooms(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        page = enter(
            visit("desktop", customer, viewport={"width": 1280, "height": 500}), performance
        )
        wanted = seat(performance, "Floor A", "A", 3)
        x, y, width = place_of(page, wanted)
        scrolled = page.evaluate("scrollY")
        page.mouse.move(x, y)

        page.mouse.wheel(0, -100)
        await_above(page, "() => -scrollY", -scrolled)
        assert place_of(page, wanted)[2] == width

        page.mouse.move(*place_of(page, wanted)[:2])
        page.keyboard.down("Control")
        page.mouse.wheel(0, -20)
        page.keyboard.up("Control")
        await_wider(page, width)
        await_picture(page)
        once = place_of(page, wanted)[2]
        # Zoomed in already, the wheel alone will do.
        page.mouse.wheel(0, -20)
        await_wider(page, once)

    def test_a_mouse_that_is_let_go_of_outside_does_not_stick(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        page = enter(visit("desktop", customer), performance)
        for _ in range(2):
            page.get_by_role("button", name="Zoom in").click()
        page.locator("#map").scroll_into_view_if_needed()
        box = page.locator("#map").bounding_box()
        assert box
        left, middle = box["x"], box["y"] + box["height"] / 2

        page.mouse.move(left + 2, middle)
        page.mouse.down()
        page.mouse.move(left - 3, middle)
        page.mouse.up()
        await_picture(page)
        before = place_of(page, seat(performance, "Floor A", "A", 6))
        page.mouse.move(left + 200, middle, steps=4)
        await_picture(page)

        assert place_of(page, seat(performance, "Floor A", "A", 6)) == before

    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_a_seat_that_is_taken_back_is_announced_and_the_focus_moves_on(
        self, visit: StartVisit, performance: Performance, customer: User, size: str
    ) -> None:
        page = enter(visit(size, customer), performance)
        for number in (1, 2):
            click_seat(page, seat(performance, "Floor A", "A", number))
        open_tray(page)
        remove = tray(page).get_by_role("button", name="Remove")

        remove.first.press("Enter")
        expect(page.locator('[data-slot="news"]')).to_have_text(
            "Floor A, row A, seat 1 is no longer chosen."
        )
        expect(remove).to_be_focused()
        remove.press("Enter")

        expect(page.locator('[data-slot="news"]')).to_have_text(
            "Floor A, row A, seat 2 is no longer chosen."
        )
        expect(page.locator("#map")).to_be_focused()


class TestLooks:
    """Everything that must be seen is seen, on every screen."""

    @pytest.mark.parametrize("width", [320, 360, 768, 1280])
    def test_no_title_is_wider_than_the_page(
        self, visit: StartVisit, performance: Performance, customer: User, width: int
    ) -> None:
        performance.concert.title = "가나다라마바사아자차카타파하" * 6
        performance.concert.save()
        page = enter(
            visit("desktop", customer, viewport={"width": width, "height": 700}), performance
        )

        assert width_of(page) == width

    def test_the_date_is_named_and_seen_among_many(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        last = [
            create_performance(
                concert_id=performance.concert_id,
                starts_at=performance.starts_at + timedelta(days=day),
                layout=HALL,
            )
            for day in range(1, 15)
        ][-1]
        page = enter(visit("phone", customer), performance)

        page.goto(page.url.replace(f"/seats/{performance.pk}/", f"/seats/{last.pk}/"))

        expect(page.locator(".date[aria-current]")).to_be_in_viewport(ratio=1)
        assert page.evaluate("scrollY") == 0
        day = page.locator(".date[aria-current] .date__day").inner_text()
        expect(page.locator(".seats-head")).to_contain_text(day)
        expect(page).to_have_title(re.compile(re.escape(day)))

    def test_the_focus_is_not_behind_the_tray(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        page = enter(visit("phone", customer), performance)
        page.get_by_text("Choose from a list instead").click()
        page.get_by_text("Floor A 12 free").click()
        page.get_by_text("Floor B 12 free").click()
        for number in (1, 2):
            click_seat(page, seat(performance, "Floor A", "A", number))
        page.evaluate("scrollTo(0, 0)")

        page.get_by_text("Choose from a list instead").focus()
        for _ in range(5):
            page.keyboard.press("Tab")
            focus = page.locator(":focus").bounding_box()
            panel = tray(page).bounding_box()
            assert focus
            assert panel
            assert focus["y"] + focus["height"] <= panel["y"]

    @pytest.mark.parametrize(("width", "height"), [(740, 340), (320, 256)])
    def test_the_tray_leaves_room_on_a_low_screen(
        self, visit: StartVisit, performance: Performance, customer: User, width: int, height: int
    ) -> None:
        page = enter(
            visit("phone", customer, viewport={"width": width, "height": height}), performance
        )
        page.locator("#map").press("Space")
        page.locator("#map").press("ArrowRight")
        page.locator("#map").press("Space")
        expect(page.locator(".map-marks .seat-chosen")).to_have_count(2)

        page.locator(".hall__bar").evaluate("bar => bar.scrollIntoView()")

        panel = tray(page).bounding_box()
        assert panel
        assert panel["y"] > height * 0.7

    def test_the_map_has_the_screen_of_a_phone(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        create_performance(
            concert_id=performance.concert_id,
            starts_at=performance.starts_at + timedelta(days=1),
            layout=HALL,
        )
        large = create_performance(
            concert_id=performance.concert_id,
            starts_at=performance.starts_at - timedelta(days=1),
            layout=[SectionLayout(name="1", rows=20, seats_per_row=20, grade=Grade.R, price=1_000)],
        )
        page = enter(visit("phone", customer, viewport={"width": 390, "height": 844}), performance)
        for number in (1, 2):
            page.locator("#map").press("ArrowRight")
            page.locator("#map").press("Space")
            expect(page.locator(".map-marks .seat-chosen")).to_have_count(number)
        page.evaluate("scrollTo(0, 0)")

        view, panel = page.locator("#map").bounding_box(), tray(page).bounding_box()

        assert large
        assert view
        assert panel
        assert view["y"] < 270
        assert panel["y"] > 770
        assert view["height"] > 480
        expect(page.locator("#map")).to_be_in_viewport(ratio=1)
        expect(tray(page)).to_contain_text("₩2,000")
        expect(tray(page).get_by_role("listitem").filter(visible=True)).to_have_count(0)

        button = tray(page).get_by_role("button", name="Your seats: 2 of 2 ₩2,000")
        button.click()
        expect(button).to_have_attribute("aria-expanded", "true")
        expect(tray(page).get_by_role("listitem")).to_have_count(2)
        tray(page).get_by_role("button", name="Remove").first.click()
        tray(page).get_by_role("button", name="Remove").first.click()
        expect(button).to_be_hidden()

    def test_the_prices_are_folded_on_a_phone_only(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        phone = enter(visit("phone", customer), performance)
        prices = phone.locator(".legend").get_by_text("₩165,000").filter(visible=True)

        expect(prices).to_have_count(0)
        phone.get_by_text("Prices and symbols").click()
        expect(prices).to_have_count(1)
        desk = enter(visit("desktop", customer), performance)
        expect(desk.get_by_text("Prices and symbols")).to_be_hidden()
        expect(desk.locator(".legend").get_by_text("₩165,000").filter(visible=True)).to_have_count(
            1
        )

    def test_the_zoom_buttons_cover_no_seat(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        page = enter(visit("phone", customer), performance)
        page.locator("#map").scroll_into_view_if_needed()

        buttons = page.locator(".map-zoom").bounding_box()
        view = page.locator("#map").bounding_box()

        assert buttons
        assert view
        assert buttons["y"] + buttons["height"] <= view["y"]

    def test_names_are_not_wider_than_their_sections(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        names = ["Ground floor left", "Ground floor middle", "Ground floor right"]
        narrow = create_performance(
            concert_id=performance.concert_id,
            starts_at=performance.starts_at - timedelta(days=1),
            layout=[
                SectionLayout(name=name, rows=20, seats_per_row=seats, grade=Grade.R, price=1)
                for name, seats in zip(names, (4, 40, 4), strict=True)
            ],
        )
        page = enter(visit("desktop", customer), narrow)
        shown = page.locator(".map-name:not([visibility=hidden])")

        expect(shown).to_have_text(["Ground floor middle"])
        for _ in range(8):
            page.get_by_role("button", name="Zoom in").click()

        expect(shown).to_have_count(3)

    def test_nothing_jumps_when_the_hall_arrives_late(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("desktop", customer)
        page = enter(visitor, performance)
        held_back: list[Route] = []
        visitor.context.route("**/map/**", lambda route: held_back.append(route))

        page.reload(wait_until="domcontentloaded")
        expect(page.get_by_text("Drawing the hall…")).to_be_visible()
        expect(tray(page)).to_be_visible()
        page.evaluate("""() => {
            window.shift = 0;
            new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) window.shift += entry.value;
            }).observe({type: "layout-shift", buffered: true});
        }""")
        page.wait_for_timeout(200)
        for route in held_back:
            route.continue_()
        expect(page.locator("#seats[data-ready]")).to_be_visible()
        page.wait_for_timeout(200)

        assert page.evaluate("shift") < 0.1

    def test_without_scripts_no_place_is_kept_for_them(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("phone", customer)
        url = enter(visitor, performance).url
        kept = visitor.context.storage_state()
        plain = visit("phone", java_script_enabled=False, storage_state=kept)

        page = plain.context.new_page()
        page.goto(url)

        expect(
            page.locator("#map, #hold, .map-zoom, .seat-list").filter(visible=True)
        ).to_have_count(0)
        expect(page.get_by_role("button", name="Hold the best seats")).to_be_visible()

    def test_forced_colours_leave_the_current_date_and_the_seats_theirs(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        create_performance(
            concert_id=performance.concert_id,
            starts_at=performance.starts_at + timedelta(days=1),
            layout=HALL,
        )
        page = enter(visit("desktop", customer, forced_colors="active"), performance)

        borders = page.locator(".date").evaluate_all(
            "dates => dates.map((date) => getComputedStyle(date).borderTopColor)"
        )
        kept = page.locator(".map, .swatch").evaluate_all(
            "parts => parts.map((part) => getComputedStyle(part).forcedColorAdjust)"
        )

        assert borders[0] != borders[1]
        assert {*kept} == {"none"}

    def test_touch_is_told_of_touch(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        phone = enter(visit("phone", customer), performance)

        expect(phone.locator("#map-help")).to_have_text(
            "Touch: tap to zoom in, then tap a seat.", use_inner_text=True
        )


class TestRivals:
    def test_the_last_seat_that_goes_closes_both_forms_until_one_is_free_again(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        last = seat(performance, "Floor B", "B", 6)
        block_all_but([last])
        rival = CustomerFactory()
        held = hold(rival, [last])
        page = enter_sold_out(visit("phone", customer), performance)

        expect(tray(page).get_by_text("No seats are left at this moment.")).to_be_visible()
        expect(page.get_by_text("on the map.")).to_be_hidden()
        expect(page.locator("#best")).to_be_hidden()
        release_hold(customer_id=rival.pk, hold_id=held.pk)

        expect(page.locator("#best")).to_be_visible()
        expect(tray(page).get_by_text("No seats are left at this moment.")).to_be_hidden()
        expect(tray(page).get_by_text("on the map.")).to_be_visible()

    def test_who_has_all_seats_allowed_is_told_so_without_an_empty_tray(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        hold(customer, [seat(performance, "Floor A", "A", number) for number in (1, 2)])
        page = enter(visit("phone", customer), performance)

        expect(tray(page)).to_be_hidden()
        click_seat(page, seat(performance, "Floor B", "A", 2))
        click_seat(page, seat(performance, "Floor B", "A", 2))

        expect(page.locator('[data-slot="news"]')).to_have_text(
            "You have as many seats of this date as one customer may have."
        )
        expect(page.locator('[data-part="full"]')).to_be_in_viewport()

    def test_the_slower_of_two_learns_it_at_once_and_keeps_the_rest(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        wanted, other = (seat(performance, "Floor A", "A", number) for number in (1, 2))
        faster = enter(visit("phone", WalletFactory(balance=500_000).customer), performance)
        visitor = visit("desktop", customer)
        visitor.expect("409")
        slower = enter(visitor, performance)
        without_news(visitor)

        for page in (faster, slower):
            click_seat(page, wanted)
        click_seat(slower, other)
        faster.get_by_role("button", name="Hold these seats").click()
        faster.wait_for_url(CHECKOUT)
        slower.get_by_role("button", name="Hold these seats").click()

        expect(tray(slower).get_by_role("alert")).to_have_text(
            "Another customer was faster: Floor A, row A, seat 1 is taken."
        )
        expect(tray(slower).get_by_role("alert")).to_be_in_viewport()
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

    def test_the_date_tells_what_is_left_down_to_the_last_seat_and_back(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        last = [seat(performance, "Floor B", "B", number) for number in (5, 6)]
        block_all_but(last)
        rival = CustomerFactory()
        page = enter(visit("desktop", customer), performance)
        left = page.locator("[aria-current] .date__left")
        expect(left).to_have_text("2 seats left")

        reservation(rival, last[:1])
        expect(left).to_have_text("1 seat left")
        held = hold(rival, last[1:])
        expect(left).to_have_text("sold out")
        release_hold(customer_id=rival.pk, hold_id=held.pk)
        expect(left).to_have_text("1 seat left")

    def test_own_seats_are_shown_as_such(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        hold(customer, [seat(performance, "Floor A", "A", 1)])

        page = enter(visit("desktop", customer), performance)

        expect(page.get_by_text("You hold 1 seat for")).to_be_visible()
        expect(page.locator("#map .seat-mine")).to_have_count(1)
        page.get_by_role("link", name="Go to the checkout").click()
        page.wait_for_url(CHECKOUT)

    def test_own_seats_that_are_given_back_elsewhere_can_be_chosen_again(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        held = hold(customer, [seat(performance, "Floor A", "A", 1)])
        page = enter(visit("desktop", customer), performance)
        expect(tray(page)).to_contain_text("0 of 1")

        release_hold(customer_id=customer.pk, hold_id=held.pk)

        expect(tray(page)).to_contain_text("0 of 2")
        expect(page.get_by_text("You hold 1 seat for")).to_have_count(0)


class TestAnswersThatNeverCame:
    @pytest.mark.parametrize(
        ("answer", "message"),
        [(never_answer, "We could not reach the server."), (lose_the_answer, "That did not work.")],
    )
    def test_a_hold_ends_with_a_message_and_the_next_attempt_is_the_same_hold(
        self,
        visit: StartVisit,
        performance: Performance,
        customer: User,
        answer: Callable[[Route], None],
        message: str,
    ) -> None:
        visitor = visit("phone", customer)
        visitor.expect("502")
        visitor.context.add_init_script(IMPATIENT)
        page = enter(visitor, performance)
        without_news(visitor)
        click_seat(page, seat(performance, "Floor A", "A", 1))
        button = tray(page).get_by_role("button", name="Hold these seats")

        answer_holds(visitor, answer)
        button.click()
        expect(tray(page).get_by_role("alert")).to_contain_text(message)
        expect(button).not_to_have_attribute("aria-busy", "true")
        visitor.context.unroute(SEATS)
        button.click()

        page.wait_for_url(CHECKOUT)
        assert Hold.objects.get(customer=customer).claims.count() == 1

    def test_the_alert_goes_when_the_connection_is_back(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("phone", customer)
        visitor.expect("ERR_FAILED")
        page = enter(visitor, performance)
        click_seat(page, seat(performance, "Floor A", "A", 1))

        visitor.context.route(AVAILABILITY, lambda route: route.abort())
        answer_holds(visitor, lambda route: route.abort())
        tray(page).get_by_role("button", name="Hold these seats").click()
        alert = tray(page).get_by_role("alert")
        expect(alert).to_contain_text("We could not reach the server.")
        visitor.context.unroute(AVAILABILITY)

        expect(alert).to_be_empty()
        open_tray(page)
        expect(tray(page).get_by_role("listitem")).to_have_count(1)

    def test_a_hold_that_came_through_is_not_called_another_customers(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("desktop", customer)
        visitor.expect("502")
        page = enter(visitor, performance)
        click_seat(page, seat(performance, "Floor A", "A", 1))

        answer_holds(visitor, lose_the_answer)
        tray(page).get_by_role("button", name="Hold these seats").click()

        expect(page.get_by_text("You hold 1 seat for")).to_be_visible()
        expect(page.locator("#map .seat-mine")).to_have_count(1)

    def test_a_refused_attempt_is_not_repeated_by_the_next(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("desktop", customer)
        visitor.expect("409")
        page = enter(visitor, performance)
        without_news(visitor)
        keys = page.locator("[name=key]")
        first = keys.evaluate_all("fields => fields.map((field) => field.value)")
        reservation(CustomerFactory(), [seat(performance, "Floor A", "A", 1)])

        click_seat(page, seat(performance, "Floor A", "A", 1))
        tray(page).get_by_role("button", name="Hold these seats").click()
        expect(tray(page).get_by_role("alert")).to_contain_text("Another customer was faster")

        second = keys.evaluate_all("fields => fields.map((field) => field.value)")
        assert len(second) == 2
        assert not {*first} & {*second}
        page.get_by_role("button", name="Hold the best seats").click()
        page.wait_for_url(CHECKOUT)

    def test_news_that_does_not_come_is_missed_and_asked_for_again(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("desktop", customer)
        visitor.context.add_init_script(IMPATIENT)
        page = enter(visitor, performance)

        visitor.context.route(AVAILABILITY, lambda route: None)
        expect(page.get_by_text("The map may be out of date")).to_be_visible()
        visitor.context.unroute(AVAILABILITY)

        expect(page.get_by_text("The map may be out of date")).to_be_hidden()


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

    def test_sees_where_it_is_in_a_large_hall(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        stadium = create_performance(
            concert_id=performance.concert_id,
            starts_at=performance.starts_at - timedelta(days=1),
            layout=[SectionLayout(name="1", rows=40, seats_per_row=150, grade=Grade.R, price=1)],
        )
        page = enter(visit("desktop", customer), stadium)
        assert place_of(page, seat(stadium, "1", "A", 1))[2] < 10

        tab_to(page, page.locator("#map"))
        page.keyboard.press("ArrowDown")

        # Drawn with the next picture.
        await_above(
            page, "() => document.querySelector('.map-ring').getBoundingClientRect().width", 18
        )


class TestRefusal:
    """The page that the server shows instead knows why."""

    def test_of_news_leads_to_the_page_that_says_how_the_visit_ended(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("phone", customer)
        visitor.expect("403")
        page = enter(visitor, performance)

        remove_visitor(concert_id=performance.concert_id, customer_id=customer.pk, staff_id=None)

        expect(page.get_by_text("The box office has taken you out of the queue.")).to_be_visible()
        expect(page.get_by_role("button", name="Join the queue again")).to_be_visible()

    def test_of_a_hold_leads_there_too(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("desktop", customer)
        visitor.expect("403")
        page = enter(visitor, performance)
        without_news(visitor)
        click_seat(page, seat(performance, "Floor A", "A", 1))

        remove_visitor(concert_id=performance.concert_id, customer_id=customer.pk, staff_id=None)
        tray(page).get_by_role("button", name="Hold these seats").click()

        expect(page.get_by_text("The box office has taken you out of the queue.")).to_be_visible()

    def test_after_logging_out_elsewhere_leads_to_the_login_and_back(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("desktop", customer)
        visitor.expect("401")
        page = enter(visitor, performance)

        visitor.context.clear_cookies(name="sessionid")
        page.wait_for_url(re.compile("/login/"))
        visitor.log_in(customer)
        page.goto(page.url)

        page.wait_for_url(SEATS)

    def test_of_the_first_news_leads_there_and_not_in_circles(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("desktop", customer)
        visitor.expect("403")
        page = enter(visitor, performance)
        loaded: list[float] = []
        page.on("domcontentloaded", lambda page: loaded.append(time.monotonic()))

        visitor.context.route(
            AVAILABILITY, lambda route: route.fulfill(status=403, json={}), times=1
        )
        page.reload()
        expect(page.locator("#seats[data-ready]")).to_be_visible()

        first, second = loaded
        assert second - first > 1


class TestTime:
    @pytest.fixture
    def performance(self, performance: Performance) -> Performance:
        """With an hour and more to choose."""
        WaitingRoom.objects.update(lease=timedelta(hours=2))
        return performance

    def test_left_to_choose_is_counted_in_hours_and_through_a_sleep(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("phone", customer)
        visitor.context.clock.install()
        page = enter(visitor, performance)
        lease = page.locator("#lease")

        expect(lease).to_contain_text(re.compile(r"\b1:59:\d\d"))
        # The device's clock goes on while it sleeps; the page's own stands still.
        slept = page.evaluate("Date.now()") + 3_600_000
        visitor.context.clock.set_system_time(slept)
        visitor.context.clock.run_for(1_000)

        expect(lease).to_contain_text(re.compile(r"\b59:\d\d"))

    def test_left_is_seen_while_choosing_and_the_last_minute_is_told(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("phone", customer)
        visitor.context.clock.install()
        page = enter(visitor, performance)
        lease = page.locator("#lease")
        page.evaluate("scrollTo(0, 200)")
        assert page.evaluate("scrollY") > 0
        expect(lease).to_be_in_viewport(ratio=1)
        expect(lease.get_by_role("status")).to_be_empty()

        visitor.context.clock.fast_forward(7_150_000)

        expect(lease.get_by_text("Less than a minute left to choose.")).to_be_in_viewport(ratio=1)

    def test_that_is_over_leads_back_and_may_be_prolonged_elsewhere(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("phone", customer)
        visitor.context.clock.install()
        page = enter(visitor, performance)
        # The countdown alone is to find out.
        without_news(visitor)

        visitor.context.clock.fast_forward(7_201_000)
        expect(page.locator("#lease")).to_contain_text(re.compile(r"\b1:59:\d\d"))
        remove_visitor(concert_id=performance.concert_id, customer_id=customer.pk, staff_id=None)
        visitor.context.clock.fast_forward(7_201_000)

        expect(page.get_by_role("button", name="Join the queue again")).to_be_visible()

    def test_that_nobody_can_tell_is_asked_for_with_pauses(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        visitor = visit("phone", customer)
        visitor.expect("503")
        visitor.context.clock.install()
        page = enter(visitor, performance)
        without_news(visitor)
        asked: list[Route] = []

        def refuse(route: Route) -> None:
            asked.append(route)
            route.fulfill(status=503)

        visitor.context.route(STATUS, refuse)

        visitor.context.clock.fast_forward(7_201_000)
        pass_seconds(page, 20)

        # At once, and after 3, 9 and 21 seconds.
        assert 3 <= len(asked) <= 4
        visitor.context.unroute(STATUS)
        pass_seconds(page, 26)
        expect(page.locator("#lease")).to_contain_text(re.compile(r"\b1:59:\d\d"))

    def test_that_is_over_with_seats_to_pay_for_leaves_only_the_way_there(
        self,
        visit: StartVisit,
        performance: Performance,
        customer: User,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        hold(customer, [seat(performance, "Floor A", "A", 1)])
        visitor = visit("phone", customer)
        visitor.context.clock.install()
        page = enter(visitor, performance)

        def late(**asked: Any) -> tuple[Performance, Admission]:
            found, admission = admission_to_performance(**asked)
            return found, replace(admission, new_holds_until=admission.seen_at)

        monkeypatch.setattr("apps.storefront.views.seats.admission_to_performance", late)
        visitor.context.route(STATUS, lambda route: route.fulfill(json={"lease_seconds": 0}))
        visitor.context.clock.fast_forward(7_201_000)

        expect(page.get_by_text("Your time to choose seats is over.")).to_be_visible()
        expect(page.locator("#map, #hold, #best, #lease")).to_have_count(0)
        page.get_by_role("link", name="Go to the checkout").click()
        page.wait_for_url(CHECKOUT)

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
