"""A payment ends its own visit and no other: of all that names a visit, one part differs each time."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.concerts.models import Seat
from apps.queue.errors import QueueTokenExpired
from apps.queue.services import Admission
from apps.reservations.errors import HoldNotExtendable
from apps.reservations.models import Hold
from apps.reservations.services import (
    confirm_reservation,
    extend_hold,
    extensions_of,
    release_hold,
)
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold

pytestmark = pytest.mark.django_db

REASONS = HoldNotExtendable.Reason


@pytest.fixture
def dates():
    """Two of one concert, then one of another."""
    first, second = (ConcertFactory(seats_per_customer=4) for _ in range(2))
    return [PerformanceFactory(concert=concert, seats=6) for concert in (first, first, second)]


@pytest.fixture
def customers():
    return [WalletFactory(balance=1_000_000).customer for _ in range(2)]


@pytest.fixture
def visit(dates, customers):
    now = timezone.now()
    return Admission(
        concert_id=dates[0].concert_id,
        customer_id=customers[0].pk,
        generation=4,
        slot=9,
        admitted_at=now,
        lease_until=now + timedelta(minutes=5),
        new_holds_until=now + timedelta(minutes=10),
        seen_at=now,
    )


def take(customer, date, number, visit):
    return hold(customer, [Seat.objects.get(performance=date, number=number)], admission=visit)


def pay(held):
    confirm_reservation(customer_id=held.customer_id, hold_id=held.pk)


@pytest.mark.parametrize(
    "other", ["customer", "slot", "generation", "concert", "unpaid", "released", "queue"]
)
def test_a_payment_elsewhere_ends_nothing_here(dates, customers, visit, other):
    customer, date, visited = customers[other == "customer"], dates[1], visit
    if other in ("slot", "generation"):
        visited = replace(visit, **{other: getattr(visit, other) + 1})
    if other == "concert":
        date, visited = dates[2], replace(visit, concert_id=dates[2].concert_id)
    made = take(customer, date, 1, None if other == "queue" else visited)
    if other == "released":
        release_hold(customer_id=made.customer_id, hold_id=made.pk)
    elif other != "unpaid":
        pay(made)

    held = take(customers[0], dates[0], 2, visit)

    assert held.pk in extensions_of([held], at=timezone.now())
    extended = extend_hold(customer_id=customers[0].pk, hold_id=held.pk).hold
    assert extended.expires_at > held.expires_at
    if other not in ("unpaid", "released"):
        held = take(customers[0], dates[0], 3, visit)
        pay(held)
        assert Hold.objects.filter(status="CONFIRMED").count() == 2


@pytest.mark.parametrize("date", [0, 1])
def test_a_payment_on_either_date_ends_it_on_both(dates, customers, visit, date):
    paid, held = (take(customers[0], dates[at], 1, visit) for at in (date, 1 - date))
    pay(paid)

    with pytest.raises(QueueTokenExpired):
        take(customers[0], dates[1 - date], 2, visit)
    with pytest.raises(HoldNotExtendable) as refusal:
        extend_hold(customer_id=customers[0].pk, hold_id=held.pk)

    assert refusal.value.details["reason"] == REASONS.VISIT_OVER
    assert extensions_of([held], at=timezone.now()) == {}
    held.refresh_from_db()
    assert (held.status, held.extended_at) == ("HELD", None)


def test_a_hold_without_a_visit_may_be_extended(dates, customers):
    held = take(customers[0], dates[0], 1, None)

    assert held.pk in extensions_of([held], at=timezone.now())
