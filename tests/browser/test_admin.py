"""The pages of staff in a real browser, as each role: no error in the console, nothing that the policy refuses."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.boxoffice.roles import ADMINISTRATOR, BOX_OFFICE, FINANCE, OPERATIONS, give_permissions
from apps.concerts.models import Concert
from apps.queue.models import WaitingRoom
from apps.reservations.models import Reservation
from tests.boxoffice.season import Everything, one_of_each
from tests.boxoffice.staff import page_of
from tests.browser.conftest import StartVisit
from tests.browser.test_accessibility import barriers
from tests.factories.accounts import PASSWORD, CustomerFactory

DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}


@pytest.fixture
def season(transactional_db: None) -> Everything:
    give_permissions()
    return one_of_each()


def in_role(name: str) -> User:
    user = CustomerFactory(staff=True, name="Jun Park")
    user.groups.add(Group.objects.get(name=name))
    return user


def lists_of(page: Page) -> list[str]:
    links = page.locator("#nav-sidebar-apps a").all()
    return [link.get_attribute("href") or "" for link in links]


def open_and_wait(page: Page, path: str) -> None:
    """Open a page; it shows itself once its scripts have run."""
    page.goto(path)
    expect(page.locator("#main")).to_be_visible()


@pytest.mark.parametrize("role", [BOX_OFFICE, FINANCE, OPERATIONS, ADMINISTRATOR])
def test_every_page_of_the_sidebar_works_for_each_role(
    visit: StartVisit, season: Everything, role: str
) -> None:
    page = visit("desktop", in_role(role), **DESK).open("/admin/")
    expect(page.locator("#nav-sidebar-apps")).to_be_visible()

    for path in lists_of(page):
        open_and_wait(page, path)
        first = page.locator("#result_list tbody th a").first
        if role == ADMINISTRATOR and first.count():
            open_and_wait(page, first.get_attribute("href") or "")


def test_forms_and_controls_of_the_theme_work_under_the_policy(
    visit: StartVisit, season: Everything
) -> None:
    page = visit("desktop", in_role(ADMINISTRATOR), **DESK).open("/admin/concerts/concert/add/")
    expect(page.locator("#id_title")).to_be_visible()
    page.locator("#calendarlink0").click()
    expect(page.locator("#calendarbox0")).to_be_visible()

    open_and_wait(page, "/admin/payments/ledgertransaction/add/")
    page.locator(".select2-selection").click()
    expect(page.locator(".select2-results__option").first).to_be_visible()

    open_and_wait(page, "/admin/concerts/seat/")
    page.locator("input.action-select").first.check()
    bar = page.locator("#changelist-actions")
    expect(bar).to_be_visible()
    assert bar.evaluate("bar => bar.offsetWidth") > 500
    page.get_by_label("Reason, for the history").fill("Camera")
    page.get_by_label("Select action to run").select_option("allocate")
    page.get_by_role("button", name="Run").click()
    expect(page).to_have_url(re.compile("/inventory/"))
    open_and_wait(page, "/admin/concerts/seat/")
    page.locator("a", has_text="Filters").first.click()
    expect(page.locator("#changelist-filter")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_each_kind_are_without_barriers(
    visit: StartVisit, season: Everything, scheme: str
) -> None:
    # The check is injected, which the policy forbids.
    look = {"color_scheme": scheme, "bypass_csp": True}
    page = visit("desktop", in_role(ADMINISTRATOR), **look).open("/admin/")
    room = page_of(season[WaitingRoom]).replace("change", "steer/pause")
    paths = ["/admin/", "/admin/concerts/concert/", page_of(season[Concert]), room]
    paths += [page_of(season[User], "delete"), page_of(season[Reservation])]
    found = {}

    for path in paths:
        open_and_wait(page, path)
        found[path] = barriers(page)
    login = visit("desktop", **look).open("/admin/login/")
    expect(login.locator("#login-form")).to_be_visible()
    found["login"] = barriers(login)

    assert {path: problems for path, problems in found.items() if problems} == {}


def test_pages_with_much_on_them_fit_on_a_tablet(visit: StartVisit, season: Everything) -> None:
    tablet = {"viewport": {"width": 1024, "height": 768}}
    page = visit("desktop", in_role(ADMINISTRATOR), **tablet).open("/admin/")

    for path in (page_of(season[Concert]), page_of(season[User]), "/admin/auth/group/add/"):
        open_and_wait(page, path)
        html = page.locator("html")
        assert html.evaluate("html => html.scrollWidth - html.clientWidth") == 0, path


def test_the_theme_follows_the_device_and_the_switch(visit: StartVisit, season: Everything) -> None:
    page = visit("desktop", in_role(BOX_OFFICE), color_scheme="dark", **DESK).open("/admin/")
    expect(page.locator("html")).to_have_class("dark")
    ground = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert ground == "rgb(27, 24, 22)"

    page.get_by_text("Jun Park").click()
    page.get_by_text("Light", exact=True).click()

    expect(page.locator("html")).to_have_class("light")


def test_staff_log_in_on_a_page_of_ours(visit: StartVisit, season: Everything) -> None:
    staff = CustomerFactory(staff=True, email="jun@example.com", password=PASSWORD)
    page = visit(**DESK).open("/admin/")
    expect(page.get_by_role("heading", name="Encore")).to_be_visible()
    page.get_by_label("Email address").fill(staff.email)
    page.locator("#id_password").fill(PASSWORD)

    page.get_by_role("button", name="Log in").click()

    expect(page.locator("#nav-sidebar")).to_be_visible()
