"""Every page in every situation, by axe: WCAG 2.2 A and AA, and the best practices that it knows."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.template import loader
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance, Seat
from apps.queue.services import pause_room, remove_visitor
from apps.reservations.services import cancel_reservation, release_hold
from tests.browser.conftest import StartVisit
from tests.browser.seat_map import add_date, await_map, be_admitted
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, overdue_hold, reservation

LOOKS = [("desktop", "light", "en"), ("phone", "dark", "ko"), ("desktop", "dark", "en")]
Barriers = dict[str, list[str]]


def barriers(page: Page, *, within: str | None = None) -> list[str]:
    """Return what axe calls serious or critical, of the page or a part of it, once colours have stopped changing."""
    page.evaluate(
        "Promise.allSettled(document.getAnimations()"
        ".filter((shown) => shown instanceof CSSTransition).map((shown) => shown.finished))"
    )
    results = Axe().run(page, context=within)
    return [
        f"{violation['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.fixture(params=LOOKS, ids="-".join)
def look(request: pytest.FixtureRequest) -> dict[str, Any]:
    size, scheme, language = request.param
    # The check is injected, which the pages' own policy forbids.
    return {"size": size, "color_scheme": scheme, "locale": language, "bypass_csp": True}


@pytest.fixture
def performance(performance: Performance) -> Performance:
    """The first of five dates."""
    for days in range(1, 5):
        add_date(performance.concert, days=days)
    return performance


def found_on(page: Page, paths: Iterable[str]) -> Barriers:
    found = {}
    for path in paths:
        page.goto(path)
        found[path] = barriers(page)
    return found


def found_none(found: Barriers) -> bool:
    assert {where: problems for where, problems in found.items() if problems} == {}
    return bool(found)


def test_of_what_every_visitor_sees(
    visit: StartVisit, performance: Performance, look: dict[str, Any]
) -> None:
    now = timezone.now()
    concerts = [performance.concert, *concerts_in_every_state(now)]
    visitor = visit(**look)
    page = visitor.open("/")

    found = found_on(
        page,
        [
            "/",
            "/?show=soon",
            "/?q=night",
            "/?q=nothing",
            "/login/",
            "/register/",
            *(f"/concerts/{concert.pk}/" for concert in concerts),
        ],
    )
    visitor.expect("400")
    for path in ("/login/", "/register/"):
        page.goto(path)
        page.locator("main form button").click()
        expect(page.get_by_role("alert")).to_be_visible()
        found[f"{path} refused"] = barriers(page)

    assert found_none(found)


def concerts_in_every_state(now: datetime) -> list[Concert]:
    lottery, later, sold_out, paused, closed, few = (
        PerformanceFactory(seats=seats).concert for seats in (20, 20, 0, 20, 20, 3)
    )
    WaitingRoomFactory(concert=lottery, opens_at=now + timedelta(minutes=10))
    WaitingRoomFactory(concert=later, opens_at=now + timedelta(hours=10))
    Performance.objects.filter(concert=sold_out).update(sold_out_at=now)
    WaitingRoomFactory(concert=paused, state="PAUSED")
    WaitingRoomFactory(concert=closed, state="CLOSED")
    return [lottery, later, sold_out, paused, closed, few, ConcertFactory()]


def test_of_what_a_customer_has(
    visit: StartVisit, performance: Performance, customer: User, look: dict[str, Any]
) -> None:
    dates = list(Performance.objects.of_concert(performance.concert_id).by_date())
    first, second, third, fourth, fifth = (
        list(Seat.objects.of_performance(date.pk)[:2]) for date in dates
    )
    booked, cancelled = reservation(customer, first[:1]), reservation(customer, second[:1])
    cancel_reservation(customer_id=customer.pk, reservation_id=cancelled.pk)
    released = hold(customer, fifth)
    release_hold(customer_id=customer.pk, hold_id=released.pk)
    live, overdue = hold(customer, third[:1]), overdue_hold(customer, fourth[:1])
    poor = CustomerFactory()
    short = hold(poor, fourth[1:])
    checkout = f"/concerts/{performance.concert_id}/checkout"
    visitor = visit(customer=customer, **look)
    visitor.expect("404")
    visitor.expect("400")
    page = visitor.open("/")

    found = found_on(
        page,
        [
            "/wallet/",
            "/reservations/",
            "/reservations/?when=past",
            f"/reservations/{booked.pk}/",
            f"/reservations/{cancelled.pk}/",
            f"/reservations/{booked.pk}/cancel/",
            *(f"{checkout}/{held.pk}/" for held in (live, overdue, released, short)),
            "/nothing/here/",
        ],
    )
    page.goto("/wallet/")
    page.locator("main input[name=amount]").fill("1000001")
    page.locator("main form").nth(1).evaluate("form => { form.noValidate = true; form.submit(); }")
    expect(page.get_by_role("alert")).to_be_visible()
    found["/wallet/ refused"] = barriers(page)
    found |= found_on(visit(customer=poor, **look).open("/"), [f"{checkout}/{short.pk}/"])

    assert found_none(found)


def test_of_the_waiting_room_and_the_seats(
    visit: StartVisit, performance: Performance, customer: User, look: dict[str, Any]
) -> None:
    found: Barriers = {}
    hold(customer, list(Seat.objects.of_performance(performance.pk)[:1]))
    page = visit(customer=customer, **look).context.new_page()
    be_admitted(page, performance.concert)
    await_map(page)
    page.locator(".seat-list > summary").click()
    page.locator(".seat-list__part > summary").first.click()
    page.locator(".seat-list__part .seat-list__part > summary").first.click()
    page.locator('.seat-button[aria-disabled="false"]').first.click()
    found["seats"] = barriers(page)

    waiting = WaitingRoomFactory(capacity=1, concert__title="Small Hours").concert
    PerformanceFactory(concert=waiting, seats=2)
    guest = CustomerFactory()
    queueing = visit(customer=guest, **look)
    page = queueing.open(f"/concerts/{waiting.pk}/")
    page.locator('form[action$="/queue/"] button').click()
    page.locator(".queue-leave summary").click()
    found["queue"] = barriers(page)
    pause_room(concert_id=waiting.pk, staff_id=None)
    expect(page.locator('#queue[data-state="PAUSED"]')).to_be_visible()
    found["paused"] = barriers(page)
    queueing.expect("ERR_INTERNET_DISCONNECTED")
    queueing.context.set_offline(True)
    expect(page.locator('#queue[data-state="OFFLINE"]')).to_be_visible()
    found["offline"] = barriers(page)
    queueing.context.set_offline(False)
    remove_visitor(concert_id=waiting.pk, customer_id=guest.pk, staff_id=None)
    expect(page.locator(".queue-ended")).to_be_visible()
    found["ended"] = barriers(page)

    early = WaitingRoomFactory(
        concert__sales_open_at=timezone.now() + timedelta(minutes=20)
    ).concert
    PerformanceFactory(concert=early, seats=1)
    page.goto(f"/concerts/{early.pk}/")
    page.locator('form[action$="/queue/"] button').click()
    page.wait_for_url(re.compile("/queue/$"))
    found["before the opening"] = barriers(page)

    sold = WaitingRoomFactory().concert
    reservation(
        CustomerFactory(),
        list(Seat.objects.of_performance(PerformanceFactory(concert=sold, seats=1).pk)),
    )
    be_admitted(page, sold)
    found["no seats"] = barriers(page)

    assert found_none(found)


def answer(page: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(body=page, content_type="text/html")


def test_of_failures(visit: StartVisit, look: dict[str, Any], db: None) -> None:
    visitor = visit(**look)
    page = visitor.open("/")
    found = {}

    for name in ("400", "403", "403_csrf", "404", "429", "500", "503"):
        failure = loader.get_template(f"{name}.html").render({"retry_after": 30})
        visitor.context.route(f"**/{name}/", answer(failure))
        page.goto(f"/{name}/")
        found[name] = barriers(page)

    assert found_none(found)
