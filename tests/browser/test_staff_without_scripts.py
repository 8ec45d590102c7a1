"""Pages of staff in a browser that runs no script: everything can be read, and every plain form works."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.concerts.models import Performance
from apps.payments.models import LedgerTransaction
from apps.reservations.models import Reservation, Ticket
from tests.boxoffice.staff import list_of, page_of
from tests.browser.conftest import StartVisit, Visit
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import reservation


@pytest.fixture
def performance(transactional_db: None) -> Performance:
    made: Performance = PerformanceFactory(seats=6, concert__seats_per_customer=4)
    return made


@pytest.fixture
def order(performance: Performance) -> Reservation:
    seats = list(performance.seats.order_by("pk"))
    reservation(CustomerFactory(name="Max Stone"), seats[3:4])
    return reservation(CustomerFactory(name="Ida Vale"), seats[:3])


@pytest.fixture
def plain(visit: StartVisit) -> Visit:
    return visit("desktop", CustomerFactory(admin=True), java_script_enabled=False)


def covers(page: Page) -> bool:
    """Tell whether something lies above the middle of the page that is not part of it."""
    box = page.locator("#content").bounding_box()
    assert box is not None
    return box["height"] < 50 or page.locator("#changelist-filter-close").is_visible()


def test_a_list_is_read_filtered_and_left(plain: Visit, order: Reservation) -> None:
    page = plain.open(list_of(Reservation))

    expect(page.get_by_role("link", name=order.order_number)).to_be_visible()
    assert not covers(page)
    page.get_by_role("link", name="cancelled", exact=True).click()
    expect(page.get_by_role("link", name=order.order_number)).to_have_count(0)
    page.goto(list_of(Reservation))
    page.get_by_role("searchbox").or_(page.locator("#searchbar")).first.fill("Ida Vale")
    page.keyboard.press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.get_by_role("link", name=order.order_number).click()
    expect(page.get_by_text("Ida Vale").first).to_be_visible()


def test_seats_of_an_order_are_cancelled(plain: Visit, order: Reservation) -> None:
    page = plain.open(page_of(order))
    expect(page.get_by_text("the tickets were issued").first).to_be_visible()

    page.get_by_role("link", name="Cancel or refund").click()
    page.get_by_label(re.compile(r"A-1 \(R\)")).check()
    page.get_by_label("Reason").fill("Fell ill")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("50,000 won").first).to_be_visible()
    page.get_by_role("button", name="Carry out").click()

    expect(page.get_by_text("Seats cancelled: 1.").first).to_be_visible()
    assert Ticket.objects.filter(reservation=order, cancelled_at=None).count() == 2


def test_a_seat_is_sold_at_the_counter(plain: Visit, performance: Performance) -> None:
    page = plain.open(reverse("admin:reservations_picture", args=[performance.pk]))

    page.get_by_label("Choose 1 A-2").check()
    page.get_by_role("button", name="Sell the chosen seats").click()
    page.get_by_label("Name of the walk-up").fill("Kim Minji")
    page.get_by_role("button", name=re.compile("Sell for 50,000 won")).click()

    expect(page.get_by_role("img", name="QR code of this ticket")).to_have_count(1)
    assert LedgerTransaction.objects.filter(type="TILL_CASH", amount=50_000).count() == 1


def test_a_clerk_logs_out(plain: Visit) -> None:
    page = plain.open(reverse("admin:index"))

    page.get_by_role("button", name="Log out").click()

    expect(page).to_have_url(re.compile("/admin/(login|logout)/"))
