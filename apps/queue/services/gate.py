"""The gate of everything that only admitted visitors may do, and what happens to their leases."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from apps.core.errors import ServiceUnavailable
from apps.queue.core.room import EndReason, Standing
from apps.queue.core.tokens import Ticket
from apps.queue.errors import (
    QueueTokenExpired,
    QueueTokenInvalid,
    QueueTokenNotActive,
    QueueTokenRequired,
)
from apps.queue.live import live_room, store_needed
from apps.queue.services.clock import micros, moment
from apps.queue.services.visits import look_up, read_ticket

logger = structlog.get_logger(__name__)

HOLD_MARGIN = timedelta(minutes=1)  # a lease outlives the customer's hold by this much


@dataclass(frozen=True, slots=True)
class Place:
    """One visit: what a payment has to end. `place` is 0 for one drawn by lottery."""

    generation: int
    place: int


@dataclass(frozen=True, slots=True)
class Admission:
    """An ACTIVE visit as the gate saw it, at `seen_at` by the store's clock."""

    concert_id: int
    customer_id: int
    generation: int
    place: int
    admitted_at: datetime
    lease_until: datetime
    new_holds_until: datetime
    seen_at: datetime

    @property
    def choose_until(self) -> datetime:
        """Until when new seats may be held; what is held already may be paid for afterwards."""
        return min(self.lease_until, self.new_holds_until)


def admitted_visitor(*, token: str | None, customer_id: int, concert_id: int) -> Admission:
    """The gate: let an admitted visitor pass, and note that they were seen.

    :raises QueueTokenRequired: there is no token.
    :raises QueueTokenInvalid: forged, altered, of another customer or of another concert.
    :raises QueueTokenNotActive: still waiting; `retry_after` is when to ask again.
    :raises QueueTokenExpired: the visit is over.
    :raises ServiceUnavailable: the store does not answer; nobody passes.
    """
    ticket = _own_ticket(token, customer_id=customer_id, concert_id=concert_id)
    visit = look_up(ticket)
    if visit.standing is Standing.WAITING:
        raise QueueTokenNotActive(retry_after=visit.poll_after_seconds)
    if visit.standing is Standing.EXPIRED:
        raise QueueTokenExpired(expired_reason=visit.ended_reason)
    return Admission(
        concert_id=concert_id,
        customer_id=customer_id,
        generation=visit.generation,
        place=visit.place,
        admitted_at=moment(visit.admitted_at),
        lease_until=moment(visit.expires_at),
        new_holds_until=moment(visit.new_holds_until),
        seen_at=moment(visit.at),
    )


def require_new_hold_allowed(*, admission: Admission, has_paid: bool) -> None:
    """Refuse a visitor who may pay for what is held, but claim nothing new: two leases after admission, and after a payment.

    The first payment of a visit ends it. The room hears of it a moment later (`finish_paid_visits`), so until then its gate lets the
    visitor pass; whoever holds seats knows of the sale, and says if the visitor `has_paid`.

    :raises QueueTokenExpired: the visit has been paid in, or that time is over.
    """
    if has_paid:
        raise QueueTokenExpired(expired_reason=EndReason.COMPLETED.value)
    if admission.seen_at > admission.new_holds_until:
        raise QueueTokenExpired


def verified_place(*, token: str | None, customer_id: int, concert_id: int) -> Place:
    """The visit that a token names, by its signature alone: the store is not asked, so it need not be up.

    :raises QueueTokenRequired: there is no token.
    :raises QueueTokenInvalid: forged, altered, of another customer or of another concert.
    """
    ticket = _own_ticket(token, customer_id=customer_id, concert_id=concert_id)
    return Place(generation=ticket.generation, place=ticket.place)


def has_place_in(*, token: str | None, concert_id: int) -> bool:
    """Tell whether a token was given out for a concert, to whomever, by its signature alone."""
    try:
        return read_ticket(token).concert_id == concert_id
    except (QueueTokenRequired, QueueTokenInvalid):
        return False


def concert_of_token(*, token: str | None, customer_id: int) -> int:
    """Return the concert that a customer's token is for, by its signature alone.

    :raises QueueTokenRequired: there is no token.
    :raises QueueTokenInvalid: forged, altered or of another customer.
    """
    ticket = read_ticket(token)
    if ticket.customer_id != customer_id:
        raise QueueTokenInvalid
    return ticket.concert_id


def extend_lease(*, concert_id: int, customer_id: int, place: int, until: datetime) -> None:
    """Let the lease outlive a hold that ends at `until`. Call it after the commit; it never fails.

    The store may be down: the hold is paid without a lease.
    """
    try:
        with store_needed():
            live_room(concert_id).extend_lease(
                customer_id=customer_id, place=place, until=micros(until + HOLD_MARGIN)
            )
    except ServiceUnavailable:
        logger.warning("lease_not_extended", concert_id=concert_id, customer_id=customer_id)


def shorten_lease(
    *, concert_id: int, customer_id: int, place: int, until: datetime | None = None
) -> None:
    """Take back what a hold had added; `until` is when the last of the customer's other holds ends.

    A minute to choose again is left while new holds are allowed. Call it after the commit; it never fails.
    """
    try:
        with store_needed():
            live_room(concert_id).shorten_lease(
                customer_id=customer_id,
                place=place,
                until=micros(until + HOLD_MARGIN) if until else 0,
            )
    except ServiceUnavailable:
        logger.warning("lease_not_shortened", concert_id=concert_id, customer_id=customer_id)


def _own_ticket(token: str | None, *, customer_id: int, concert_id: int) -> Ticket:
    ticket = read_ticket(token)
    if (ticket.customer_id, ticket.concert_id) != (customer_id, concert_id):
        raise QueueTokenInvalid
    return ticket
