"""The tasks of staff at the counter, each in a browser, by the clerk who has to do it; `docs/box-office.md` tells the same in words."""

import re

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from apps.boxoffice.roles import BOX_OFFICE, set_roles
from apps.concerts.models import Performance
from apps.reservations.models import Reservation
from tests.boxoffice.staff import list_of, page_of
from tests.browser.conftest import StartVisit
from tests.browser.seat_map import add_date
from tests.factories.accounts import CustomerFactory
from tests.factories.reservations import reservation


@pytest.fixture
def page(visit: StartVisit) -> Page:
    set_roles(using="default")
    clerk = CustomerFactory(staff=True)
    clerk.groups.add(Group.objects.get(name=BOX_OFFICE))
    return visit("desktop", clerk).open("/admin/")


def choose(page: Page, performance: Performance, *seats: str) -> None:
    """Open the hall of a date and choose seats by name."""
    page.locator(f'a[href="{list_of(Performance)}"]').first.click()
    page.locator(f'#result_list a[href*="{page_of(performance)}"]').first.click()
    page.locator('a[href*="show_picture"]').click()
    for seat in seats:
        page.get_by_label(f"Choose {seat}", exact=True).check()
    page.get_by_role("button", name="Sell the chosen seats").click()


def test_a_walk_up_sale(page: Page, performance: Performance) -> None:
    choose(page, performance, "Floor B A-1", "Floor B A-2")
    page.get_by_label("Name of the walk-up").fill("Kim Minji")
    page.get_by_role("button", name="Sell for 198,000 won").click()

    expect(page.get_by_role("img", name="QR code of this ticket")).to_have_count(2)
    assert Reservation.objects.get().customer.name == "Kim Minji"


def test_a_complimentary_ticket(page: Page, performance: Performance) -> None:
    choose(page, performance, "Floor A A-3")
    page.get_by_label("Name of the walk-up").fill("Lee Press")
    page.locator("[name=paid_by][value=HOUSE]").check()
    page.get_by_label("Reason").fill("Press")
    page.get_by_role("button", name=re.compile("^Sell for")).click()

    expect(page.get_by_role("img", name="QR code of this ticket")).to_have_count(1)


def test_move_a_customer_to_another_date(page: Page, performance: Performance) -> None:
    later = add_date(performance.concert, days=1)
    customer = CustomerFactory()
    booked = reservation(customer, list(performance.seats.filter(section="Floor B")[:2]))
    page.goto(page_of(booked))
    page.get_by_role("link", name="Move to other seats").click()
    page.locator("#performance").select_option(str(later.pk))
    page.locator("#seats").fill("Floor B B-1, Floor B B-2")
    page.get_by_role("button", name="Show the difference").click()
    expect(page.get_by_text("There is no difference in price.")).to_be_visible()
    page.get_by_label("Reason").fill("Asked by phone")
    page.get_by_role("button", name="Move the customer").click()

    page.wait_for_load_state()
    moved = Reservation.objects.get(customer=customer, status="CONFIRMED")
    assert moved.performance == later
    booked.refresh_from_db()
    assert booked.status == "CANCELLED"
