"""Sales at the counter and moves, made by the services for a member of the staff."""

from collections.abc import Sequence
from typing import Any

from apps.accounts.models import User
from apps.concerts.models import Seat
from apps.payments.counter import PaidBy
from apps.reservations.models import Reservation
from apps.reservations.services import Confirmation, Move, WalkUp, reseat, sell_at_counter
from tests.factories.accounts import CustomerFactory

KIM = WalkUp("Kim Minji")


def sell(seats: Sequence[Seat], customer: User | WalkUp = KIM, **changes: Any) -> Confirmation:
    """Sell seats of one performance for cash."""
    arguments: dict[str, Any] = {
        "performance_id": seats[0].performance_id,
        "seat_ids": [seat.pk for seat in seats],
        "customer": customer.pk if isinstance(customer, User) else customer,
        "paid_by": PaidBy.CASH,
    }
    if "staff_id" not in changes:
        changes["staff_id"] = CustomerFactory(staff=True).pk
    return sell_at_counter(**arguments | changes)


def give(seats: Sequence[Seat], customer: User | WalkUp = KIM, **changes: Any) -> Confirmation:
    """Give complimentary tickets."""
    return sell(seats, customer, **{"paid_by": PaidBy.HOUSE, "reason": "Press", **changes})


def move(reserved: Reservation, seats: Sequence[Seat], **changes: Any) -> Move:
    """Move the customer of a reservation to other seats; a difference is paid in cash."""
    arguments: dict[str, Any] = {
        "reservation_id": reserved.pk,
        "performance_id": seats[0].performance_id,
        "seat_ids": [seat.pk for seat in seats],
        "paid_by": PaidBy.CASH,
        "reason": "Cannot climb stairs",
    }
    if "staff_id" not in changes:
        changes["staff_id"] = CustomerFactory(staff=True).pk
    return reseat(**arguments | changes)
