"""The box in the header of every page, in a real browser."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import StartVisit
from tests.factories.concerts import ConcertFactory


def test_folds_on_a_phone_and_opens_by_touch(visit: StartVisit, transactional_db: None) -> None:
    concert = ConcertFactory(title="LUMEN SEVEN: 첫 번째 궤도", artist="루멘 세븐")
    page = visit("phone").open(f"/concerts/{concert.pk}/")
    box, header = page.get_by_role("searchbox"), page.locator(".site-header")

    def width() -> float:
        return box.evaluate("input => input.getBoundingClientRect().width")

    folded, height = width(), header.evaluate("header => header.offsetHeight")
    box.tap()

    expect(box).to_be_focused()
    assert (folded, width() > 300) == (44, True)
    assert header.evaluate("header => header.offsetHeight") > height
    box.fill("루멘세븐")
    page.get_by_role("button", name="Search").tap()
    expect(page).to_have_url(re.compile(r"\?q="))
    expect(page.get_by_role("heading", level=2)).to_have_text([concert.title])
