"""Staff watch a sale as it runs, and the front page; in a browser, which reloads nothing."""

import re

import pytest
import redis
from django.conf import LazySettings
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.boxoffice.roles import ADMINISTRATOR, BOX_OFFICE
from apps.concerts.models import Performance
from apps.core.caching import clear_process_caches
from apps.queue.services import admit_visitors, join_queue, pause_room
from tests.browser.conftest import StartVisit
from tests.browser.staff import staff_of
from tests.browser.test_accessibility import barriers
from tests.factories.accounts import CustomerFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, reservation


@pytest.fixture
def boss(transactional_db: None) -> User:
    return staff_of(BOX_OFFICE, "Jun Park")


@pytest.fixture
def cockpit(visit: StartVisit, boss: User, performance: Performance) -> Page:
    return visit("desktop", boss).open(reverse("boxoffice:cockpit", args=[performance.concert_id]))


def sell(performance: Performance, number: int) -> None:
    seat = performance.seats.order_by("pk")[number]
    reservation(WalletFactory(balance=1_000_000).customer, [seat])


def sold(page: Page) -> str:
    return page.locator('[data-part="sales"] dd').first.inner_text()


class TestCockpit:
    def test_moves_by_itself(self, cockpit: Page, performance: Performance) -> None:
        assert sold(cockpit) == "0"
        cockpit.evaluate("window.isTheSamePage = true")

        sell(performance, 0)
        sell(performance, 1)

        expect(cockpit.locator('[data-part="sales"] dd').first).to_have_text("2")
        assert cockpit.evaluate("window.isTheSamePage") is True

    def test_leaves_what_is_open_open(self, cockpit: Page, performance: Performance) -> None:
        cockpit.get_by_text("Show as a table").click()
        rows = cockpit.locator('[data-part="minutes"] tbody tr')
        expect(rows).to_have_count(60)

        sell(performance, 0)

        expect(cockpit.locator('[data-part="sales"] dd').first).to_have_text("1")
        expect(rows.first).to_be_visible()
        expect(cockpit.locator('[data-part="minutes"]')).to_contain_text("won")

    def test_leads_to_a_control_and_back(self, cockpit: Page, performance: Performance) -> None:
        join_queue(customer_id=CustomerFactory().pk, concert_id=performance.concert_id)
        cockpit.get_by_role("link", name="Pause").click()
        expect(cockpit.get_by_text("1 visitor is waiting.")).to_be_visible()
        cockpit.get_by_label("Reason").fill("Slow payments.")
        cockpit.get_by_role("button", name="Pause").click()

        expect(cockpit).to_have_url(re.compile(rf"/cockpit/{performance.concert_id}/$"))
        expect(cockpit.locator('[data-part="state"]')).to_contain_text("paused · Slow payments.")
        expect(cockpit.get_by_role("link", name="Resume")).to_be_visible()

    def test_says_that_the_figures_have_stopped(
        self, visit: StartVisit, boss: User, performance: Performance
    ) -> None:
        watched = visit("desktop", boss, expects="Failed to load resource|ERR_FAILED")
        page = watched.open(reverse("boxoffice:cockpit", args=[performance.concert_id]))
        expect(page.locator("[data-standstill]")).to_be_hidden()

        page.route("**/figures/", lambda route: route.abort())

        expect(page.locator("[data-standstill]")).to_be_visible(timeout=30_000)

    def test_works_without_a_script(
        self,
        visit: StartVisit,
        boss: User,
        performance: Performance,
        settings: LazySettings,
    ) -> None:
        watched = visit("desktop", boss, java_script_enabled=False)
        page = watched.open(reverse("boxoffice:cockpit", args=[performance.concert_id]))
        sell(performance, 0)
        # Figures are two seconds old at most; let them be forgotten instead of waiting.
        with redis.Redis.from_url(settings.CACHE_URL) as cache:
            cache.flushdb()
        clear_process_caches()

        page.get_by_role("link", name="Reload the figures").click()

        expect(page.locator('[data-part="sales"] dd').first).to_have_text("1")


@pytest.mark.parametrize(
    ("scheme", "language", "width"),
    [("light", "en", 1280), ("dark", "ko", 1024)],
)
def test_no_figure_is_cut_off_or_out_of_reach(
    visit: StartVisit, performance: Performance, scheme: str, language: str, width: int
) -> None:
    """Look as an administrator, who sees all of it."""
    sell(performance, 0)
    hold(CustomerFactory(), [performance.seats.order_by("pk")[1]])
    join_queue(customer_id=CustomerFactory().pk, concert_id=performance.concert_id)
    admit_visitors()
    pause_room(concert_id=performance.concert_id, staff_id=None, reason="Slow payments.")
    watched = visit(
        "desktop",
        staff_of(ADMINISTRATOR, "Mina Seo"),
        color_scheme=scheme,
        locale=language,
        viewport={"width": width, "height": 900},
        bypass_csp=True,  # for the check, which is injected
    )

    for path in (
        reverse("admin:index"),
        reverse("boxoffice:cockpit", args=[performance.concert_id]),
    ):
        page = watched.open(path)
        page.wait_for_load_state("networkidle")
        too_wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert too_wide <= 0, path
        assert barriers(page, within=".figures") == [], path
