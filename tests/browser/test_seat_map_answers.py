"""The seat map in a real browser: what rivals do meanwhile, answers that are refusals or never come, and time that runs out."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from playwright.sync_api import Page, Route, expect

from apps.accounts.models import User
from apps.concerts.models import Performance, Seat
from apps.queue.models import WaitingRoom
from apps.queue.services import Admission, remove_visitor
from apps.reservations.models import Hold, Reservation
from apps.reservations.services import admission_to_performance, release_hold
from tests.browser.conftest import OpenMap, StartVisit
from tests.browser.seat_map import (
    AVAILABILITY,
    CHECKOUT,
    SEATS,
    alert,
    answer_holds,
    await_map,
    be_admitted,
    chosen,
    click_seats,
    hold_button,
    news,
    open_tray,
    seat,
    tray,
    without_news,
)
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import block_seats
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, reservation

STATUS = "**/queue/status/"
# Ten seconds of patience are half a second of these tests.
IMPATIENT = """{
    const start = setTimeout;
    window.setTimeout = (call, ms) => start(call, ms === 10_000 ? ms / 20 : ms);
}"""
TAKEN_OUT = "The box office has taken you out of the queue."


def block_all_but(seats: Sequence[Seat]) -> None:
    others = Seat.objects.exclude(pk__in=[kept.pk for kept in seats])
    block_seats(seat_ids=list(others.values_list("pk", flat=True)))


def take_out(customer: User, performance: Performance) -> None:
    """Let staff end the visit of the customer."""
    remove_visitor(concert_id=performance.concert_id, customer_id=customer.pk, staff_id=None)


def pass_seconds(page: Page, seconds: int) -> None:
    """Move the page's own time on, second by second: at one leap it would lose patience with an answer that is on its way."""
    for _ in range(seconds):
        page.wait_for_timeout(50)
        page.clock.run_for(1_000)


def never_answer(route: Route) -> None:
    """Let nothing come through, and nothing come back."""


def lose_the_answer(route: Route) -> None:
    """Let the hold come through; what the browser hears of it is a page of the gateway."""
    route.fetch()
    route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")


class TestRivals:
    def test_the_last_seat_that_goes_closes_both_forms_until_one_is_free_again(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        last = seat(performance, "Floor B B-6")
        block_all_but([last])
        held = hold(CustomerFactory(), [last])
        page = visit("phone", customer).context.new_page()
        be_admitted(page, performance.concert)
        # The way in leads past a date that has no seats.
        page.goto(f"/concerts/{performance.concert_id}/seats/{performance.pk}/")
        await_map(page)

        expect(tray(page).get_by_text("No seats are left at this moment.")).to_be_visible()
        expect(page.get_by_text("on the map.")).to_be_hidden()
        expect(page.locator("#best")).to_be_hidden()
        release_hold(customer_id=held.customer_id, hold_id=held.pk)

        expect(page.locator("#best")).to_be_visible()
        expect(tray(page).get_by_text("No seats are left at this moment.")).to_be_hidden()
        expect(tray(page).get_by_text("on the map.")).to_be_visible()

    def test_a_customer_with_all_seats_allowed_is_told_so_without_an_empty_tray(
        self, open_map: OpenMap, performance: Performance, customer: User
    ) -> None:
        hold(customer, [seat(performance, f"Floor A A-{number}") for number in (1, 2)])
        page = open_map("phone")

        expect(tray(page)).to_be_hidden()
        click_seats(page, "Floor B A-2", "Floor B A-2")

        expect(news(page)).to_have_text(
            "You have as many seats of this date as one customer may have."
        )
        expect(page.locator('[data-part="full"]')).to_be_in_viewport()

    def test_the_slower_of_two_learns_it_at_once_and_keeps_the_rest(
        self, open_map: OpenMap
    ) -> None:
        faster = open_map("phone", by=WalletFactory(balance=500_000).customer)
        slower = open_map(expects="409|ERR_FAILED")
        without_news(slower)

        for page in (faster, slower):
            click_seats(page, "Floor A A-1")
        click_seats(slower, "Floor A A-2")
        hold_button(faster).click()
        faster.wait_for_url(CHECKOUT)
        hold_button(slower).click()

        expect(alert(slower)).to_have_text(
            "Another customer was faster: Floor A, row A, seat 1 is taken."
        )
        expect(alert(slower)).to_be_in_viewport()
        expect(chosen(slower)).to_have_count(1)
        expect(tray(slower)).to_contain_text("Floor A, row A, seat 2")
        expect(slower.locator(".seat-held.seat")).to_have_count(1)
        hold_button(slower).click()
        slower.wait_for_url(CHECKOUT)

    def test_a_chosen_seat_that_goes_is_seen_within_seconds(
        self, open_map: OpenMap, performance: Performance
    ) -> None:
        page = open_map()
        click_seats(page, "Floor B B-4")
        expect(chosen(page)).to_have_count(1)

        reservation(CustomerFactory(), [seat(performance, "Floor B B-4")])

        expect(alert(page)).to_contain_text("Another customer was faster")
        expect(chosen(page)).to_have_count(0)
        expect(page.locator("[aria-current] .date__left")).to_have_text("23 seats left")

    def test_the_date_tells_what_is_left_down_to_the_last_seat_and_back(
        self, open_map: OpenMap, performance: Performance
    ) -> None:
        last = [seat(performance, f"Floor B B-{number}") for number in (5, 6)]
        block_all_but(last)
        rival = CustomerFactory()
        left = open_map().locator("[aria-current] .date__left")
        expect(left).to_have_text("2 seats left")

        reservation(rival, last[:1])
        expect(left).to_have_text("1 seat left")
        held = hold(rival, last[1:])
        expect(left).to_have_text("sold out")
        release_hold(customer_id=rival.pk, hold_id=held.pk)
        expect(left).to_have_text("1 seat left")

    def test_own_seats_that_are_given_back_elsewhere_can_be_chosen_again(
        self, open_map: OpenMap, performance: Performance, customer: User
    ) -> None:
        held = hold(customer, [seat(performance, "Floor A A-1")])
        page = open_map()
        expect(page.get_by_text("You hold 1 seat for")).to_be_visible()
        expect(page.locator("#map .seat-mine")).to_have_count(1)
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
        self, open_map: OpenMap, customer: User, answer: Callable[[Route], None], message: str
    ) -> None:
        page = open_map("phone", expects="502|ERR_FAILED", script=IMPATIENT)
        without_news(page)
        click_seats(page, "Floor A A-1")

        answer_holds(page, answer)
        hold_button(page).click()
        expect(alert(page)).to_contain_text(message)
        expect(hold_button(page)).not_to_have_attribute("aria-busy", "true")
        page.context.unroute(SEATS)
        hold_button(page).click()

        page.wait_for_url(CHECKOUT)
        assert Hold.objects.get(customer=customer).claims.count() == 1

    def test_the_alert_goes_when_the_connection_is_back(self, open_map: OpenMap) -> None:
        page = open_map("phone", expects="ERR_FAILED")
        click_seats(page, "Floor A A-1")

        without_news(page)
        answer_holds(page, lambda route: route.abort())
        hold_button(page).click()
        expect(alert(page)).to_contain_text("We could not reach the server.")
        page.context.unroute(AVAILABILITY)

        expect(alert(page)).to_be_empty()
        open_tray(page)
        expect(chosen(page)).to_have_count(1)

    def test_a_hold_that_came_through_is_not_called_another_customers(
        self, open_map: OpenMap
    ) -> None:
        page = open_map(expects="502")
        click_seats(page, "Floor A A-1")

        answer_holds(page, lose_the_answer)
        hold_button(page).click()

        expect(page.get_by_text("You hold 1 seat for")).to_be_visible()
        expect(page.locator("#map .seat-mine")).to_have_count(1)

    def test_a_refused_attempt_is_not_repeated_by_the_next(
        self, open_map: OpenMap, performance: Performance
    ) -> None:
        page = open_map(expects="409|ERR_FAILED")
        without_news(page)
        keys = page.locator("[name=key]")
        first = keys.evaluate_all("fields => fields.map((field) => field.value)")
        reservation(CustomerFactory(), [seat(performance, "Floor A A-1")])

        click_seats(page, "Floor A A-1")
        hold_button(page).click()
        expect(alert(page)).to_contain_text("Another customer was faster")

        second = keys.evaluate_all("fields => fields.map((field) => field.value)")
        assert len(second) == 2
        assert not {*first} & {*second}
        page.get_by_role("button", name="Hold the best seats").click()
        page.wait_for_url(CHECKOUT)

    def test_news_that_does_not_come_is_missed_and_asked_for_again(self, open_map: OpenMap) -> None:
        page = open_map(script=IMPATIENT)

        page.route(AVAILABILITY, lambda route: None)
        expect(page.get_by_text("The map may be out of date")).to_be_visible()
        page.unroute(AVAILABILITY)

        expect(page.get_by_text("The map may be out of date")).to_be_hidden()


class TestRefusal:
    """The page that the server shows instead knows why."""

    def test_of_news_leads_to_the_page_that_says_how_the_visit_ended(
        self, open_map: OpenMap, performance: Performance, customer: User
    ) -> None:
        page = open_map("phone", expects="403")

        take_out(customer, performance)

        expect(page.get_by_text(TAKEN_OUT)).to_be_visible()
        expect(page.get_by_role("button", name="Join the queue again")).to_be_visible()

    def test_of_a_hold_leads_there_too(
        self, open_map: OpenMap, performance: Performance, customer: User
    ) -> None:
        page = open_map(expects="403|ERR_FAILED")
        without_news(page)
        click_seats(page, "Floor A A-1")

        take_out(customer, performance)
        hold_button(page).click()

        expect(page.get_by_text(TAKEN_OUT)).to_be_visible()

    def test_after_logging_out_elsewhere_leads_to_the_login_and_back(
        self, open_map: OpenMap
    ) -> None:
        page = open_map(expects="401")
        [session] = [
            cookie for cookie in page.context.cookies() if cookie.get("name") == "sessionid"
        ]

        page.context.clear_cookies(name="sessionid")
        page.wait_for_url(re.compile("/login/"))
        page.context.add_cookies([session])  # type: ignore[list-item]
        page.goto(page.url)

        page.wait_for_url(SEATS)

    def test_of_the_first_news_leads_there_and_not_in_circles(self, open_map: OpenMap) -> None:
        page = open_map(expects="403")
        loaded: list[float] = []
        page.on("domcontentloaded", lambda page: loaded.append(time.monotonic()))

        page.route(AVAILABILITY, lambda route: route.fulfill(status=403, json={}), times=1)
        page.reload()
        await_map(page)

        first, second = loaded
        assert second - first > 1


class TestTime:
    @pytest.fixture
    def performance(self, performance: Performance) -> Performance:
        """Give an hour and more to choose."""
        WaitingRoom.objects.update(lease=timedelta(hours=2))
        return performance

    def test_left_to_choose_is_counted_in_hours_and_through_a_sleep(
        self, open_map: OpenMap
    ) -> None:
        page = open_map("phone", has_clock=True)
        lease = page.locator("#lease")

        expect(lease).to_contain_text(re.compile(r"\b1:59:\d\d"))
        # The device's clock goes on while it sleeps; the page's own stands still.
        page.clock.set_system_time(page.evaluate("Date.now()") + 3_600_000)
        page.clock.run_for(1_000)

        expect(lease).to_contain_text(re.compile(r"\b59:\d\d"))

    def test_left_is_seen_while_choosing_and_the_last_minute_is_told(
        self, open_map: OpenMap
    ) -> None:
        page = open_map("phone", has_clock=True)
        lease = page.locator("#lease")
        page.evaluate("scrollTo(0, 200)")
        assert page.evaluate("scrollY") > 0
        expect(lease).to_be_in_viewport(ratio=1)
        expect(lease.get_by_role("status")).to_be_empty()

        page.clock.fast_forward(7_150_000)

        expect(lease.get_by_text("Less than a minute left to choose.")).to_be_in_viewport(ratio=1)

    def test_that_is_over_leads_back_and_may_be_prolonged_elsewhere(
        self, open_map: OpenMap, performance: Performance, customer: User
    ) -> None:
        page = open_map("phone", has_clock=True, expects="ERR_FAILED")
        # The countdown alone is to find out.
        without_news(page)

        page.clock.fast_forward(7_201_000)
        expect(page.locator("#lease")).to_contain_text(re.compile(r"\b1:59:\d\d"))
        take_out(customer, performance)
        page.clock.fast_forward(7_201_000)

        expect(page.get_by_role("button", name="Join the queue again")).to_be_visible()

    def test_that_the_store_cannot_tell_is_asked_for_with_pauses(self, open_map: OpenMap) -> None:
        page = open_map("phone", has_clock=True, expects="503|ERR_FAILED")
        without_news(page)
        asked: list[Route] = []

        def refuse(route: Route) -> None:
            asked.append(route)
            route.fulfill(status=503)

        page.route(STATUS, refuse)

        page.clock.fast_forward(7_201_000)
        pass_seconds(page, 20)

        # At once, and after 3, 9 and 21 seconds.
        assert 3 <= len(asked) <= 4
        page.unroute(STATUS)
        pass_seconds(page, 26)
        expect(page.locator("#lease")).to_contain_text(re.compile(r"\b1:59:\d\d"))

    def test_that_is_over_with_seats_to_pay_for_leaves_only_the_way_there(
        self,
        open_map: OpenMap,
        performance: Performance,
        customer: User,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        hold(customer, [seat(performance, "Floor A A-1")])
        page = open_map("phone", has_clock=True)

        def late(**asked: Any) -> tuple[Performance, Admission]:
            found, admission = admission_to_performance(**asked)
            return found, replace(admission, new_holds_until=admission.seen_at)

        monkeypatch.setattr("apps.storefront.views.seats.admission_to_performance", late)
        page.route(STATUS, lambda route: route.fulfill(json={"lease_seconds": 0}))
        page.clock.fast_forward(7_201_000)

        expect(page.get_by_text("Your time to choose seats is over.")).to_be_visible()
        expect(page.locator("#map, #hold, #best, #lease")).to_have_count(0)
        page.get_by_role("link", name="Go to the checkout").click()
        page.wait_for_url(CHECKOUT)

    def test_a_hold_that_expires_at_the_checkout_explains_itself(
        self, open_map: OpenMap, settings: LazySettings
    ) -> None:
        settings.HOLD_TIME = timedelta(seconds=3)
        page = open_map("phone")
        click_seats(page, "Floor A A-3")
        hold_button(page).click()
        page.wait_for_url(CHECKOUT)

        expect(page.get_by_role("heading", name="The time to pay is over")).to_be_visible()
        page.get_by_role("link", name="Choose seats again").click()

        page.wait_for_url(SEATS)
        assert not Reservation.objects.exists()
