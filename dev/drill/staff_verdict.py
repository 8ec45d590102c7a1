"""Compares what staff were told with what is in the database, both ways. Needs Django to be set up.

Each act has a reason that no other has, and the service keeps it with whatever the act did: so it is found, and counted.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.outbox.events import RESERVATION_CANCELLED, RESERVATION_CONFIRMED, SEATS_CANCELLED
from apps.payments.counter import PaidBy
from apps.payments.models import LedgerTransaction
from apps.reservations.models import Hold, Reservation
from dev.drill.acts import (
    Act,
    What,
    has_changed_seats,
    has_exceptions,
    made_by,
    refund_told,
    told,
)
from dev.drill.history import Call, Outcome
from dev.drill.truth import Truth

Type = LedgerTransaction.Type

_REASON = re.compile(r"drill:[a-z-]+:\d+:\d+")
_BROUGHT = {
    PaidBy.CASH: Type.TILL_CASH,
    PaidBy.CARD: Type.TILL_CARD,
    PaidBy.HOUSE: Type.COMP,
}
_OF_COUNTER = (Type.TILL_CASH, Type.TILL_CARD, Type.COMP)
_ORDERS, _SEATS = (What.SELL, What.MOVE), (What.KEEP, What.OPEN)


@dataclass(frozen=True)
class ByStaff:
    """Hold what the acts that succeeded have done: ids of orders and holds, and the reasons of the acts.

    `parts` counts by order how often some of its seats were cancelled and others not.
    """

    sold: frozenset[UUID]
    moved: frozenset[UUID]
    cancelled: frozenset[UUID]
    parts: Counter[UUID]
    released: frozenset[UUID]
    reasons: frozenset[str]


def done_by_staff(acts: Iterable[Call], truth: Truth) -> ByStaff:
    done = [call for call in acts if call.outcome is Outcome.DONE]
    reasons = frozenset(_act(call).reason for call in done)
    parts = [
        {reservation_id for reservation_id, _ in places}
        for reason, places in truth.given_up.items()
        if reason in reasons
    ]
    return ByStaff(
        sold=frozenset(
            made for call in done if _act(call).what in _ORDERS if (made := made_by(call))
        ),
        moved=frozenset(UUID(_act(call).subject) for call in done if _act(call).what is What.MOVE),
        cancelled=frozenset(pk for reason in reasons for pk in truth.ended.get(reason, ())),
        parts=Counter(reservation_id for ids in parts for reservation_id in ids),
        released=frozenset(
            UUID(_act(call).subject) for call in done if _act(call).what is What.RELEASE
        ),
        reasons=reasons,
    )


def breaches_of_staff(acts: Sequence[Call], truth: Truth, by_staff: ByStaff) -> Iterator[str]:
    """Find acts that were told and are not there, that are there twice, or that nobody was told of; and money that does not add up."""
    entries = Counter(found[0] for words in truth.history if (found := _REASON.search(words)))
    traces = _traces(truth)
    for call in acts:
        act = _act(call)
        if call.outcome is Outcome.DONE:
            yield from _done_twice(call)
            yield from (
                f"staff were told it is done, but {what}: {call}"
                for what in _differences(call, truth)
            )
            if entries[act.reason] not in _entries_expected(call):
                yield f"{entries[act.reason]} entries in the histories of: {call}"
        elif call.outcome is Outcome.REFUSED:
            if entries[act.reason] or act.reason in traces:
                yield f"refused to staff, but it has happened: {call}"
            if call.refusal.startswith("HTTP_"):
                yield f"staff were answered {call.refusal}: {call}"
    for reason in (entries.keys() | traces) - by_staff.reasons:
        yield f"an act that no staff were told of: {reason}"
    for words in truth.history:
        if not _REASON.search(words):
            yield f"an entry in a history that no act explains: {words}"
    for reservation_id, count in by_staff.parts.items():
        events = truth.events[reservation_id, SEATS_CANCELLED]
        if events != count:
            yield f"{events} events of {count} cancellations of seats: {reservation_id}"
    yield from _money_that_does_not_add_up(acts, truth)


def _traces(truth: Truth) -> set[str]:
    """Return every reason of an act that something else than a history tells of."""
    found = {movement.reason for movement in truth.movements.values()}
    found.update(truth.given_up)
    found.update(truth.ended)
    found.update(hold.release_reason for hold in truth.holds.values())
    found.update(reason for reason, _field in truth.room_changes)
    return {reason for reason in found if _REASON.fullmatch(reason)}


def _done_twice(call: Call) -> Iterator[str]:
    answers = [attempt for attempt in call.attempts if attempt.outcome is Outcome.DONE]
    if sum(not answer.is_replay for answer in answers) > 1:
        yield f"one form has acted twice: {call}"
    if len({answer.envelope["data"]["location"] for answer in answers}) > 1:
        yield f"one form led to two pages: {call}"


def _entries_expected(call: Call) -> tuple[int, ...]:
    """Return how many entries an act may have left in the histories of what it was about."""
    what = _act(call).what
    if what in _SEATS:
        # If seats were changed is not known if that answer was lost.
        return (int(has_changed_seats(call)),) if told(call) else (0, 1)
    return (2,) if what is What.MOVE else (1,)


# --- Each act ---------------------------------------------------------------------------------------------------------


def _differences(call: Call, truth: Truth) -> Iterator[str]:
    find = _DIFFERENCES.get(_act(call).what)
    if find:
        yield from find(call, _act(call), truth)


def _sale_differs(call: Call, act: Act, truth: Truth) -> Iterator[str]:
    brought: dict[str, int] = (
        {} if act.paid_by == PaidBy.WALLET else {_BROUGHT[PaidBy(act.paid_by)]: act.amount}
    )
    sale = _order_made(call, truth)
    if sale and sale.total_price != act.amount:
        yield "the price is another one"
    yield from _order_differs(sale, act, truth, brought)


def _move_differs(call: Call, act: Act, truth: Truth) -> Iterator[str]:
    new = _order_made(call, truth)
    old = truth.reservations.get(UUID(act.subject))
    if new is None or old is None or old.moved_to_id != new.pk:
        yield "the order was not moved there"
        return
    if (
        old.status != Reservation.Status.CANCELLED
        or truth.events[old.pk, RESERVATION_CANCELLED] != 1
    ):
        yield "the old order still stands, or its end was not told once"
    if (old.customer_id, old.cancelled_at) != (new.customer_id, new.reserved_at):
        yield "the new order is another customer's, or of another moment"
    if truth.total(old.pk, Type.REFUND) != old.total_price:
        yield "the old price was not given back"
    goes_on = _carried_over(old, new, truth)
    difference = (new.total_price - goes_on) - (old.total_price - truth.total(old.pk, Type.COMP))
    if difference != act.amount:
        yield "the difference in price is another one"
    brought: Counter[str] = Counter({Type.COMP: goes_on})
    brought[_BROUGHT[PaidBy(act.paid_by)]] += max(difference, 0)
    yield from _order_differs(new, act, truth, brought)


def _carried_over(old: Reservation, new: Reservation, truth: Truth) -> int:
    """Return what the house pays of a new order because it has paid for the old one: it is the first to pay less."""
    saved = max(0, old.total_price - new.total_price)
    return max(0, truth.total(old.pk, Type.COMP) - saved)


def _order_made(call: Call, truth: Truth) -> Reservation | None:
    made = made_by(call)
    return truth.reservations.get(made) if made else None


def _order_differs(
    sale: Reservation | None, act: Act, truth: Truth, brought: Mapping[str, int]
) -> Iterator[str]:
    """Compare an order that staff have made; `brought` is what was paid for it at the counter, by type, in won."""
    if sale is None:
        yield "there is no such order"
        return
    if act.customer_id not in (None, sale.customer_id):
        yield "the order is another customer's"
    if truth.holds[sale.hold_id].status != Hold.Status.CONFIRMED:
        yield "its hold is not confirmed"
    if set(truth.tickets[sale.pk].values()) != set(act.seats):
        yield "the seats are others"
    if truth.events[sale.pk, RESERVATION_CONFIRMED] != 1:
        yield f"there are {truth.events[sale.pk, RESERVATION_CONFIRMED]} events of it"
    payments = [payment.amount for payment in truth.of_sale[sale.pk, Type.PAYMENT]]
    if payments != [-sale.total_price]:
        yield f"it was paid for with {payments}"
    for type in _OF_COUNTER:
        movements = [movement.amount for movement in truth.of_sale[sale.pk, type]]
        if sum(movements) != brought.get(type, 0):
            yield f"{movements} won were brought as {type}, expected {brought.get(type, 0)}"


def _giving_back_differs(call: Call, act: Act, truth: Truth) -> Iterator[str]:
    order = UUID(act.subject)
    ended = truth.ended.get(act.reason, [])
    wanted = {(order, seat_id) for seat_id in act.seats}
    if truth.given_up.get(act.reason, set()) != (set() if ended else wanted):
        yield "the cancelled seats are others"
    if ended not in ([], [order]) or (act.what is What.CANCEL and not ended):
        yield "the order is not cancelled, or another one is"
    if ended and truth.events[order, RESERVATION_CANCELLED] != 1:
        yield f"there are {truth.events[order, RESERVATION_CANCELLED]} events of it"
    refunds = [
        refund for refund in truth.of_sale[order, Type.REFUND] if refund.reason == act.reason
    ]
    if len(refunds) > 1 or any(refund.adjusted_by_id != call.user_id for refund in refunds):
        yield f"there are {len(refunds)} refunds of it, or by others"
    refunded = sum(refund.amount for refund in refunds)
    if refund_told(call) not in (None, refunded):
        yield f"{refunded} won were refunded"
    if not act.seats and refunded != act.amount:
        yield f"{refunded} won were refunded, asked for were {act.amount}"


def _release_differs(call: Call, act: Act, truth: Truth) -> Iterator[str]:
    hold = truth.holds.get(UUID(act.subject))
    if hold is None or (hold.status, hold.release_reason) != (Hold.Status.RELEASED, act.reason):
        yield "the hold is not released, or for another reason"


def _steering_differs(call: Call, act: Act, truth: Truth) -> Iterator[str]:
    for field in ("state", "pause_reason"):
        if truth.room_changes[act.reason, field] > 1:
            yield f"the {field} of the room was changed {truth.room_changes[act.reason, field]} times"


def _correction_differs(call: Call, act: Act, truth: Truth) -> Iterator[str]:
    found = [
        (movement.customer_id, movement.amount, movement.adjusted_by_id)
        for movement in truth.of_sale[None, Type.ADJUSTMENT]
        if movement.reason == act.reason
    ]
    if found != [(act.customer_id, act.amount, call.user_id)]:
        yield f"{len(found)} corrections were booked, or others"


_DIFFERENCES: dict[What, Callable[[Call, Act, Truth], Iterator[str]]] = {
    What.SELL: _sale_differs,
    What.MOVE: _move_differs,
    What.GIVE_BACK: _giving_back_differs,
    What.CANCEL: _giving_back_differs,
    What.RELEASE: _release_differs,
    What.PAUSE: _steering_differs,
    What.RESUME: _steering_differs,
    What.CORRECT: _correction_differs,
}


# --- Sums, and seats that are kept back -------------------------------------------------------------------------------


def _money_that_does_not_add_up(acts: Iterable[Call], truth: Truth) -> Iterator[str]:
    came_back = 0
    for reservation_id in truth.reservations:
        paid, refunded = (truth.total(reservation_id, type) for type in (Type.PAYMENT, Type.REFUND))
        if refunded > -paid:
            yield f"{refunded} won were refunded of {-paid}: order {reservation_id}"
        came_back += min(truth.total(reservation_id, Type.COMP), refunded)
    given = sum(_given_by_house(call, truth) for call in acts if call.outcome is Outcome.DONE)
    if truth.comps != came_back - given:
        yield (
            f"the house has given {given} won and got {came_back} back, but its account for that "
            f"has moved by {truth.comps}"
        )


def _given_by_house(call: Call, truth: Truth) -> int:
    """Return what the house has paid by an act as staff were told: complimentary tickets, and what is carried over to others."""
    act = _act(call)
    is_by_house = act.paid_by == PaidBy.HOUSE
    if act.what is What.SELL:
        return act.amount if is_by_house else 0
    new = _order_made(call, truth) if act.what is What.MOVE else None
    old = truth.reservations.get(UUID(act.subject)) if new else None
    if new is None or old is None:
        return 0
    return _carried_over(old, new, truth) + (max(act.amount, 0) if is_by_house else 0)


def breaches_of_inventory(
    acts: Sequence[Call], truth: Truth, by_staff: ByStaff, kept: Mapping[int, int]
) -> Iterator[str]:
    """Find seats that have leaked out of their category, or that customers had though they were kept back."""
    for seat_id, category_id in kept.items():
        if (found := truth.allocated.get(seat_id)) != category_id:
            yield f"seat {seat_id} of category {category_id} has leaked, and is in {found or 'none'} now"
    for seat_id in truth.allocated.keys() - kept.keys():
        yield f"seat {seat_id} is still kept back, though staff have put it on sale again"
    by_counter = {sale.hold_id for sale in truth.reservations.values() if sale.pk in by_staff.sold}
    spans = _kept_for_a_while(acts)
    for hold_id, seats in truth.claims.items():
        held_at = truth.holds[hold_id].held_at.timestamp()
        for seat_id in seats:
            if seat_id in kept and hold_id not in by_counter:
                yield f"seat {seat_id} is kept back, but a customer has held it: hold {hold_id}"
            if any(since < held_at < until for since, until in spans[seat_id]):
                yield f"seat {seat_id} was kept back when it was held: hold {hold_id}"


def _kept_for_a_while(acts: Sequence[Call]) -> dict[int, list[tuple[float, float]]]:
    """Return by seat from when to when staff had surely kept it back, in seconds since 1970."""
    found: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for number, call in enumerate(acts):
        act = _act(call)
        if act.what is not What.KEEP or call.outcome is not Outcome.DONE or has_exceptions(call):
            continue
        since = call.answer.sent_at + call.answer.seconds
        for seat_id in act.seats:
            opened = (
                later.attempts[0].sent_at
                for later in acts[number + 1 :]
                if _act(later).what is What.OPEN and seat_id in _act(later).seats
            )
            found[seat_id].append((since, next(opened, math.inf)))
    return found


def _act(call: Call) -> Act:
    assert isinstance(call.request, Act)
    return call.request
