"""Compares what customers and staff were told with what is in the database, both ways. Needs Django to be set up."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from apps.outbox.events import RESERVATION_CANCELLED, RESERVATION_CONFIRMED, SEATS_CANCELLED
from apps.payments.models import COUNTER_TYPES, LedgerTransaction
from apps.reservations.models import Hold, Reservation
from dev.api import Kind
from dev.drill.history import Call, Outcome
from dev.drill.staff_verdict import (
    ByStaff,
    breaches_of_inventory,
    breaches_of_staff,
    done_by_staff,
)
from dev.drill.truth import Truth

Type = LedgerTransaction.Type


def holds_between(since: float, until: float) -> int:
    """Count the holds that were made between two moments, in seconds since 1970."""
    ends = [datetime.fromtimestamp(moment, UTC) for moment in (since, until)]
    return Hold.objects.filter(held_at__range=ends).count()


def find_breaches(
    calls: Iterable[Call],
    *,
    staff_ids: Collection[int] = (),
    kept: Mapping[int, int] | None = None,
) -> list[str]:
    """Find where the answers and the database disagree; every call must have been settled before.

    `kept` are the seats that are kept back, with the ids of their categories.
    """
    calls = [call for call in calls if call.kind.is_durable]
    acts = [call for call in calls if call.kind is Kind.STAFF]
    calls_of_customers = [call for call in calls if call.kind is not Kind.STAFF]
    truth = Truth(staff_ids)
    done = [call for call in calls_of_customers if call.outcome is Outcome.DONE]
    by_staff = done_by_staff(acts, truth)
    return [
        *(f"no outcome: {call}" for call in calls if call.outcome is Outcome.UNKNOWN),
        *_replays_that_differ(done),
        *_answers_without_effect(done, truth),
        *_keys_without_record(calls_of_customers, truth),
        *_effects_without_call(calls_of_customers, truth, by_staff),
        *breaches_of_staff(acts, truth, by_staff),
        *([] if kept is None else breaches_of_inventory(acts, truth, by_staff, kept)),
    ]


# --- From the answers to the database ---------------------------------------------------------------------------------


def _replays_that_differ(done: Iterable[Call]) -> Iterator[str]:
    """One key, one effect: every answer is the first one, byte for byte."""
    for call in done:
        if call.key:
            answers = [attempt for attempt in call.attempts if attempt.outcome is Outcome.DONE]
            if len({(answer.status, answer.body) for answer in answers}) > 1:
                yield f"two answers for one key: {call}"
            if sum(not answer.is_replay for answer in answers) > 1:
                yield f"two effects for one key: {call}"


def _answers_without_effect(done: Iterable[Call], truth: Truth) -> Iterator[str]:
    for call in done:
        difference = _DIFFERENCES[call.kind](call, call.data, truth)
        if difference:
            yield f"answered {call.answer.status}, but {difference}: {call}"


def _charge_differs(call: Call, data: dict[str, Any], truth: Truth) -> str:
    movement = truth.movements.get(UUID(data["transaction_id"]))
    return _movement_differs(movement, call, data["amount"], data["balance"])


def _hold_differs(call: Call, data: dict[str, Any], truth: Truth) -> str:
    hold = truth.holds.get(UUID(data["hold_id"]))
    if hold is None or hold.customer_id != call.user_id:
        return "there is no such hold"
    promised = {seat["seat_id"]: seat["price"] for seat in data["seats"]}
    if truth.claims[hold.pk] != promised or hold.total_price != data["total_price"]:
        return "the hold has other seats or another price"
    if hold.performance_id != data["performance_id"]:
        return "the hold is for another performance"
    return "" if hold.expires_at == _time(data["expires_at"]) else "the hold ends at another time"


def _confirmation_differs(call: Call, data: dict[str, Any], truth: Truth) -> str:
    reservation = truth.reservations.get(UUID(data["reservation_id"]))
    if reservation is None or reservation.customer_id != call.user_id:
        return "there is no such reservation"
    assert call.request.body
    if str(reservation.hold_id) != call.request.body["hold_id"]:
        return "the reservation is of another hold"
    if truth.holds[reservation.hold_id].status != Hold.Status.CONFIRMED:
        return "the hold is not confirmed"
    if truth.tickets[reservation.pk] != {
        ticket["code"]: ticket["seat_id"] for ticket in data["tickets"]
    }:
        return "the tickets are others"
    if reservation.total_price != data["total_price"]:
        return "the price is another one"
    if reservation.reserved_at != _time(data["reserved_at"]):
        return "the reservation was made at another time"
    if truth.events[reservation.pk, RESERVATION_CONFIRMED] != 1:
        return f"there are {truth.events[reservation.pk, RESERVATION_CONFIRMED]} events of it"
    payments = truth.of_sale[reservation.pk, Type.PAYMENT]
    return _movement_differs(
        payments[0] if payments else None, call, -data["total_price"], data["balance"]
    )


def _cancellation_differs(call: Call, data: dict[str, Any], truth: Truth) -> str:
    reservation = truth.reservations.get(UUID(data["reservation_id"]))
    if reservation is None or reservation.status != Reservation.Status.CANCELLED:
        return "the reservation is not cancelled"
    if truth.events[reservation.pk, RESERVATION_CANCELLED] != 1:
        return f"there are {truth.events[reservation.pk, RESERVATION_CANCELLED]} events of it"
    # What staff have refunded before has a reason.
    refunds = [refund for refund in truth.of_sale[reservation.pk, Type.REFUND] if not refund.reason]
    if not refunds and not data["refunded_amount"]:
        return ""  # they had refunded all of it
    return _movement_differs(
        refunds[0] if refunds else None, call, data["refunded_amount"], data["balance"]
    )


def _release_differs(call: Call, data: dict[str, Any], truth: Truth) -> str:
    hold = truth.holds.get(UUID(data["hold_id"]))
    is_released = hold is not None and hold.status == Hold.Status.RELEASED
    return "" if is_released else "the hold is not released"


def _movement_differs(
    movement: LedgerTransaction | None, call: Call, amount: int, balance: int
) -> str:
    if movement is None or movement.customer_id != call.user_id:
        return "it is not in the ledger"
    is_same = (movement.amount, movement.balance_after) == (amount, balance)
    return "" if is_same else "the ledger has another amount or balance"


_DIFFERENCES = {
    Kind.CHARGE: _charge_differs,
    Kind.HOLD: _hold_differs,
    Kind.CONFIRM: _confirmation_differs,
    Kind.CANCEL: _cancellation_differs,
    Kind.RELEASE: _release_differs,
}


def _keys_without_record(calls: Iterable[Call], truth: Truth) -> Iterator[str]:
    """Find keys whose answer is missing after a success, or kept after a refusal."""
    for call in calls:
        if call.key and call.outcome is not Outcome.UNKNOWN:
            expected = int(call.outcome is Outcome.DONE)
            found = truth.records[call.user_id, call.key]
            if found != expected:
                yield f"{found} records of a key, expected {expected}: {call}"


# --- From the database to the answers ---------------------------------------------------------------------------------


def _effects_without_call(calls: Iterable[Call], truth: Truth, by_staff: ByStaff) -> Iterator[str]:
    named: dict[Kind, set[UUID]] = defaultdict(set)
    released = set(by_staff.released)
    for call in calls:
        if call.kind is Kind.RELEASE and call.attempts:
            released.add(UUID(call.request.path.rpartition("/")[2]))
        if call.outcome is Outcome.DONE:
            named[call.kind].add(UUID(call.data[_NAMED_BY[call.kind]]))
    sold = named[Kind.CONFIRM] | by_staff.sold
    cancelled = named[Kind.CANCEL] | by_staff.cancelled | by_staff.moved
    held = named[Kind.HOLD] | {
        sale.hold_id for sale in truth.reservations.values() if sale.pk in by_staff.sold
    }
    for hold in truth.holds.values():
        if hold.pk not in held:
            yield f"a hold that no call explains: {hold.pk} of customer {hold.customer_id}"
        if hold.status == Hold.Status.RELEASED and hold.pk not in released:
            yield f"a hold that no call released: {hold.pk}"
    for reservation in truth.reservations.values():
        whose = f"{reservation.pk} of customer {reservation.customer_id}"
        if reservation.pk not in sold:
            yield f"a sale that no call explains: {whose}"
        is_cancelled = reservation.status == Reservation.Status.CANCELLED
        if is_cancelled and reservation.pk not in cancelled:
            yield f"a cancellation that no call explains: {whose}"
    refunded = named[Kind.CANCEL] | by_staff.moved
    explained: dict[str, Callable[[LedgerTransaction], bool]] = {
        Type.CHARGE: lambda movement: movement.pk in named[Kind.CHARGE],
        Type.PAYMENT: lambda movement: movement.reference in sold,
        # Those of staff have a reason, but for the one that a move begins with.
        Type.REFUND: lambda movement: (
            movement.reason in by_staff.reasons
            if movement.reason
            else movement.reference in refunded
        ),
        Type.ADJUSTMENT: lambda movement: movement.reason in by_staff.reasons,
        **dict.fromkeys(COUNTER_TYPES, lambda movement: movement.reference in by_staff.sold),
    }
    for movement in truth.movements.values():
        if not explained[movement.type](movement):
            yield (
                f"a {movement.get_type_display()} of {movement.amount} won that no call explains: "
                f"{movement.pk} of customer {movement.customer_id}"
            )
    of_events = {
        RESERVATION_CONFIRMED: sold,
        RESERVATION_CANCELLED: cancelled,
        SEATS_CANCELLED: by_staff.parts.keys(),
    }
    for (reservation_id, type), count in truth.events.items():
        if reservation_id not in of_events[type]:
            yield f"{count} events {type} that no call explains: {reservation_id}"


_NAMED_BY = {
    Kind.CHARGE: "transaction_id",
    Kind.HOLD: "hold_id",
    Kind.CONFIRM: "reservation_id",
    Kind.CANCEL: "reservation_id",
    Kind.RELEASE: "hold_id",
}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
