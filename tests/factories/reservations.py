"""Holds and reservations, made by the services, for customers who were let in without a queue."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import F

from apps.accounts.models import User
from apps.concerts.models import Performance, Seat
from apps.queue.services import Admission
from apps.reservations.models import Hold, Reservation
from apps.reservations.services import (
    Cancellation,
    Confirmation,
    HeldSeats,
    cancel_reservation,
    confirm_reservation,
    hold_best_available,
    hold_seats,
)
from tests.factories.payments import WalletFactory


def hold(customer: User, seats: Sequence[Seat], **changes: Any) -> Hold:
    """Hold seats of one performance for `customer`."""
    arguments: dict[str, Any] = {
        "customer_id": customer.pk,
        "performance_id": seats[0].performance_id,
        "seat_ids": [seat.pk for seat in seats],
        "admission": None,
    }
    return hold_seats(**arguments | changes).hold


def hold_best(
    customer: User,
    performance: Performance,
    quantity: int,
    *,
    grade: str | None = None,
    kind: str | None = None,
    admission: Admission | None = None,
) -> HeldSeats:
    """Hold the best seats that there are."""
    return hold_best_available(
        customer_id=customer.pk,
        performance_id=performance.pk,
        quantity=quantity,
        grade=grade,
        kind=kind,
        admission=admission,
    )


def overdue_hold(customer: User, seats: Sequence[Seat]) -> Hold:
    """Make a hold whose time was over a second ago, and which no sweep has met."""
    made = hold(customer, seats)
    let_expire(made)
    return made


def let_expire(held: Hold) -> None:
    age = held.expires_at - held.held_at + timedelta(seconds=1)
    Hold.objects.filter(pk=held.pk).update(
        held_at=F("held_at") - age, expires_at=F("expires_at") - age
    )
    held.refresh_from_db()


def confirm(held: Hold) -> Confirmation:
    """Let the customer of a hold pay for it."""
    return confirm_reservation(customer_id=held.customer_id, hold_id=held.pk)


def reservation(customer: User, seats: Sequence[Seat]) -> Reservation:
    """Make a paid hold; the customer gets a wallet with a million won if there is none."""
    if not hasattr(customer, "wallet"):
        WalletFactory(customer=customer, balance=1_000_000)
    return confirm(hold(customer, seats)).reservation


def cancel(reserved: Reservation) -> Cancellation:
    """Let the customer of a reservation cancel it."""
    return cancel_reservation(customer_id=reserved.customer_id, reservation_id=reserved.pk)
