"""More time is offered on every page that shows a hold, and only where it would be given."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance
from apps.reservations.models import Hold
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, overdue_hold
from tests.storefront.rules import Page
from tests.storefront.visits import admitted, checkout_of, form, seat_map, url

pytestmark = pytest.mark.django_db

OFFER = "data-more-time="


@pytest.fixture
def concert() -> Concert:
    """A concert with a waiting room and two seats."""
    found: Concert = WaitingRoomFactory().concert
    PerformanceFactory(concert=found, seats=2)
    return found


def pages_of(held: Hold) -> list[str]:
    concert = url("concert", held.performance.concert)
    return ["/", "/?q=night", concert, "/reservations/"]


def extend(client: Client, held: Hold, sent: dict[str, Any] | None = None, **how: Any) -> Any:
    return client.post(f"{checkout_of(held)}extend/", form() if sent is None else sent, **how)


class TestOffer:
    @pytest.mark.parametrize("page", range(4))
    def test_is_made_and_leads_back(self, browser: Client, held: Hold, page: int) -> None:
        path = pages_of(held)[page]

        shown = browser.get(path)
        answer = extend(browser, held, Page(shown).form("extend/"))

        assert shown.content.decode().count(OFFER) == 1
        assert "storefront/more-time" in shown.content.decode()
        assert answer.headers["Location"] == path
        assert Hold.objects.get(pk=held.pk).expires_at == held.expires_at + timedelta(minutes=5)
        again = browser.get(path).content.decode()
        assert "Your seats are now held until" in again
        assert OFFER not in again
        assert "storefront/more-time" not in again

    def test_is_made_once_beside_the_map(self, customer: User, held: Hold) -> None:
        client = admitted(held.performance.concert, customer)

        assert client.get(seat_map(held.performance)).content.decode().count(OFFER) == 1

    def test_is_announced_once(self, browser: Client, held: Hold) -> None:
        """The countdown of a hold announces the last minute where no offer does."""
        announced = "One minute left to pay."
        assert announced not in browser.get("/").content.decode()

        extend(browser, held)
        browser.get("/")

        assert announced in browser.get("/").content.decode()

    def test_is_not_made_after_the_visit_was_left(self, customer: User, concert: Concert) -> None:
        performance = concert.performances.get()
        client = admitted(concert, customer)
        seat = performance.seats.first()
        assert seat is not None
        client.post(seat_map(performance), form(seats=seat.pk))
        held = Hold.objects.select_related("performance").get()
        pages = [*pages_of(held), checkout_of(held)]
        for path in pages:
            assert OFFER in client.get(path).content.decode(), path

        client.post(url("leave_queue", concert))
        client.get("/reservations/")  # shows what it was told

        for path in pages:
            shown = client.get(path).content.decode()
            assert OFFER not in shown, path
            assert "extend/" not in shown, path
            assert checkout_of(held) in shown or path == checkout_of(held), path

    def test_says_why_it_is_refused_while_the_concert_is_offline(
        self, browser: Client, held: Hold
    ) -> None:
        Concert.objects.update(is_published=False)

        answer = extend(browser, held, follow=True)

        assert "while sales are interrupted" in answer.content.decode()
        assert "extend/" not in answer.content.decode()
        assert Hold.objects.get(pk=held.pk).extended_at is None


class TestForm:
    """The form at the checkout, which needs no script."""

    def test_is_offered_as_a_plain_form(self, browser: Client, held: Hold):
        shown = browser.get(checkout_of(held))

        answer = extend(browser, held, Page(shown).form("extend/"), follow=True)

        assert "I need more time" in shown.content.decode()
        extended = Hold.objects.get(pk=held.pk)
        assert extended.expires_at == held.expires_at + timedelta(minutes=5)
        assert answer.redirect_chain == [(checkout_of(held), 302)]
        page = answer.content.decode()
        assert "Your seats are now held until" in page
        assert "extend/" not in page

    def test_waits_in_a_live_region_for_the_last_minute(self, browser: Client, held: Hold):
        page = browser.get(checkout_of(held)).content.decode()

        [before, after] = page.split('<div class="more-time" role="status"')
        assert "Keep them until" in before.split("<template>")[1]
        assert 'data-more-time="' in after

    def test_sent_twice_is_one(self, browser: Client, held: Hold):
        sent = form()

        answers = [extend(browser, held, sent) for _ in range(2)]

        assert [answer.headers["Location"] for answer in answers] == [checkout_of(held)] * 2
        assert Hold.objects.get(pk=held.pk).expires_at == held.expires_at + timedelta(minutes=5)

    def test_is_refused_with_the_reason(self, browser: Client, held: Hold):
        extend(browser, held)

        answer = extend(browser, held, follow=True)

        assert "You have already extended the time for these seats." in answer.content.decode()

    def test_never_leads_elsewhere(self, browser: Client, held: Hold):
        answer = extend(browser, held, form(next="https://example.com/"))

        assert answer.headers["Location"] == "/"

    @pytest.mark.parametrize("key", [{}, {"key": "x"}])
    def test_is_not_given_without_a_key(self, browser: Client, held: Hold, key: dict[str, str]):
        answer = extend(browser, held, key)

        assert answer.headers["Location"] == checkout_of(held)
        assert Hold.objects.get(pk=held.pk).extended_at is None

    def test_of_what_is_over_leads_to_its_end(
        self, browser: Client, customer: User, performance: Performance
    ):
        over = overdue_hold(customer, list(performance.seats.all())[:1])

        assert extend(browser, over).headers["Location"] == checkout_of(over)
        assert "The time to pay is over" in browser.get(checkout_of(over)).content.decode()

    def test_for_the_hold_of_another_customer_is_not_found(
        self, browser: Client, performance: Performance
    ):
        foreign = hold(CustomerFactory(), list(performance.seats.all())[:1])

        assert extend(browser, foreign).status_code == 404
