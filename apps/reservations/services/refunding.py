"""Give back seats and money for customers, which staff may do at any time and say why.

Refund moves money, cancel moves seats: a seat that is cancelled is always refunded, as far as that has not been done before; money may
also be refunded while its seats are kept. In all, never more than was paid.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from django.utils.translation import gettext as _

from apps.core.database import load_statements
from apps.core.history import note
from apps.core.transactions import Decision, RoundTrips, run_steps, send_on_commit, use_case
from apps.outbox.events import SEATS_CANCELLED
from apps.reservations.errors import RefundOutdated, ReservationNotFound, SeatAlreadyCancelled
from apps.reservations.models import Reservation
from apps.reservations.services.cancelling import (
    LockedReservation,
    end_reservation,
    locked_reservation,
)
from apps.reservations.signals import SeatsCancelled, seats_cancelled

SQL = load_statements(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class GivenBack:
    """Say what staff have given back of a reservation: seats by id, and won. `refunded` is what was refunded of it in all.

    Of `amount`, `to_house` went to the house, which had paid it, and the rest to the wallet of the customer.
    """

    reservation: Reservation
    seat_ids: tuple[int, ...]
    amount: int
    refunded: int
    balance: int
    to_house: int

    @property
    def in_words(self) -> str:
        parts = []
        if self.seat_ids:
            parts.append(_("Seats cancelled: %(count)s.") % {"count": len(self.seat_ids)})
        parts.append(
            _("Refunded: %(amount)s won, %(refunded)s of %(paid)s won in all.")
            % {
                "amount": f"{self.amount:,}",
                "refunded": f"{self.refunded:,}",
                "paid": f"{self.reservation.total_price:,}",
            }
        )
        if self.to_house:
            parts.append(
                _("Of that, %(amount)s won went back to the house, which had paid it.")
                % {"amount": f"{self.to_house:,}"}
            )
        return " ".join(parts)


@use_case
def cancel_seats(
    *,
    reservation_id: UUID,
    seat_ids: Collection[int] | None = None,
    reason: str,
    staff_id: int,
    refunded_before: int | None = None,
) -> GivenBack:
    """Give back some seats of a reservation, or all that are left, and their price; they can be sold again at commit.

    The other seats stay booked. Without any left the reservation is cancelled. `refunded_before` is what the form of staff showed as
    refunded, in won: so one form has one effect, and none after that of a colleague.

    :raises ReservationNotFound: there is none.
    :raises AlreadyCancelled: it was cancelled before.
    :raises SeatAlreadyCancelled: one of the seats is not of this reservation any more, or never was.
    :raises RefundOutdated: something has been refunded since.
    """
    reason = _explained(reason)
    sale = run_steps(_found(reservation_id))
    sale.refuse_if_cancelled()
    _refuse_if_outdated(sale, refunded_before)
    left = {seat.seat_id for seat in sale.seats}
    chosen = left if seat_ids is None else set(seat_ids)
    if not chosen or chosen - left:
        raise SeatAlreadyCancelled
    if chosen == left:
        amount = sale.refundable
        balance = end_reservation(sale, reason=reason, staff_id=staff_id).carry_out().balance
    else:
        amount, balance = _give_up(sale, chosen, reason, staff_id).carry_out()
    return _noted(_given(sale, chosen, amount, balance), reason, staff_id)


@use_case
def refund_reservation(
    *,
    reservation_id: UUID,
    amount: int,
    reason: str,
    staff_id: int,
    refunded_before: int | None = None,
) -> GivenBack:
    """Give back `amount` won of what was paid for a reservation; its seats stay as they are.

    :raises ReservationNotFound: there is none.
    :raises RefundExceedsPayment: less is left of what was paid.
    :raises RefundOutdated: something has been refunded since `refunded_before` was shown.
    """
    reason = _explained(reason)
    sale = run_steps(_found(reservation_id))
    _refuse_if_outdated(sale, refunded_before)
    money = sale.refund(amount, reason=reason, staff_id=staff_id)
    balance = Decision(money.wallet.balance, writes=money.calls).carry_out()
    return _noted(_given(sale, (), amount, balance), reason, staff_id)


@use_case
def give_back(
    *,
    reservation_id: UUID,
    seat_ids: Collection[int],
    amount: int,
    reason: str,
    staff_id: int,
    refunded_before: int | None = None,
) -> GivenBack:
    """Give back seats with their price, and `amount` won beyond that; either may be none.

    :raises DomainError: as `cancel_seats` and `refund_reservation` do.
    """
    given = None
    if seat_ids:
        given = cancel_seats.step(
            reservation_id=reservation_id,
            seat_ids=seat_ids,
            reason=reason,
            staff_id=staff_id,
            refunded_before=refunded_before,
        )
        refunded_before = given.refunded
    if amount or given is None:
        beyond = refund_reservation.step(
            reservation_id=reservation_id,
            amount=amount,
            reason=reason,
            staff_id=staff_id,
            refunded_before=refunded_before,
        )
        given = replace(
            beyond,
            seat_ids=given.seat_ids if given else (),
            amount=beyond.amount + (given.amount if given else 0),
            to_house=beyond.to_house + (given.to_house if given else 0),
        )
    return given


def _found(reservation_id: UUID) -> RoundTrips[LockedReservation]:
    """:raises ReservationNotFound: there is none."""
    [found] = yield [(SQL["find_sale"], {"reservation_id": reservation_id})]
    if not found:
        raise ReservationNotFound
    [(hold_id, customer_id)] = found
    return (
        yield from locked_reservation(
            customer_id=customer_id, hold_id=hold_id, reservation_id=reservation_id
        )
    )


def _give_up(
    sale: LockedReservation, chosen: Collection[int], reason: str, staff_id: int
) -> Decision[tuple[int, int]]:
    """Decide to give up some of the seats that are left; the result is the refund and the balance after it."""
    seats = [seat for seat in sale.seats if seat.seat_id in chosen]
    # A part of their price may have been refunded before, when the seats were kept.
    amount = min(sum(seat.price for seat in seats), sale.refundable)
    money = sale.refund(amount, reason=reason, staff_id=staff_id)
    event_id, event = sale.hold.event(
        SEATS_CANCELLED, reservation_id=sale.reservation.pk, at=sale.at, seats=seats
    )
    cancel = (
        SQL["cancel_tickets"],
        {
            "at": sale.at,
            "reason": reason,
            "reservation_id": sale.reservation.pk,
            "hold_id": sale.reservation.hold_id,
            "seat_ids": [seat.seat_id for seat in seats],
        },
    )
    send_on_commit(seats_cancelled, SeatsCancelled(event_id, sale.reservation.pk))
    return Decision((amount, money.wallet.balance), writes=[*money.calls, cancel, event])


def _given(
    sale: LockedReservation, seat_ids: Collection[int], amount: int, balance: int
) -> GivenBack:
    return GivenBack(
        sale.reservation,
        tuple(sorted(seat_ids)),
        amount,
        sale.refunded + amount,
        balance,
        to_house=amount - (balance - sale.wallet.balance),
    )


def _explained(reason: str) -> str:
    if not reason.strip():
        raise ValueError("What staff give back takes a reason.")
    return reason.strip()


def _refuse_if_outdated(sale: LockedReservation, refunded_before: int | None) -> None:
    if refunded_before not in (None, sale.refunded):
        raise RefundOutdated(refunded=sale.refunded)


def _noted(given: GivenBack, reason: str, staff_id: int) -> GivenBack:
    words = _("%(done)s Reason: %(reason)s") % {"done": given.in_words, "reason": reason}
    # Read anew: the history calls an order by its number, which a cancellation does not look at.
    note(Reservation.objects.filter(pk=given.reservation.pk), words, staff_id=staff_id)
    return given
