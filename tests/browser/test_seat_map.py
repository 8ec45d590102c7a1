"""The seat map in a real browser: choosing by mouse, touch, wheel and keyboard, and what is seen of it on every screen."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from apps.accounts.models import User
from apps.concerts.layouts import SectionLayout
from apps.concerts.models import Grade, Performance
from apps.reservations.models import Hold, Reservation
from tests.browser.conftest import PATIENCE, OpenMap, StartVisit
from tests.browser.seat_map import (
    CHECKOUT,
    add_date,
    alert,
    await_map,
    chosen,
    click_seats,
    hold_button,
    news,
    open_tray,
    place_of,
    seat,
    tray,
)
from tests.factories.accounts import CustomerFactory
from tests.factories.reservations import reservation


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
    """Put two fingers beside a point, as many px apart as `apart` says at first and in the end."""
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


def tab_to(page: Page, selector: str) -> None:
    """Move the focus by the Tab key alone."""
    target = page.locator(selector)
    for _ in range(60):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached by Tab")


def box_of(page: Page, selector: str) -> tuple[float, float, float, float]:
    """Return where a part of the page is: left, top, width and height in px."""
    box = page.locator(selector).bounding_box()
    assert box
    return box["x"], box["y"], box["width"], box["height"]


class TestChoosing:
    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_on_the_map_fills_the_tray(self, open_map: OpenMap, size: str) -> None:
        page = open_map(size)

        click_seats(page, "Floor A A-3", "Floor B B-1")

        open_tray(page)
        expect(chosen(page)).to_have_count(2)
        expect(tray(page)).to_contain_text("Floor A, row A, seat 3")
        expect(tray(page)).to_contain_text("₩264,000")

        click_seats(page, "Floor B B-2")
        expect(alert(page)).to_have_text("You may choose up to 2 seats.")
        click_seats(page, "Floor B B-1")
        expect(chosen(page)).to_have_count(1)
        tray(page).get_by_role("button", name="Remove Floor A, row A, seat 3").click()
        expect(hold_button(page)).to_be_disabled()

    def test_in_the_list_is_the_same(self, open_map: OpenMap, performance: Performance) -> None:
        reservation(CustomerFactory(), [seat(performance, "Floor A A-2")])
        page = open_map("phone")

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
        self, open_map: OpenMap, size: str
    ) -> None:
        page = open_map(size)

        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        order = page.locator("#hold, #best").evaluate_all("forms => forms.map((form) => form.id)")
        tops = [box_of(page, f"#{name}")[1] for name in order]

        assert tops == sorted(tops)
        # And until then the tray is at hand.
        page.evaluate("scrollTo(0, 0)")
        expect(tray(page)).to_be_in_viewport(ratio=0.99)

    def test_the_best_available_needs_no_map(self, open_map: OpenMap, customer: User) -> None:
        page = open_map()

        page.get_by_label("Seats", exact=True).select_option("2")
        page.get_by_label("Grade").select_option("R")
        page.get_by_role("button", name="Hold the best seats").click()

        page.wait_for_url(CHECKOUT)
        held = Hold.objects.get(customer=customer)
        assert set(held.claims.values_list("seat__grade", flat=True)) == {"R"}

    def test_zoom_and_pan_lead_to_the_same_seats(self, open_map: OpenMap) -> None:
        page = open_map()
        left, top, width, height = box_of(page, "#map")
        x, y = left + width / 2, top + height / 2

        page.get_by_role("button", name="Zoom in").click()
        page.mouse.move(x, y)
        page.mouse.wheel(0, -200)
        page.mouse.down()
        page.mouse.move(x + 60, y, steps=4)
        page.mouse.up()
        await_picture(page)
        expect(chosen(page)).to_have_count(0)
        click_seats(page, "Floor A B-6")

        expect(tray(page)).to_contain_text("Floor A, row B, seat 6")

    def test_two_fingers_zoom_in_on_what_is_between_them(self, open_map: OpenMap) -> None:
        page = open_map("phone")
        x, y, width = place_of(page, "Floor A A-1")

        pinch(page, x, y, apart=(60, 120))
        await_wider(page, 1.8 * width)

        now_x, now_y, now_width = place_of(page, "Floor A A-1")
        assert 1.8 < now_width / width < 2.2
        # What is under the fingers stays there; upwards this hall is lower than its view, which keeps it in the middle.
        assert abs(now_x - x) < width
        expect(chosen(page)).to_have_count(0)
        page.touchscreen.tap(now_x, now_y)
        expect(tray(page)).to_contain_text("Floor A, row A, seat 1")

    def test_a_wheel_that_passes_scrolls_the_page_and_one_that_is_meant_zooms(
        self, open_map: OpenMap
    ) -> None:
        page = open_map(viewport={"width": 1280, "height": 500})
        x, y, width = place_of(page, "Floor A A-3")
        scrolled = page.evaluate("scrollY")
        page.mouse.move(x, y)

        page.mouse.wheel(0, -100)
        await_above(page, "() => -scrollY", -scrolled)
        assert place_of(page, "Floor A A-3")[2] == width

        page.mouse.move(*place_of(page, "Floor A A-3")[:2])
        page.keyboard.down("Control")
        page.mouse.wheel(0, -20)
        page.keyboard.up("Control")
        await_wider(page, width)
        await_picture(page)
        once = place_of(page, "Floor A A-3")[2]
        # Zoomed in already, the wheel alone will do.
        page.mouse.wheel(0, -20)
        await_wider(page, once)

    def test_a_mouse_that_is_let_go_of_outside_does_not_stick(self, open_map: OpenMap) -> None:
        page = open_map()
        for _ in range(2):
            page.get_by_role("button", name="Zoom in").click()
        page.locator("#map").scroll_into_view_if_needed()
        left, top, _, height = box_of(page, "#map")
        middle = top + height / 2

        page.mouse.move(left + 2, middle)
        page.mouse.down()
        page.mouse.move(left - 3, middle)
        page.mouse.up()
        await_picture(page)
        before = place_of(page, "Floor A A-6")
        page.mouse.move(left + 200, middle, steps=4)
        await_picture(page)

        assert place_of(page, "Floor A A-6") == before

    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_a_seat_that_is_taken_back_is_announced_and_the_focus_moves_on(
        self, open_map: OpenMap, size: str
    ) -> None:
        page = open_map(size)
        click_seats(page, "Floor A A-1", "Floor A A-2")
        open_tray(page)
        remove = tray(page).get_by_role("button", name="Remove")

        remove.first.press("Enter")
        expect(news(page)).to_have_text("Floor A, row A, seat 1 is no longer chosen.")
        expect(remove).to_be_focused()
        remove.press("Enter")

        expect(news(page)).to_have_text("Floor A, row A, seat 2 is no longer chosen.")
        expect(page.locator("#map")).to_be_focused()


class TestKeyboard:
    def test_leads_from_the_map_to_the_ticket(self, open_map: OpenMap, customer: User) -> None:
        page = open_map()

        tab_to(page, "#map")
        expect(news(page)).to_contain_text("row A")
        page.keyboard.press("Home")
        expect(news(page)).to_have_text("Floor A, row A, seat 1, VIP, ₩165,000, free")
        for _ in range(6):
            page.keyboard.press("ArrowRight")
        expect(news(page)).to_have_text("Floor B, row A, seat 1, R, ₩99,000, free")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
        expect(news(page)).to_have_text("Floor B, row B, seat 1, R, ₩99,000, chosen")
        page.keyboard.press("+")
        page.keyboard.press("Escape")
        expect(page.locator(".map-ring")).to_be_hidden()

        tab_to(page, "button:text('Hold these seats')")
        page.keyboard.press("Enter")
        page.wait_for_url(CHECKOUT)
        tab_to(page, "button:text-matches('^Pay ')")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("/reservations/"))

        booked = Reservation.objects.get(customer=customer)
        assert [str(ticket.seat) for ticket in booked.tickets.all()] == ["Floor B B-1"]

    def test_sees_where_it_is_in_a_large_hall(
        self, open_map: OpenMap, performance: Performance
    ) -> None:
        stadium = SectionLayout(name="1", rows=40, seats_per_row=150, grade=Grade.R, price=1)
        add_date(performance.concert, days=-1, layout=[stadium])
        page = open_map()
        assert place_of(page, "1 A-1")[2] < 10

        tab_to(page, "#map")
        page.keyboard.press("ArrowDown")

        # Drawn with the next picture.
        await_above(
            page, "() => document.querySelector('.map-ring').getBoundingClientRect().width", 18
        )


class TestLooks:
    """Everything that must be seen is seen, on every screen."""

    def test_no_title_is_wider_than_the_page(
        self, open_map: OpenMap, performance: Performance
    ) -> None:
        performance.concert.title = "가나다라마바사아자차카타파하" * 6
        performance.concert.save()
        page = open_map()

        for width in (320, 360, 768, 1280):
            page.set_viewport_size({"width": width, "height": 700})
            page.reload()
            await_map(page)
            # Wider than its window is sideways scrolling.
            assert page.evaluate("document.documentElement.scrollWidth") == width

    def test_the_date_is_named_and_seen_among_many(
        self, open_map: OpenMap, performance: Performance
    ) -> None:
        last = [add_date(performance.concert, days=day) for day in range(1, 15)][-1]
        page = open_map("phone")

        page.goto(page.url.replace(f"/seats/{performance.pk}/", f"/seats/{last.pk}/"))

        expect(page.locator(".date[aria-current]")).to_be_in_viewport(ratio=0.99)
        assert page.evaluate("scrollY") == 0
        day = page.locator(".date[aria-current] .date__day").inner_text()
        expect(page.locator(".seats-head")).to_contain_text(day)
        expect(page).to_have_title(re.compile(re.escape(day)))

    def test_the_focus_is_not_behind_the_tray(self, open_map: OpenMap) -> None:
        page = open_map("phone")
        page.get_by_text("Choose from a list instead").click()
        page.get_by_text("Floor A 12 free").click()
        page.get_by_text("Floor B 12 free").click()
        click_seats(page, "Floor A A-1", "Floor A A-2")
        page.evaluate("scrollTo(0, 0)")

        page.get_by_text("Choose from a list instead").focus()
        for _ in range(5):
            page.keyboard.press("Tab")
            _, top, _, height = box_of(page, ":focus")
            assert top + height <= box_of(page, "#hold")[1]

    @pytest.mark.parametrize(("width", "height"), [(740, 340), (320, 256)])
    def test_the_tray_leaves_room_on_a_low_screen(
        self, open_map: OpenMap, width: int, height: int
    ) -> None:
        page = open_map("phone", viewport={"width": width, "height": height})
        for key in ("Space", "ArrowRight", "Space"):
            page.locator("#map").press(key)
        expect(page.locator(".map-marks .seat-chosen")).to_have_count(2)

        page.locator(".hall__bar").evaluate("bar => bar.scrollIntoView()")

        assert box_of(page, "#hold")[1] > height * 0.7

    def test_the_map_has_the_screen_of_a_phone(
        self, open_map: OpenMap, performance: Performance
    ) -> None:
        large = SectionLayout(name="1", rows=20, seats_per_row=20, grade=Grade.R, price=1_000)
        add_date(performance.concert, days=1)
        add_date(performance.concert, days=-1, layout=[large])
        page = open_map("phone", viewport={"width": 390, "height": 844})
        for number in (1, 2):
            page.locator("#map").press("ArrowRight")
            page.locator("#map").press("Space")
            expect(page.locator(".map-marks .seat-chosen")).to_have_count(number)
        page.evaluate("scrollTo(0, 0)")

        _, top, _, height = box_of(page, "#map")

        assert top < 270
        assert height > 480
        assert box_of(page, "#hold")[1] > 770
        expect(page.locator("#map")).to_be_in_viewport(ratio=0.99)
        expect(tray(page)).to_contain_text("₩2,000")
        expect(chosen(page).filter(visible=True)).to_have_count(0)

        button = tray(page).get_by_role("button", name="Your seats: 2 of 2 ₩2,000")
        button.click()
        expect(button).to_have_attribute("aria-expanded", "true")
        expect(chosen(page)).to_have_count(2)
        tray(page).get_by_role("button", name="Remove").first.click()
        tray(page).get_by_role("button", name="Remove").first.click()
        expect(button).to_be_hidden()

    def test_the_prices_are_folded_on_a_phone_only(self, open_map: OpenMap) -> None:
        page = open_map("phone")
        prices = page.locator(".legend").get_by_text("₩165,000").filter(visible=True)

        expect(prices).to_have_count(0)
        page.get_by_text("Prices and symbols").click()
        expect(prices).to_have_count(1)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.reload()
        expect(page.get_by_text("Prices and symbols")).to_be_hidden()
        expect(prices).to_have_count(1)

    def test_the_zoom_buttons_cover_no_seat(self, open_map: OpenMap) -> None:
        page = open_map("phone")
        page.locator("#map").scroll_into_view_if_needed()

        _, top, _, height = box_of(page, ".map-zoom")

        assert top + height <= box_of(page, "#map")[1]

    def test_names_are_not_wider_than_their_sections(
        self, open_map: OpenMap, performance: Performance
    ) -> None:
        layout = [
            SectionLayout(name=name, rows=20, seats_per_row=seats, grade=Grade.R, price=1)
            for name, seats in (
                ("Ground floor left", 4),
                ("Ground floor middle", 40),
                ("Ground floor right", 4),
            )
        ]
        add_date(performance.concert, days=-1, layout=layout)
        page = open_map()
        shown = page.locator(".map-name:not([visibility=hidden])")

        expect(shown).to_have_text(["Ground floor middle"])
        for _ in range(8):
            page.get_by_role("button", name="Zoom in").click()

        expect(shown).to_have_count(3)

    def test_nothing_jumps_when_the_hall_arrives_late(self, open_map: OpenMap) -> None:
        page = open_map()
        held_back: list[Route] = []
        page.route("**/map/**", lambda route: held_back.append(route))

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
        await_map(page)
        page.wait_for_timeout(200)

        assert page.evaluate("shift") < 0.1

    def test_without_scripts_no_place_is_kept_for_them(
        self, open_map: OpenMap, visit: StartVisit
    ) -> None:
        page = open_map("phone")
        kept = page.context.storage_state()

        plain = visit("phone", java_script_enabled=False, storage_state=kept).open(page.url)

        expect(
            plain.locator("#map, #hold, .map-zoom, .seat-list").filter(visible=True)
        ).to_have_count(0)
        expect(plain.get_by_role("button", name="Hold the best seats")).to_be_visible()

    def test_forced_colours_leave_the_current_date_and_the_seats_theirs(
        self, open_map: OpenMap, performance: Performance
    ) -> None:
        add_date(performance.concert, days=1)
        page = open_map(forced_colors="active")

        borders = page.locator(".date").evaluate_all(
            "dates => dates.map((date) => getComputedStyle(date).borderTopColor)"
        )
        kept = page.locator(".map, .swatch").evaluate_all(
            "parts => parts.map((part) => getComputedStyle(part).forcedColorAdjust)"
        )

        assert borders[0] != borders[1]
        assert {*kept} == {"none"}

    def test_touch_is_told_of_touch(self, open_map: OpenMap) -> None:
        expect(open_map("phone").locator("#map-help")).to_have_text(
            "Touch: tap to zoom in, then tap a seat.", use_inner_text=True
        )
