"""A real browser against a real server: Django's live server, with the static files that it finds.

Every page is watched: an error in the console or a request to another host fails the test that opened it.
"""

import os
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings, settings
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Request,
    expect,
)
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance
from apps.core.lean_store import script_client
from dev.browser import NAMES, find_browser, open_browser
from tests.browser.seat_map import add_date, await_map, be_admitted
from tests.browser.staff import staff_of
from tests.browser.waiting import QUEUE
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory

HERE = Path(__file__).parent
SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {
        "viewport": {"width": 360, "height": 740},
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    },
}
PATIENCE = 10_000  # ms; the machine may be busy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    path = find_browser()
    if path is None:
        pytest.fail(f"No browser: install one of {', '.join(NAMES)}.")
    # Playwright runs an event loop in this thread, which makes Django refuse to touch the database.
    with pytest.MonkeyPatch.context() as patch, open_browser(path) as browser:
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        expect.set_options(timeout=PATIENCE)
        yield browser


@pytest.fixture(autouse=True)
def _patient_store(settings: LazySettings) -> Generator[None]:
    """Browsers make a machine busy: what takes the store half a second is no outage here."""
    settings.STORE_TIMEOUT = 5.0
    script_client.cache_clear()
    yield
    script_client.cache_clear()


class Visit:
    """One browser of one visitor. What goes wrong on its pages and is not expected comes up at the end of the test."""

    def __init__(self, context: BrowserContext, base_url: str) -> None:
        self.context = context
        self.base_url = base_url
        self.problems: list[str] = []
        self.expected: list[str] = []
        context.set_default_timeout(PATIENCE)
        context.on("page", self._watch)
        context.on("request", self._check_host)

    def open(self, path: str = "/") -> Page:
        """Open a new tab."""
        page = self.context.new_page()
        page.goto(path)
        return page

    def expect(self, pattern: str) -> None:
        """Ignore what the console says of a refusal that the test provokes."""
        self.expected.append(pattern)

    def log_in(self, customer: User) -> None:
        client = Client()
        client.force_login(customer)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        self.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie.value, "url": self.base_url}]
        )

    def unexpected(self) -> list[str]:
        return [
            problem
            for problem in self.problems
            if not any(re.search(pattern, problem) for pattern in self.expected)
        ]

    def _watch(self, page: Page) -> None:
        page.on(
            "console",
            lambda message: (
                self.problems.append(f"{message.text} ({page.url})")
                if message.type == "error"
                else None
            ),
        )
        page.on("pageerror", lambda error: self.problems.append(f"{error} ({page.url})"))

    def _check_host(self, request: Request) -> None:
        if not request.url.startswith((self.base_url, "data:", "blob:")):
            self.problems.append(f"request to {request.url}")


StartVisit = Callable[..., Visit]
Join = Callable[..., Page]
OpenMap = Callable[..., Page]
Work = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, live_server: LiveServer) -> Generator[StartVisit]:
    """`visit("phone", customer)` starts a browser of its own; `options` are those of Playwright's contexts.

    `expects` is a pattern of what the console may say; `script` runs before those of each page;
    with `has_clock` the time of its pages is the test's to move on.
    """
    visits: list[Visit] = []

    def start(
        size: str = "desktop",
        customer: User | None = None,
        *,
        expects: str | None = None,
        script: str = "",
        has_clock: bool = False,
        **options: Any,
    ) -> Visit:
        context = browser.new_context(
            **{"locale": "en", "base_url": live_server.url, **SIZES[size], **options}
        )
        made = Visit(context, live_server.url)
        visits.append(made)
        if customer is not None:
            made.log_in(customer)
        if expects is not None:
            made.expect(expects)
        if has_clock:
            context.clock.install()
        if script:
            context.add_init_script(script)
        return made

    yield start
    for made in visits:
        made.context.close()
    assert [problem for made in visits for problem in made.unexpected()] == []


@pytest.fixture
def work(visit: StartVisit, transactional_db: None) -> Work:
    """`work(BOX_OFFICE)` returns the front page of the admin, as a member of that group sees it; `how` as for `visit`."""

    def start(role: str, name: str = "Jun Park", **how: Any) -> Page:
        return visit("desktop", staff_of(role, name), **how).open("/admin/")

    return start


@pytest.fixture
def customer(transactional_db: None) -> User:
    return WalletFactory(balance=1_000_000).customer


@pytest.fixture
def performance(transactional_db: None) -> Performance:
    """A date of a concert with a waiting room; two seats for each customer."""
    concert = WaitingRoomFactory(
        concert__title="Paper Lanterns", concert__seats_per_customer=2
    ).concert
    return add_date(concert)


@pytest.fixture
def join(visit: StartVisit, customer: User) -> Join:
    """`join(concert, "phone")` returns the page of the customer's place in the queue; `how` as for `visit`."""

    def start(concert: Concert, size: str = "desktop", **how: Any) -> Page:
        return join_on(visit(size, customer, **how).context.new_page(), concert)

    return start


def join_on(page: Page, concert: Concert) -> Page:
    page.goto(f"/concerts/{concert.pk}/")
    page.get_by_role("button", name="Join the queue").click()
    page.wait_for_url(QUEUE)
    return page


@pytest.fixture
def open_map(visit: StartVisit, performance: Performance, customer: User) -> OpenMap:
    """`open_map("phone")` leads the customer through the waiting room to a map that is ready; `how` as for `visit`."""

    def start(size: str = "desktop", *, by: User = customer, **how: Any) -> Page:
        page = visit(size, by, **how).context.new_page()
        be_admitted(page, performance.concert)
        await_map(page)
        return page

    return start
