"""Browsers that lack what newer ones have, and pages whose scripts do not come: nobody loses a place, and everybody can book."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, Request, Route, expect

from apps.accounts.models import User
from apps.concerts.models import Performance
from apps.concerts.services import create_performance
from apps.queue.services import join_queue, pause_room
from apps.reservations.models import Reservation
from tests.browser.conftest import StartVisit, Visit, admit
from tests.browser.test_queue import QUEUE, STATUS, join, let_in
from tests.browser.test_seat_map import CHECKOUT, HALL, SEATS, click_seat, seat
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory

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
# What they do not use. It is taken away all at once, so that whoever begins to use it hears of those who do not have it.
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
def performance(transactional_db: None) -> Performance:
    """Of a concert whose waiting room lets one in at once, whom it has."""
    concert = WaitingRoomFactory(capacity=1, concert__seats_per_customer=2).concert
    join_queue(customer_id=CustomerFactory().pk, concert_id=concert.pk)
    admit(concert)
    return create_performance(
        concert_id=concert.pk,
        starts_at=concert.sales_open_at + timedelta(days=40),
        layout=HALL,
    )


@pytest.fixture
def customer(transactional_db: None) -> User:
    customer: User = WalletFactory(balance=500_000).customer
    return customer


def wait_for_the_turn(visitor: Visit, performance: Performance) -> Page:
    """In the queue until the page has shown by itself that it is still there; then to the seats."""
    page = join(visitor, performance.concert)
    with page.expect_request(is_seen, timeout=SLOW):
        pass
    let_in(performance.concert, 1)
    page.wait_for_url(SEATS, timeout=SLOW)
    return page


def is_seen(request: Request) -> bool:
    """Return whether it keeps the place: the question of a script, or the page anew."""
    return bool(STATUS.search(request.url) or QUEUE.search(request.url))


def book(page: Page, performance: Performance) -> None:
    """By the map if it works, else the best seats; then pay."""
    works = page.locator("#seats[data-ready], .without-scripts:visible").first
    works.wait_for(timeout=SLOW)
    if page.locator("#seats[data-ready]").count():
        click_seat(page, seat(performance, "Floor A", "A", 3))
        page.get_by_role("button", name="Hold these seats").click()
    else:
        expect(page.get_by_text("The seat map does not work in this browser.")).to_be_visible()
        expect(page.locator("#map, #hold").filter(visible=True)).to_have_count(0)
        page.get_by_role("button", name="Hold the best seats").click()
    page.wait_for_url(CHECKOUT)
    page.get_by_role("button", name=re.compile("^Pay ")).click()
    page.wait_for_url(re.compile("/reservations/"))


@pytest.mark.parametrize("missing", USED)
def test_without_one_function_everybody_can_book(
    visit: StartVisit, performance: Performance, customer: User, missing: str
) -> None:
    visitor = visit("phone", customer)
    visitor.expect("")
    visitor.context.add_init_script(HURRY)
    visitor.context.add_init_script(USED[missing])

    book(wait_for_the_turn(visitor, performance), performance)

    assert Reservation.objects.get().customer == customer


def test_what_no_script_uses_is_missed_by_none(
    visit: StartVisit, performance: Performance, customer: User
) -> None:
    visitor = visit("phone", customer)
    visitor.context.add_init_script(UNUSED)

    page = wait_for_the_turn(visitor, performance)
    expect(page.locator("#seats[data-ready]")).to_be_visible()
    book(page, performance)

    assert Reservation.objects.get().customer == customer


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
    performance: Performance,
    customer: User,
    files: str,
    failure: Callable[[Route], None],
) -> None:
    """`files` are those of the pages, one that they import, all of them, and the worker's."""
    visitor = visit("phone", customer)
    visitor.expect("")
    visitor.context.add_init_script(HURRY)
    visitor.context.route(re.compile(rf"/static/.*{files}.*$"), failure)

    book(wait_for_the_turn(visitor, performance), performance)

    assert Reservation.objects.get().customer == customer


def test_an_answer_that_cannot_be_shown_loads_the_page_anew(
    visit: StartVisit, performance: Performance, customer: User
) -> None:
    visitor = visit("desktop", customer)
    visitor.expect("no titles here")
    visitor.context.add_init_script(HURRY)
    page = join(visitor, performance.concert)
    page.evaluate(
        "Object.defineProperty(document, 'title', { set() { throw new Error('no titles here'); } })"
    )

    let_in(performance.concert, 1)

    page.wait_for_url(SEATS, timeout=SLOW)


@pytest.mark.parametrize("is_loaded", [True, False], ids=["have died", "never came"])
def test_scripts_that_fail_cost_no_place_in_an_impatient_room(
    visit: StartVisit, customer: User, is_loaded: bool
) -> None:
    """The page asks without them before the room gives the visitor up."""
    concert = WaitingRoomFactory(patience=timedelta(seconds=10), capacity=1).concert
    PerformanceFactory(concert=concert, seats=2)
    join_queue(customer_id=CustomerFactory().pk, concert_id=concert.pk)
    admit(concert)
    visitor = visit("phone", customer)
    visitor.expect("")
    visitor.context.clock.install()
    visitor.context.add_init_script("delete window.Worker")
    visitor.context.add_init_script("window.fetch = () => new Promise(() => {})")
    if not is_loaded:
        visitor.context.route(re.compile(r"/static/.*storefront/queue.*$"), abort)
    page = join(visitor, concert)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if is_seen(request) else None)

    for _ in range(8):
        page.clock.run_for(1_000)
        page.wait_for_timeout(50)

    assert asked


def test_a_page_that_waits_is_not_loaded_while_the_server_does_not_answer(
    visit: StartVisit, performance: Performance, customer: User
) -> None:
    """It would be lost: what a browser shows instead does not ask again."""
    visitor = visit("desktop", customer)
    visitor.expect("")
    visitor.context.clock.install()
    visitor.context.add_init_script("delete window.Worker")
    page = join(visitor, performance.concert)
    loaded: list[str] = []
    page.on("framenavigated", lambda frame: loaded.append(frame.url))

    visitor.context.set_offline(True)
    for _ in range(60):
        page.clock.run_for(2_000)
        page.wait_for_timeout(20)
    expect(page.get_by_text("This device is offline.").first).to_be_visible()
    assert not loaded

    visitor.context.set_offline(False)
    let_in(performance.concert, 1)
    for _ in range(60):
        if SEATS.search(page.url):
            break
        page.clock.run_for(1_000)
        page.wait_for_timeout(50)
    page.wait_for_url(SEATS)


def test_a_script_that_works_is_not_interrupted(
    visit: StartVisit, performance: Performance, customer: User
) -> None:
    visitor = visit("desktop", customer)
    visitor.context.clock.install()
    visitor.context.add_init_script("delete window.Worker")
    page = join(visitor, performance.concert)
    pause_room(concert_id=performance.concert_id, staff_id=None)
    loaded: list[str] = []
    page.on("framenavigated", lambda frame: loaded.append(frame.url))

    for _ in range(120):
        page.clock.run_for(1_000)
        page.wait_for_timeout(50)

    expect(page.get_by_text("The queue is paused.").first).to_be_visible()
    expect(page.get_by_text("This page refreshes by itself")).to_be_hidden()
    assert not loaded


def test_a_device_that_slept_finds_the_page_as_it_was(
    visit: StartVisit, performance: Performance, customer: User
) -> None:
    """Scripts and those who watch over them are late alike."""
    visitor = visit("phone", customer)
    visitor.context.clock.install()
    visitor.context.add_init_script("delete window.Worker")
    page = join(visitor, performance.concert)
    loaded: list[str] = []
    page.on("framenavigated", lambda frame: loaded.append(frame.url))

    with page.expect_response(STATUS):
        page.clock.fast_forward(300_000)
    for _ in range(20):
        page.wait_for_timeout(50)
        page.clock.run_for(1_000)

    expect(page.get_by_text("You are next").first).to_be_visible()
    assert not loaded
