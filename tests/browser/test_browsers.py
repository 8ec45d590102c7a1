"""Browsers that lack what newer ones have, and pages whose scripts do not come: no visitor loses a place, and all can book."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, Request, Route, expect

from apps.accounts.models import User
from apps.concerts.models import Concert
from apps.queue.services import pause_room
from apps.reservations.models import Reservation
from tests.browser.conftest import Join, StartVisit, join_on
from tests.browser.seat_map import CHECKOUT, SEATS, add_date, click_seats, hold_button
from tests.browser.waiting import NO_WORKER, QUEUE, STATUS, full_room, let_in
from tests.factories.concerts import PerformanceFactory

SLOW = 30_000  # ms; a page that its scripts fail waits for them before it helps itself
# A tenth of its patience is enough here.
HURRY = """{
    const start = setTimeout;
    window.setTimeout = (call, ms) => start(call, ms > 12_000 ? ms / 10 : ms);
}"""

# What the scripts use although some browser lacks it, or an extension takes it away.
USED = {
    "AbortController": "delete window.AbortController",
    "AudioContext": "delete window.AudioContext",
    "constructors of audio nodes": "delete window.OscillatorNode; delete window.GainNode",
    "Array.flatMap": "delete Array.prototype.flatMap",
    "JSON script": "JSON.parse = () => { throw new Error('no JSON here'); }",
    "performance.mark": "delete Performance.prototype.mark",
    "pointer events": "delete window.PointerEvent",
    "Promise.finally": "delete Promise.prototype.finally",
    "replaceChildren": "delete Element.prototype.replaceChildren",
    "ResizeObserver": "delete window.ResizeObserver",
    "toggleAttribute": "delete Element.prototype.toggleAttribute",
    "fetch": "delete window.fetch",
    "Worker": "delete window.Worker",
    "a worker that says nothing": (
        "window.Worker = class extends EventTarget { postMessage() {} }"
    ),
    "modules": "delete HTMLScriptElement.prototype.noModule",
}
# What they do not use. It is taken away all at once, so that a script that begins to use it fails here.
UNUSED = """
    delete AbortSignal.timeout;
    delete AbortSignal.any;
    for (const name of ["at", "findLast", "findLastIndex", "toReversed", "toSorted", "toSpliced", "with"]) {
        delete Array.prototype[name];
    }
    delete String.prototype.at;
    delete String.prototype.replaceAll;
    for (const name of ["fromEntries", "groupBy", "hasOwn"]) delete Object[name];
    for (const name of ["allSettled", "any", "try", "withResolvers"]) delete Promise[name];
    delete Crypto.prototype.randomUUID;
    delete HTMLDialogElement.prototype.showModal;
    for (const name of ["hidePopover", "inert", "showPopover", "togglePopover"]) delete HTMLElement.prototype[name];
    delete MediaQueryList.prototype.addEventListener;
    delete Document.prototype.startViewTransition;
    for (const name of ["clipboard", "locks", "sendBeacon", "wakeLock"]) delete Navigator.prototype[name];
    for (const name of [
        "BroadcastChannel", "HTMLDialogElement", "IntersectionObserver", "Intl", "Notification", "SharedWorker", "caches",
        "cookieStore", "indexedDB", "matchMedia", "navigation", "requestIdleCallback", "scheduler", "structuredClone",
        "visualViewport",
    ]) delete window[name];
    const denied = { get() { throw new DOMException("denied", "SecurityError"); } };
    for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, denied);
    Object.defineProperty(document, "cookie", denied);
"""


@pytest.fixture
def concert(transactional_db: None) -> Concert:
    """A concert on sale, with a waiting room for one visitor at once, which is full."""
    concert = full_room(concert__seats_per_customer=2)
    add_date(concert)
    return concert


def take_scripts(page: Page, files: str, failure: Callable[[Route], None]) -> None:
    page.context.route(re.compile(rf"/static/.*{files}.*$"), failure)


def wait_for_the_turn(page: Page, concert: Concert) -> None:
    """Stay in the queue until the page has shown by itself that it is still there; then go to the seats."""
    with page.expect_request(is_seen, timeout=SLOW):
        pass
    let_in(concert, 1)
    page.wait_for_url(SEATS, timeout=SLOW)


def is_seen(request: Request) -> bool:
    """Return whether it keeps the place: the question of a script, or the page anew."""
    return bool(STATUS.search(request.url) or QUEUE.search(request.url))


def book(page: Page, customer: User) -> None:
    """Choose on the map if it works, else the best seats; then pay."""
    works = page.locator("#seats[data-ready], .without-scripts:visible").first
    works.wait_for(timeout=SLOW)
    if page.locator("#seats[data-ready]").count():
        click_seats(page, "Floor A A-3")
        hold_button(page).click()
    else:
        expect(page.get_by_text("The seat map does not work in this browser.")).to_be_visible()
        expect(page.locator("#map, #hold").filter(visible=True)).to_have_count(0)
        page.get_by_role("button", name="Hold the best seats").click()
    page.wait_for_url(CHECKOUT)
    page.get_by_role("button", name=re.compile("^Pay ")).click()
    page.wait_for_url(re.compile("/reservations/"))
    assert Reservation.objects.get().customer == customer


@pytest.mark.parametrize("missing", USED)
def test_without_one_function_every_visitor_can_book(
    join: Join, concert: Concert, customer: User, missing: str
) -> None:
    page = join(concert, "phone", expects="", script=HURRY + USED[missing])

    wait_for_the_turn(page, concert)

    book(page, customer)


def test_what_no_script_uses_is_not_missed(join: Join, concert: Concert, customer: User) -> None:
    page = join(concert, "phone", script=UNUSED)

    wait_for_the_turn(page, concert)

    expect(page.locator("#seats[data-ready]")).to_be_visible()
    book(page, customer)


def abort(route: Route) -> None:
    route.abort()


def not_found(route: Route) -> None:
    route.fulfill(status=404, content_type="text/html", body="<h1>Not found</h1>")


def not_understood(route: Route) -> None:
    route.fulfill(content_type="text/javascript", body="const a = @new words@;")


@pytest.mark.parametrize(
    ("files", "failure"),
    [
        ("storefront/(queue|seats)", abort),
        ("storefront/(queue|seats)", not_found),
        ("storefront/(queue|seats)", not_understood),
        ("storefront/fetching", not_found),
        ("timer-worker", not_found),
        (r"\.js", abort),
    ],
)
def test_scripts_that_do_not_come_cost_no_place(
    visit: StartVisit,
    concert: Concert,
    customer: User,
    files: str,
    failure: Callable[[Route], None],
) -> None:
    """`files` are those of the pages, one that they import, all of them, and the worker's."""
    page = visit("phone", customer, expects="", script=HURRY).context.new_page()
    take_scripts(page, files, failure)
    join_on(page, concert)

    wait_for_the_turn(page, concert)

    book(page, customer)


def test_an_answer_that_cannot_be_shown_loads_the_page_anew(join: Join, concert: Concert) -> None:
    page = join(concert, expects="no titles here", script=HURRY)
    page.evaluate(
        "Object.defineProperty(document, 'title', { set() { throw new Error('no titles here'); } })"
    )

    let_in(concert, 1)

    page.wait_for_url(SEATS, timeout=SLOW)


@pytest.mark.parametrize("is_loaded", [True, False], ids=["have died", "never came"])
def test_scripts_that_fail_cost_no_place_in_an_impatient_room(
    visit: StartVisit, customer: User, is_loaded: bool
) -> None:
    """The page asks without them before the room gives the visitor up."""
    concert = full_room(patience=timedelta(seconds=10))
    PerformanceFactory(concert=concert, seats=2)
    deaf = f"{NO_WORKER} window.fetch = () => new Promise(() => {{}});"
    visitor = visit("phone", customer, expects="", has_clock=True, script=deaf)
    page = visitor.context.new_page()
    if not is_loaded:
        take_scripts(page, "storefront/queue", abort)
    join_on(page, concert)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if is_seen(request) else None)

    for _ in range(8):
        page.clock.run_for(1_000)
        page.wait_for_timeout(50)

    assert asked


class TestPageInTheHandsOfTime:
    """The time of the page is moved on by hand."""

    @pytest.fixture
    def page(self, join: Join, concert: Concert) -> Page:
        return join(concert, has_clock=True, script=NO_WORKER, expects="")

    @pytest.fixture
    def loaded(self, page: Page) -> list[str]:
        """Return the addresses that the page loads from now on."""
        loaded: list[str] = []
        page.on("framenavigated", lambda frame: loaded.append(frame.url))
        return loaded

    def test_is_not_loaded_while_the_server_does_not_answer(
        self, page: Page, concert: Concert, loaded: list[str]
    ) -> None:
        """It would be lost: what a browser shows instead does not ask again."""
        page.context.set_offline(True)
        for _ in range(60):
            page.clock.run_for(2_000)
            page.wait_for_timeout(20)
        expect(page.get_by_text("This device is offline.").first).to_be_visible()
        assert not loaded

        page.context.set_offline(False)
        let_in(concert, 1)
        for _ in range(60):
            if SEATS.search(page.url):
                break
            page.clock.run_for(1_000)
            page.wait_for_timeout(50)
        page.wait_for_url(SEATS)

    def test_is_not_interrupted_while_its_script_works(
        self, page: Page, concert: Concert, loaded: list[str]
    ) -> None:
        pause_room(concert_id=concert.pk, staff_id=None)

        for _ in range(120):
            page.clock.run_for(1_000)
            page.wait_for_timeout(50)

        expect(page.get_by_text("The queue is paused.").first).to_be_visible()
        expect(page.get_by_text("This page refreshes by itself")).to_be_hidden()
        assert not loaded

    def test_is_as_it_was_when_the_device_has_slept(self, page: Page, loaded: list[str]) -> None:
        """Scripts and those who watch over them are late alike."""
        with page.expect_response(STATUS):
            page.clock.fast_forward(300_000)
        for _ in range(20):
            page.wait_for_timeout(50)
            page.clock.run_for(1_000)

        expect(page.get_by_text("You are next").first).to_be_visible()
        assert not loaded
