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
from django.utils import timezone
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Request,
    expect,
)
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import User
from apps.concerts.models import Concert
from apps.core.lean_store import script_client
from apps.queue.models import WaitingRoom
from apps.queue.services import admit_visitors
from dev.browser import NAMES, find_browser, open_browser

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
        """A new tab."""
        page = self.context.new_page()
        page.goto(self.base_url + path)
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


@pytest.fixture
def visit(browser: Browser, live_server: LiveServer) -> Generator[StartVisit]:
    """`visit("phone", customer)` starts a browser of its own; `options` are those of Playwright's contexts."""
    visits: list[Visit] = []

    def start(size: str = "desktop", customer: User | None = None, **options: Any) -> Visit:
        context = browser.new_context(**{"locale": "en", **SIZES[size], **options})
        made = Visit(context, live_server.url)
        if customer is not None:
            made.log_in(customer)
        visits.append(made)
        return made

    yield start
    for made in visits:
        made.context.close()
    assert [problem for made in visits for problem in made.unexpected()] == []


def admit(concert: Concert) -> int:
    """One tick of the waiting room, now."""
    WaitingRoom.objects.filter(concert=concert).update(next_tick_at=timezone.now())
    return admit_visitors()
