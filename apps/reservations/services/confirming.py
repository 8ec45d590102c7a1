from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from apps.core.database import load_statements
from apps.core.identifiers import new_id
from apps.core.transactions import (
    Decision,
    Steps,
    decide_then_write,
    requires_transaction,
    send_on_commit,
)
from apps.outbox.events import RESERVATION_CONFIRMED
from apps.payments.models import Wallet
from apps.payments.services import debit_wallet, wallet_in, wallet_lock
from apps.queue.errors import QueueTokenInvalid
from apps.reservations.models import Reservation, Ticket
from apps.reservations.services.locking import LockedHold, hold_locks, locked_hold_in
from apps.reservations.signals import ReservationConfirmed, reservation_confirmed

SQL = load_statements(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Confirmation:
    """`tickets` are in the order of the hold's seats; `balance` is what the customer has left, in won."""

    reservation: Reservation
    hold: LockedHold
    tickets: Sequence[Ticket]
    balance: int


@decide_then_write
def confirm_reservation(
    *, customer_id: int, hold_id: UUID, token_concert_id: int | None = None
) -> Steps[Confirmation]:
    """Pay for a hold from the customer's wallet; everything that follows from the sale is promised by an event.

    The database's clock after the last lock decides whether the hold was still live, and is `reserved_at`. A refusal leaves no
    trace: hold, balance and place in the queue are as before. `token_concert_id` is what a payer's queue token is for.

    :raises HoldNotFound: there is none, or it is another customer's.
    :raises QueueTokenInvalid: it is for another concert than the token.
    :raises HoldNotLive: it was paid or released before.
    :raises HoldExpired: its time is over.
    :raises InsufficientBalance: the wallet has less than the seats cost.
    """
    *locked, wallets, [(now, number)] = yield [
        *hold_locks(customer_id=customer_id, hold_id=hold_id),
        wallet_lock(customer_id=customer_id),
        (SQL["time_and_number"], {}),
    ]
    hold = locked_hold_in(locked, customer_id=customer_id)
    if token_concert_id not in (None, hold.concert_id):
        raise QueueTokenInvalid
    hold.refuse_unless_live(at=now)
    return sale_of(
        hold,
        wallet_in(wallets, customer_id=customer_id),
        at=now,
        number=number,
        reservation_id=new_id(),
    )


@requires_transaction
def sale_of(
    hold: LockedHold, wallet: Wallet, *, at: datetime, number: int, reservation_id: UUID
) -> Decision[Confirmation]:
    """Decide the sale of a live hold for its price, which is taken from its customer's wallet; both are locked.

    `at` and `number` are what `time_and_number` says after the last lock.

    :raises InsufficientBalance: the wallet has less than the seats cost.
    """
    reservation = Reservation(
        id=reservation_id,
        number=number,
        hold_id=hold.hold.pk,
        customer_id=hold.hold.customer_id,
        performance_id=hold.hold.performance_id,
        total_price=hold.hold.total_price,
        reserved_at=at,
    )
    payment = debit_wallet(wallet, amount=reservation.total_price, reference=reservation.pk)
    tickets = [
        Ticket(reservation_id=reservation.pk, seat_id=seat.seat_id, price=seat.price)
        for seat in hold.seats
    ]
    event_id, event = hold.event(RESERVATION_CONFIRMED, reservation_id=reservation.pk, at=at)
    confirm = (
        SQL["confirm"],
        {
            "at": at,
            "hold_id": reservation.hold_id,
            "reservation_id": reservation.pk,
            "number": reservation.number,
            "customer_id": reservation.customer_id,
            "performance_id": reservation.performance_id,
            "total_price": reservation.total_price,
            "ticket_ids": [ticket.pk for ticket in tickets],
            "seat_ids": [ticket.seat_id for ticket in tickets],
            "prices": [ticket.price for ticket in tickets],
            "codes": [ticket.code for ticket in tickets],
        },
    )
    send_on_commit(reservation_confirmed, ReservationConfirmed(event_id, reservation.pk))
    return Decision(
        Confirmation(reservation, hold, tickets, balance=payment.transaction.balance_after),
        writes=[payment.call, confirm, event],
    )
