"""Carry out a form once, however often it is sent: with the same idempotency as the API.

Each form is a call of the API in other clothes, so its answer is kept under the name of that call, and names the effect in the
same way: that is where the invariants look for keys with two effects. Each function raises what its use case raises.
"""

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from apps.api.idempotency import idempotent
from apps.api.operations import Operation
from apps.api.responses import as_json
from apps.core.transactions import Steps
from apps.payments.models import LedgerTransaction
from apps.payments.services import charge_wallet
from apps.queue.services import Admission
from apps.reservations.services import (
    HeldSeats,
    cancel_reservation,
    confirm_reservation,
    extend_hold,
    hold_best_available,
    hold_seats,
    top_up_for_hold,
)

T = TypeVar("T")

# A second click waits for the first one instead of telling the customer about keys.
WAIT_SECONDS = 2.0


def new_key() -> UUID:
    """Return a key for a form that has just been rendered."""
    return uuid.uuid4()


def submit_top_up(*, customer_id: int, amount: int, key: UUID) -> int:
    """Return the balance after topping up by `amount` won."""
    charge = partial(charge_wallet.decide, customer_id=customer_id, amount=amount)
    kept = _once(Operation.CHARGE, customer_id, key, str(amount), charge, _booked)
    return int(kept["balance"])


def submit_top_up_to_pay(*, customer_id: int, hold_id: UUID, amount: int, key: UUID) -> int:
    """Return the balance after topping up by `amount` won for a hold."""
    charge = partial(
        top_up_for_hold.decide, customer_id=customer_id, hold_id=hold_id, amount=amount
    )
    kept = _once(Operation.CHARGE, customer_id, key, f"{hold_id}: {amount}", charge, _booked)
    return int(kept["balance"])


def submit_hold(
    *,
    customer_id: int,
    performance_id: int,
    seats: Sequence[int],
    admission: Admission,
    key: UUID,
) -> UUID:
    """Return the hold of these seats."""
    hold = partial(
        hold_seats.decide,
        customer_id=customer_id,
        performance_id=performance_id,
        seat_ids=seats,
        admission=admission,
    )
    chosen = f"{performance_id}: {sorted(seats)}"
    return UUID(_once(Operation.HOLD, customer_id, key, chosen, hold, _held)["hold_id"])


def submit_best_hold(
    *,
    customer_id: int,
    performance_id: int,
    quantity: int,
    grade: str,
    kind: str,
    admission: Admission,
    key: UUID,
) -> UUID:
    """Return the hold of the best seats, of any grade if it is empty, without wheelchair spaces if no kind is named."""
    hold = partial(
        hold_best_available.decide,
        customer_id=customer_id,
        performance_id=performance_id,
        quantity=quantity,
        grade=grade or None,
        kind=kind or None,
        admission=admission,
    )
    wanted = f"{performance_id}: {quantity} {grade}" + (f" {kind}" if kind else "")
    kept = _once(Operation.HOLD_BEST_AVAILABLE, customer_id, key, wanted, hold, _held)
    return UUID(kept["hold_id"])


def submit_extension(*, customer_id: int, hold_id: UUID, key: UUID) -> datetime:
    """Return the new end of the hold."""
    extend = partial(extend_hold.decide, customer_id=customer_id, hold_id=hold_id)
    kept = _once(Operation.EXTEND, customer_id, key, str(hold_id), extend, _held)
    return datetime.fromisoformat(kept["expires_at"])


def submit_payment(*, customer_id: int, hold_id: UUID, key: UUID) -> UUID:
    """Return the reservation that the hold became."""
    kept = _once(
        Operation.CONFIRM,
        customer_id,
        key,
        str(hold_id),
        partial(confirm_reservation.decide, customer_id=customer_id, hold_id=hold_id),
        lambda paid: {"reservation_id": paid.reservation.pk},
    )
    return UUID(kept["reservation_id"])


def submit_cancellation(*, customer_id: int, reservation_id: UUID, key: UUID) -> int:
    """Return the refund in won."""
    kept = _once(
        Operation.CANCEL,
        customer_id,
        key,
        str(reservation_id),
        partial(cancel_reservation.decide, customer_id=customer_id, reservation_id=reservation_id),
        lambda cancelled: {
            "reservation_id": reservation_id,
            "refunded_amount": cancelled.refunded_amount,
        },
    )
    return int(kept["refunded_amount"])


def _booked(booked: LedgerTransaction) -> dict[str, Any]:
    return {"transaction_id": booked.pk, "balance": booked.balance_after}


def _held(held: HeldSeats) -> dict[str, Any]:
    return {"hold_id": held.hold.pk, "expires_at": held.hold.expires_at}


def _once(
    operation: Operation,
    customer_id: int,
    key: UUID,
    fingerprint: str,
    decide: Callable[[], Steps[T]],
    answer: Callable[[T], dict[str, Any]],
) -> dict[str, Any]:
    stored = idempotent(
        customer_id=customer_id,
        operation=operation,
        key=str(key),
        fingerprint=f"page {fingerprint}",
        decide=decide,
        render=lambda result: (200, as_json(answer(result))),
        wait_seconds=WAIT_SECONDS,
    )
    kept: dict[str, Any] = json.loads(stored.body)
    return kept
