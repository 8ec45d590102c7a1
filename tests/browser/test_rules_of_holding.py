"""The rules of holding in a real browser: said before anything is held, and more time before a hold ends."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance, Seat
from apps.reservations.models import Hold
from tests.browser.conftest import OpenMap, StartVisit
from tests.browser.seat_map import (
    CHECKOUT,
    SEATS,
    add_date,
    chosen,
    click_seats,
    hold_button,
    seat,
    tray,
)
from tests.factories.reservations import hold


@pytest.fixture(autouse=True)
def _four_seats(performance: Performance) -> None:
    """Let each customer have four seats of the rows of six."""
    Concert.objects.update(seats_per_customer=4)


def choose(page: Page, *numbers: int) -> None:
    click_seats(page, *(f"Floor A A-{number}" for number in numbers))


def advice(page: Page) -> Locator:
    return tray(page).locator('[data-slot="advice"]')


class TestTray:
    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_warns_of_a_single_seat_by_its_name(self, open_map: OpenMap, size: str) -> None:
        page = open_map(size)

        choose(page, 2, 3)
        expect(advice(page)).to_contain_text("a single seat on its own: Floor A, row A, seat 1.")
        choose(page, 2, 1, 3, 2)
        expect(advice(page)).to_be_empty()
        choose(page, 2, 1, 3, 2, 3)
        expect(advice(page)).to_contain_text("Floor A, row A, seat 1")
        hold_button(page).click()

        page.wait_for_url(CHECKOUT)

    def test_holds_nothing_where_that_is_refused(self, open_map: OpenMap) -> None:
        Concert.objects.update(single_seats="REFUSE")
        page = open_map()

        choose(page, 2, 3)
        expect(tray(page)).to_contain_text("Please choose differently.")
        expect(hold_button(page)).to_be_disabled()
        choose(page, 1)
        expect(hold_button(page)).to_be_enabled()

    def test_knows_that_seats_across_an_aisle_are_no_neighbours(self, open_map: OpenMap) -> None:
        Seat.objects.filter(section="Floor A", number__gt=2).update(x=F("x") + 1)
        page = open_map()

        choose(page, 4, 5)

        expect(advice(page)).to_contain_text("Floor A, row A, seat 3")
        expect(advice(page)).to_contain_text("Floor A, row A, seat 6")

    def test_says_nothing_where_single_seats_do_not_matter(self, open_map: OpenMap) -> None:
        Concert.objects.update(single_seats="OFF")
        page = open_map()

        choose(page, 2, 3)

        expect(chosen(page)).to_have_count(2)
        expect(advice(page)).to_be_empty()

    def test_says_what_no_balance_can_hold(self, open_map: OpenMap) -> None:
        Seat.objects.update(price=5_000_000)
        page = open_map()

        choose(page, 1, 2, 3)
        expect(tray(page)).to_contain_text("15,000,000")
        expect(tray(page)).to_contain_text("more than a balance can hold")
        expect(hold_button(page)).to_be_disabled()
        choose(page, 3)
        expect(hold_button(page)).to_be_enabled()

    def test_counts_what_is_held_on_other_dates(
        self, open_map: OpenMap, performance: Performance, customer: User
    ) -> None:
        seats = list(add_date(performance.concert, days=1).seats.order_by("pk"))
        hold(customer, seats[:3])
        page = open_map()
        expect(tray(page)).to_contain_text("0 of 1")

        hold(customer, seats[3:4])
        page.reload()

        expect(page.get_by_text("You hold 4 unpaid seats of this concert.")).to_be_visible()
        expect(hold_button(page)).to_have_count(0)


class TestMoreTime:
    @pytest.fixture
    def held(self, performance: Performance, customer: User) -> Hold:
        """One seat, for a minute more."""
        held = hold(customer, [seat(performance, "Floor A A-1")])
        self.leave(held, seconds=50)
        return held

    def leave(self, held: Hold, *, seconds: int) -> None:
        """Let time pass until so many seconds are left."""
        until, length = timezone.now() + timedelta(seconds=seconds), held.expires_at - held.held_at
        Hold.objects.filter(pk=held.pk).update(held_at=until - length, expires_at=until)

    def notice(self, page: Page) -> Locator:
        return page.get_by_role("status").filter(has_text="Less than a minute left to pay")

    def take(self, page: Page, held: Hold) -> None:
        """Take the offer, which leads back to the page."""
        here = page.url
        expect(self.notice(page)).to_be_in_viewport()
        self.notice(page).get_by_role("button", name="Keep them until").click()

        expect(page.get_by_text("Your seats are now held until")).to_be_visible()
        assert page.url == here
        assert Hold.objects.get(pk=held.pk).extended_at

    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_is_offered_at_the_checkout_in_the_last_minute_and_taken_by_keyboard(
        self, visit: StartVisit, held: Hold, customer: User, size: str
    ) -> None:
        self.leave(held, seconds=62)
        path = f"/concerts/{held.performance.concert_id}/checkout/{held.pk}/"
        page = visit(size, customer).open(path)
        expect(self.notice(page)).to_have_count(0)
        page.get_by_role("button", name="Pay ").focus()

        expect(self.notice(page)).to_be_visible()
        expect(page.get_by_role("button", name="Pay ")).to_be_focused()
        self.notice(page).get_by_role("button", name="Keep them until").press("Enter")

        page.wait_for_url(CHECKOUT)
        expect(page.get_by_text("Your seats are now held until")).to_be_visible()
        expect(page.get_by_role("button", name="Keep them until")).to_have_count(0)
        extended = Hold.objects.get(pk=held.pk)
        assert extended.expires_at - extended.held_at == timedelta(minutes=10)

    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_is_offered_beside_the_map_and_leads_back_to_it(
        self, open_map: OpenMap, held: Hold, size: str
    ) -> None:
        page = open_map(size)

        self.take(page, held)

        assert SEATS.search(page.url)

    @pytest.mark.parametrize(
        ("path", "size"),
        [("/", "phone"), ("/concerts/{}/", "desktop"), ("/reservations/", "phone")],
    )
    def test_is_offered_on_every_page_that_shows_the_hold_and_leads_back(
        self, visit: StartVisit, held: Hold, customer: User, path: str, size: str
    ) -> None:
        page = visit(size, customer).open(path.format(held.performance.concert_id))

        self.take(page, held)
