"""Say what giving something back would do, before staff do it and to the second person who approves it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from apps.concerts.models import Performance
from apps.payments.models import COUNTER_TYPES, LedgerTransaction
from apps.reservations.errors import ReservationNotFound
from apps.reservations.models import Hold, Reservation, Ticket, cancellable_until
from apps.reservations.selectors import with_refunds


@dataclass(frozen=True, slots=True)
class RefundPlan:
    """Give back the chosen `tickets` of a reservation, and `extra` won beyond their price. `left` are those that it has now."""

    reservation: Reservation
    left: Sequence[Ticket]
    tickets: Sequence[Ticket]
    extra: int

    @property
    def for_seats(self) -> int:
        """Return the price of the seats in won, as far as it was not refunded before."""
        return min(sum(ticket.price for ticket in self.tickets), self.reservation.refundable_amount)

    @property
    def amount(self) -> int:
        return self.for_seats + self.extra

    @property
    def to_house(self) -> int:
        """Return what of it the house gets back, in won."""
        return min(self.amount, self.reservation.house_part - self.reservation.house_back)

    @property
    def is_possible(self) -> bool:
        """Tell whether no more than what is left would be refunded."""
        return self.amount <= self.reservation.refundable_amount

    def choosing(self, *, seat_ids: Collection[int], extra: int) -> "RefundPlan":
        """Return a plan for these of the seats that are left."""
        tickets = [ticket for ticket in self.left if ticket.seat_id in seat_ids]
        return replace(self, tickets=tickets, extra=extra)


def refund_plan(*, reservation_id: UUID) -> RefundPlan:
    """Return the plan to give back nothing, from which others are chosen.

    :raises ReservationNotFound: there is none.
    """
    found = Reservation.objects.with_details().select_related("customer").filter(pk=reservation_id)
    reservation = found.first()
    if reservation is None:
        raise ReservationNotFound
    with_refunds([reservation])
    is_confirmed = reservation.status == Reservation.Status.CONFIRMED
    left = [
        ticket
        for ticket in reservation.tickets.all()
        if is_confirmed and ticket.cancelled_at is None
    ]
    return RefundPlan(reservation, left, tickets=(), extra=0)


class Sold(NamedTuple):
    """Reservations that stand, summed up. In won, `refundable` is what is left of what was paid; of it the house has paid `to_house`."""

    reservations: int
    customers: int
    tickets: int
    refundable: int
    to_house: int = 0  # jobs from before do not know it


def sold_of_performance(performance_id: int) -> Sold:
    """Sum up what is sold of a performance."""
    return _summed(Reservation.objects.filter(performance=performance_id))


def sold_among(reservation_ids: Collection[str]) -> Sold:
    """Sum up what stands of these reservations."""
    return _summed(Reservation.objects.filter(pk__in=reservation_ids))


def _summed(reservations: QuerySet[Reservation]) -> Sold:
    standing = reservations.filter(status=Reservation.Status.CONFIRMED).order_by()
    sums = standing.aggregate(
        number=Count("pk"),
        customers=Count("customer", distinct=True),
        paid=Sum("total_price", default=0),
    )
    tickets = Ticket.objects.filter(reservation__in=standing, cancelled_at=None).count()
    Type = LedgerTransaction.Type  # noqa: N806
    movements = LedgerTransaction.objects.filter(reference__in=standing.values("pk"))
    amount = Sum("amount", default=0)
    refunded = movements.filter(type=Type.REFUND).aggregate(total=amount)["total"]
    # What the house has paid, less what it got back: refunds go to it first.
    house = movements.filter(type__in=COUNTER_TYPES).aggregate(
        total=Sum("amount", filter=Q(type__in=(Type.COMP, Type.COMP_BACK)), default=0)
    )["total"]
    return Sold(sums["number"], sums["customers"], tickets, sums["paid"] - refunded, house)


def live_holds_of_performance(performance_id: int) -> int:
    """Count what customers hold of a performance and have not paid."""
    return Hold.objects.filter(performance=performance_id).live(at=timezone.now()).count()


def cancellable_of_performance(performance: Performance) -> int:
    """Count the reservations that their customers may cancel themselves at this moment."""
    now = timezone.now()
    standing = Reservation.objects.filter(
        performance=performance, status=Reservation.Status.CONFIRMED
    )
    until = partial(
        cancellable_until,
        starts_at=performance.starts_at,
        rescheduled_at=performance.rescheduled_at,
        free_cancellation_until=performance.free_cancellation_until,
    )
    if now <= until(held_at=now):
        return standing.count()
    moved_at = performance.rescheduled_at
    if moved_at is None or now > until(held_at=moved_at):
        return 0
    return standing.filter(hold__held_at__lte=moved_at).count()
