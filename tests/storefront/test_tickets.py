"""Test what a customer has booked."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from icalendar import Calendar

from apps.accounts.models import User
from apps.concerts.models import Performance
from apps.concerts.scheduling import call_off_performance
from apps.core.transactions import run_in_transaction
from apps.payments.selectors import wallet_balance
from apps.reservations.models import Reservation
from apps.reservations.services import cancel_reservation, cancel_seats, refund_reservation
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import begin_at, reschedule
from tests.factories.reservations import reservation
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

    def test_are_upcoming_until_the_performance_is_surely_over(
        self, browser: Client, booked: Reservation
    ):
        title, this = booked.performance.concert.title, Performance.objects.all()
        begin_at(this, timezone.now() - timedelta(minutes=5))
        assert title in browser.get("/reservations/").content.decode()
        assert title not in browser.get("/reservations/?when=past").content.decode()

        begin_at(this, timezone.now() - timedelta(hours=3, minutes=1))

        assert title not in browser.get("/reservations/").content.decode()
        assert title in browser.get("/reservations/?when=past").content.decode()

    @pytest.mark.parametrize(("language", "zone"), [("en", "KST"), ("ko", "한국 표준시")])
    def test_name_the_time_zone(
        self, browser: Client, booked: Reservation, language: str, zone: str
    ):
        begin_at(Performance.objects.all(), datetime(2099, 7, 1, 10, 30, tzinfo=UTC))
        local = {"en": "7:30 p.m.", "ko": "오후 7:30"}[language]

        for path in (f"/reservations/{booked.pk}/", "/reservations/"):
            page = browser.get(path, headers={"Accept-Language": language}).content.decode()
            assert f"{local} {zone}" in page

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


class TestMoved:
    """A date that was moved to tomorrow morning."""

    @pytest.fixture
    def moved(self, booked: Reservation) -> Reservation:
        begin_at(Performance.objects.all(), datetime(2099, 7, 1, 10, 30, tzinfo=UTC))
        reschedule(booked.performance, starts_at=timezone.now() + timedelta(hours=9))
        return booked

    @pytest.mark.parametrize(
        ("language", "words", "before"),
        [
            ("en", "This performance has been rescheduled.", "July 1, 2099, 7:30 p.m. →"),
            ("ko", "공연 일시가 변경되었습니다.", "2099년 7월 1일, 오후 7:30 →"),
        ],
    )
    def test_is_told_on_the_ticket_and_on_the_list(
        self, browser: Client, moved: Reservation, language: str, words: str, before: str
    ):
        for path in (f"/reservations/{moved.pk}/", "/reservations/"):
            page = browser.get(path, headers={"Accept-Language": language}).content.decode()
            assert words in page
            assert before in page

    def test_may_be_cancelled_although_it_is_soon(
        self, browser: Client, customer: User, moved: Reservation
    ):
        path = f"/reservations/{moved.pk}/"
        page = browser.get(path).content.decode()
        key = Page(browser.get(f"{path}cancel/")).value("key")

        browser.post(path, {"key": key})

        assert "you can cancel until it begins" in page
        assert "you can cancel until it begins (" in page
        assert wallet_balance(customer_id=customer.pk) == 200_000
        assert "This performance has been rescheduled." not in browser.get(path).content.decode()

    def test_is_news_to_those_alone_who_booked_before(
        self, browser: Client, customer: User, moved: Reservation
    ):
        later = reservation(customer, list(moved.performance.seats.all())[3:])

        page = browser.get(f"/reservations/{later.pk}/").content.decode()

        assert "This performance has been rescheduled." not in page
        assert "It is too late to cancel" in page


class TestGivenBackByStaff:
    """Show what the box office has given back, and why."""

    @pytest.fixture
    def by(self) -> dict[str, Any]:
        return {"reason": "A broken seat", "staff_id": CustomerFactory(staff=True).pk}

    @pytest.fixture
    def pair(self, customer: User, booked: Reservation) -> Reservation:
        """A reservation of two seats, beside the one of one seat."""
        return reservation(customer, list(booked.performance.seats.all())[:2])

    def test_shows_which_seat_is_cancelled_and_the_refund(
        self, browser: Client, pair: Reservation, by: dict[str, Any]
    ):
        first, second = pair.tickets.order_by("seat_id")
        cancel_seats(reservation_id=pair.pk, seat_ids=[first.seat_id], **by)

        page = browser.get(f"/reservations/{pair.pk}/").content.decode()

        assert page.count("A broken seat") == 2  # on the ticket, and beside the refund
        assert f"/tickets/{first.pk}/qr.svg" not in page
        assert f"/tickets/{second.pk}/qr.svg" in page
        assert browser.get(f"/tickets/{first.pk}/qr.svg").status_code == 404
        assert browser.get(f"/tickets/{second.pk}/qr.svg").status_code == 200
        assert "Refund: A broken seat" in browser.get("/wallet/").content.decode()
        assert "<s>" in browser.get("/reservations/").content.decode()

    def test_says_why_all_of_it_was_cancelled(
        self, browser: Client, pair: Reservation, by: dict[str, Any]
    ):
        cancel_seats(reservation_id=pair.pk, **by)

        page = browser.get(f"/reservations/{pair.pk}/").content.decode()

        assert "The box office cancelled it: A broken seat" in page
        assert "₩100,000 went back to your wallet" in page

    def test_offers_what_is_left_to_be_cancelled(
        self, browser: Client, customer: User, pair: Reservation, by: dict[str, Any]
    ):
        refund_reservation(reservation_id=pair.pk, amount=30_000, **by)
        path = f"/reservations/{pair.pk}/"

        asked = browser.get(f"{path}cancel/")
        answer = browser.post(path, {"key": Page(asked).value("key")}, follow=True)

        assert "₩70,000 goes back" in asked.content.decode()
        assert "₩70,000 went back to your balance" in answer.content.decode()

    def test_a_date_that_is_called_off_is_told_everywhere(
        self, browser: Client, booked: Reservation
    ):
        call_off = partial(
            call_off_performance, performance_id=booked.performance_id, reason="Storm"
        )
        run_in_transaction(call_off)
        concert = booked.performance.concert

        for path in (f"/reservations/{booked.pk}/", "/reservations/"):
            page = browser.get(path).content.decode()
            assert "This performance has been called off." in page
            assert "Storm" in page
        public = browser.get(f"/concerts/{concert.pk}/").content.decode()
        assert "Called off" in public
        assert "Storm" in public
        assert "Join the queue" not in public


class TestCalendar:
    """The entry that a calendar keeps, each time that it is fetched."""

    def entry(self, browser: Client, booked: Reservation) -> Any:
        answer = browser.get(f"/reservations/{booked.pk}/calendar.ics")
        assert answer.headers["Content-Type"].startswith("text/calendar")
        calendar = Calendar.from_ical(answer.content)
        [event] = calendar.walk("VEVENT")
        assert event["UID"] == f"{booked.pk}@encore"
        return calendar["METHOD"], event["STATUS"], event.decoded("SEQUENCE"), event

    def test_of_a_sale_that_nothing_has_happened_to(self, browser: Client, booked: Reservation):
        *told, event = self.entry(browser, booked)

        performance = booked.performance
        assert told == ["PUBLISH", "CONFIRMED", 0]
        assert event.decoded("DTSTAMP") == booked.reserved_at.replace(microsecond=0)
        assert event.decoded("LAST-MODIFIED") == event.decoded("DTSTAMP")
        assert event.decoded("DTSTART") == performance.starts_at.replace(microsecond=0)
        assert event.decoded("DTEND") == performance.ends_at.replace(microsecond=0)

    def test_follows_each_change_of_the_times(self, browser: Client, booked: Reservation):
        to = timezone.now() + timedelta(days=40)
        moved = reschedule(booked.performance, starts_at=to)
        *first, event = self.entry(browser, booked)
        assert moved.schedule_changed_at is not None
        assert event.decoded("DTSTAMP") == moved.schedule_changed_at.replace(microsecond=0)
        assert event.decoded("DTSTART") == to.replace(microsecond=0)

        reschedule(booked.performance, ends_at=to + timedelta(hours=5))
        *second, event = self.entry(browser, booked)

        assert event.decoded("DTEND") == (to + timedelta(hours=5)).replace(microsecond=0)
        assert [first[2], second[2]] == [1, 2]

    def test_leaves_out_a_seat_that_staff_have_cancelled(
        self, browser: Client, customer: User, booked: Reservation
    ):
        pair = reservation(customer, list(booked.performance.seats.all())[:2])
        first, second = pair.tickets.order_by("seat_id").select_related("seat")
        staff_id = CustomerFactory(staff=True).pk
        cancel_seats(
            reservation_id=pair.pk, seat_ids=[first.seat_id], reason="x", staff_id=staff_id
        )

        *told, event = self.entry(browser, pair)

        first.refresh_from_db()
        assert told == ["PUBLISH", "CONFIRMED", 1]
        assert str(event["DESCRIPTION"]) == f"Seats: {second.seat}"
        assert first.cancelled_at is not None
        assert event.decoded("LAST-MODIFIED") == first.cancelled_at.replace(microsecond=0)

    def test_is_taken_out_again_when_the_date_is_called_off(
        self, browser: Client, booked: Reservation
    ):
        call_off = partial(
            call_off_performance, performance_id=booked.performance_id, reason="Storm"
        )
        run_in_transaction(call_off)
        before = self.entry(browser, booked)[:3]
        staff_id = CustomerFactory(staff=True).pk
        cancel_seats(reservation_id=booked.pk, reason="Storm", staff_id=staff_id)

        after = self.entry(browser, booked)[:3]

        assert before == ("CANCEL", "CANCELLED", 1)
        assert after == ("CANCEL", "CANCELLED", 2)

    def test_is_taken_out_again_when_the_reservation_is_cancelled(
        self, browser: Client, customer: User, booked: Reservation
    ):
        reschedule(booked.performance, starts_at=timezone.now() + timedelta(days=40))
        cancel_reservation(customer_id=customer.pk, reservation_id=booked.pk)
        page = browser.get(f"/reservations/{booked.pk}/").content.decode()

        *told, event = self.entry(browser, booked)

        booked.refresh_from_db()
        assert told == ["CANCEL", "CANCELLED", 2]
        assert booked.cancelled_at is not None
        assert event.decoded("LAST-MODIFIED") == booked.cancelled_at.replace(microsecond=0)
        assert f"/reservations/{booked.pk}/calendar.ics" in page
