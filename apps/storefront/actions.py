"""What a form does once, however often it is sent: the same idempotency as the API's, under keys of the pages."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from apps.payments.models import LedgerTransaction
from apps.payments.services import charge_wallet
from apps.reservations.services import (
    Cancellation,
    Confirmation,
    cancel_reservation,
    confirm_reservation,
)
from apps.shared.errors import IdempotencyKeyInUse
from apps.shared.idempotency import run_once

T = TypeVar("T")

# A second click waits for the first one instead of telling the customer about keys.
WAITS = 20
WAIT_SECONDS = 0.1


def new_key() -> UUID:
    """For a form that has just been rendered."""
    return uuid.uuid4()


def top_up(*, customer_id: int, amount: int, key: UUID) -> int:
    """The balance after topping up by `amount` won.

    :raises BalanceLimitExceeded: the balance would be above its limit.
    """

    def answer(booked: LedgerTransaction) -> dict[str, Any]:
        return {"balance": booked.balance_after}

    kept = _once(
        customer_id,
        "page:top-up",
        key,
        str(amount),
        lambda: charge_wallet(customer_id=customer_id, amount=amount),
        answer,
    )
    return int(kept["balance"])


def pay(*, customer_id: int, hold_id: UUID, key: UUID) -> UUID:
    """The reservation that the hold became; whatever `confirm_reservation` refuses with."""

    def answer(paid: Confirmation) -> dict[str, Any]:
        return {"reservation_id": str(paid.reservation.pk)}

    kept = _once(
        customer_id,
        "page:pay",
        key,
        str(hold_id),
        lambda: confirm_reservation(customer_id=customer_id, hold_id=hold_id),
        answer,
    )
    return UUID(kept["reservation_id"])


def cancel(*, customer_id: int, reservation_id: UUID, key: UUID) -> int:
    """The refund in won; whatever `cancel_reservation` refuses with."""

    def answer(cancelled: Cancellation) -> dict[str, Any]:
        return {"refunded_amount": cancelled.refunded_amount}

    kept = _once(
        customer_id,
        "page:cancel",
        key,
        str(reservation_id),
        lambda: cancel_reservation(customer_id=customer_id, reservation_id=reservation_id),
        answer,
    )
    return int(kept["refunded_amount"])


def _once(
    customer_id: int,
    endpoint: str,
    key: UUID,
    fingerprint: str,
    effect: Callable[[], T],
    answer: Callable[[T], dict[str, Any]],
) -> dict[str, Any]:
    for _ in range(WAITS):
        try:
            stored = run_once(
                customer_id=customer_id,
                endpoint=endpoint,
                key=str(key),
                fingerprint=fingerprint,
                effect=effect,
                render=lambda result: (200, json.dumps(answer(result)).encode()),
            )
        except IdempotencyKeyInUse as error:
            under_way = error
            time.sleep(WAIT_SECONDS)
        else:
            kept: dict[str, Any] = json.loads(stored.body)
            return kept
    raise under_way
