"""The price of a seat is agreed on when it is held: paid, printed, told and given back whatever staff change afterwards."""

import pytest
from django.db.models import F

from apps.concerts.models import Seat
from apps.ops.invariants import check_invariants
from apps.outbox.models import OutboxEvent
from apps.payments.models import LedgerTransaction
from apps.reservations.models import SeatClaim, Ticket
from apps.reservations.services import cancel_reservation, confirm_reservation, extend_hold
from tests.factories.concerts import PerformanceFactory, SeatFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold

pytestmark = pytest.mark.django_db

AGREED = [110_000, 70_000, 40_000]
TOTAL = sum(AGREED)


@pytest.fixture
def customer():
    return WalletFactory(balance=1_000_000).customer


@pytest.fixture
def seats():
    performance = PerformanceFactory(concert__seats_per_customer=4)
    return [
        SeatFactory(performance=performance, number=number, price=price)
        for number, price in enumerate(AGREED, start=1)
    ]


@pytest.fixture
def held(customer, seats):
    """Held when the seats cost what is agreed; each costs another sum since then."""
    made = hold(customer, seats)
    Seat.objects.update(price=F("price") * 2 + F("number"))
    return made


def confirm(held):
    return confirm_reservation(customer_id=held.customer_id, hold_id=held.pk)


def told(type: str) -> tuple[int, list[int]]:
    payload = OutboxEvent.objects.get(type=type).payload
    return payload["total_price"], [seat["price"] for seat in payload["seats"]]


def test_is_kept_with_each_claim(held, seats):
    claims = SeatClaim.objects.order_by("seat").values_list("seat", "price")

    assert list(claims) == [(seat.pk, price) for seat, price in zip(seats, AGREED, strict=True)]
    assert held.total_price == TOTAL


def test_is_shown_when_the_hold_is_extended(held):
    extended = extend_hold(customer_id=held.customer_id, hold_id=held.pk)

    assert [seat.price for seat in extended.seats] == AGREED
    assert extended.hold.total_price == TOTAL


def test_is_paid_printed_and_told(held, seats):
    confirmation = confirm(held)

    assert confirmation.balance == 1_000_000 - TOTAL
    assert confirmation.reservation.total_price == TOTAL
    assert [ticket.price for ticket in confirmation.tickets] == AGREED
    tickets = Ticket.objects.order_by("seat").values_list("seat", "price")
    assert list(tickets) == [(seat.pk, price) for seat, price in zip(seats, AGREED, strict=True)]
    assert told("reservation.confirmed") == (TOTAL, AGREED)
    assert LedgerTransaction.objects.get(type="PAYMENT").amount == -TOTAL


def test_is_given_back(held):
    sold = confirm(held).reservation
    Seat.objects.update(price=F("price") + 1_000)

    cancelled = cancel_reservation(customer_id=held.customer_id, reservation_id=sold.pk)

    assert (cancelled.refunded_amount, cancelled.balance) == (TOTAL, 1_000_000)
    assert LedgerTransaction.objects.get(type="REFUND").amount == TOTAL
    assert told("reservation.cancelled") == (TOTAL, AGREED)
    assert [found.name for found in check_invariants() if found.breaches] == []
