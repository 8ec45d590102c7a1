"""Add up what counts towards the won that one member of staff may give back: small parts do, and so does a move to cheaper seats."""

from collections.abc import Collection, Iterable

from django.conf import settings

from apps.reservations.models import Reservation


def is_above_limit(amount: int) -> bool:
    """Tell whether a second person has to approve that so many won are given back."""
    return amount > settings.REFUND_LIMIT_WITHOUT_APPROVAL


def given_back_by_moves(reservations: Iterable[Reservation]) -> int:
    """Return the won by which the prices fell when customers were moved, as often as it took, to these reservations.

    What the house had paid of it is part of that: it may ask for an approval that nobody needed, and never the other way round.
    """
    reservations = list(reservations)
    customers = {reservation.customer_id for reservation in reservations}
    moves = Reservation.objects.filter(customer__in=customers, moved_to__isnull=False)
    before = {
        new: (old, price) for new, old, price in moves.values_list("moved_to", "pk", "total_price")
    }
    total = 0
    for reservation in reservations:
        pk, price = reservation.pk, reservation.total_price
        while pk in before:
            pk, old_price = before[pk]
            total += max(0, old_price - price)
            price = old_price
    return total


def given_back_if_cancelled(reservation_ids: Collection[str]) -> int:
    """Return the won that will have been given back in all of those of these reservations that stand, once they are cancelled."""
    standing = Reservation.objects.filter(
        pk__in=reservation_ids, status=Reservation.Status.CONFIRMED
    )
    found = list(standing.only("customer", "total_price"))
    return sum(reservation.total_price for reservation in found) + given_back_by_moves(found)
