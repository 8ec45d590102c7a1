"""The whole way of a customer, and what holds on every page."""

import re
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance, Seat
from apps.concerts.services import create_performance
from apps.queue.services import remove_visitor
from apps.reservations.models import Reservation
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, overdue_hold, reservation
from tests.storefront.browser.conftest import StartVisit, admit
from tests.storefront.browser.test_seat_map import CHECKOUT, HALL, SEATS

HANGUL = re.compile("[가-힣]")


@pytest.fixture
def performance(transactional_db: None) -> Performance:
    concert = WaitingRoomFactory(concert__title="Paper Lanterns").concert
    return create_performance(
        concert_id=concert.pk,
        starts_at=concert.sales_open_at + timedelta(days=40),
        layout=HALL,
    )


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_from_the_home_page_to_a_ticket(
    visit: StartVisit, performance: Performance, size: str
) -> None:
    page = visit(size).open("/")

    page.get_by_role("link", name="Paper Lanterns").first.click()
    page.get_by_role("link", name="Log in to join the queue").click()
    page.locator("main").get_by_role("link", name=re.compile("^(Register|Create)")).first.click()
    page.get_by_label("Name").fill("Mina")
    page.get_by_label("Email address").fill("mina@example.com")
    page.get_by_label("Password").fill("seven-green-kites")
    page.locator("main").get_by_role("button").click()
    page.get_by_role("button", name="Join the queue").click()
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


def test_in_korean(visit: StartVisit, performance: Performance) -> None:
    customer = WalletFactory(balance=500_000).customer
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


# --- Accessibility ----------------------------------------------------------------------------------------------------


@pytest.fixture
def stage(transactional_db: None, performance: Performance) -> dict[str, Any]:
    """Something of everything: a hold, an overdue hold, a reservation, a place in the queue."""
    customer = WalletFactory(balance=500_000).customer
    other = create_performance(
        concert_id=performance.concert_id,
        starts_at=performance.starts_at + timedelta(days=1),
        layout=HALL,
    )
    third = create_performance(
        concert_id=performance.concert_id,
        starts_at=performance.starts_at + timedelta(days=2),
        layout=HALL,
    )
    seats = [list(Seat.objects.of_performance(one.pk)[:3]) for one in (performance, other, third)]
    waiting: Concert = WaitingRoomFactory(capacity=1, concert__title="Small Hours").concert
    PerformanceFactory(concert=waiting, seats=2)
    return {
        "customer": customer,
        "concert": performance.concert_id,
        "waiting": waiting,
        "reservation": reservation(customer, seats[0][:1]).pk,
        "live": hold(customer, seats[1][:1]).pk,
        "overdue": overdue_hold(customer, seats[2][:1]).pk,
    }


STRANGERS = ["/", "/?q=lantern", "/?q=nothing", "/login/", "/register/", "/concerts/{concert}/"]
CUSTOMERS = [
    "/wallet/",
    "/reservations/",
    "/reservations/?when=past",
    "/reservations/{reservation}/",
    "/reservations/{reservation}/cancel/",
    "/concerts/{concert}/checkout/{live}/",
    "/concerts/{concert}/checkout/{overdue}/",
    "/nothing/here/",
]


@pytest.mark.parametrize(
    ("size", "scheme"), [("desktop", "light"), ("phone", "dark")], ids=["desktop", "phone"]
)
def test_no_page_has_a_serious_barrier(
    visit: StartVisit, stage: dict[str, Any], size: str, scheme: str
) -> None:
    # The check is injected, which the pages' own policy forbids.
    options = {"bypass_csp": True, "color_scheme": scheme}
    found: dict[str, list[str]] = {}

    stranger = visit(size, **options)
    page = stranger.open("/")
    for path in STRANGERS:
        page.goto(stranger.base_url + path.format(**stage))
        found[path] = barriers(page)

    customer: User = stage["customer"]
    member = visit(size, customer, **options)
    member.expect("404")
    page = member.open("/")
    for path in CUSTOMERS:
        page.goto(member.base_url + path.format(**stage))
        found[path] = barriers(page)

    page.goto(f"{member.base_url}/concerts/{stage['concert']}/")
    page.get_by_role("button", name="Join the queue").click()
    admit(Concert.objects.get(pk=stage["concert"]))
    page.wait_for_url(SEATS)
    expect(page.locator("#seats[data-ready]")).to_be_visible()
    page.get_by_text("Choose from a list instead").click()
    page.get_by_text("Floor A 1").click()
    page.get_by_text("Row A ").first.click()
    page.get_by_role("button", name=re.compile("free$")).first.click()
    found["seats"] = barriers(page)

    waiting: Concert = stage["waiting"]
    guest = CustomerFactory()
    queueing = visit(size, guest, **options)
    page = queueing.open(f"/concerts/{waiting.pk}/")
    page.get_by_role("button", name="Join the queue").click()
    page.get_by_text("Leave the queue", exact=True).click()
    found["queue"] = barriers(page)
    remove_visitor(concert_id=waiting.pk, customer_id=guest.pk, staff_id=None)
    expect(page.get_by_role("button", name="Join the queue again")).to_be_visible()
    found["ended"] = barriers(page)

    assert {path: problems for path, problems in found.items() if problems} == {}


def barriers(page: Page) -> list[str]:
    """What axe calls serious or critical."""
    results = Axe().run(page)
    return [
        f"{violation['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
