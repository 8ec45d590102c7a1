from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from apps.core.database import fetch_all, load_statements
from apps.core.history import note
from apps.core.transactions import Decision, Steps, database_now, decide_then_write, use_case
from apps.queue.services import shorten_lease
from apps.reservations.errors import HoldNotFound
from apps.reservations.models import Hold
from apps.reservations.services.holding import HeldSeats
from apps.reservations.services.locking import hold_locks, locked_hold_in

SQL = load_statements(Path(__file__).with_suffix(".sql"))


@use_case
def release_holds_of(*, performance_id: int) -> int:
    """End whatever is held of a performance that was called off; returns how many holds.

    Waits for those who pay at this moment: when it is done, whatever was paid for is sold and no hold of before can be paid for.
    """
    found = fetch_all(SQL["lock_holds_of_performance"], {"performance_id": performance_id})
    hold_ids = [hold_id for (hold_id,) in found]
    if hold_ids:
        fetch_all(SQL["release_holds"], {"hold_ids": hold_ids, "at": database_now()})
    return len(hold_ids)


@decide_then_write
def release_hold(*, customer_id: int, hold_id: UUID) -> Steps[HeldSeats]:
    """Give the seats back at once.

    :raises HoldNotFound: there is none, or it is another customer's.
    :raises HoldNotLive: it was paid or released before.
    :raises HoldExpired: its time is over.
    """
    return (yield from _release(customer_id=customer_id, hold_id=hold_id))


@use_case
def release_hold_by_staff(*, hold_id: UUID, reason: str, staff_id: int) -> HeldSeats:
    """Take the seats of an unpaid hold from its customer, who reads the reason on the page of the hold.

    :raises HoldNotFound: there is none.
    :raises HoldNotLive: it was paid or released before.
    :raises HoldExpired: its time is over.
    """
    if not reason.strip():
        raise ValueError("Releasing a hold needs a reason.")
    held = _release_of_any_customer(hold_id=hold_id, reason=reason.strip())
    words = _("Released by staff: %(seats)s. Reason: %(reason)s")
    seats = ", ".join(seat.label for seat in held.seats)
    note([held.hold], words % {"seats": seats, "reason": reason.strip()}, staff_id=staff_id)
    return held


@decide_then_write
def _release_of_any_customer(*, hold_id: UUID, reason: str) -> Steps[HeldSeats]:
    [found] = yield [(SQL["find_customer_of_hold"], {"hold_id": hold_id})]
    if not found:
        raise HoldNotFound
    [(customer_id,)] = found
    return (yield from _release(customer_id=customer_id, hold_id=hold_id, reason=reason))


def _release(*, customer_id: int, hold_id: UUID, reason: str = "") -> Steps[HeldSeats]:
    *locked, [(now, lease_until)] = yield [
        *hold_locks(customer_id=customer_id, hold_id=hold_id),
        (SQL["end_of_other_holds"], {"hold_id": hold_id}),
    ]
    found = locked_hold_in(locked, customer_id=customer_id)
    found.refuse_unless_live(at=now)
    hold = found.hold
    hold.status = Hold.Status.RELEASED
    hold.ended_at = now
    hold.release_reason = reason
    if hold.queue_slot is not None:
        transaction.on_commit(
            partial(
                shorten_lease,
                concert_id=found.concert_id,
                customer_id=customer_id,
                slot=hold.queue_slot,
                until=lease_until,
            ),
            robust=True,
        )
    return Decision(
        HeldSeats(hold, found.seats, found.concert_id, extendable=False),
        writes=[(SQL["release"], {"at": now, "hold_id": hold_id, "reason": reason})],
    )
