"""The box in the header of every page."""

import re

import pytest
from playwright.sync_api import expect

from apps.accounts.models import User
from apps.concerts.models import Performance
from tests.browser.conftest import SIZES, StartVisit
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory


@pytest.fixture
def performance(transactional_db: None) -> Performance:
    ConcertFactory(title="LUMEN SEVEN: 첫 번째 궤도", artist="루멘 세븐")
    return PerformanceFactory(seats=4, concert__title="Small Hours", concert__venue="Basement 17")


@pytest.fixture
def customer(transactional_db: None) -> User:
    return CustomerFactory()


@pytest.mark.parametrize("size", SIZES)
def test_is_on_every_page(
    visit: StartVisit, performance: Performance, customer: User, size: str
) -> None:
    visitor = visit(size, customer)
    visitor.expect("404")
    paths = ["/", f"/concerts/{performance.concert_id}/", "/wallet/", "/reservations/", "/nothing/"]
    for path in paths:
        page = visitor.open(path)
        box = page.get_by_role("searchbox")
        box.click()
        box.fill("basment")
        box.press("Enter")

        expect(page.get_by_role("heading", level=2)).to_have_text(["Small Hours"])


def test_folds_on_a_phone_and_opens_by_touch(
    visit: StartVisit, performance: Performance, customer: User
) -> None:
    page = visit("phone", customer).open(f"/concerts/{performance.concert_id}/")
    box, header = page.get_by_role("searchbox"), page.locator(".site-header")

    def width() -> float:
        width: float = box.evaluate("input => input.getBoundingClientRect().width")
        return width

    folded, height = width(), header.evaluate("header => header.offsetHeight")
    box.tap()

    expect(box).to_be_focused()
    assert (folded, width() > 300) == (44, True)
    assert header.evaluate("header => header.offsetHeight") > height
    box.fill("루멘세븐")
    page.get_by_role("button", name="Search").tap()
    expect(page).to_have_url(re.compile(r"\?q="))
    expect(page.get_by_role("heading", level=2)).to_have_text(["LUMEN SEVEN: 첫 번째 궤도"])
