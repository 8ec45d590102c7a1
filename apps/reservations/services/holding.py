"""Claiming seats. Locks: customer and performance, seats (never waiting for them), overdue holds; see `docs/locking.md`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Max

from apps.concerts.errors import SeatNotFound
from apps.concerts.models import Performance, Seat
from apps.queue.services import (
    Admission,
    extend_lease,
    require_new_hold_allowed,
    shorten_lease,
)
from apps.reservations.errors import (
    HoldExpired,
    HoldNotFound,
    HoldNotLive,
    NotEnoughSeats,
    SeatAlreadyHeld,
    SeatAlreadyReserved,
    SeatLimitExceeded,
)
from apps.reservations.models import Hold, SeatClaim
from apps.reservations.selectors import best_available_seat_ids
from apps.reservations.services.expiring import end_as_expired
from apps.shared.transactions import (
    LOCK_NOT_AVAILABLE,
    database_now,
    requires_transaction,
    sqlstate,
    use_case,
)

ADJACENT_ATTEMPTS = 10


@requires_transaction
def hold_seats(
    *,
    customer_id: int,
    performance: Performance,
    seat_ids: Sequence[int],
    admission: Admission | None,
) -> Hold:
    """Claim seats for one customer until `HOLD_TIME` from now, all of them or none.

    `performance` comes with its concert. `admission` is None for sales at the box office, which nobody queues for.

    :raises SeatAlreadyHeld: somebody else holds one of them, or is claiming it at this moment.
    :raises SeatAlreadyReserved: one of them is sold or kept back.
    :raises SeatLimitExceeded: the customer would have more than the concert allows.
    :raises SeatNotFound: one of them is not a seat of this performance.
    :raises SalesNotOpen, SalesClosed: outside the sales window, or the performance has begun.
    :raises QueueTokenExpired: the visitor was admitted too long ago to claim anything new.
    """
    if admission is not None:
        require_new_hold_allowed(admission=admission)
    _lock("hold", performance.pk, customer_id)
    _refuse_unless_allowed(customer_id, performance, len(seat_ids), at=database_now())
    seats = _lock_seats(performance, seat_ids)
    now = database_now()
    _end_overdue_or_refuse(seats, at=now)
    return _claim(customer_id, performance, seats, admission, at=now)


@requires_transaction
def hold_best_available(
    *,
    customer_id: int,
    performance: Performance,
    quantity: int,
    grade: str | None,
    admission: Admission | None,
) -> Hold:
    """Claim the best `quantity` free seats, side by side if there are such, of one grade if it is named.

    Seats that others are claiming at this moment are passed over.

    :raises NotEnoughSeats: fewer than `quantity` are free.
    :raises SeatLimitExceeded, SalesNotOpen, SalesClosed, QueueTokenExpired: as for `hold_seats`.
    """
    if admission is not None:
        require_new_hold_allowed(admission=admission)
    _lock("hold", performance.pk, customer_id)
    # One after the other, so that each chooses among what the one before it has left.
    _lock("best available", performance.pk)
    now = database_now()
    _refuse_unless_allowed(customer_id, performance, quantity, at=now)
    for seat_ids in best_available_seat_ids(
        performance_id=performance.pk,
        quantity=quantity,
        grade=grade,
        at=now,
        limit=ADJACENT_ATTEMPTS,
    ):
        seats = list(
            Seat.objects.filter(pk__in=seat_ids)
            .order_by("pk")
            .select_for_update(of=("self",), no_key=True, skip_locked=True)
        )
        now = database_now()
        if len(seats) == quantity and _are_free(seats, at=now):
            return _claim(customer_id, performance, seats, admission, at=now)
    raise NotEnoughSeats(retry_after=1)


@use_case
def release_hold(*, customer_id: int, hold_id: UUID) -> Hold:
    """Give the seats back at once.

    :raises HoldNotFound: there is none, or it is somebody else's.
    :raises HoldNotLive: it was paid or released before.
    :raises HoldExpired: its time is over.
    """
    hold = lock_hold_with_seats(customer_id=customer_id, hold_id=hold_id)
    now = database_now()
    refuse_unless_live(hold, at=now)
    hold.status = Hold.Status.RELEASED
    hold.ended_at = now
    hold.save(update_fields=["status", "ended_at"])
    hold.claims.update(ended_at=now)
    _shorten_lease_on_commit(hold, at=now)
    return hold


@requires_transaction
def lock_hold_with_seats(*, customer_id: int, hold_id: UUID) -> Hold:
    """Lock the customer, the seats of a hold, then the hold, waiting for each.

    Which seats it has is read unlocked: they never change. Without the customer's lock a hold request could count the
    seats of a hold that is overdue for it and paid in time for this transaction.

    :raises HoldNotFound: there is none, or it is somebody else's.
    """
    claims = list(SeatClaim.objects.filter(hold=hold_id).values_list("seat_id", "performance_id"))
    if not claims:
        raise HoldNotFound
    _lock("hold", claims[0][1], customer_id)
    seat_ids = [seat_id for seat_id, _performance_id in claims]
    list(Seat.objects.filter(pk__in=seat_ids).lock().values_list("pk"))
    hold = (
        Hold.objects.of_customer(customer_id)
        .select_related("performance__concert")
        .filter(pk=hold_id)
        .lock()
        .first()
    )
    if hold is None:
        raise HoldNotFound
    return hold


def refuse_unless_live(hold: Hold, *, at: datetime) -> None:
    """:raises HoldExpired, HoldNotLive: it ended by the clock, or in another way."""
    if hold.is_expired(at):
        raise HoldExpired
    if hold.status != Hold.Status.HELD:
        raise HoldNotLive


def _shorten_lease_on_commit(hold: Hold, *, at: datetime) -> None:
    if hold.queue_place is None:
        return
    concert_id, place = hold.performance.concert_id, hold.queue_place
    others = Hold.objects.of_customer(hold.customer_id).live(at=at)
    until = others.filter(performance__concert=concert_id).aggregate(last=Max("expires_at"))["last"]
    transaction.on_commit(
        lambda: shorten_lease(
            concert_id=concert_id, customer_id=hold.customer_id, place=place, until=until
        ),
        robust=True,
    )


def _lock(purpose: str, *ids: int) -> None:
    """Wait for an advisory lock that lasts until the transaction ends.

    "hold" with performance and customer: one request at a time, so that two cannot pass the seat limit together.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [" ".join([purpose, *map(str, ids)])],
        )


def _refuse_unless_allowed(
    customer_id: int, performance: Performance, quantity: int, *, at: datetime
) -> None:
    performance.refuse_unless_on_sale(at)
    limit = performance.concert.seats_per_customer
    taken = (
        SeatClaim.objects.live(at=at)
        .of_performance(performance.pk)
        .filter(hold__customer=customer_id)
        .count()
    )
    if taken + quantity > limit:
        raise SeatLimitExceeded(limit=limit, taken=taken)


def _lock_seats(performance: Performance, seat_ids: Sequence[int]) -> list[Seat]:
    wanted = Seat.objects.of_performance(performance.pk).filter(pk__in=seat_ids)
    try:
        seats = list(wanted.lock(nowait=True))
    except OperationalError as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        # Somebody is claiming or paying for one of them right now. Whoever it is will be done in a moment.
        raise SeatAlreadyHeld(retry_after=1) from error
    if len(seats) != len(set(seat_ids)):
        found = {seat.pk for seat in seats}
        raise SeatNotFound(seat_ids=sorted(set(seat_ids) - found))
    return seats


def _claim(
    customer_id: int,
    performance: Performance,
    seats: list[Seat],
    admission: Admission | None,
    *,
    at: datetime,
) -> Hold:
    """Insert the hold on seats that are locked and found free."""
    hold = Hold.objects.create(
        customer_id=customer_id,
        performance=performance,
        total_price=sum(seat.price for seat in seats),
        seat_limit=performance.concert.seats_per_customer,
        queue_place=admission.place if admission else None,
        queue_generation=admission.generation if admission else None,
        held_at=at,
        expires_at=at + settings.HOLD_TIME,
    )
    try:
        SeatClaim.objects.bulk_create(
            SeatClaim(hold=hold, performance=performance, seat=seat, price=seat.price)
            for seat in seats
        )
    except IntegrityError as error:
        # The locks should have prevented this; the constraint is what makes it impossible.
        raise SeatAlreadyHeld(retry_after=1) from error
    if admission is not None:
        concert_id, place, until = performance.concert_id, admission.place, hold.expires_at
        transaction.on_commit(
            lambda: extend_lease(
                concert_id=concert_id, customer_id=customer_id, place=place, until=until
            ),
            robust=True,
        )
    return hold


def _are_free(seats: list[Seat], *, at: datetime) -> bool:
    try:
        _end_overdue_or_refuse(seats, at=at)
    except (SeatAlreadyHeld, SeatAlreadyReserved):
        return False
    return True


def _end_overdue_or_refuse(seats: list[Seat], *, at: datetime) -> None:
    """End holds on these locked seats whose time is over; refuse if anything else stands in the way."""
    blocked = [seat.pk for seat in seats if seat.is_blocked]
    if blocked:
        raise SeatAlreadyReserved(seat_ids=blocked)
    claims = SeatClaim.objects.open().filter(seat__in=seats).select_related("hold")
    overdue: set[UUID] = set()
    for claim in claims.order_by("seat_id"):
        if claim.hold.status == Hold.Status.CONFIRMED:
            raise SeatAlreadyReserved(seat_ids=[claim.seat_id])
        if not claim.hold.is_expired(at):
            raise SeatAlreadyHeld(seat_ids=[claim.seat_id])
        overdue.add(claim.hold_id)
    if overdue:
        locked = Hold.objects.filter(pk__in=overdue).overdue(at=at).lock()
        end_as_expired(locked.values_list("pk", flat=True))
