"""Test what keeps the tests of this folder honest: an error on a page fails the test that opened it."""

from playwright.sync_api import expect

from tests.browser.conftest import StartVisit

SCREAM = "console.error('Planted in the console')"
THROW = "setTimeout(() => { throw new Error('Planted in a script'); })"
REJECT = "void Promise.reject(new Error('Planted in a promise'))"
LOAD = "document.body.append(Object.assign(new Image(), {src: '/nothing-planted.png'}))"


def test_errors_of_a_page_are_noticed(visit: StartVisit, transactional_db: None) -> None:
    watched = visit(expects="Planted|nothing-planted|404")
    page = watched.open("/login/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert watched.problems == []

    for planted in (SCREAM, THROW, REJECT, LOAD):
        with page.expect_event("console" if planted in (SCREAM, LOAD) else "pageerror"):
            page.evaluate(planted)

    assert len(watched.problems) == 4
    assert watched.unexpected() == []
    watched.expected.clear()
    assert len(watched.unexpected()) == 4
    watched.expect("Planted|404")
