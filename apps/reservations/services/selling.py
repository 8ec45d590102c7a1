"""Sell at the counter: seats that are free, to a customer with an account or to one who walks up, paid at once.

The seats are held and paid by the steps of every other sale, in one transaction. Locks: customer, seats (never waiting for them),
overdue holds, wallet, performance; see `docs/locking.md`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.errors import StaffAccount
from apps.accounts.services import open_walk_up
from apps.concerts.errors import SalesClosed, SeatNotFound
from apps.concerts.inventory import sellable_by
from apps.concerts.models import Performance
from apps.core.database import Call, load_statements
from apps.core.history import note
from apps.core.identifiers import new_id
from apps.core.transactions import (
    Decision,
    RoundTrips,
    Steps,
    decide_then_write,
    requires_transaction,
    use_case,
)
from apps.payments.counter import Movements, PaidBy, paid_at_counter
from apps.payments.errors import InsufficientBalance
from apps.payments.models import Wallet
from apps.payments.services import lock_or_open_wallet
from apps.reservations.errors import PriceChanged, SeatLimitExceeded
from apps.reservations.services import confirming, holding
from apps.reservations.services.confirming import Confirmation, sale_of
from apps.reservations.services.expiring import end_in_the_way
from apps.reservations.services.holding import FoundSeats, HeldSeats, Offer
from apps.reservations.services.locking import LockedHold

SQL = load_statements(Path(__file__).with_suffix(".sql"))

SEATS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class WalkUp:
    """A customer of the counter who has no account; `contact` is a phone number or an address, if there is one."""

    name: str
    contact: str = ""


@use_case
def sell_at_counter(
    *,
    performance_id: int,
    seat_ids: Sequence[int],
    customer: int | WalkUp,
    paid_by: PaidBy,
    staff_id: int,
    shown_price: int | None = None,
    reason: str = "",
) -> Confirmation:
    """Sell seats to a customer, whose id `customer` is, or to one who walks up; nobody has to queue for it.

    The rules of every sale hold, but for these: the counter sells until the performance is over, whenever the sale to the public
    ends; with a `reason` a customer gets more seats than the concert allows; and seats that are kept back in a category which the
    seller may sell are sold as well. The house needs a reason to pay.

    :raises PerformanceNotFound: there is none, or its concert is not published.
    :raises StaffAccount: staff are no customers.
    :raises SalesNotOpen, SalesClosed: before the sale to the public opens, or when the performance is over or was called off.
    :raises SeatNotFound: one of them is not a seat of this performance.
    :raises SeatAlreadyHeld, SeatAlreadyReserved: one of them is not free.
    :raises SeatLimitExceeded: the customer would have more than the concert allows, and there is no reason for it.
    :raises PriceLimitExceeded: no wallet may contain what they cost.
    :raises PriceChanged: they cost something else than the won of `shown_price`.
    :raises InsufficientBalance: the customer's wallet is to pay, and has less.
    """
    contact = customer.contact if isinstance(customer, WalkUp) else ""
    # So that a refusal leaves no customer behind, and a seat that another transaction has claimed all the same does no more than refuse.
    with transaction.atomic():
        if isinstance(customer, WalkUp):
            customer = open_walk_up(name=customer.name).pk
        sold = _sell(
            performance_id=performance_id,
            seat_ids=seat_ids,
            customer_id=customer,
            paid_by=paid_by,
            staff_id=staff_id,
            shown_price=shown_price,
            reason=reason.strip(),
            contact=contact,
            categories=sellable_by(staff_id),
        )
    words = _("Sold at the counter: %(seats)s for %(price)s won, paid by %(paid_by)s.") % {
        "seats": ", ".join(seat.label for seat in sold.hold.seats),
        "price": f"{sold.reservation.total_price:,}",
        "paid_by": paid_by.label,
    }
    if reason.strip():
        words += " " + _("Reason: %(reason)s") % {"reason": reason.strip()}
    note([sold.reservation], words, staff_id=staff_id)
    return sold


@decide_then_write
def _sell(
    *,
    performance_id: int,
    seat_ids: Sequence[int],
    customer_id: int,
    paid_by: PaidBy,
    staff_id: int,
    shown_price: int | None,
    reason: str,
    contact: str,
    categories: Collection[int],
) -> Steps[Confirmation]:
    seats = {"performance_id": performance_id, "seat_ids": list(seat_ids)}
    _, rules, locked, rows, sellable = yield [
        *holding.customer_lock(customer_id, performance_id, None),
        (holding.SQL["lock_seats"], seats),
        (holding.SQL["read_seats"], seats),
        (holding.SQL["sellable_among"], seats | {"categories": list(categories)}),
    ]
    offer = holding.offer_in(rules)
    performance = Performance.objects.select_related("concert").get(pk=performance_id)
    refuse_unless_sold_at_counter(offer, performance)
    found = holding.found_seats(locked, rows, sellable=sellable)
    refuse_unless_known(found, seat_ids)
    found.refuse_unless_free()
    total_price = sum(seat.price for seat in found.seats)
    if shown_price not in (None, total_price):
        raise PriceChanged
    offer = raised_limits(offer, quantity=len(seat_ids), reason=reason)
    refuse = partial(_refuse_overdraft, required=total_price if paid_by == PaidBy.WALLET else 0)
    wallet, now, number = yield from _last_locks(customer_id, performance_id, found, refuse)
    hold = claim_at(customer_id, performance, offer, found, at=now)
    reservation_id = new_id()
    money = paid_at_counter(
        Movements(wallet),
        amount=total_price,
        paid_by=paid_by,
        reference=reservation_id,
        staff_id=staff_id,
        reason=reason,
    )
    sale = sale_of(
        locked_hold(hold.result, performance),
        money.wallet,
        at=now,
        number=number,
        reservation_id=reservation_id,
    )
    sale.result.reservation.contact = contact
    return Decision(
        sale.result,
        writes=[*hold.writes, *money.calls, *sale.writes, *contact_of(sale.result, contact)],
        refusals=hold.refusals,
    )


def contact_of(sold: Confirmation, contact: str) -> list[Call]:
    """Return the statement that notes how to reach the customer, if there is something to note."""
    if not contact:
        return []
    noted = {"reservation_id": sold.reservation.pk, "contact": contact}
    return [(SQL["note_contact"], noted)]


# --- Parts, which moving a customer to other seats has as well --------------------------------------------------------


def refuse_unless_sold_at_counter(offer: Offer, performance: Performance) -> None:
    """
    :raises StaffAccount: staff are no customers.
    :raises SalesNotOpen: before the sale to the public: the crowd queues for these seats.
    :raises SalesClosed: when the performance is over, or was called off.
    """
    if offer.is_staff:
        raise StaffAccount
    if offer.at < offer.window.opens_at:
        offer.window.refuse_unless_open(offer.at)
    if offer.at >= performance.ends_at or performance.is_called_off:
        raise SalesClosed


def refuse_unless_known(found: FoundSeats, seat_ids: Sequence[int]) -> None:
    """:raises SeatNotFound: one of the seats is not of the performance."""
    if missing := set(seat_ids) - {seat.seat_id for seat in found.seats}:
        raise SeatNotFound(seat_ids=sorted(missing))


def raised_limits(offer: Offer, *, quantity: int, reason: str) -> Offer:
    """Return the rules with limits under which the customer may have so many more seats.

    :raises SeatLimitExceeded: the concert allows fewer, and there is no reason to make an exception.
    """
    if offer.taken + quantity > offer.seat_limit and not reason:
        raise SeatLimitExceeded(limit=offer.seat_limit, taken=offer.taken)
    return replace(
        offer,
        seat_limit=max(offer.seat_limit, offer.taken + quantity),
        unpaid_limit=max(offer.unpaid_limit, offer.unpaid + quantity),
    )


def _refuse_overdraft(wallet: Wallet, *, required: int) -> None:
    if wallet.balance < required:
        raise InsufficientBalance(balance=wallet.balance, required=required)


@requires_transaction
def _last_locks(
    customer_id: int, performance_id: int, found: FoundSeats, refuse: Callable[[Wallet], None]
) -> RoundTrips[tuple[Wallet, datetime, int]]:
    """End the overdue holds that are in the way, lock the wallet, and return it with the moment after the last lock and an order number.

    `refuse` sees the wallet before it is opened, as `lock_or_open_wallet` has it.

    :raises SalesClosed: the performance was called off.
    """
    if in_the_way := end_in_the_way({over.pk for _, over in found.holds}, at=found.at):
        yield in_the_way
    wallet = yield from lock_or_open_wallet(customer_id=customer_id, refuse=refuse)
    [(is_called_off,)], [(now, number)] = yield [
        (SQL["lock_performance"], {"performance_id": performance_id}),
        (confirming.SQL["time_and_number"], {}),
    ]
    if is_called_off:
        raise SalesClosed
    return wallet, now, number


def claim_at(
    customer_id: int, performance: Performance, offer: Offer, found: FoundSeats, *, at: datetime
) -> Decision[HeldSeats]:
    """Decide a hold that begins at a moment after the last lock; what was in its way has been ended."""
    free = replace(found, at=at, holds=[])
    return holding.claim(customer_id, performance.pk, offer, free, admission=None)


def locked_hold(held: HeldSeats, performance: Performance) -> LockedHold:
    """Return a hold that is about to be written as if its lock had found it. Needs the concert of the performance."""
    return LockedHold(
        hold=held.hold,
        seats=held.seats,
        concert_id=held.concert_id,
        starts_at=performance.starts_at,
        ends_at=performance.ends_at,
        title=performance.concert.title,
        venue=performance.concert.venue,
    )
