from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from apps.core.database import load_statements
from apps.core.transactions import (
    CLOCK,
    Decision,
    RoundTrips,
    Steps,
    decide_then_write,
    send_on_commit,
)
from apps.outbox.events import RESERVATION_CANCELLED
from apps.payments.counter import Movements, refund_of_sale
from apps.payments.models import Wallet
from apps.payments.services import wallet_in, wallet_lock
from apps.reservations.errors import AlreadyCancelled, CancellationClosed, ReservationNotFound
from apps.reservations.events import PricedSeat
from apps.reservations.models import Reservation, cancellable_until
from apps.reservations.services.locking import LockedHold, hold_locks, locked_hold_in
from apps.reservations.signals import ReservationCancelled, reservation_cancelled

SQL = load_statements(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Amounts in won. `refunded_amount` is what the customer got: what the house had paid went back to it."""

    reservation: Reservation
    refunded_amount: int
    balance: int


@dataclass(frozen=True, slots=True)
class LockedReservation:
    """A reservation as the locks found it `at` a moment: `seats` are those that were not given up.

    In won, `refunded` is what was refunded of it, and `house` what the house has paid of it and not got back.
    """

    reservation: Reservation
    hold: LockedHold
    wallet: Wallet
    seats: Sequence[PricedSeat]
    refunded: int
    house: int
    cancellable_until: datetime
    at: datetime

    @property
    def refundable(self) -> int:
        return self.reservation.total_price - self.refunded

    def refuse_if_cancelled(self) -> None:
        """:raises AlreadyCancelled: no seat of it is left."""
        if self.reservation.status == Reservation.Status.CANCELLED:
            raise AlreadyCancelled

    def refund(self, amount: int, *, reason: str = "", staff_id: int | None = None) -> Movements:
        """Decide to give back `amount` won, to the house what it has paid and to the customer the rest; of 0 won nothing follows.

        :raises RefundExceedsPayment: less is left of what was paid.
        """
        if not amount:
            return Movements(self.wallet)
        return refund_of_sale(
            self.wallet,
            amount=amount,
            reference=self.reservation.pk,
            refundable=self.refundable,
            house=self.house,
            reason=reason,
            staff_id=staff_id,
        )


@decide_then_write
def cancel_reservation(*, customer_id: int, reservation_id: UUID) -> Steps[Cancellation]:
    """Give the price back to the wallet, less what was refunded before and what the house paid; the seats can be sold again at commit.

    :raises ReservationNotFound: there is none, or it is another customer's.
    :raises AlreadyCancelled: it was cancelled before.
    :raises CancellationClosed: less than `CANCELLATION_WINDOW` is left until the performance; if it was moved since its seats
        were chosen, not before it has begun or as late as staff said.
    """
    [found] = yield [
        (SQL["find_reservation"], {"customer_id": customer_id, "reservation_id": reservation_id})
    ]
    if not found:
        raise ReservationNotFound
    [(hold_id,)] = found
    sale = yield from locked_reservation(
        customer_id=customer_id, hold_id=hold_id, reservation_id=reservation_id
    )
    sale.refuse_if_cancelled()
    if sale.at > sale.cancellable_until:
        raise CancellationClosed
    return end_reservation(sale)


def locked_reservation(
    *, customer_id: int, hold_id: UUID, reservation_id: UUID
) -> RoundTrips[LockedReservation]:
    """Lock a reservation that was found, and the wallet of its customer; a part of a use case: `yield from` it."""
    *locked, wallets, [row], [(now,)] = yield [
        *hold_locks(customer_id=customer_id, hold_id=hold_id),
        wallet_lock(customer_id=customer_id),
        (SQL["read_reservation"], {"reservation_id": reservation_id}),
        (CLOCK, {}),
    ]
    hold = locked_hold_in(locked, customer_id=customer_id)
    number, status, total_price, reserved_at, refunded, house, given_up, *times = row
    starts_at, rescheduled_at, free_cancellation_until = times
    return LockedReservation(
        Reservation(
            id=reservation_id,
            number=number,
            hold_id=hold_id,
            customer_id=customer_id,
            performance_id=hold.hold.performance_id,
            status=status,
            total_price=total_price,
            reserved_at=reserved_at,
        ),
        hold,
        wallet_in(wallets, customer_id=customer_id),
        [seat for seat in hold.seats if seat.seat_id not in given_up],
        refunded,
        house,
        cancellable_until(
            starts_at=starts_at,
            rescheduled_at=rescheduled_at,
            free_cancellation_until=free_cancellation_until,
            held_at=hold.hold.held_at,
        ),
        now,
    )


def end_reservation(
    sale: LockedReservation, *, reason: str = "", staff_id: int | None = None
) -> Decision[Cancellation]:
    """Decide to cancel a reservation that is locked and stands, with all that is left of it; by staff with a reason."""
    reservation = sale.reservation
    reservation.status, reservation.cancelled_at = Reservation.Status.CANCELLED, sale.at
    reservation.cancel_reason = reason
    # Of nothing, if staff have refunded all of it before.
    money = sale.refund(sale.refundable, reason=reason, staff_id=staff_id)
    event_id, event = sale.hold.event(
        RESERVATION_CANCELLED, reservation_id=reservation.pk, at=sale.at, seats=sale.seats
    )
    cancel = (
        SQL["cancel"],
        {
            "at": sale.at,
            "reason": reason,
            "reservation_id": reservation.pk,
            "hold_id": reservation.hold_id,
        },
    )
    send_on_commit(reservation_cancelled, ReservationCancelled(event_id, reservation.pk))
    balance = money.wallet.balance
    return Decision(
        Cancellation(reservation, balance - sale.wallet.balance, balance),
        writes=[*money.calls, cancel, event],
    )
