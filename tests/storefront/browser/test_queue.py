"""The waiting room in a real browser."""

import gzip
import re
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.utils import timezone
from playwright.sync_api import Page, Response, expect

from apps.accounts.models import User
from apps.concerts.models import Concert
from apps.queue.models import WaitingRoom
from apps.queue.services import (
    join_queue,
    pause_room,
    remove_visitor,
    resume_room,
    set_capacity,
)
from apps.shared.caching import forget_everything
from tests.conftest import StartValkey
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.storefront.browser.conftest import StartVisit, Visit, admit

LARGEST_PAGE = 60_000  # bytes, compressed
QUEUE = re.compile(r"/concerts/\d+/queue/$")
SEATS = re.compile(r"/concerts/\d+/seats/\d+/$")


@pytest.fixture
def concert(db: None, transactional_db: None) -> Concert:
    """On sale, with a waiting room for one at once, which somebody is in."""
    concert: Concert = WaitingRoomFactory(capacity=1).concert
    PerformanceFactory(concert=concert, seats=10)
    queue_up(concert, 1)
    admit(concert)
    return concert


@pytest.fixture
def customer(db: None) -> User:
    customer: User = CustomerFactory()
    return customer


def queue_up(concert: Concert, visitors: int) -> list[User]:
    made: list[User] = [CustomerFactory() for _ in range(visitors)]
    for one in made:
        join_queue(customer_id=one.pk, concert_id=concert.pk)
    return made


def let_in(concert: Concert, visitors: int) -> None:
    """So many more than there are."""
    capacity = WaitingRoom.objects.get(concert=concert).capacity + visitors
    set_capacity(concert_id=concert.pk, capacity=capacity, staff_id=None)
    assert admit(concert) == visitors


def join(visit: Visit, concert: Concert) -> Page:
    page = visit.open(f"/concerts/{concert.pk}/")
    page.get_by_role("button", name="Join the queue").click()
    page.wait_for_url(QUEUE)
    return page


def ahead(page: Page) -> int:
    return int(page.locator('[data-slot="ahead"]').inner_text().replace(",", ""))


def test_the_first_view_weighs_little(visit: StartVisit, concert: Concert, customer: User) -> None:
    visitor = visit("phone", customer)
    responses: list[Response] = []
    join(visitor, concert).close()
    visitor.context.on("response", lambda response: responses.append(response))

    page = visitor.open(f"/concerts/{concert.pk}/queue/")
    expect(page).to_have_title(re.compile(r"^\(0\)"))
    page.wait_for_load_state("networkidle")

    parts = {
        response.url: len(gzip.compress(response.body()))
        for response in responses
        if response.status == 200
    }
    print(sum(parts.values()), parts)  # noqa: T201
    assert any(url.endswith("queue.js") for url in parts)
    assert sum(parts.values()) < LARGEST_PAGE


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_it_moves_on_by_itself_when_the_turn_comes(
    visit: StartVisit, concert: Concert, customer: User, size: str
) -> None:
    queue_up(concert, 1)
    page = join(visit(size, customer), concert)

    expect(page.get_by_text("person ahead of you", exact=True)).to_be_visible()
    expect(page).to_have_title("(1) Waiting · Encore")
    let_in(concert, 1)
    expect(page.get_by_text("You are next", exact=True)).to_be_visible()
    let_in(concert, 1)

    page.wait_for_url(SEATS)


def test_the_turn_is_shown_in_the_title_and_sounds_for_who_asked(
    visit: StartVisit, concert: Concert, customer: User
) -> None:
    visitor = visit("desktop", customer)
    # Stays on the page, so that it can be looked at.
    visitor.context.route(re.compile("/seats/$"), lambda route: route.fulfill(status=204))
    visitor.context.add_init_script(
        "window.notes = 0;"
        "const start = OscillatorNode.prototype.start;"
        "OscillatorNode.prototype.start = function (at) { window.notes += 1; start.call(this, at); };"
    )
    page, silent = join(visitor, concert), visitor.open(f"/concerts/{concert.pk}/queue/")
    page.get_by_label("Play a sound when it is my turn").check()
    assert page.evaluate("notes") == 2

    # Behind the other tab, as it will be when the turn comes.
    silent.bring_to_front()
    let_in(concert, 1)

    for tab in (page, silent):
        expect(tab).to_have_title("Your turn · Encore")
        expect(tab.locator('link[rel="icon"]')).to_have_attribute("href", re.compile("turn"))
        expect(tab.get_by_role("link", name="Choose seats")).to_be_visible()
    assert [tab.evaluate("notes") for tab in (page, silent)] == [4, 0]


def test_reload_and_second_tab_keep_the_place(
    visit: StartVisit, concert: Concert, customer: User
) -> None:
    queue_up(concert, 2)
    visitor = visit("desktop", customer)
    page = join(visitor, concert)
    queue_up(concert, 1)

    page.reload()
    tab = visitor.open(f"/concerts/{concert.pk}/queue/")
    device = join(visit("phone", customer), concert)

    assert [ahead(one) for one in (page, tab, device)] == [2, 2, 2]


def test_it_counts_down_from_the_board_between_two_answers(
    visit: StartVisit, concert: Concert, customer: User
) -> None:
    queue_up(concert, 80)
    visitor = visit("desktop", customer)
    asked: list[str] = []
    visitor.context.on("request", lambda request: asked.append(request.url))

    page = join(visitor, concert)
    expect(page.locator('[data-slot="ahead"]')).to_have_text("80")
    with page.expect_response(re.compile("/api/v1/queue/concerts/")):
        pass
    let_in(concert, 5)

    expect(page.locator('[data-slot="ahead"]')).to_have_text("75")
    assert not [url for url in asked if url.endswith("/queue/status/")]


def test_a_page_that_wakes_up_asks_at_once(
    visit: StartVisit, concert: Concert, customer: User
) -> None:
    queue_up(concert, 80)
    visitor = visit("phone", customer)
    visitor.context.clock.install()
    page = join(visitor, concert)
    expect(page.locator('[data-slot="ahead"]')).to_have_text("80")
    let_in(concert, 5)

    visitor.context.clock.fast_forward(60_000)
    with page.expect_response(re.compile("/queue/status/")):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(page.locator('[data-slot="ahead"]')).to_have_text("75")


def test_a_pause_is_told_and_the_number_stays(
    visit: StartVisit, concert: Concert, customer: User
) -> None:
    queue_up(concert, 3)
    page = join(visit("desktop", customer), concert)

    pause_room(concert_id=concert.pk, staff_id=None)
    expect(page.get_by_text("The queue is paused.").first).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="The queue is paused.")).to_have_count(1)
    assert ahead(page) == 3

    resume_room(concert_id=concert.pk, staff_id=None)
    expect(page.get_by_text("The queue is open.").first).to_be_visible()


def test_it_survives_the_loss_of_the_network(
    visit: StartVisit, concert: Concert, customer: User
) -> None:
    queue_up(concert, 3)
    visitor = visit("phone", customer)
    visitor.expect("ERR_INTERNET_DISCONNECTED")
    page = join(visitor, concert)

    visitor.context.set_offline(True)
    expect(page.get_by_text("This device is offline.").first).to_be_visible()
    assert ahead(page) == 3
    let_in(concert, 1)
    visitor.context.set_offline(False)

    expect(page.get_by_text("The queue is open.").first).to_be_visible()
    expect(page.locator('[data-slot="ahead"]')).to_have_text("2")


def test_it_keeps_trying_while_the_store_is_down(
    visit: StartVisit, valkey_server: StartValkey, settings: LazySettings, customer: User
) -> None:
    server = valkey_server()
    settings.QUEUE_URL, settings.STORE_TIMEOUT = server.url, 0.3
    concert = WaitingRoomFactory(capacity=1).concert
    PerformanceFactory(concert=concert, seats=10)
    queue_up(concert, 1)
    admit(concert)
    visitor = visit("desktop", customer)
    visitor.expect("503")
    page = join(visitor, concert)

    server.pause()
    try:
        expect(page.get_by_text("We cannot reach the waiting room").first).to_be_visible()
        expect(page.get_by_text("You are next", exact=True)).to_be_visible()
        page.reload()
        expect(page.get_by_text("Your place is kept, and this page keeps trying.")).to_be_visible()
    finally:
        server.resume()

    expect(page.get_by_text("You are next", exact=True)).to_be_visible()
    let_in(concert, 1)
    page.wait_for_url(SEATS)


def test_an_ended_visit_is_explained(visit: StartVisit, concert: Concert, customer: User) -> None:
    page = join(visit("desktop", customer), concert)

    remove_visitor(concert_id=concert.pk, customer_id=customer.pk, staff_id=None)

    expect(page.get_by_text("The box office has taken you out of the queue.")).to_be_visible()
    page.get_by_role("button", name="Join the queue again").click()
    expect(page.get_by_text("You are next", exact=True)).to_be_visible()


def test_leaving_asks_first(visit: StartVisit, concert: Concert, customer: User) -> None:
    page = join(visit("phone", customer), concert)

    expect(page.get_by_role("button", name="Give up my place")).to_be_hidden()
    page.get_by_text("Leave the queue", exact=True).click()
    page.get_by_role("button", name="Give up my place").click()

    page.wait_for_url(re.compile(r"/concerts/\d+/$"))
    expect(page.get_by_text("You have left the queue.")).to_be_visible()


def test_before_the_opening_it_counts_down(visit: StartVisit, customer: User) -> None:
    upcoming = WaitingRoomFactory(
        capacity=1, concert__sales_open_at=timezone.now() + timedelta(minutes=20)
    ).concert
    PerformanceFactory(concert=upcoming, seats=1)

    page = join(visit("desktop", customer), upcoming)

    expect(page.locator('[data-slot="opening"]')).to_have_text(re.compile(r"^(20:00|19:5\d)$"))
    expect(page.get_by_text("until the doors open")).to_be_visible()
    expect(page).to_have_title(re.compile(r"^\((20|19):\d\d\) Waiting"))


def test_it_works_without_javascript(visit: StartVisit, concert: Concert, customer: User) -> None:
    page = join(visit("phone", customer, java_script_enabled=False), concert)

    expect(page.get_by_text("You are next", exact=True)).to_be_visible()
    expect(page.locator("noscript p")).to_be_visible()
    let_in(concert, 1)
    forget_everything()

    page.wait_for_url(SEATS)
    page.get_by_label("Seats", exact=True).select_option("1")
    page.get_by_role("button", name="Hold the best seats").click()
    page.wait_for_url(re.compile("/checkout/"))
