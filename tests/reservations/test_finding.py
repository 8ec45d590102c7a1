"""The page on which staff find an order, whatever the caller knows of it."""

import unicodedata
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse

from apps.boxoffice.base import lookups
from apps.concerts.models import venue_day
from apps.reservations.admin import finding
from apps.reservations.models import Reservation
from tests.boxoffice.staff import clerk, page_of
from tests.factories.accounts import CustomerFactory, browser_of
from tests.factories.concerts import PerformanceFactory, SeatFactory
from tests.factories.reservations import cancel, hold, reservation

pytestmark = pytest.mark.django_db


def find_url() -> str:
    return reverse("admin:reservations_reservation_find")


def sold(name: str, title: str, row: str = "3", number: int = 12) -> Reservation:
    performance = PerformanceFactory(concert__title=title)
    seats = [
        SeatFactory(performance=performance, section="A", row=row, number=number + place)
        for place in range(1)
    ]
    return reservation(CustomerFactory(name=name), seats)


@pytest.fixture
def browser() -> Client:
    return browser_of(CustomerFactory(admin=True, name="Boss"))


@pytest.fixture
def wanted() -> Reservation:
    sold("Joon Park", "Glass Sun")
    sold("박준", "Glass Sun", row="4")
    return sold("김민아", "Paper Lanterns")


def orders(browser: Client, **query: Any) -> list[Reservation]:
    """Return what the page lists, or the order that it leads to."""
    answer = browser.get(find_url(), query)
    if answer.status_code == 302:
        return [
            order for order in Reservation.objects.all() if answer["Location"] == page_of(order)
        ]
    assert answer.status_code == 200
    return list(answer.context["page"].rows)


class TestOneField:
    def test_understands_whatever_the_caller_knows(self, browser, wanted):
        ticket = wanted.tickets.get()
        texts = [
            wanted.order_number,
            wanted.order_number.lower().replace("-", " "),
            ticket.code,
            ticket.printed_code.lower(),
            ticket.code[:8],
            wanted.customer.email,
            wanted.customer.email.upper(),
            "김민아",
            "민아",
            unicodedata.normalize("NFD", "김민아"),
            str(wanted.pk),
            str(wanted.hold_id),
            "Paper Lanterns",
            "Paper Lanterns, A 3-12",
        ]

        assert {text: orders(browser, q=text) for text in texts} == {
            text: [wanted] for text in texts
        }

    def test_leads_to_the_only_match(self, browser, wanted):
        answer = browser.get(find_url(), {"q": wanted.order_number})

        assert answer.status_code == 302
        assert answer["Location"] == page_of(wanted)

    def test_lists_several(self, browser, wanted):
        found = orders(browser, q="A 3-12")

        assert len(found) == 2
        assert wanted in found

    def test_finds_a_seat_of_the_chosen_concert(self, browser, wanted):
        concert = wanted.performance.concert_id

        assert orders(browser, q="A 3-12", concert=concert) == [wanted]
        assert orders(browser, q="A 4-12", concert=concert) == []

    def test_finds_a_seat_on_the_chosen_day(self, browser, wanted):
        type(wanted.performance).objects.filter(pk=wanted.performance_id).update(
            starts_at=F("starts_at") + timedelta(days=3), ends_at=F("ends_at") + timedelta(days=3)
        )
        wanted.performance.refresh_from_db()
        day = venue_day(wanted.performance.starts_at)

        assert orders(browser, q="A 3-12", day=day) == [wanted]
        assert orders(browser, q="A 3-12", day=day + timedelta(days=1)) == []

    def test_finds_cancelled_orders_too(self, browser, wanted):
        cancel(wanted)

        assert orders(browser, q=wanted.order_number) == [wanted]

    @pytest.mark.parametrize(
        "text", ["nobody", "ABCD-EFGH", "' OR 1=1 --", "\x00", "한국", "9" * 300]
    )
    def test_says_what_to_do_when_nothing_matches(self, browser, wanted, text):
        page = browser.get(find_url(), {"q": text})

        assert page.status_code == 200
        assert not page.context["page"].rows or text == "\x00"

    def test_asks_for_more_when_very_many_have_the_name(self, browser, wanted, monkeypatch):
        monkeypatch.setattr(lookups, "NAMED_MAX", 1)
        sold("Mina Park", "Paper Lanterns")

        page = browser.get(find_url(), {"q": "Park"})

        assert "Very many orders match this." in page.content.decode()

    def test_finds_a_name_that_very_many_have_among_those_of_a_concert(
        self, browser, wanted, monkeypatch
    ):
        monkeypatch.setattr(lookups, "NAMED_MAX", 1)
        mina = sold("Mina Park", "Paper Lanterns")

        found = orders(browser, q="Park", concert=mina.performance.concert_id)

        assert found == [mina]

    def test_names_customers_who_have_bought_nothing(self, browser):
        customer = CustomerFactory(name="Yuna Seo")

        page = browser.get(find_url(), {"q": "yuna"}).content.decode()

        assert reverse("admin:reservations_customer", args=[customer.pk]) in page

    def test_names_a_hold_that_was_not_paid(self, browser):
        held = hold(CustomerFactory(), list(PerformanceFactory(seats=1).seats.all()))

        page = browser.get(find_url(), {"q": str(held.pk)}).content.decode()

        assert page_of(held) in page


class TestPages:
    @pytest.fixture
    def many(self) -> list[Reservation]:
        performance = PerformanceFactory(seats=7)
        sold = [reservation(CustomerFactory(), [seat]) for seat in performance.seats.all()]
        # Some at one moment, as two customers pay in the same microsecond.
        Reservation.objects.filter(pk__in=[order.pk for order in sold[2:5]]).update(
            reserved_at=sold[2].reserved_at
        )
        return list(Reservation.objects.order_by("-reserved_at", "-pk"))

    def test_have_every_order_once_the_newest_first(self, browser, many, monkeypatch):
        monkeypatch.setattr(finding, "ORDERS_A_PAGE", 2)
        seen: list[Reservation] = []
        behind = ""
        for _ in range(10):
            page = browser.get(find_url(), {"behind": behind} if behind else {}).context["page"]
            seen += page.rows
            behind = page.following
            if not behind:
                break

        assert seen == many

    def test_take_the_same_queries_for_any_number(self, browser, many, django_assert_num_queries):
        browser.get(find_url())
        with django_assert_num_queries(6):
            browser.get(find_url())
        performance = PerformanceFactory(seats=5)
        for seat in performance.seats.all():
            reservation(CustomerFactory(), [seat])

        with django_assert_num_queries(6):
            browser.get(find_url())

    @pytest.mark.parametrize("behind", ["x", "2026-01-01,1", "2026-01-01T00:00:00,%00", ","])
    def test_take_whatever_an_address_says(self, browser, many, behind):
        assert browser.get(find_url(), {"behind": behind}).status_code == 200

    @pytest.mark.parametrize(
        "query", ["concert=x", "concert=999999", f"concert={'9' * 30}", "day=x", "day=1000-01-01"]
    )
    def test_say_what_is_wrong_with_a_choice(self, browser, many, query):
        page = browser.get(f"{find_url()}?{query}")

        assert page.status_code == 200
        assert page.context["form"].errors


def test_needs_the_right_to_see_orders(wanted):
    assert clerk("view_hold").get(find_url()).status_code == 403
    assert clerk("view_reservation").get(find_url()).status_code == 200
