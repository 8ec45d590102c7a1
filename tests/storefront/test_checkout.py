"""Paying for what is held, and giving it back."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.concerts.models import Performance
from apps.payments.models import LedgerTransaction
from apps.payments.selectors import wallet_balance
from apps.payments.services import charge_wallet
from apps.queue.models import WaitingRoom
from apps.queue.selectors import live_figures
from apps.queue.services import remove_visitor
from apps.reservations.models import Hold, Reservation
from tests.conftest import StartValkey
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, let_expire, overdue_hold
from tests.storefront.rules import Page, StrictClient
from tests.storefront.visits import admitted, checkout_of, form, logged_in, seat_map

pytestmark = pytest.mark.django_db


class TestCheckout:
    def test_pays_once_however_often_it_is_sent(self, browser: Client, customer: User, held: Hold):
        path = checkout_of(held)
        key = Page(browser.get(path)).value("key")

        answers = [browser.post(path, {"key": key}) for _ in range(2)]

        paid = Reservation.objects.get(hold=held)
        # The second finds the hold paid already, and leads to the same tickets.
        assert answers[0].headers["Location"] == f"/reservations/{paid.pk}/"
        assert browser.get(path).headers["Location"] == f"/reservations/{paid.pk}/"
        assert answers[1].headers["Location"] == f"/reservations/{paid.pk}/"
        assert LedgerTransaction.objects.filter(type="PAYMENT").count() == 1
        assert wallet_balance(customer_id=customer.pk) == 100_000

    def test_needs_no_place_in_the_queue(
        self, browser: Client, held: Hold, valkey_server: StartValkey, settings: Any
    ):
        """Pay from another device, with the room closed or its store away: a hold of one's own is enough."""
        WaitingRoom.objects.filter(concert=held.performance.concert_id).update(state="CLOSED")
        server = valkey_server()
        settings.QUEUE_URL = server.url
        server.stop()

        paid = browser.post(checkout_of(held), form())

        assert paid.headers["Location"].startswith("/reservations/")
        assert Reservation.objects.filter(hold=held).exists()

    def test_does_not_join_the_queue_again(self, browser: Client, customer: User, held: Hold):
        WaitingRoomFactory(concert=held.performance.concert)

        for _ in range(2):
            browser.post(checkout_of(held), form())

        figures = live_figures(held.performance.concert_id)
        assert figures is None or (figures.waiting, figures.active) == (0, 0)

    def test_leaves_the_cookie_of_a_newer_visit_alone(self, performance: Performance):
        """A customer who joined anew after the first of two payments must be able to see that place, and to leave it."""
        concert = performance.concert
        WaitingRoomFactory(concert=concert)
        customer = WalletFactory(balance=200_000).customer
        client = admitted(concert, customer)
        for seat in list(performance.seats.all())[:2]:
            client.post(seat_map(performance), form(seats=[seat.pk]))
        first, second = Hold.objects.filter(customer=customer).order_by("held_at")

        paid = client.post(checkout_of(first), form())
        remove_visitor(concert_id=concert.pk, customer_id=customer.pk, staff_id=None)
        client.post(f"/concerts/{concert.pk}/queue/")
        paid_later = client.post(checkout_of(second), form())

        assert paid.cookies["queue_token"].value == ""
        assert "queue_token" not in paid_later.cookies
        assert Reservation.objects.filter(customer=customer).count() == 2

    def test_with_the_key_of_another_payment_pays_nothing(
        self, browser: Client, customer: User, performance: Performance, held: Hold
    ):
        other = hold(customer, list(performance.seats.all())[2:3])
        sent = form()
        browser.post(checkout_of(held), sent)

        answer = browser.post(checkout_of(other), sent, follow=True)

        assert answer.redirect_chain == [(checkout_of(other), 302)]
        assert "This form was out of date." in answer.content.decode()
        assert not Reservation.objects.filter(hold=other).exists()

    def test_is_not_found_below_another_concert(self, browser: Client, held: Hold):
        path = f"/concerts/{PerformanceFactory().concert_id}/checkout/{held.pk}/"

        assert browser.get(path).status_code == 404
        assert browser.post(f"{path}release/").status_code == 404
        held.refresh_from_db()
        assert held.status == "HELD"

    def test_comes_back_after_the_login(self, held: Hold):
        path = checkout_of(held)

        assert StrictClient().post(path, {}).headers["Location"] == f"/login/?next={path}"
        assert StrictClient().post(f"{path}release/").headers["Location"] == f"/login/?next={path}"

    def test_offers_to_top_up_what_is_missing_and_comes_back(self, performance: Performance):
        poor = WalletFactory(balance=0).customer
        held_by_poor = hold(poor, list(performance.seats.all())[:1])
        client = logged_in(poor)
        path = checkout_of(held_by_poor)

        page = client.get(path).content.decode()
        refused = client.post(path, form())

        assert "Top up ₩50,000" in page
        assert f'action="{path}top-up/"' in page
        assert refused.status_code == 402
        assert "nothing was paid" in refused.content.decode()
        topped_up = client.post(f"{path}top-up/", form(amount="50000"))
        assert topped_up.headers["Location"] == path
        assert "Pay ₩50,000" in client.get(path).content.decode()

    def test_explains_that_the_time_is_over(
        self, browser: Client, customer: User, performance: Performance
    ):
        over = overdue_hold(customer, list(performance.seats.all())[:1])
        path = checkout_of(over)

        response = browser.get(path)
        paid = browser.post(path, form())

        assert "The time to pay is over" in response.content.decode()
        assert (
            f'href="/concerts/{performance.concert_id}/seats/{performance.pk}/"'
            in response.content.decode()
        )
        assert paid.headers["Location"] == path
        assert wallet_balance(customer_id=customer.pk) == 200_000

    def test_gives_seats_back(self, browser: Client, held: Hold):
        path = checkout_of(held)

        released = browser.post(f"{path}release/")
        again = browser.post(f"{path}release/")

        held.refresh_from_db()
        assert held.status == "RELEASED"
        # Back to the date that the seats were of.
        seats = f"/concerts/{held.performance.concert_id}/seats/{held.performance_id}/"
        assert released.headers["Location"] == seats
        assert again.headers["Location"] == path
        response = browser.get(path)
        assert "You gave these seats back" in response.content.decode()

    @pytest.mark.parametrize("key", [{}, {"key": "x"}, {"key": "\x00"}])
    def test_refuses_a_form_without_its_key(self, key: dict[str, str], browser: Client, held: Hold):
        response = browser.post(checkout_of(held), key)

        assert response.status_code == 400
        assert not Reservation.objects.exists()


class TestTwoTabs:
    """A tab that stood open while another one dealt with the hold."""

    @pytest.fixture
    def poor(self, performance: Performance) -> Hold:
        """Held by a customer who has too little money."""
        customer = WalletFactory(balance=20_000).customer
        return hold(customer, list(performance.seats.all())[:1])

    @pytest.fixture
    def tab(self, poor: Hold) -> Client:
        return logged_in(poor.customer)

    def top_up_form(self, tab: Client, held: Hold) -> tuple[str, dict[str, str]]:
        """Return where the page sends the top-up that it shows, and what."""
        return f"{checkout_of(held)}top-up/", Page(tab.get(checkout_of(held))).form("top-up/")

    def balance(self, held: Hold) -> int:
        return wallet_balance(customer_id=held.customer_id)

    @pytest.mark.parametrize("end", ["paid", "released"])
    def test_top_up_of_what_was_dealt_with_meanwhile_is_refused(
        self, tab: Client, poor: Hold, end: str
    ):
        path = checkout_of(poor)
        address, sent = self.top_up_form(tab, poor)
        if end == "paid":
            charge_wallet(customer_id=poor.customer_id, amount=30_000)
            tab.post(path, form())
        else:
            tab.post(f"{path}release/", form())
        before = self.balance(poor)

        answer = tab.post(address, sent, follow=True)

        assert self.balance(poor) == before
        assert "Nothing was topped up" in answer.content.decode()
        # And what became of it is what is seen.
        assert answer.redirect_chain[0] == (path, 302)
        assert (len(answer.redirect_chain) == 2) is (end == "paid")

    def test_top_up_by_both_tabs_is_booked_once(self, tab: Client, poor: Hold):
        address, first = self.top_up_form(tab, poor)
        _, second = self.top_up_form(tab, poor)

        tab.post(address, first)
        answer = tab.post(address, second, follow=True)

        assert first["key"] != second["key"]
        assert first["amount"] == "30000"
        assert self.balance(poor) == 50_000
        assert "your balance has changed in the meantime" in answer.content.decode()

    def test_one_tab_twice_is_booked_once(self, tab: Client, poor: Hold):
        address, sent = self.top_up_form(tab, poor)

        answers = [tab.post(address, sent) for _ in range(2)]

        assert self.balance(poor) == 50_000
        assert [answer.headers["Location"] for answer in answers] == [checkout_of(poor)] * 2

    def test_top_up_for_what_is_over_is_refused(self, tab: Client, poor: Hold):
        address, sent = self.top_up_form(tab, poor)
        let_expire(poor)

        tab.post(address, sent)

        assert self.balance(poor) == 20_000

    def test_top_up_for_the_hold_of_another_customer_is_not_found(
        self, browser: Client, poor: Hold
    ):
        answer = browser.post(f"{checkout_of(poor)}top-up/", form(amount="30000"))

        assert answer.status_code == 404
        assert self.balance(poor) == 20_000

    @pytest.mark.parametrize(
        "sent", [{}, {"key": "x", "amount": "1"}, {"amount": "0"}, {"amount": "x"}]
    )
    def test_a_form_that_is_none_of_ours_tops_up_nothing(
        self, tab: Client, poor: Hold, sent: dict[str, str]
    ):
        answer = tab.post(f"{checkout_of(poor)}top-up/", form() | sent)

        assert answer.headers["Location"] == checkout_of(poor)
        assert self.balance(poor) == 20_000

    def test_what_was_cancelled_by_another_tab_is_not_refunded_again(
        self, browser: Client, customer: User, booked: Reservation
    ):
        path = f"/reservations/{booked.pk}/"
        keys = [Page(browser.get(f"{path}cancel/")).value("key") for _ in range(2)]

        for key in keys:
            browser.post(path, {"key": key})

        assert wallet_balance(customer_id=customer.pk) == 200_000
        assert LedgerTransaction.objects.filter(type="REFUND").count() == 1
