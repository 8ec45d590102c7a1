"""Answers are written out by hand; they have the bytes that the serializers of the API's description would give."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.api.responses import as_json, envelope
from apps.concerts.models import Concert, Performance, Seat
from apps.payments.models import LedgerTransaction
from apps.payments.serializers import ChargedSerializer
from apps.reservations.models import Reservation
from apps.reservations.selectors import hold_of, reservation_of
from apps.reservations.serializers import (
    CancellationSerializer,
    ConfirmedReservationSerializer,
    HoldSerializer,
)
from apps.reservations.services import Cancellation
from tests.factories.concerts import PerformanceFactory
from tests.factories.visitors import Visitor, admitted_visitor

pytestmark = pytest.mark.django_db

STARTS_AT = timezone.now().replace(microsecond=0) + timedelta(days=30)


@pytest.fixture(params=[STARTS_AT, STARTS_AT + timedelta(microseconds=70)], ids=["whole", "micro"])
def performance(request) -> Performance:
    made: Performance = PerformanceFactory(
        seats=3,
        starts_at=request.param,
        concert__seats_per_customer=3,
        concert__title='Café "Été" \u2028 <b> 밤기차',
        concert__venue="항구 & Söhne",
    )
    Seat.objects.filter(performance=made, number=1).update(
        section="가", row="Ä", grade="VIP", price=7
    )
    return made


@pytest.fixture
def visitor(performance) -> Visitor:
    return admitted_visitor(performance.concert_id, balance=500_000)


def held(visitor: Visitor, performance: Performance) -> Any:
    seat_ids = list(performance.seats.order_by("-pk").values_list("pk", flat=True))
    body = {"performance_id": performance.pk, "seat_ids": seat_ids[1:]}
    return visitor.post("/holds", body)


def paid(visitor: Visitor, performance: Performance) -> Any:
    hold_id = held(visitor, performance).json()["data"]["hold_id"]
    return visitor.post("/reservations", {"hold_id": hold_id}, key="pay")


def rendered(message: str, data: Any) -> bytes:
    return as_json(envelope("SUCCESS", message, data))


def test_of_a_hold(visitor, performance):
    answer = held(visitor, performance)

    hold = hold_of(customer_id=visitor.customer.pk, hold_id=answer.json()["data"]["hold_id"])
    assert answer.content == rendered("Seats held.", HoldSerializer(hold).data)


def test_of_the_best_seats(visitor, performance):
    answer = visitor.post(
        "/holds/best-available", {"performance_id": performance.pk, "quantity": 1}
    )

    hold = hold_of(customer_id=visitor.customer.pk, hold_id=answer.json()["data"]["hold_id"])
    assert answer.content == rendered("Seats held.", HoldSerializer(hold).data)


def test_of_a_release(visitor, performance):
    hold_id = held(visitor, performance).json()["data"]["hold_id"]

    answer = visitor.delete(f"/holds/{hold_id}")

    hold = hold_of(customer_id=visitor.customer.pk, hold_id=hold_id)
    assert answer.content == rendered("Hold released.", HoldSerializer(hold).data)


def test_of_a_payment(visitor, performance):
    answer = paid(visitor, performance)

    reserved = reservation_of(
        customer_id=visitor.customer.pk,
        reservation_id=answer.json()["data"]["reservation_id"],
    )
    reserved.balance = 500_000 - 50_007  # type: ignore[attr-defined]
    expected = ConfirmedReservationSerializer(reserved).data
    assert answer.content == rendered("Reservation confirmed.", expected)


def test_of_a_cancellation(visitor, performance):
    reservation_id = paid(visitor, performance).json()["data"]["reservation_id"]

    answer = visitor.post(f"/reservations/{reservation_id}/cancel", key="cancel")

    cancelled = Cancellation(Reservation.objects.get(), refunded_amount=50_007, balance=500_000)
    assert answer.content == rendered(
        "Reservation cancelled.", CancellationSerializer(cancelled).data
    )


def test_of_a_top_up(visitor):
    answer = visitor.post("/balance/charges", {"amount": 1_000}, key="charge")

    booked = LedgerTransaction.objects.get(amount=1_000)
    assert answer.content == rendered("Balance topped up.", ChargedSerializer(booked).data)


def test_are_kept_as_they_were_given(visitor, performance):
    first = paid(visitor, performance)
    Concert.objects.update(title="Another")

    hold_id = Reservation.objects.get().hold_id
    again = visitor.post("/reservations", {"hold_id": str(hold_id)}, key="pay")

    assert again.content == first.content
    assert datetime.fromisoformat(first.json()["data"]["starts_at"]) == performance.starts_at
