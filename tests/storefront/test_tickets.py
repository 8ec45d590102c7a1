"""What a customer has booked."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.concerts.models import Performance
from apps.payments.selectors import wallet_balance
from apps.reservations.models import Reservation
from tests.factories.concerts import begin_at
from tests.storefront.rules import Page

pytestmark = pytest.mark.django_db


class TestTickets:
    def test_are_listed_while_they_are_ahead(self, browser: Client, booked: Reservation):
        title = booked.performance.concert.title

        assert title in browser.get("/reservations/").content.decode()
        assert "Nothing here yet" in browser.get("/reservations/?when=past").content.decode()

    def test_show_their_seat_and_code(self, browser: Client, booked: Reservation):
        [ticket] = booked.tickets.all()

        page = browser.get(f"/reservations/{booked.pk}/").content.decode()
        picture = browser.get(f"/tickets/{ticket.pk}/qr.svg")

        assert " ".join(ticket.code[at : at + 4] for at in (0, 4, 8, 12)) in page
        assert f"/tickets/{ticket.pk}/qr.svg" in page
        assert picture.headers["Content-Type"] == "image/svg+xml"
        assert picture.headers["Cache-Control"] == "private, no-store"

    def test_can_be_put_into_a_calendar(self, browser: Client, booked: Reservation):
        calendar = browser.get(f"/reservations/{booked.pk}/calendar.ics")

        assert calendar.headers["Content-Type"].startswith("text/calendar")
        assert b"BEGIN:VEVENT" in calendar.content

    def test_are_cancelled_once(self, browser: Client, customer: User, booked: Reservation):
        path = f"/reservations/{booked.pk}/"
        key = Page(browser.get(f"{path}cancel/")).value("key")

        answers = [browser.post(path, {"key": key}) for _ in range(2)]

        assert [answer.headers["Location"] for answer in answers] == [path] * 2
        assert wallet_balance(customer_id=customer.pk) == 200_000
        response = browser.get(path)
        [ticket] = booked.tickets.all()
        assert "was cancelled" in response.content.decode()
        assert browser.get(f"/tickets/{ticket.pk}/qr.svg").status_code == 404
        assert browser.get(f"{path}cancel/").headers["Location"] == path

    def test_cannot_be_cancelled_too_late(
        self, browser: Client, customer: User, booked: Reservation
    ):
        soon = timezone.now() + timedelta(hours=23)
        begin_at(Performance.objects.filter(pk=booked.performance_id), soon)
        path = f"/reservations/{booked.pk}/"

        assert "cancel/" not in browser.get(path).content.decode()
        assert browser.post(path, {"key": str(uuid4())}).headers["Location"] == path
        assert wallet_balance(customer_id=customer.pk) == 150_000
