"""More time is offered on every page that shows a hold, and only where it would be given."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.concerts.models import Concert
from apps.reservations.models import Hold
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.storefront.rules import Page
from tests.storefront.visits import admitted, checkout_of, form, seat_map

pytestmark = pytest.mark.django_db

OFFER = "data-more-time="


@pytest.fixture
def concert() -> Concert:
    """With a waiting room and two seats."""
    found: Concert = WaitingRoomFactory().concert
    PerformanceFactory(concert=found, seats=2)
    return found


def pages_of(held: Hold) -> list[str]:
    concert = reverse("storefront:concert", args=[held.performance.concert_id])
    return ["/", "/?q=night", concert, "/reservations/"]


class TestOffer:
    @pytest.mark.parametrize("page", range(4))
    def test_is_made_and_leads_back(self, browser: Client, held: Hold, page: int) -> None:
        path = pages_of(held)[page]

        shown = browser.get(path)
        answer = browser.post(f"{checkout_of(held)}extend/", Page(shown).form("extend/"))

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

        browser.post(f"{checkout_of(held)}extend/", form())
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

        client.post(reverse("storefront:leave_queue", args=[concert.pk]))
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

        answer = browser.post(f"{checkout_of(held)}extend/", form(), follow=True)

        assert "while sales are interrupted" in answer.content.decode()
        assert "extend/" not in answer.content.decode()
        assert Hold.objects.get(pk=held.pk).extended_at is None
