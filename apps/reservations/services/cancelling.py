from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from apps.core.database import load_statements
from apps.core.transactions import CLOCK, Decision, Steps, decide_then_write, send_on_commit
from apps.outbox.events import RESERVATION_CANCELLED
from apps.payments.services import refund_to_wallet, wallet_in, wallet_lock
from apps.reservations.errors import AlreadyCancelled, CancellationClosed, ReservationNotFound
from apps.reservations.models import Reservation, cancellable_until
from apps.reservations.services.locking import hold_locks, locked_hold_in
from apps.reservations.signals import ReservationCancelled, reservation_cancelled

SQL = load_statements(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Amounts in won."""

    reservation: Reservation
    refunded_amount: int
    balance: int


@decide_then_write
def cancel_reservation(*, customer_id: int, reservation_id: UUID) -> Steps[Cancellation]:
    """Give the full price back to the wallet; the seats can be sold again at commit.

    :raises ReservationNotFound: there is none, or it is another customer's.
    :raises AlreadyCancelled: it was cancelled before.
    :raises CancellationClosed: less than `CANCELLATION_WINDOW` is left until the performance; if it was moved since its seats
        were chosen, not before it has begun.
    """
    asked = {"customer_id": customer_id, "reservation_id": reservation_id}
    [found] = yield [(SQL["find_reservation"], asked)]
    if not found:
        raise ReservationNotFound
    [(hold_id,)] = found
    *locked, [(status, total_price, reserved_at, held_at, *times)], wallets, [(now,)] = yield [
        *hold_locks(customer_id=customer_id, hold_id=hold_id),
        (SQL["read_reservation"], asked),
        wallet_lock(customer_id=customer_id),
        (CLOCK, {}),
    ]
    hold = locked_hold_in(locked, customer_id=customer_id)
    if status == Reservation.Status.CANCELLED:
        raise AlreadyCancelled
    starts_at, rescheduled_at = times
    if now > cancellable_until(starts_at=starts_at, rescheduled_at=rescheduled_at, held_at=held_at):
        raise CancellationClosed
    reservation = Reservation(
        id=reservation_id,
        hold_id=hold_id,
        customer_id=customer_id,
        performance_id=hold.hold.performance_id,
        status=Reservation.Status.CANCELLED,
        total_price=total_price,
        reserved_at=reserved_at,
        cancelled_at=now,
    )
    refund = refund_to_wallet(
        wallet_in(wallets, customer_id=customer_id),
        amount=reservation.total_price,
        reference=reservation_id,
    )
    event_id, event = hold.event(RESERVATION_CANCELLED, reservation_id=reservation_id, at=now)
    cancel = SQL["cancel"], {"at": now, "reservation_id": reservation_id, "hold_id": hold_id}
    send_on_commit(reservation_cancelled, ReservationCancelled(event_id, reservation_id))
    return Decision(
        Cancellation(reservation, reservation.total_price, refund.transaction.balance_after),
        writes=[refund.call, cancel, event],
    )
