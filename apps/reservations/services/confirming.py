from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.payments.services import debit_wallet, locked_wallet
from apps.reservations.events import RESERVATION_CONFIRMED, reservation_payload
from apps.reservations.models import Hold, Reservation, Ticket
from apps.reservations.services.holding import lock_hold_with_seats, refuse_unless_live
from apps.reservations.signals import ReservationConfirmed, reservation_confirmed
from apps.shared.outbox import record_event
from apps.shared.transactions import database_now, requires_transaction, send_on_commit


@dataclass(frozen=True, slots=True)
class Confirmation:
    """`balance` is what the customer has left, in won."""

    reservation: Reservation
    balance: int


@requires_transaction
def confirm_reservation(*, customer_id: int, hold_id: UUID) -> Confirmation:
    """Pay for a hold from the customer's wallet; everything that follows from the sale is promised by an event.

    The database's clock after the last lock decides whether the hold was still live, and is `reserved_at`. A refusal leaves no
    trace: hold, balance and place in the queue are as before.

    :raises HoldNotFound: there is none, or it is somebody else's.
    :raises HoldNotLive: it was paid or released before.
    :raises HoldExpired: its time is over.
    :raises InsufficientBalance: the wallet has less than the seats cost.
    """
    hold = lock_hold_with_seats(customer_id=customer_id, hold_id=hold_id)
    locked_wallet(customer_id=customer_id)
    now = database_now()
    refuse_unless_live(hold, at=now)
    reservation = Reservation(
        hold=hold,
        customer_id=customer_id,
        performance=hold.performance,
        total_price=hold.total_price,
        reserved_at=now,
    )
    payment = debit_wallet(
        customer_id=customer_id, amount=hold.total_price, reference=reservation.pk
    )
    reservation.save(force_insert=True)
    _issue_tickets(reservation)
    _mark_confirmed(hold, at=now)
    event = record_event(
        type=RESERVATION_CONFIRMED,
        payload=reservation_payload(reservation, occurred_at=now),
        occurred_at=now,
    )
    send_on_commit(reservation_confirmed, ReservationConfirmed(event.pk, reservation.pk))
    return Confirmation(reservation, balance=payment.balance_after)


def _issue_tickets(reservation: Reservation) -> None:
    claims = reservation.hold.claims.order_by("seat_id")
    Ticket.objects.bulk_create(
        Ticket(reservation=reservation, seat_id=claim.seat_id, price=claim.price)
        for claim in claims
    )


def _mark_confirmed(hold: Hold, *, at: datetime) -> None:
    hold.status = Hold.Status.CONFIRMED
    hold.ended_at = at
    hold.save(update_fields=["status", "ended_at"])
