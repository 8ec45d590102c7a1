"""Pages of staff fit into a desk's window and into a tablet's, with all their buttons and in both languages."""

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import expect

from apps.accounts.models import User
from apps.boxoffice.roles import ADMINISTRATOR, set_roles
from apps.concerts.models import Performance
from tests.boxoffice.staff import page_of
from tests.browser.conftest import StartVisit
from tests.factories.accounts import CustomerFactory

WIDTHS = (1280, 1024, 820)
# The heading of a page, beside which the buttons are, and what is to the right of the window.
HEADING_WIDTH = "heading => heading.getBoundingClientRect().width"
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def administrator(transactional_db: None) -> User:
    """Give somebody every button that there is."""
    set_roles(using="default")
    account: User = CustomerFactory(staff=True)
    account.groups.add(Group.objects.get(name=ADMINISTRATOR))
    return account


@pytest.mark.parametrize("locale", ["en-GB", "ko-KR"])
def test_the_buttons_of_a_page_leave_room_for_its_heading(
    locale: str, visit: StartVisit, administrator: User, performance: Performance
) -> None:
    page = visit("desktop", administrator, locale=locale).open(page_of(performance))

    for path in (page_of(performance), page_of(performance.concert)):
        page.goto(page.url.partition("/admin/")[0] + path)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})

            assert page.evaluate(TOO_WIDE) <= 0, (path, width)
            assert page.locator("#header-inner h1").evaluate(HEADING_WIDTH) >= 150, (path, width)


def test_a_menu_opens_by_keyboard(
    visit: StartVisit, administrator: User, performance: Performance
) -> None:
    page = visit("desktop", administrator).open(page_of(performance))
    menu = page.locator("#header-inner").get_by_role("button", name="Seats", exact=False).last
    inventory = page.get_by_role("link", name="Inventory", exact=False).last

    menu.focus()
    page.keyboard.press("Enter")

    expect(inventory).to_be_visible()
    expect(menu).to_be_focused()
