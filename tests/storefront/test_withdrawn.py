"""Test what visitors see while a concert is offline for a time: those with a place, and all others."""

from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client, TestCase
from django.urls import reverse

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance
from apps.concerts.publication import publish_concert, withdraw_concert
from apps.core.caching import clear_process_caches
from apps.payments.selectors import wallet_balance
from apps.queue.services import admit_visitors
from apps.reservations.models import Hold, Reservation
from apps.reservations.services import cancel_reservation
from tests.factories.concerts import ConcertFactory
from tests.factories.queue import WaitingRoomFactory
from tests.storefront.rules import StrictClient
from tests.storefront.visits import (
    JSON,
    admitted,
    checkout_of,
    date_url,
    form,
    joined,
    logged_in,
    status_of,
    url,
)

pytestmark = pytest.mark.django_db

REASON = "The hall has changed the seats of row F."


@pytest.fixture
def concert(performance: Performance) -> Concert:
    return WaitingRoomFactory(concert=performance.concert, capacity=1).concert


def withdraw(concert: Concert) -> None:
    with TestCase.captureOnCommitCallbacks(execute=True):
        withdraw_concert(concert_id=concert.pk, reason=REASON)
    clear_process_caches()


def publish(concert: Concert) -> None:
    with TestCase.captureOnCommitCallbacks(execute=True):
        publish_concert(concert_id=concert.pk)
    clear_process_caches()


class TestThoseWhoWait:
    def test_read_that_sales_are_interrupted_and_the_page_goes_on(self, concert: Concert) -> None:
        joined(concert)
        client = joined(concert)
        withdraw(concert)

        page = client.get(url("queue", concert))
        status = status_of(client, concert)

        text = page.content.decode()
        assert page.status_code == 200
        assert "Sales are interrupted." in text
        assert REASON in text
        assert 'data-slot="ahead">1<' in text
        assert '<meta http-equiv="refresh"' in text
        answer = status.json()
        assert (answer["status"], answer["state"], answer["pause_reason"]) == (
            "WAITING",
            "WITHDRAWN",
            REASON,
        )
        assert answer["poll_after_seconds"] >= 1
        publish(concert)
        assert status_of(client, concert).json()["state"] == "OPEN"

    def test_get_to_the_seats_when_it_is_published_again(self, concert: Concert) -> None:
        client = joined(concert)
        withdraw(concert)
        assert admit_visitors() == 0
        publish(concert)
        admit_visitors()

        assert client.get(url("queue", concert)).headers["Location"] == url("seats", concert)

    def test_are_led_from_the_page_of_the_concert_to_their_place(self, concert: Concert) -> None:
        client = joined(concert)
        withdraw(concert)

        assert client.get(url("concert", concert)).headers["Location"] == url("queue", concert)

    def test_may_leave(self, concert: Concert) -> None:
        client = joined(concert)
        withdraw(concert)

        left = client.post(url("leave_queue", concert), follow=True)

        assert left.status_code == 200
        assert "You have left the queue." in left.content.decode()
        assert client.get(url("queue", concert)).status_code == 404

    def test_see_how_their_visit_ended(self, concert: Concert) -> None:
        here, elsewhere = joined(concert), StrictClient()
        elsewhere.cookies["queue_token"] = here.cookies["queue_token"].value
        withdraw(concert)
        here.post(url("leave_queue", concert))

        assert "You have left the queue." in elsewhere.get(url("queue", concert)).content.decode()

    def test_keep_their_page_while_the_store_is_away(
        self, concert: Concert, settings: LazySettings
    ) -> None:
        client = joined(concert)
        withdraw(concert)
        settings.QUEUE_URL = "redis://127.0.0.1:1/0"

        page = client.get(url("queue", concert))

        assert page.status_code == 503
        assert "Your place is kept" in page.content.decode()
        assert logged_in().get(url("queue", concert)).status_code == 404


class TestThoseWhoseTurnItIs:
    def test_wait_for_it_to_go_on_instead_of_going_in_circles(self, concert: Concert) -> None:
        client = admitted(concert)
        withdraw(concert)

        page = client.get(url("queue", concert))
        answer = status_of(client, concert).json()

        assert page.status_code == 200
        assert REASON in page.content.decode()
        assert (answer["status"], answer["people_ahead"], answer["wait"]) == ("WAITING", None, None)
        assert answer["lease_seconds"] is None
        publish(concert)
        assert client.get(url("queue", concert)).headers["Location"] == url("seats", concert)
        assert status_of(client, concert).json()["status"] == "ACTIVE"

    def test_are_led_from_the_seats_to_the_page_that_waits(
        self, concert: Concert, performance: Performance
    ) -> None:
        client = admitted(concert)
        seats = date_url("seat_map", performance)
        withdraw(concert)

        for page in (url("seats", concert), seats):
            assert client.get(page).headers["Location"] == url("queue", concert)
        script = client.get(seats + "availability/", headers=JSON)
        assert script.status_code == 404

    def test_may_pay_for_what_they_hold(
        self, browser: Client, customer: User, concert: Concert, held: Hold
    ) -> None:
        withdraw(concert)

        page = browser.get(checkout_of(held))
        paid = browser.post(checkout_of(held), form())

        reserved = Reservation.objects.get()
        assert page.status_code == 200
        assert paid.headers["Location"] == reverse("storefront:reservation", args=[reserved.pk])
        assert wallet_balance(customer_id=customer.pk) == 100_000


class TestThoseWhoHaveTickets:
    @pytest.mark.parametrize("is_cancelled", [False, True])
    def test_see_the_poster_in_their_list(
        self, browser: Client, concert: Concert, booked: Reservation, is_cancelled: bool
    ) -> None:
        shown_before = browser.get(url("poster", concert))
        if is_cancelled:
            cancel_reservation(customer_id=booked.customer_id, reservation_id=booked.pk)
        withdraw(concert)

        page = browser.get(f"/reservations/{'?when=past' if is_cancelled else ''}")
        poster = browser.get(url("poster", concert))

        assert f'src="{url("poster", concert)}"' in page.content.decode()
        assert poster.status_code == 200
        assert poster.content == shown_before.content
        assert shown_before.headers["Cache-Control"] == "public, max-age=3600"
        assert poster.headers["Cache-Control"] == "private, max-age=3600"

    def test_see_no_other(self, browser: Client, concert: Concert, booked: Reservation) -> None:
        other = ConcertFactory(is_published=False)
        withdraw(concert)

        assert browser.get(url("poster", other)).status_code == 404
        assert browser.get(url("poster", concert)).status_code == 200
        stranger = logged_in().get(url("poster", concert))
        assert (stranger.status_code, stranger.headers["Cache-Control"]) == (404, "no-store")


class TestOthers:
    @pytest.mark.parametrize("name", ["concert", "queue", "poster"])
    def test_find_nothing(self, concert: Concert, name: str) -> None:
        withdraw(concert)

        for client in (StrictClient(), logged_in()):
            assert client.get(url(name, concert)).status_code == 404

    def test_cannot_join(self, concert: Concert) -> None:
        withdraw(concert)

        assert logged_in().post(url("queue", concert)).status_code == 404

    def test_find_nothing_with_a_place_in_another_queue(self, concert: Concert) -> None:
        client: Any = logged_in()
        other = WaitingRoomFactory().concert
        token = client.post(url("queue", other)).cookies["queue_token"].value
        withdraw(concert)
        client.cookies["queue_token"] = token

        assert client.get(url("concert", concert)).status_code == 404
        assert client.get(url("queue", concert)).status_code == 404
