from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import transaction

from apps.queue.services import extend_lease, visit_is_over
from apps.reservations.errors import HoldNotExtendable
from apps.reservations.services.holding import HeldSeats
from apps.reservations.services.locking import LockedHold, hold_locks, locked_hold_in
from apps.shared.database import load_statements
from apps.shared.transactions import Decision, Steps, decide_then_write

SQL = load_statements(Path(__file__).with_suffix(".sql"))


@decide_then_write
def extend_hold(*, customer_id: int, hold_id: UUID) -> Steps[HeldSeats]:
    """Give a customer who needs longer as much time again as the hold had at first, once, and never beyond the end of sales.

    The lease of the visit follows, so the visit must not be over. Whether it is, its records in the database say: like paying, it
    works while the waiting room's store is away.

    :raises HoldNotFound: there is none, or it is somebody else's.
    :raises HoldNotLive: it was paid or released before.
    :raises HoldExpired: its time is over.
    :raises HoldNotExtendable: it was extended before, sales end before it does, or its visit is over.
    """
    *locked, [(now, sales_end_at)] = yield [
        *hold_locks(customer_id=customer_id, hold_id=hold_id),
        (SQL["end_of_sales"], {"hold_id": hold_id}),
    ]
    found = locked_hold_in(locked, customer_id=customer_id)
    found.refuse_unless_live(at=now)
    hold = found.hold
    if hold.extended_at is not None:
        raise HoldNotExtendable(HoldNotExtendable.Reason.ALREADY_EXTENDED)
    if sales_end_at is None or sales_end_at <= hold.expires_at:
        raise HoldNotExtendable(HoldNotExtendable.Reason.SALES_END)
    if _visit_is_over(found):
        raise HoldNotExtendable(HoldNotExtendable.Reason.VISIT_OVER)
    hold.extended_at, hold.extended_from = now, hold.expires_at
    hold.expires_at = hold.longest_end(sales_end_at=sales_end_at)
    if hold.queue_place is not None:
        transaction.on_commit(
            partial(
                extend_lease,
                concert_id=found.concert_id,
                customer_id=customer_id,
                place=hold.queue_place,
                until=hold.expires_at,
            ),
            robust=True,
        )
    extend = {"at": now, "expires_at": hold.expires_at, "hold_id": hold_id}
    return Decision(
        HeldSeats(hold, found.seats, found.concert_id, extendable=False),
        writes=[(SQL["extend"], extend)],
    )


def _visit_is_over(found: LockedHold) -> bool:
    """Tell whether the visit that the hold was made in has ended; False for a hold that nobody queued for."""
    hold = found.hold
    return (
        hold.queue_place is not None
        and hold.queue_generation is not None
        and visit_is_over(
            concert_id=found.concert_id,
            customer_id=hold.customer_id,
            place=hold.queue_place,
            generation=hold.queue_generation,
        )
    )
