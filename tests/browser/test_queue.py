"""The waiting room in a real browser."""

import gzip
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.utils import timezone
from playwright.sync_api import Locator, Page, Response, Route, expect

from apps.accounts.models import User
from apps.concerts.models import Concert
from apps.concerts.publication import publish_concert, withdraw_concert
from apps.core.caching import clear_process_caches
from apps.queue.models import WaitingRoom
from apps.queue.services import (
    close_room,
    join_queue,
    open_room,
    pause_room,
    remove_visitor,
    resume_room,
    set_capacity,
)
from tests.browser.conftest import StartVisit, Visit, admit
from tests.conftest import StartValkey
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory

LARGEST_PAGE = 60_000  # bytes, compressed
QUEUE = re.compile(r"/concerts/\d+/queue/$")
SEATS = re.compile(r"/concerts/\d+/seats/\d+/$")
WHY = "The hall has changed the seats of row F."
STATUS = re.compile(r"/queue/status/$")
BOARD = re.compile("/api/v1/queue/concerts/")


@pytest.fixture
def concert(db: None, transactional_db: None) -> Concert:
    """On sale, with a waiting room for one at once, which somebody is in."""
    concert: Concert = WaitingRoomFactory(capacity=1).concert
    PerformanceFactory(concert=concert, seats=10)
    queue_up(concert, 1)
    admit(concert)
    return concert


@pytest.fixture
def upcoming(db: None, transactional_db: None) -> Concert:
    """Opens in 20 minutes; its waiting room has one place inside, and draws lots."""
    concert: Concert = WaitingRoomFactory(
        capacity=1, concert__sales_open_at=timezone.now() + timedelta(minutes=20)
    ).concert
    PerformanceFactory(concert=concert, seats=1)
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


def label(page: Page, text: str) -> Locator:
    """Return what stands below the number, as it is seen: screen readers are told the same."""
    return page.locator('[data-slot="label"]').filter(has_text=text)


def ahead(page: Page) -> int:
    return int(page.locator('[data-slot="ahead"]').inner_text().replace(",", ""))


def take_over_time(visitor: Visit) -> None:
    """The page's timers are the test's to move on; a worker would keep its own."""
    visitor.context.clock.install()
    visitor.context.add_init_script("delete globalThis.Worker")


def wait_for_the_opening(visit: StartVisit, upcoming: Concert, customer: User) -> Page:
    """On a phone, with time in the hands of the test."""
    visitor = visit("phone", customer)
    take_over_time(visitor)
    page = join(visitor, upcoming)
    expect(page.get_by_text("until the doors open")).to_be_visible()
    return page


def sleep(page: Page, span: timedelta) -> None:
    """The device sleeps in front of the visitor: its clock goes on, the page's and all timers stand still, nothing is told."""
    awake_at = page.evaluate("Date.now()") / 1000 + span.total_seconds()
    page.clock.set_system_time(awake_at)


def pass_time(page: Page, until: Callable[[], bool]) -> None:
    """A minute and a half at most; by the second, because the page waits for answers in between."""
    for _ in range(90):
        if until():
            return
        page.clock.run_for(1_000)
        page.wait_for_timeout(50)
    pytest.fail("Nothing has happened.")


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
    expect(page.locator('[data-slot="label"]')).to_have_text("You are next")
    expect(page.locator('[data-slot="news"]')).to_contain_text("You are next")
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
    page.evaluate("dispatchEvent(new Event('offline'))")
    expect(page.get_by_role("link", name="Choose seats")).to_be_visible()


def test_a_sound_that_fails_holds_nobody_up(
    visit: StartVisit, concert: Concert, customer: User
) -> None:
    visitor = visit("desktop", customer)
    visitor.expect("no sound here")
    visitor.context.add_init_script(
        "OscillatorNode.prototype.start = () => { throw new Error('no sound here'); };"
    )
    page = join(visitor, concert)
    page.get_by_label("Play a sound when it is my turn").check()

    let_in(concert, 1)

    page.wait_for_url(SEATS)


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
    # The next answer never comes, however slow the machine is.
    visitor.expect("503")
    visitor.context.route(
        STATUS, lambda route: route.fulfill(status=503, headers={"Retry-After": "3600"})
    )

    page = join(visitor, concert)
    expect(page.locator('[data-slot="ahead"]')).to_have_text("80")
    expect(page.locator('[data-slot="news"]')).to_have_text(
        re.compile(r"^80 people ahead of you\. Estimated wait: about ")
    )
    with page.expect_response(BOARD):
        pass
    let_in(concert, 5)

    expect(page.locator('[data-slot="ahead"]')).to_have_text("75")


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


def test_a_device_that_slept_unseen_asks_soon(
    visit: StartVisit, upcoming: Concert, customer: User
) -> None:
    page = wait_for_the_opening(visit, upcoming, customer)

    sleep(page, timedelta(minutes=30))

    with page.expect_response(STATUS):
        page.clock.run_for(16_000)


def test_a_new_visit_begins_with_a_new_number(
    visit: StartVisit, concert: Concert, customer: User
) -> None:
    queue_up(concert, 3)
    visitor = visit("desktop", customer)
    visitor.expect("ERR_INTERNET_DISCONNECTED")
    page = join(visitor, concert)
    let_in(concert, 2)
    expect(page.locator('[data-slot="ahead"]')).to_have_text("1")
    queue_up(concert, 4)

    # This tab hears nothing while the visitor leaves and joins again in another one.
    page.route(STATUS, lambda route: route.abort("internetdisconnected"))
    tab = visitor.open(f"/concerts/{concert.pk}/queue/")
    tab.get_by_text("Leave the queue", exact=True).click()
    tab.get_by_role("button", name="Give up my place").click()
    tab.get_by_role("button", name="Join the queue").click()
    tab.wait_for_url(QUEUE)
    page.unroute(STATUS)

    expect(page.locator('[data-slot="ahead"]')).to_have_text("5")
    expect(page).to_have_title("(5) Waiting · Encore")


def test_an_error_of_the_page_is_no_outage(
    visit: StartVisit, concert: Concert, customer: User
) -> None:
    queue_up(concert, 1)
    visitor = visit("desktop", customer)
    visitor.expect("Cannot set properties of null")
    page = join(visitor, concert)

    page.evaluate("document.querySelector('[data-slot=\"wait\"]').remove()")
    for _ in range(2):
        with page.expect_response(STATUS) as found:
            pass
        found.value.finished()

    expect(page.get_by_text("The queue is open.").first).to_be_visible()


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


def test_a_concert_taken_offline_is_told_and_goes_on_by_itself(
    visit: StartVisit, concert: Concert, customer: User
) -> None:
    queue_up(concert, 3)
    visitor = visit("desktop", customer)
    visitor.expect("404")  # of the public board
    page = join(visitor, concert)

    withdraw_concert(concert_id=concert.pk, reason=WHY)
    interrupted = page.get_by_text("Sales are interrupted.").first
    expect(interrupted).to_be_visible()
    expect(interrupted).to_contain_text(WHY)
    assert ahead(page) == 3
    page.reload()
    expect(interrupted).to_be_visible()

    publish_concert(concert_id=concert.pk)
    expect(page.get_by_text("The queue is open.").first).to_be_visible()
    let_in(concert, 4)
    expect(page).to_have_url(SEATS)


def test_who_is_choosing_when_it_is_taken_offline_waits_and_chooses_again(
    visit: StartVisit, concert: Concert, customer: User
) -> None:
    visitor = visit("desktop", customer)
    visitor.expect("404")
    page = join(visitor, concert)
    let_in(concert, 1)
    expect(page).to_have_url(SEATS)

    withdraw_concert(concert_id=concert.pk, reason=WHY)
    expect(page).to_have_url(QUEUE)
    expect(page.get_by_text("Sales are interrupted.").first).to_be_visible()

    publish_concert(concert_id=concert.pk)
    expect(page).to_have_url(SEATS)


def test_before_the_opening_it_is_noticed_that_a_concert_is_taken_offline(
    visit: StartVisit, upcoming: Concert, customer: User
) -> None:
    visitor = visit("desktop", customer)
    visitor.expect("404")
    take_over_time(visitor)
    page = join(visitor, upcoming)

    withdraw_concert(concert_id=upcoming.pk, reason=WHY)
    clear_process_caches()
    pass_time(page, until=page.get_by_text("Sales are interrupted.").first.is_visible)

    publish_concert(concert_id=upcoming.pk)
    clear_process_caches()
    pass_time(page, until=page.get_by_text("Places are drawn at random").first.is_visible)


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


def test_back_online_it_asks_soon_though_no_answer_was_due(
    visit: StartVisit, upcoming: Concert, customer: User
) -> None:
    visitor = visit("phone", customer)
    page = join(visitor, upcoming)

    visitor.context.set_offline(True)
    expect(page.get_by_text("This device is offline.").first).to_be_visible()
    visitor.context.set_offline(False)

    expect(page.get_by_text("Places are drawn at random").first).to_be_visible()


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
        expect(label(page, "You are next")).to_be_visible()
        page.reload()
        expect(page.get_by_text("Your place is kept, and this page keeps trying.")).to_be_visible()
    finally:
        server.resume()

    expect(label(page, "You are next")).to_be_visible()
    let_in(concert, 1)
    page.wait_for_url(SEATS)


def test_an_ended_visit_is_explained(visit: StartVisit, concert: Concert, customer: User) -> None:
    page = join(visit("desktop", customer), concert)

    remove_visitor(concert_id=concert.pk, customer_id=customer.pk, staff_id=None)

    expect(page.get_by_text("The box office has taken you out of the queue.")).to_be_visible()
    page.get_by_role("button", name="Join the queue again").click()
    expect(label(page, "You are next")).to_be_visible()


def test_leaving_asks_first(visit: StartVisit, concert: Concert, customer: User) -> None:
    page = join(visit("phone", customer), concert)

    expect(page.get_by_role("button", name="Give up my place")).to_be_hidden()
    page.get_by_text("Leave the queue", exact=True).click()
    page.get_by_role("button", name="Give up my place").click()

    page.wait_for_url(re.compile(r"/concerts/\d+/$"))
    expect(page.get_by_text("You have left the queue.")).to_be_visible()


def test_before_the_opening_it_counts_down(
    visit: StartVisit, upcoming: Concert, customer: User
) -> None:
    page = join(visit("desktop", customer), upcoming)

    expect(page.locator('[data-slot="opening"]')).to_have_text(re.compile(r"^(20:00|19:5\d)$"))
    expect(page.get_by_text("until the doors open")).to_be_visible()
    expect(page).to_have_title(re.compile(r"^\((20|19):\d\d\) Waiting"))


def test_after_a_sleep_the_opening_is_as_near_as_it_is(
    visit: StartVisit, upcoming: Concert, customer: User
) -> None:
    page = wait_for_the_opening(visit, upcoming, customer)

    sleep(page, timedelta(minutes=10))
    page.clock.run_for(1_000)

    expect(page.locator('[data-slot="opening"]')).to_have_text(re.compile(r"^9:\d\d$"))
    expect(page).to_have_title(re.compile(r"^\(9:\d\d\) Waiting"))


def test_an_opening_before_its_time_is_noticed_in_the_background(
    visit: StartVisit, upcoming: Concert, customer: User
) -> None:
    visitor = visit("desktop", customer)
    take_over_time(visitor)
    visitor.context.add_init_script(
        "Object.defineProperty(document, 'hidden', { get: () => true });"
    )
    # The sales have opened; the room has not.
    Concert.objects.filter(pk=upcoming.pk).update(sales_open_at=timezone.now())
    open_room(concert_id=upcoming.pk, at=timezone.now() + timedelta(minutes=20))
    page = join(visitor, upcoming)

    open_room(concert_id=upcoming.pk)
    clear_process_caches()

    pass_time(page, until=label(page, "You are next").is_visible)


def test_an_opening_that_staff_move_is_counted_to(
    visit: StartVisit, upcoming: Concert, customer: User
) -> None:
    visitor = visit("desktop", customer)
    take_over_time(visitor)
    looks: list[Response] = []
    visitor.context.on("response", lambda one: looks.append(one) if BOARD.search(one.url) else None)
    page = join(visitor, upcoming)
    date = page.locator('[data-slot="opening-date"]')
    expect(date).to_be_visible()
    pass_time(page, until=lambda: bool(looks))

    open_room(concert_id=upcoming.pk, staff_id=None, at=timezone.now() + timedelta(minutes=50))
    clear_process_caches()

    pass_time(page, until=page.get_by_text(re.compile(r"^(50|49|48):\d\d$")).is_visible)
    expect(date).to_have_count(0)


def test_a_close_before_the_opening_is_noticed(
    visit: StartVisit, upcoming: Concert, customer: User
) -> None:
    visitor = visit("desktop", customer)
    take_over_time(visitor)
    page = join(visitor, upcoming)

    close_room(concert_id=upcoming.pk, staff_id=None)
    clear_process_caches()

    pass_time(page, until=page.get_by_text("The waiting room was closed.").is_visible)


def test_a_pause_before_the_opening_is_told_and_nobody_looks_for_a_place(
    visit: StartVisit, upcoming: Concert, customer: User
) -> None:
    visitor = visit("desktop", customer)
    take_over_time(visitor)
    page = join(visitor, upcoming)

    pause_room(concert_id=upcoming.pk, staff_id=None)
    clear_process_caches()

    paused = page.get_by_text("The queue is paused.").first
    pass_time(page, until=paused.is_visible)
    expect(page.get_by_text("Finding your place")).to_be_hidden()
    page.reload()
    expect(paused).to_be_visible()
    expect(page.get_by_text("Finding your place")).to_be_hidden()


def test_an_opening_in_time_is_left_to_the_advice_of_the_server(
    visit: StartVisit, upcoming: Concert, customer: User
) -> None:
    """It spreads a crowd further than the looks at the board do."""
    visitor = visit("desktop", customer)
    take_over_time(visitor)
    states = ["SCHEDULED", "OPEN", "OPEN"]
    shown: list[str] = []
    asked: list[str] = []

    def show_next(route: Route) -> None:
        answer = route.fetch()
        board = answer.json()
        board["data"]["state"] = states[min(len(shown), 2)]
        shown.append(board["data"]["state"])
        route.fulfill(response=answer, json=board)

    visitor.context.route(BOARD, show_next)
    visitor.context.on("request", lambda request: asked.append(request.url))
    page = join(visitor, upcoming)

    pass_time(page, until=lambda: len(shown) == len(states))

    assert not [url for url in asked if STATUS.search(url)]


def test_an_opening_that_was_unknown_at_first_is_counted_to(
    visit: StartVisit, valkey_server: StartValkey, settings: LazySettings, customer: User
) -> None:
    server = valkey_server()
    settings.QUEUE_URL, settings.STORE_TIMEOUT = server.url, 0.3
    upcoming = WaitingRoomFactory(
        concert__sales_open_at=timezone.now() + timedelta(minutes=20)
    ).concert
    PerformanceFactory(concert=upcoming, seats=1)
    visitor = visit("desktop", customer)
    visitor.expect("503")
    page = join(visitor, upcoming)

    server.pause()
    try:
        page.reload()
        expect(page.get_by_text("We cannot reach the waiting room")).to_be_visible()
    finally:
        server.resume()

    opening = page.locator('[data-part="opening"]')
    expect(opening).to_be_visible()
    expect(opening).to_have_text(re.compile(r"^\s*1?\d:\d\d\s+until the doors open\s*$"))


def countdowns(visitor: Visit, body: str) -> Page:
    visitor.context.route(
        "**/example/",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"""<!DOCTYPE html><title>Example</title><link rel="icon" href="data:,">{body}
                <script type="module" src="/static/storefront/countdown.js"></script>""",
        ),
    )
    return visitor.open("/example/")


def test_countdowns_of_other_pages_are_right_after_a_sleep(visit: StartVisit) -> None:
    visitor = visit("phone")
    take_over_time(visitor)
    page = countdowns(
        visitor,
        """<p id="long"><b data-seconds="4000">1:06:40</b></p>
        <p id="badge" data-done-part>Opens in <b data-seconds="300" data-done="Open now">5:00</b></p>
        <p id="pause">Again <b data-seconds="300" data-done="now">5:00</b></p>""",
    )
    expect(page.locator("#badge")).to_have_text(re.compile(r"^Opens in 4:5\d$"))

    sleep(page, timedelta(seconds=100))
    page.clock.run_for(1_000)
    expect(page.locator("#badge")).to_have_text(re.compile(r"^Opens in 3:1\d$"))

    sleep(page, timedelta(seconds=1_000))
    page.clock.run_for(1_000)
    expect(page.locator("#long")).to_have_text(re.compile(r"^4[78]:\d\d$"))
    expect(page.locator("#badge")).to_have_text("Open now")
    expect(page.locator("#pause")).to_have_text("Again now")


def test_a_page_with_a_deadline_asks_the_server_after_a_sleep(visit: StartVisit) -> None:
    visitor = visit("phone")
    take_over_time(visitor)
    page = countdowns(visitor, '<p><b data-seconds="300" data-reload>5:00</b></p>')
    expect(page.get_by_text(re.compile(r"^4:5\d$"))).to_be_visible()

    sleep(page, timedelta(seconds=100))

    with page.expect_request("**/example/"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_it_works_without_javascript(visit: StartVisit, concert: Concert, customer: User) -> None:
    page = join(visit("phone", customer, java_script_enabled=False), concert)

    expect(label(page, "You are next")).to_be_visible()
    expect(page.get_by_text("This page refreshes by itself")).to_be_visible()
    let_in(concert, 1)
    clear_process_caches()

    page.wait_for_url(SEATS)
    page.get_by_label("Seats", exact=True).select_option("1")
    page.get_by_role("button", name="Hold the best seats").click()
    page.wait_for_url(re.compile("/checkout/"))
