"""Move a customer to other seats: of the same performance or of another date of the concert, at the same price or another one.

The old reservation is cancelled and a new one made in one transaction, with codes of its own. Both are announced, so that the ranking
and the outside platform follow. Locks: customer, the old seats, the new ones (never waiting for these), the hold and overdue ones
in the way, wallet, performance; see `docs/locking.md`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from apps.concerts.errors import SalesClosed
from apps.concerts.inventory import sellable_by
from apps.concerts.models import Performance
from apps.core.database import Call, Row, load_statements
from apps.core.history import note
from apps.core.identifiers import new_id
from apps.core.transactions import (
    Decision,
    Steps,
    decide_then_write,
    send_on_commit,
    use_case,
)
from apps.outbox.events import RESERVATION_CANCELLED
from apps.payments.counter import (
    PaidBy,
    house_part,
    paid_at_counter,
    paid_by_house,
    refund_of_sale,
    refunded_in,
    refunded_of,
)
from apps.payments.errors import InsufficientBalance
from apps.payments.services import wallet_in, wallet_lock
from apps.reservations.errors import (
    AlreadyCancelled,
    MoveRefused,
    PriceChanged,
    ReservationNotFound,
)
from apps.reservations.events import PricedSeat
from apps.reservations.models import Reservation
from apps.reservations.services import confirming, holding, locking, selling
from apps.reservations.services.confirming import Confirmation, sale_of
from apps.reservations.services.expiring import end_of
from apps.reservations.services.holding import FoundSeats
from apps.reservations.services.locking import LockedHold, locked_hold_in
from apps.reservations.signals import ReservationCancelled, reservation_cancelled

SQL = load_statements(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Move:
    """`sold` is the new reservation, `given_up` the one before, `old` its seats. `difference` in won is what the customer paid; negative was got back."""

    sold: Confirmation
    given_up: Reservation
    old: LockedHold
    difference: int


@dataclass(frozen=True, slots=True)
class MovePrice:
    """Reckon what a move costs, in won: `old` was the price, of which the house paid `house`; `new` is the price of the new seats.

    The house goes on paying its part, and is the first to pay less: as much as it would get back if the sale were refunded by as much.
    """

    old: int
    house: int
    new: int

    @property
    def house_goes_on(self) -> int:
        return max(0, self.house - max(0, self.old - self.new))

    @property
    def difference(self) -> int:
        """Return what the customer pays in addition; negative comes back."""
        return (self.new - self.house_goes_on) - (self.old - self.house)


@use_case
def reseat(
    *,
    reservation_id: UUID,
    performance_id: int,
    seat_ids: Sequence[int],
    paid_by: PaidBy,
    reason: str,
    staff_id: int,
    shown_difference: int | None = None,
) -> Move:
    """Give a customer as many other seats in place of those of a reservation; some may be the same, at the price they had.

    A higher price is paid as `paid_by` says, where the house stands for a difference that is waived; of a lower one the rest stays in
    the wallet. The old ticket codes are void. As at the counter, limits are no obstacle, and the date must not be over.

    :raises ReservationNotFound: there is none.
    :raises AlreadyCancelled: it was cancelled, or moved.
    :raises MoveRefused: the seats are of another concert, not as many, or the same; or a part of it was cancelled or refunded.
    :raises PerformanceNotFound, SalesNotOpen, SalesClosed, SeatNotFound, SeatAlreadyHeld, SeatAlreadyReserved, PriceLimitExceeded:
        as for `sell_at_counter`.
    :raises PriceChanged: the difference is not the won of `shown_difference`.
    :raises InsufficientBalance: the wallet is to pay the difference, and has less.
    """
    if not reason.strip():
        raise ValueError("Moving a customer needs a reason.")
    # So that a seat which another transaction has claimed all the same does no more than refuse.
    with transaction.atomic():
        move = _move(
            reservation_id=reservation_id,
            performance_id=performance_id,
            seat_ids=seat_ids,
            paid_by=paid_by,
            reason=reason.strip(),
            staff_id=staff_id,
            shown_difference=shown_difference,
            categories=sellable_by(staff_id),
        )
    words = _("Moved: %(old)s → %(new)s, difference %(difference)s won. Reason: %(reason)s") % {
        "old": _named(move.old),
        "new": _named(move.sold.hold),
        "difference": f"{move.difference:,}",
        "reason": reason.strip(),
    }
    note([move.given_up, move.sold.reservation], words, staff_id=staff_id)
    return move


def _named(hold: LockedHold) -> str:
    seats = ", ".join(seat.label for seat in hold.seats)
    return f"{hold.starts_at:%Y-%m-%d %H:%M}Z {seats}"


@decide_then_write
def _move(
    *,
    reservation_id: UUID,
    performance_id: int,
    seat_ids: Sequence[int],
    paid_by: PaidBy,
    reason: str,
    staff_id: int,
    shown_difference: int | None,
    categories: Collection[int],
) -> Steps[Move]:
    [known] = yield [(SQL["find_sale_to_move"], {"reservation_id": reservation_id})]
    if not known:
        raise ReservationNotFound
    [(hold_id, customer_id, old_performance_id, old_number, own_ids)] = known
    old_hold = {"hold_id": hold_id, "customer_id": customer_id}
    wanted = {"performance_id": performance_id, "seat_ids": list(seat_ids)}
    new_seats = {**wanted, "seat_ids": sorted(set(seat_ids) - set(own_ids))}
    _, rules, own_rows, locked_rows, rows, sellable = yield [
        *holding.customer_lock(customer_id, performance_id, None),
        (locking.SQL["lock_seats_of_hold"], old_hold),
        (holding.SQL["lock_seats"], new_seats),
        (holding.SQL["read_seats"], wanted),
        (holding.SQL["sellable_among"], wanted | {"categories": list(categories)}),
    ]
    offer = holding.offer_in(rules)
    own = [PricedSeat._make(row) for row in own_rows]
    found = _found(own, holding.found_seats(locked_rows, rows, sellable=sellable))
    overdue = {over.pk for _, over in found.holds if over.is_expired(found.at)}
    (
        hold_rows,
        *_ended,
        [sale],
        house,
        refunded,
        wallets,
        locked_performances,
        [(now, number)],
    ) = yield [
        (SQL["lock_holds_of_move"], {"hold_ids": [hold_id, *overdue]}),
        *([end_of(overdue, at=found.at)] if overdue else []),
        (SQL["read_sale_to_move"], {"reservation_id": reservation_id}),
        paid_by_house(reservation_id),
        refunded_of(reservation_id),
        wallet_lock(customer_id=customer_id),
        (
            SQL["lock_performances_of_move"],
            {"performance_id": performance_id, "old_performance_id": old_performance_id},
        ),
        (confirming.SQL["time_and_number"], {}),
    ]
    old = _old_hold(own_rows, hold_rows, hold_id=hold_id, customer_id=customer_id)
    status, total_price, contact, is_partly_given_up = sale
    if status == Reservation.Status.CANCELLED:
        raise AlreadyCancelled
    if is_partly_given_up or refunded_in(refunded):
        raise MoveRefused(MoveRefused.Reason.NOT_WHOLE)
    _refuse_unless_moved(old, offer.concert_id, seat_ids)
    performance = Performance.objects.select_related("concert").get(pk=performance_id)
    selling.refuse_unless_sold_at_counter(offer, performance)
    if any(is_called_off for (is_called_off,) in locked_performances):
        raise SalesClosed
    selling.refuse_unless_known(found, seat_ids)
    found.refuse_unless_free()

    price = MovePrice(total_price, house_part(house), sum(seat.price for seat in found.seats))
    if shown_difference not in (None, price.difference):
        raise PriceChanged
    wallet = wallet_in(wallets, customer_id=customer_id)
    if paid_by == PaidBy.WALLET and wallet.balance < price.difference:
        raise InsufficientBalance(balance=wallet.balance, required=price.difference)
    new_reservation_id = new_id()
    money = refund_of_sale(
        wallet,
        amount=price.old,
        reference=reservation_id,
        refundable=price.old,
        house=price.house,
    )
    for amount, payer in ((price.house_goes_on, PaidBy.HOUSE), (price.difference, paid_by)):
        money = paid_at_counter(
            money,
            amount=max(0, amount),
            paid_by=payer,
            reference=new_reservation_id,
            staff_id=staff_id,
            reason=reason,
        )
    raised = selling.raised_limits(offer, quantity=len(seat_ids), reason=reason)
    hold = selling.claim_at(customer_id, performance, raised, found, at=now)
    new_hold = selling.locked_hold(hold.result, performance)
    sold = sale_of(new_hold, money.wallet, at=now, number=number, reservation_id=new_reservation_id)
    event_id, event = old.event(RESERVATION_CANCELLED, reservation_id=reservation_id, at=now)
    send_on_commit(reservation_cancelled, ReservationCancelled(event_id, reservation_id))
    give_up: Call = (
        SQL["give_up"],
        {
            "at": now,
            "reservation_id": reservation_id,
            "hold_id": hold_id,
            "moved_to": new_reservation_id,
        },
    )
    return Decision(
        Move(
            sold.result,
            Reservation(id=reservation_id, number=old_number),
            old,
            price.difference,
        ),
        writes=[
            give_up,
            event,
            *hold.writes,
            *money.calls,
            *sold.writes,
            *selling.contact_of(sold.result, contact),
            (SQL["return_seats"], {"hold_id": hold_id}),
        ],
        refusals=hold.refusals,
    )


def _found(own: Sequence[PricedSeat], found: FoundSeats) -> FoundSeats:
    """Return the wanted seats as if the customer had given up the old ones, which are locked; those that stay keep their price."""
    kept = {seat.seat_id: seat for seat in own}
    return replace(
        found,
        seats=[kept.get(seat.seat_id, seat) for seat in found.seats],
        blocked=[seat_id for seat_id in found.blocked if seat_id not in kept],
        holds=[(seat_id, hold) for seat_id, hold in found.holds if seat_id not in kept],
        unlocked=[seat_id for seat_id in found.unlocked if seat_id not in kept],
    )


def _old_hold(
    seats: Sequence[Row], holds: Sequence[Row], *, hold_id: UUID, customer_id: int
) -> LockedHold:
    own = [row for row in holds if row[0] == hold_id]
    return locked_hold_in([[], seats, own], customer_id=customer_id)


def _refuse_unless_moved(old: LockedHold, concert_id: int, seat_ids: Sequence[int]) -> None:
    """:raises MoveRefused: the seats are of another concert, not as many as before, or the same."""
    own = {seat.seat_id for seat in old.seats}
    if concert_id != old.concert_id:
        raise MoveRefused(MoveRefused.Reason.OTHER_CONCERT)
    if len(set(seat_ids)) != len(own):
        raise MoveRefused(MoveRefused.Reason.OTHER_NUMBER)
    if own == set(seat_ids):
        raise MoveRefused(MoveRefused.Reason.SAME_SEATS)
