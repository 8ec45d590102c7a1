"""Holds and reservations, made by the services, for customers who were let in without a queue."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.db.models import F

from apps.accounts.models import User
from apps.concerts.models import Seat
from apps.core.transactions import run_in_transaction
from apps.reservations.models import Hold, Reservation
from apps.reservations.services import confirm_reservation, hold_seats
from tests.factories.payments import WalletFactory


def hold(customer: User, seats: Sequence[Seat], **changes: Any) -> Hold:
    """Hold seats of one performance for `customer`."""
    arguments: dict[str, Any] = {
        "customer_id": customer.pk,
        "performance_id": seats[0].performance_id,
        "seat_ids": [seat.pk for seat in seats],
        "admission": None,
    }
    return run_in_transaction(partial(hold_seats, **arguments | changes)).hold


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


def reservation(customer: User, seats: Sequence[Seat]) -> Reservation:
    """A paid hold; the customer gets a wallet with a million won if there is none."""
    if not hasattr(customer, "wallet"):
        WalletFactory(customer=customer, balance=1_000_000)
    held = hold(customer, seats)
    confirm = partial(confirm_reservation, customer_id=customer.pk, hold_id=held.pk)
    return run_in_transaction(confirm).reservation
