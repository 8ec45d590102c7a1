from collections.abc import Iterable
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from apps.core.database import load_statements
from apps.core.transactions import Decision, Steps, decide_then_write
from apps.queue.services import extend_lease, visit_is_over
from apps.reservations.errors import HoldNotExtendable
from apps.reservations.models import Hold
from apps.reservations.services.holding import HeldSeats
from apps.reservations.services.locking import hold_locks, locked_hold_in

SQL = load_statements(Path(__file__).with_suffix(".sql"))


@decide_then_write
def extend_hold(*, customer_id: int, hold_id: UUID) -> Steps[HeldSeats]:
    """Give a customer who needs longer as much time again as the hold had at first, once, and never beyond the end of sales.

    The lease of the visit follows, so the visit must not be over. Whether it is, its records in the database say: like paying, it
    works while the waiting room's store is away.

    :raises HoldNotFound: there is none, or it is another customer's.
    :raises HoldNotLive: it was paid or released before.
    :raises HoldExpired: its time is over.
    :raises HoldNotExtendable: it was extended before, its concert is offline, sales end before it does, or its visit is over.
    """
    *locked, [(now, sales_end_at, has_paid)] = yield [
        *hold_locks(customer_id=customer_id, hold_id=hold_id),
        (SQL["end_of_sales"], {"hold_id": hold_id}),
    ]
    found = locked_hold_in(locked, customer_id=customer_id)
    found.refuse_unless_live(at=now)
    hold = found.hold
    if hold.extended_at is not None:
        raise HoldNotExtendable(HoldNotExtendable.Reason.ALREADY_EXTENDED)
    if sales_end_at is None:
        raise HoldNotExtendable(HoldNotExtendable.Reason.WITHDRAWN)
    if sales_end_at <= hold.expires_at:
        raise HoldNotExtendable(HoldNotExtendable.Reason.SALES_END)
    visit = _visit_of(hold, found.concert_id)
    if visit and (has_paid or visit_is_over(**visit._asdict())):
        raise HoldNotExtendable(HoldNotExtendable.Reason.VISIT_OVER)
    hold.extended_at, hold.extended_from = now, hold.expires_at
    hold.expires_at = hold.longest_end(sales_end_at=sales_end_at)
    if visit:
        transaction.on_commit(
            partial(
                extend_lease,
                concert_id=visit.concert_id,
                customer_id=customer_id,
                slot=visit.slot,
                until=hold.expires_at,
            ),
            robust=True,
        )
    extend = {"at": now, "expires_at": hold.expires_at, "hold_id": hold_id}
    return Decision(
        HeldSeats(hold, found.seats, found.concert_id, extendable=False),
        writes=[(SQL["extend"], extend)],
    )


def extensions_of(holds: Iterable[Hold], *, at: datetime) -> dict[UUID, datetime]:
    """Return by id until when holds may be extended, without those that may not; asks about each of their visits once.

    Needs `performance` and its concert.
    """
    is_over = cache(_is_over)
    return {
        hold.pk: until
        for hold in holds
        if (until := hold.extension(at=at)) is not None
        and not is_over(_visit_of(hold, hold.performance.concert_id))
    }


class _Visit(NamedTuple):
    concert_id: int
    customer_id: int
    slot: int
    generation: int


def _visit_of(hold: Hold, concert_id: int) -> _Visit | None:
    """Return the visit that a hold was made in; None for a hold without a visit."""
    if hold.queue_slot is None or hold.queue_generation is None:
        return None
    return _Visit(concert_id, hold.customer_id, hold.queue_slot, hold.queue_generation)


def _is_over(visit: _Visit | None) -> bool:
    """Tell whether a visit has ended by payment, which may not be on record yet, or as its records say."""
    if visit is None:
        return False
    paid = Hold.objects.of_customer(visit.customer_id).filter(
        status=Hold.Status.CONFIRMED,
        queue_slot=visit.slot,
        queue_generation=visit.generation,
        performance__concert=visit.concert_id,
    )
    return paid.exists() or visit_is_over(**visit._asdict())
