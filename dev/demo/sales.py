"""Sales before the demo begins, through the same services as every other sale: ledger, tickets and ranking are right."""

from collections.abc import Iterator, Sequence
from itertools import cycle

from django.conf import settings

from apps.accounts.models import User
from apps.concerts.models import Performance, Seat
from apps.concerts.selectors import seats_of
from apps.core.transactions import run_in_transaction
from apps.outbox.draining import drain
from apps.payments.selectors import wallet_balance
from apps.payments.services import charge_wallet
from apps.reservations.models import Reservation
from apps.reservations.services import confirm_reservation, hold_seats

PARTY_SIZES = (2, 4, 1, 3, 2)


def sell_seats(*, performance: Performance, seats: int, fans: Sequence[User]) -> int:
    """Sell the first `seats` seats, each fan buying once, and go on where an earlier call was interrupted.

    Returns how many reservations were made.
    """
    parties = _parties(seats, largest=performance.concert.seats_per_customer)
    made_before = Reservation.objects.filter(performance=performance, customer__in=fans).count()
    if made_before >= len(parties):
        return 0
    seat_ids = list(seats_of(performance.pk).values_list("pk", flat=True)[:seats])
    taken = sum(parties[:made_before])
    for fan, size in zip(fans[made_before:], parties[made_before:], strict=False):
        buy_seats(fan, performance, seat_ids[taken : taken + size])
        taken += size
    return len(parties) - made_before


def settle_ranking() -> None:
    """Count what was sold now, instead of waiting for a worker."""
    while drain(consumer="ranking").has_more:
        pass


def _parties(seats: int, *, largest: int) -> list[int]:
    """Yield how many seats each buyer takes, `seats` in all."""
    sizes: Iterator[int] = cycle(PARTY_SIZES)
    parties: list[int] = []
    while (left := seats - sum(parties)) > 0:
        parties.append(min(next(sizes), largest, left))
    return parties


def buy_seats(customer: User, performance: Performance, seat_ids: Sequence[int]) -> Reservation:
    """At the box office, topping the balance up if it is too low."""
    price = sum(Seat.objects.filter(pk__in=seat_ids).values_list("price", flat=True))
    if wallet_balance(customer_id=customer.pk) < price:
        charge_wallet(customer_id=customer.pk, amount=settings.CHARGE_LIMIT)

    def buy() -> Reservation:
        held = hold_seats(
            customer_id=customer.pk,
            performance_id=performance.pk,
            seat_ids=seat_ids,
            admission=None,
        )
        return confirm_reservation(customer_id=customer.pk, hold_id=held.hold.pk).reservation

    return run_in_transaction(buy)
