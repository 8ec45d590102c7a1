"""Test how many complimentary tickets one clerk gives alone: four of a concert within a day, however many sales that takes."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.boxoffice.base.jobs.services import approve_job, run_job
from apps.boxoffice.models import StaffJob
from apps.concerts.models import Performance, Seat
from apps.core.transactions import run_in_transaction
from apps.payments.models import LedgerTransaction
from apps.reservations.models import Reservation, Ticket
from apps.reservations.services import cancel_seats, may_give_alone
from tests.boxoffice.sending import send, shown_by
from tests.boxoffice.staff import clerk
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.counter import move
from tests.factories.reservations import reservation
from tests.protections import (
    LOCK_OF_THE_GIVER,
    SELLING_AT_THE_COUNTER,
    stop_clock,
    without,
)
from tests.reservations.racing import breaches, meet_before

pytestmark = pytest.mark.django_db

MAY = ("sell_at_counter", "give_complimentary", "view_reservation", "view_hold", "view_ticket")
PRICE = 50_000


@pytest.fixture
def performance() -> Performance:
    made = PerformanceFactory(seats=12, concert__seats_per_customer=10)
    PerformanceFactory(concert=made.concert, seats=4, starts_at=made.starts_at + timedelta(days=1))
    PerformanceFactory(seats=4)
    return made


@pytest.fixture
def other_date(performance) -> Performance:
    return performance.concert.performances.exclude(pk=performance.pk).get()


@pytest.fixture
def giver() -> Client:
    return clerk(*MAY)


def sale(seats: list[Seat], **changes: Any) -> tuple[str, dict[str, Any]]:
    """Return the address and the content of the form with which seats are given."""
    chosen = "&".join(f"seat={seat.pk}" for seat in seats)
    address = reverse("admin:reservations_sell", args=[seats[0].performance_id])
    values = {
        "price": PRICE * len(seats),
        "buyer": "WALK_UP",
        "name": "Kim Minji",
        "contact": "",
        "paid_by": "HOUSE",
        "reason": "Press",
    }
    return f"{address}?{chosen}", {**values, **changes}


def give(giver: Client, seats: list[Seat]) -> None:
    answer = send(giver, *sale(seats))
    assert answer.status_code == 302, answer.content.decode()


def given() -> int:
    return Ticket.objects.valid().count()


class TestTheLimit:
    def test_counts_the_sales_of_a_clerk_together(self, giver, performance, seats):
        give(giver, seats[:3])
        give(giver, seats[3:4])

        give(giver, seats[4:5])

        job = StaffJob.objects.get()
        assert (job.status, given()) == ("AWAITING_APPROVAL", 4)
        approve_job(job_id=job.pk, staff_id=CustomerFactory(staff=True).pk)
        assert run_job(job_id=job.pk)
        assert given() == 5
        assert breaches() == []

    def test_counts_all_dates_of_the_concert_and_no_other_concert(
        self, giver, performance, seats, other_date
    ):
        elsewhere = Performance.objects.exclude(concert=performance.concert).get()
        give(giver, seats[:2])
        give(giver, list(other_date.seats.all()[:2]))
        give(giver, list(elsewhere.seats.all()))
        assert given() == 8

        give(giver, list(other_date.seats.all()[2:3]))

        assert (StaffJob.objects.count(), given()) == (1, 8)

    def test_is_one_for_each_clerk(self, giver, seats):
        give(giver, seats[:4])

        give(clerk(*MAY), seats[4:8])

        assert (StaffJob.objects.count(), given()) == (0, 8)

    def test_counts_nothing_of_the_day_before(self, giver, seats, monkeypatch):
        give(giver, seats[:4])
        staff_id = LedgerTransaction.objects.get(type="COMP").adjusted_by_id
        concert_id = seats[0].performance.concert_id

        def may_give(tickets: int) -> bool:
            asked = {"staff_id": staff_id, "concert_id": concert_id, "tickets": tickets}
            return run_in_transaction(partial(may_give_alone, **asked))

        assert not may_give(1)
        stop_clock(monkeypatch, timezone.now() + timedelta(days=1, seconds=1), "given_lately")
        assert may_give(4)

    def test_counts_no_ticket_that_was_cancelled(self, giver, seats):
        give(giver, seats[:4])
        reserved = Reservation.objects.get()
        by: dict[str, Any] = {"reason": "x", "staff_id": CustomerFactory(staff=True).pk}
        cancel_seats(reservation_id=reserved.pk, seat_ids=[seats[0].pk], **by)

        give(giver, seats[4:5])
        assert (StaffJob.objects.count(), given()) == (0, 4)
        give(giver, seats[5:6])
        assert (StaffJob.objects.count(), given()) == (1, 4)

    def test_counts_no_ticket_that_is_paid(self, giver, seats):
        give(giver, seats[:3])
        send(giver, *sale(seats[3:6], paid_by="CASH"))

        give(giver, seats[6:7])

        assert (StaffJob.objects.count(), given()) == (0, 7)

    def test_counts_no_price_that_was_waived_in_part(self, giver, performance, seats):
        staff_id = CustomerFactory(staff=True).pk
        dear = seats[8]
        Seat.objects.filter(pk=dear.pk).update(price=80_000)
        dear.refresh_from_db()
        moved = move(
            reservation(CustomerFactory(), seats[7:8]), [dear], paid_by="HOUSE", staff_id=staff_id
        )
        assert moved.difference == 30_000

        asked = {"staff_id": staff_id, "concert_id": performance.concert_id, "tickets": 4}
        assert run_in_transaction(partial(may_give_alone, **asked))

    def test_of_more_at_once_waits_as_ever(self, giver, seats):
        give(giver, seats[:5])

        assert (StaffJob.objects.get().status, given()) == ("AWAITING_APPROVAL", 0)


@pytest.mark.django_db(transaction=True)
class TestTwoSalesAtOnce:
    @pytest.fixture
    def sales(self, giver, seats) -> list[Callable[[], Any]]:
        """Three tickets and three more, by one clerk in two windows."""
        other = Client()
        other.cookies = giver.cookies
        calls: list[Callable[[], Any]] = []
        for browser, chosen in ((giver, seats[:3]), (other, seats[3:6])):
            address, values = sale(chosen)
            shown = {"_shown": shown_by(browser, address), **values}
            calls.append(partial(browser.post, address, shown))
        return calls

    def test_give_no_more_than_one_person_may(self, sales, race):
        answers = race(sales)

        assert [answer.status_code for answer in answers] == [302, 302]
        assert (StaffJob.objects.awaiting_approval().count(), given()) == (1, 3)
        assert breaches() == []

    def test_would_both_pass_without_the_lock(self, sales, race, monkeypatch):
        """Twin: each counts what was given before, and not what the other is about to give."""
        without(monkeypatch, LOCK_OF_THE_GIVER)
        meet_before(monkeypatch, SELLING_AT_THE_COUNTER, 2)

        race(sales)

        assert (StaffJob.objects.count(), given()) == (0, 6)
