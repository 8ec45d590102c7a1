"""The whole way of a customer, and what holds on every page."""

import re

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.concerts.models import Performance
from apps.reservations.models import Reservation
from tests.browser.conftest import StartVisit
from tests.browser.seat_map import CHECKOUT, SEATS
from tests.browser.waiting import admit

HANGUL = re.compile("[가-힣]")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_from_the_home_page_to_a_ticket(
    visit: StartVisit, performance: Performance, size: str
) -> None:
    page = visit(size).open("/")

    page.get_by_role("link", name="Paper Lanterns").first.click()
    page.get_by_role("button", name="Log in to join the queue").click()
    page.locator("main").get_by_role("link", name=re.compile("^(Register|Create)")).first.click()
    page.get_by_label("Name").fill("Mina")
    page.get_by_label("Email address").fill("mina@example.com")
    page.get_by_label("Password").fill("seven-green-kites")
    page.locator("main").get_by_role("button").click()
    page.wait_for_url(re.compile("/queue/$|/seats/"))
    admit(performance.concert)
    page.wait_for_url(SEATS)
    page.get_by_label("Grade").select_option("R")
    page.get_by_role("button", name="Hold the best seats").click()
    page.wait_for_url(CHECKOUT)
    page.get_by_role("button", name=re.compile("^Top up")).click()
    page.wait_for_url(CHECKOUT)
    page.get_by_role("button", name="Pay ₩99,000").click()
    page.wait_for_url(re.compile("/reservations/"))

    booked = Reservation.objects.get()
    assert booked.customer.email == "mina@example.com"
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator('img[src*="qr.svg"]').first).to_be_visible()
    expect(page.get_by_text("Paper Lanterns").first).to_be_visible()


def test_in_korean(visit: StartVisit, performance: Performance, customer: User) -> None:
    page = visit("phone", customer).open("/")

    page.get_by_role("button", name="한국어").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    page.get_by_role("link", name="Paper Lanterns").first.click()
    in_korean(page, "main")
    page.locator('form[action$="/queue/"] button').click()
    page.wait_for_url(re.compile("/queue/$|/seats/"))
    admit(performance.concert)
    page.wait_for_url(SEATS)
    in_korean(page, "h1")
    expect(page.locator(".date__day").first).to_have_text(re.compile(r"\d+년 \d+월 \d+일"))
    page.locator("#best button").click()
    page.wait_for_url(CHECKOUT)
    in_korean(page, "h1")
    page.locator("main form button").first.click()
    page.wait_for_url(re.compile("/reservations/"))
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    in_korean(page, "main")


def in_korean(page: Page, part: str) -> None:
    expect(page.locator(part).first).to_have_text(HANGUL)
