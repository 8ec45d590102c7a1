"""Test what the rules of holding look like in a real browser: said before anything is held, and more time before a hold ends."""

import re
from datetime import timedelta

import pytest
from django.db.models import F
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance, Seat
from apps.concerts.services import create_performance
from apps.reservations.models import Hold
from tests.browser.conftest import StartVisit
from tests.browser.test_seat_map import (
    CHECKOUT,
    HALL,
    SEATS,
    click_seat,
    enter,
    seat,
    tray,
)
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold


@pytest.fixture
def performance(transactional_db: None) -> Performance:
    """Rows of six; four seats for each customer."""
    concert = WaitingRoomFactory(concert__seats_per_customer=4).concert
    return create_performance(
        concert_id=concert.pk,
        starts_at=concert.sales_open_at + timedelta(days=40),
        layout=HALL,
    )


@pytest.fixture
def customer(transactional_db: None) -> User:
    customer: User = WalletFactory(balance=1_000_000).customer
    return customer


def choose(page: Page, performance: Performance, *numbers: int) -> None:
    for number in numbers:
        click_seat(page, seat(performance, "Floor A", "A", number))


def nearly_over(held: Hold, *, left: timedelta) -> None:
    age = held.expires_at - held.held_at - left
    Hold.objects.filter(pk=held.pk).update(
        held_at=F("held_at") - age, expires_at=F("expires_at") - age
    )


class TestTray:
    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_warns_of_a_single_seat_by_its_name(
        self, visit: StartVisit, performance: Performance, customer: User, size: str
    ) -> None:
        page = enter(visit(size, customer), performance)
        advice = tray(page).locator('[data-slot="advice"]')

        choose(page, performance, 2, 3)
        expect(advice).to_contain_text("a single seat on its own: Floor A, row A, seat 1.")
        choose(page, performance, 2, 1, 3, 2)
        expect(advice).to_be_empty()
        choose(page, performance, 2, 1, 3, 2, 3)
        expect(advice).to_contain_text("Floor A, row A, seat 1")
        page.get_by_role("button", name="Hold these seats").click()

        page.wait_for_url(CHECKOUT)

    def test_warns_in_korean(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        page = enter_in_korean(visit, customer, performance)

        choose(page, performance, 2)

        expect(tray(page)).to_contain_text("한 자리만 홀로 남습니다: Floor A 구역 A열 1번.")

    def test_holds_nothing_where_that_is_refused(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        Concert.objects.update(single_seats="REFUSE")
        page = enter(visit("desktop", customer), performance)
        button = page.get_by_role("button", name="Hold these seats")

        choose(page, performance, 2, 3)
        expect(tray(page)).to_contain_text("Please choose differently.")
        expect(button).to_be_disabled()
        choose(page, performance, 1)
        expect(button).to_be_enabled()

    def test_says_nothing_where_single_seats_do_not_matter(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        Concert.objects.update(single_seats="OFF")
        page = enter(visit("desktop", customer), performance)

        choose(page, performance, 2, 3)

        expect(tray(page).get_by_role("listitem")).to_have_count(2)
        expect(tray(page).locator('[data-slot="advice"]')).to_be_empty()

    def test_says_what_no_balance_can_hold(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        Seat.objects.update(price=5_000_000)
        page = enter(visit("desktop", customer), performance)
        button = page.get_by_role("button", name="Hold these seats")

        choose(page, performance, 1, 2, 3)
        expect(tray(page)).to_contain_text("15,000,000")
        expect(tray(page)).to_contain_text("more than a balance can hold")
        expect(button).to_be_disabled()
        choose(page, performance, 3)
        expect(button).to_be_enabled()

    def test_counts_what_is_held_on_other_dates(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        other = create_performance(
            concert_id=performance.concert_id,
            starts_at=performance.starts_at + timedelta(days=1),
            layout=HALL,
        )
        seats = list(Seat.objects.filter(performance=other).order_by("pk"))
        hold(customer, seats[:3])
        page = enter(visit("desktop", customer), performance)
        expect(tray(page)).to_contain_text("0 of 1")

        hold(customer, seats[3:4])
        page.reload()

        expect(page.get_by_text("You hold 4 unpaid seats of this concert.")).to_be_visible()
        expect(page.get_by_role("button", name="Hold these seats")).to_have_count(0)


class TestMoreTime:
    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_is_offered_at_the_checkout_in_the_last_minute_and_taken_by_keyboard(
        self, visit: StartVisit, performance: Performance, customer: User, size: str
    ) -> None:
        held = hold(customer, [seat(performance, "Floor A", "A", 1)])
        nearly_over(held, left=timedelta(seconds=62))
        path = f"/concerts/{performance.concert_id}/checkout/{held.pk}/"
        page = visit(size, customer).open(path)
        notice = page.get_by_role("status").filter(has_text="Less than a minute left to pay")
        expect(notice).to_have_count(0)
        page.get_by_role("button", name="Pay ").focus()

        expect(notice).to_be_visible()
        expect(page.get_by_role("button", name="Pay ")).to_be_focused()
        notice.get_by_role("button", name="Keep them until").press("Enter")

        page.wait_for_url(CHECKOUT)
        expect(page.get_by_text("Your seats are now held until")).to_be_visible()
        expect(page.get_by_role("button", name="Keep them until")).to_have_count(0)
        extended = Hold.objects.get(pk=held.pk)
        assert extended.expires_at - extended.held_at == timedelta(minutes=10)

    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_is_offered_beside_the_map_and_leads_back_to_it(
        self, visit: StartVisit, performance: Performance, customer: User, size: str
    ) -> None:
        held = hold(customer, [seat(performance, "Floor A", "A", 1)])
        nearly_over(held, left=timedelta(seconds=50))
        page = enter(visit(size, customer), performance)
        notice = page.get_by_role("status").filter(has_text="Less than a minute left to pay")

        expect(notice).to_be_in_viewport()
        notice.get_by_role("button", name="Keep them until").click()

        expect(page.get_by_text("Your seats are now held until")).to_be_visible()
        assert SEATS.search(page.url)
        assert Hold.objects.get(pk=held.pk).extended_at

    @pytest.mark.parametrize("size", ["desktop", "phone"])
    @pytest.mark.parametrize("path", ["/", "/concerts/{}/", "/reservations/"])
    def test_is_offered_on_every_page_that_shows_the_hold_and_leads_back(
        self, visit: StartVisit, performance: Performance, customer: User, path: str, size: str
    ) -> None:
        held = hold(customer, [seat(performance, "Floor A", "A", 1)])
        nearly_over(held, left=timedelta(seconds=50))
        page = visit(size, customer).open(path.format(performance.concert_id))
        here = page.url
        notice = page.get_by_role("status").filter(has_text="Less than a minute left to pay")

        expect(notice).to_be_in_viewport()
        notice.get_by_role("button", name="Keep them until").click()

        expect(page.get_by_text("Your seats are now held until")).to_be_visible()
        assert page.url == here
        assert Hold.objects.get(pk=held.pk).extended_at

    def test_needs_no_script(
        self, visit: StartVisit, performance: Performance, customer: User
    ) -> None:
        held = hold(customer, [seat(performance, "Floor A", "A", 1)])
        path = f"/concerts/{performance.concert_id}/checkout/{held.pk}/"
        page = visit("phone", customer, java_script_enabled=False).open(path)

        page.get_by_role("button", name="I need more time").click()

        expect(page.get_by_text("Your seats are now held until")).to_be_visible()
        assert Hold.objects.get(pk=held.pk).extended_at


def enter_in_korean(visit: StartVisit, customer: User, performance: Performance) -> Page:
    page = enter(visit("desktop", customer), performance)
    page.get_by_role("button", name=re.compile("한국어")).click()
    expect(page.locator("html[lang=ko]")).to_be_attached()
    page.goto(page.url)
    expect(page.locator("#seats[data-ready]")).to_be_visible()
    return page
