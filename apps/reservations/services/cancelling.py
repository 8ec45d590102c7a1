from dataclasses import dataclass
from uuid import UUID

from apps.payments.services import locked_wallet, refund_to_wallet
from apps.reservations.errors import AlreadyCancelled, CancellationClosed, ReservationNotFound
from apps.reservations.events import RESERVATION_CANCELLED, reservation_payload
from apps.reservations.models import Reservation
from apps.reservations.services.holding import lock_hold_with_seats
from apps.reservations.signals import ReservationCancelled, reservation_cancelled
from apps.shared.outbox import record_event
from apps.shared.transactions import database_now, requires_transaction, send_on_commit


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Amounts in won."""

    reservation: Reservation
    refunded_amount: int
    balance: int


@requires_transaction
def cancel_reservation(*, customer_id: int, reservation_id: UUID) -> Cancellation:
    """Give the full price back to the wallet; the seats can be sold again at commit.

    :raises ReservationNotFound: there is none, or it is somebody else's.
    :raises AlreadyCancelled: it was cancelled before.
    :raises CancellationClosed: less than `CANCELLATION_WINDOW` is left until the performance.
    """
    found = Reservation.objects.of_customer(customer_id).filter(pk=reservation_id)
    hold_id = found.values_list("hold_id", flat=True).first()
    if hold_id is None:
        raise ReservationNotFound
    hold = lock_hold_with_seats(customer_id=customer_id, hold_id=hold_id)
    locked_wallet(customer_id=customer_id)
    now = database_now()
    reservation = found.select_related("performance").get()
    if reservation.status == Reservation.Status.CANCELLED:
        raise AlreadyCancelled
    if now > reservation.cancellable_until:
        raise CancellationClosed
    refund = refund_to_wallet(
        customer_id=customer_id, amount=reservation.total_price, reference=reservation.pk
    )
    reservation.status = Reservation.Status.CANCELLED
    reservation.cancelled_at = now
    reservation.save(update_fields=["status", "cancelled_at"])
    hold.claims.update(ended_at=now)
    event = record_event(
        type=RESERVATION_CANCELLED,
        payload=reservation_payload(reservation, occurred_at=now),
        occurred_at=now,
    )
    send_on_commit(reservation_cancelled, ReservationCancelled(event.pk, reservation.pk))
    return Cancellation(reservation, refund.amount, refund.balance_after)
