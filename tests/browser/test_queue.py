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
from apps.queue.services import close_room, open_room, pause_room, remove_visitor, resume_room
from dev.stack.servers import ValkeyServer
from tests.browser.conftest import Join, StartVisit
from tests.browser.seat_map import CHECKOUT, SEATS
from tests.browser.waiting import NO_WORKER, QUEUE, STATUS, full_room, let_in, queue_up
from tests.conftest import StartValkey
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory

LARGEST_PAGE = 60_000  # bytes, compressed
WHY = "The hall has changed the seats of row F."
BOARD = re.compile("/api/v1/queue/concerts/")


@pytest.fixture
def concert(transactional_db: None) -> Concert:
    """A concert on sale, with a waiting room for one visitor at once, which is full."""
    concert = full_room()
    PerformanceFactory(concert=concert, seats=10)
    return concert


@pytest.fixture
def upcoming(transactional_db: None) -> Concert:
    """A concert that opens in 20 minutes; its waiting room has one place inside, and draws lots."""
    concert: Concert = WaitingRoomFactory(
        capacity=1, concert__sales_open_at=timezone.now() + timedelta(minutes=20)
    ).concert
    PerformanceFactory(concert=concert, seats=1)
    return concert


@pytest.fixture
def page_before_opening(join: Join, upcoming: Concert) -> Page:
    """A visitor's page of the upcoming concert, whose time is the test's to move on."""
    return join(upcoming, has_clock=True, script=NO_WORKER, expects="404")


def label(page: Page, text: str) -> Locator:
    """Return what stands below the number, as it is seen: screen readers are told the same."""
    return page.locator('[data-slot="label"]').filter(has_text=text)


def number(page: Page) -> Locator:
    """Return the number of visitors ahead."""
    return page.locator('[data-slot="ahead"]')


def ahead(page: Page) -> int:
    return int(number(page).inner_text().replace(",", ""))


def expect_said(page: Page, text: str) -> None:
    """Expect a sentence on the page, which may be said in several places."""
    expect(page.get_by_text(text).first).to_be_visible()


def another_tab(page: Page) -> Page:
    tab = page.context.new_page()
    tab.goto(page.url)
    return tab


def sleep(page: Page, span: timedelta) -> None:
    """Let the device sleep in front of the visitor: its clock goes on, the page's and all timers stand still, nothing is told."""
    awake_at = page.evaluate("Date.now()") / 1000 + span.total_seconds()
    page.clock.set_system_time(awake_at)


def pass_time(page: Page, until: Callable[[], bool]) -> None:
    """Let a minute and a half pass at most; by the second, because the page waits for answers in between."""
    clear_process_caches()
    for _ in range(90):
        if until():
            return
        page.clock.run_for(1_000)
        page.wait_for_timeout(50)
    pytest.fail("Nothing has happened.")


def test_the_first_view_weighs_little(visit: StartVisit, join: Join, concert: Concert) -> None:
    page = join(concert, "phone")
    responses: list[Response] = []
    kept = page.context.storage_state()
    fresh = visit("phone", storage_state=kept)
    fresh.context.on("response", lambda response: responses.append(response))

    page = fresh.open(page.url)
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
def test_it_moves_on_by_itself_when_the_turn_comes(join: Join, concert: Concert, size: str) -> None:
    queue_up(concert, 1)
    page = join(concert, size)

    expect(page.get_by_text("person ahead of you", exact=True)).to_be_visible()
    expect(page).to_have_title("(1) Waiting · Encore")
    let_in(concert, 1)
    expect(page.locator('[data-slot="label"]')).to_have_text("You are next")
    expect(page.locator('[data-slot="news"]')).to_contain_text("You are next")
    let_in(concert, 1)

    page.wait_for_url(SEATS)


def test_the_turn_is_shown_in_the_title_and_sounds_where_it_was_asked_for(
    join: Join, concert: Concert
) -> None:
    page = join(
        concert,
        script="window.notes = 0;"
        "const start = OscillatorNode.prototype.start;"
        "OscillatorNode.prototype.start = function (at) { window.notes += 1; start.call(this, at); };",
    )
    # Stays on the page, so that it can be looked at.
    page.context.route(re.compile("/seats/$"), lambda route: route.fulfill(status=204))
    silent = another_tab(page)
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


def test_a_sound_that_fails_holds_no_visitor_up(join: Join, concert: Concert) -> None:
    failing = "OscillatorNode.prototype.start = () => { throw new Error('no sound here'); };"
    page = join(concert, expects="no sound here", script=failing)
    page.get_by_label("Play a sound when it is my turn").check()

    let_in(concert, 1)

    page.wait_for_url(SEATS)


def test_reload_and_second_tab_keep_the_place(join: Join, concert: Concert) -> None:
    queue_up(concert, 2)
    page = join(concert)
    queue_up(concert, 1)

    page.reload()
    tab = another_tab(page)
    device = join(concert, "phone")

    assert [ahead(shown) for shown in (page, tab, device)] == [2, 2, 2]


def test_it_counts_down_from_the_board_between_two_answers(join: Join, concert: Concert) -> None:
    queue_up(concert, 80)
    page = join(concert, expects="503")
    # The next answer never comes, however slow the machine is.
    page.route(STATUS, lambda route: route.fulfill(status=503, headers={"Retry-After": "3600"}))

    expect(number(page)).to_have_text("80")
    expect(page.locator('[data-slot="news"]')).to_have_text(
        re.compile(r"^80 people ahead of you\. Estimated wait: about ")
    )
    with page.expect_response(BOARD):
        pass
    let_in(concert, 5)

    expect(number(page)).to_have_text("75")


def test_a_page_that_wakes_up_asks_at_once(join: Join, concert: Concert) -> None:
    queue_up(concert, 80)
    page = join(concert, "phone", has_clock=True)
    expect(number(page)).to_have_text("80")
    let_in(concert, 5)

    page.clock.fast_forward(60_000)
    with page.expect_response(STATUS):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(number(page)).to_have_text("75")


def test_a_device_that_slept_unseen_asks_soon(page_before_opening: Page) -> None:
    expect(page_before_opening.get_by_text("until the doors open")).to_be_visible()

    sleep(page_before_opening, timedelta(minutes=30))

    with page_before_opening.expect_response(STATUS):
        page_before_opening.clock.run_for(16_000)


def test_a_new_visit_begins_with_a_new_number(join: Join, concert: Concert) -> None:
    queue_up(concert, 3)
    page = join(concert, expects="ERR_INTERNET_DISCONNECTED")
    let_in(concert, 2)
    expect(number(page)).to_have_text("1")
    queue_up(concert, 4)

    # This tab hears nothing while the visitor leaves and joins again in another one.
    page.route(STATUS, lambda route: route.abort("internetdisconnected"))
    tab = another_tab(page)
    tab.get_by_text("Leave the queue", exact=True).click()
    tab.get_by_role("button", name="Give up my place").click()
    tab.get_by_role("button", name="Join the queue").click()
    tab.wait_for_url(QUEUE)
    page.unroute(STATUS)

    expect(number(page)).to_have_text("5")
    expect(page).to_have_title("(5) Waiting · Encore")


def test_an_error_of_the_page_is_no_outage(join: Join, concert: Concert) -> None:
    queue_up(concert, 1)
    page = join(concert, expects="Cannot set properties of null")

    page.evaluate("document.querySelector('[data-slot=\"wait\"]').remove()")
    for _ in range(2):
        with page.expect_response(STATUS) as found:
            pass
        found.value.finished()

    expect_said(page, "The queue is open.")


def test_a_pause_is_told_and_the_number_stays(join: Join, concert: Concert) -> None:
    queue_up(concert, 3)
    page = join(concert)

    pause_room(concert_id=concert.pk, staff_id=None)
    expect_said(page, "The queue is paused.")
    expect(page.get_by_role("status").filter(has_text="The queue is paused.")).to_have_count(1)
    assert ahead(page) == 3

    resume_room(concert_id=concert.pk, staff_id=None)
    expect_said(page, "The queue is open.")


def test_a_concert_taken_offline_is_told_and_goes_on_by_itself(
    join: Join, concert: Concert
) -> None:
    queue_up(concert, 3)
    page = join(concert, expects="404")  # of the public board

    withdraw_concert(concert_id=concert.pk, reason=WHY)
    interrupted = page.get_by_text("Sales are interrupted.").first
    expect(interrupted).to_be_visible()
    expect(interrupted).to_contain_text(WHY)
    assert ahead(page) == 3
    page.reload()
    expect(interrupted).to_be_visible()

    publish_concert(concert_id=concert.pk)
    expect_said(page, "The queue is open.")
    let_in(concert, 4)
    expect(page).to_have_url(SEATS)


def test_a_visitor_who_is_choosing_when_it_is_taken_offline_waits_and_chooses_again(
    join: Join, concert: Concert
) -> None:
    page = join(concert, expects="404")
    let_in(concert, 1)
    expect(page).to_have_url(SEATS)

    withdraw_concert(concert_id=concert.pk, reason=WHY)
    expect(page).to_have_url(QUEUE)
    expect_said(page, "Sales are interrupted.")

    publish_concert(concert_id=concert.pk)
    expect(page).to_have_url(SEATS)


def test_it_survives_the_loss_of_the_network(join: Join, concert: Concert) -> None:
    queue_up(concert, 3)
    page = join(concert, "phone", expects="ERR_INTERNET_DISCONNECTED")

    page.context.set_offline(True)
    expect_said(page, "This device is offline.")
    assert ahead(page) == 3
    let_in(concert, 1)
    page.context.set_offline(False)

    expect_said(page, "The queue is open.")
    expect(number(page)).to_have_text("2")


def test_back_online_it_asks_soon_though_no_answer_was_due(join: Join, upcoming: Concert) -> None:
    page = join(upcoming, "phone")

    page.context.set_offline(True)
    expect_said(page, "This device is offline.")
    page.context.set_offline(False)

    expect_said(page, "Places are drawn at random")


def test_an_ended_visit_is_explained(join: Join, concert: Concert, customer: User) -> None:
    page = join(concert)

    remove_visitor(concert_id=concert.pk, customer_id=customer.pk, staff_id=None)

    expect(page.get_by_text("The box office has taken you out of the queue.")).to_be_visible()
    page.get_by_role("button", name="Join the queue again").click()
    expect(label(page, "You are next")).to_be_visible()


class TestStoreDown:
    @pytest.fixture
    def server(self, valkey_server: StartValkey, settings: LazySettings) -> ValkeyServer:
        server = valkey_server()
        settings.QUEUE_URL, settings.STORE_TIMEOUT = server.url, 0.3
        return server

    def test_it_keeps_trying(self, server: ValkeyServer, join: Join, concert: Concert) -> None:
        page = join(concert, expects="503")

        server.pause()
        try:
            expect_said(page, "We cannot reach the waiting room")
            expect(label(page, "You are next")).to_be_visible()
            page.reload()
            expect_said(page, "Your place is kept, and this page keeps trying.")
        finally:
            server.resume()

        expect(label(page, "You are next")).to_be_visible()
        let_in(concert, 1)
        page.wait_for_url(SEATS)

    def test_an_opening_that_was_unknown_at_first_is_counted_to(
        self, server: ValkeyServer, join: Join, upcoming: Concert
    ) -> None:
        page = join(upcoming, expects="503")

        server.pause()
        try:
            page.reload()
            expect_said(page, "We cannot reach the waiting room")
        finally:
            server.resume()

        opening = page.locator('[data-part="opening"]')
        expect(opening).to_be_visible()
        expect(opening).to_have_text(re.compile(r"^\s*1?\d:\d\d\s+until the doors open\s*$"))


class TestBeforeTheOpening:
    def test_it_is_as_near_after_a_sleep_as_it_is(self, page_before_opening: Page) -> None:
        page = page_before_opening
        expect(page.get_by_text("until the doors open")).to_be_visible()
        expect(page).to_have_title(re.compile(r"^\((20|19):\d\d\) Waiting"))

        sleep(page, timedelta(minutes=10))
        page.clock.run_for(1_000)

        expect(page.locator('[data-slot="opening"]')).to_have_text(re.compile(r"^9:\d\d$"))
        expect(page).to_have_title(re.compile(r"^\(9:\d\d\) Waiting"))

    def test_it_is_noticed_that_a_concert_is_taken_offline(
        self, page_before_opening: Page, upcoming: Concert
    ) -> None:
        page = page_before_opening

        withdraw_concert(concert_id=upcoming.pk, reason=WHY)
        pass_time(page, until=page.get_by_text("Sales are interrupted.").first.is_visible)

        publish_concert(concert_id=upcoming.pk)
        pass_time(page, until=page.get_by_text("Places are drawn at random").first.is_visible)

    def test_an_early_one_is_noticed_in_the_background(self, join: Join, upcoming: Concert) -> None:
        # The sales have opened; the room has not.
        Concert.objects.filter(pk=upcoming.pk).update(sales_open_at=timezone.now())
        open_room(concert_id=upcoming.pk, at=timezone.now() + timedelta(minutes=20))
        hidden = "Object.defineProperty(document, 'hidden', { get: () => true });"
        page = join(upcoming, has_clock=True, script=NO_WORKER + hidden)

        open_room(concert_id=upcoming.pk)

        pass_time(page, until=label(page, "You are next").is_visible)

    def test_one_that_staff_move_is_counted_to(
        self, page_before_opening: Page, upcoming: Concert
    ) -> None:
        page = page_before_opening
        looks: list[Response] = []
        page.on("response", lambda seen: looks.append(seen) if BOARD.search(seen.url) else None)
        date = page.locator('[data-slot="opening-date"]')
        expect(date).to_be_visible()
        pass_time(page, until=lambda: bool(looks))

        open_room(concert_id=upcoming.pk, staff_id=None, at=timezone.now() + timedelta(minutes=50))

        pass_time(page, until=page.get_by_text(re.compile(r"^(50|49|48):\d\d$")).is_visible)
        expect(date).to_have_count(0)

    def test_a_close_is_noticed(self, page_before_opening: Page, upcoming: Concert) -> None:
        close_room(concert_id=upcoming.pk, staff_id=None)

        closed = page_before_opening.get_by_text("The waiting room was closed.")
        pass_time(page_before_opening, until=closed.is_visible)

    def test_a_pause_is_told_and_no_place_is_looked_for(
        self, page_before_opening: Page, upcoming: Concert
    ) -> None:
        page = page_before_opening

        pause_room(concert_id=upcoming.pk, staff_id=None)

        paused = page.get_by_text("The queue is paused.").first
        pass_time(page, until=paused.is_visible)
        expect(page.get_by_text("Finding your place")).to_be_hidden()
        page.reload()
        expect(paused).to_be_visible()
        expect(page.get_by_text("Finding your place")).to_be_hidden()

    def test_one_in_time_is_left_to_the_advice_of_the_server(
        self, page_before_opening: Page
    ) -> None:
        """It spreads a crowd further than the looks at the board do."""
        page = page_before_opening
        states = ["SCHEDULED", "OPEN", "OPEN"]
        shown: list[str] = []
        asked: list[str] = []

        def show_next(route: Route) -> None:
            answer = route.fetch()
            board = answer.json()
            board["data"]["state"] = states[min(len(shown), 2)]
            shown.append(board["data"]["state"])
            route.fulfill(response=answer, json=board)

        page.route(BOARD, show_next)
        page.on("request", lambda request: asked.append(request.url))

        pass_time(page, until=lambda: len(shown) == len(states))

        assert not [url for url in asked if STATUS.search(url)]


def countdowns(visit: StartVisit, body: str) -> Page:
    visitor = visit("phone", has_clock=True, script=NO_WORKER)
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
    page = countdowns(
        visit,
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
    page = countdowns(visit, '<p><b data-seconds="300" data-reload>5:00</b></p>')
    expect(page.get_by_text(re.compile(r"^4:5\d$"))).to_be_visible()

    sleep(page, timedelta(seconds=100))

    with page.expect_request("**/example/"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_it_works_without_javascript(join: Join, concert: Concert) -> None:
    page = join(concert, "phone", java_script_enabled=False)

    expect(label(page, "You are next")).to_be_visible()
    expect(page.get_by_text("This page refreshes by itself")).to_be_visible()
    let_in(concert, 1)
    clear_process_caches()

    page.wait_for_url(SEATS)
    page.get_by_label("Seats", exact=True).select_option("1")
    page.get_by_role("button", name="Hold the best seats").click()
    page.wait_for_url(CHECKOUT)
