"""The gate of everything that only admitted visitors may do, and what happens to their leases."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from apps.core.errors import ServiceUnavailable
from apps.queue.core.room import EndReason, VisitStatus
from apps.queue.core.tokens import TokenClaims
from apps.queue.errors import (
    QueueTokenExpired,
    QueueTokenInvalid,
    QueueTokenNotActive,
    QueueTokenRequired,
)
from apps.queue.live import live_room, store_needed
from apps.queue.services.clock import from_micros, to_micros
from apps.queue.services.visits import read_claims, visit_status

logger = structlog.get_logger(__name__)

HOLD_MARGIN = timedelta(minutes=1)  # a lease outlives the customer's hold by this much


@dataclass(frozen=True, slots=True)
class VisitRef:
    """One visit: what a payment has to end. `slot` is 0 for one drawn by lottery."""

    generation: int
    slot: int


@dataclass(frozen=True, slots=True)
class Admission:
    """An ACTIVE visit as the gate saw it, at `seen_at` by the store's clock."""

    concert_id: int
    customer_id: int
    generation: int
    slot: int
    admitted_at: datetime
    lease_until: datetime
    new_holds_until: datetime
    seen_at: datetime

    @property
    def choose_until(self) -> datetime:
        """Return until when new seats may be held; what is held already may be paid for afterwards."""
        return min(self.lease_until, self.new_holds_until)


def admitted_visitor(*, token: str | None, customer_id: int, concert_id: int) -> Admission:
    """Let an admitted visitor through the gate, and note that they were seen.

    :raises QueueTokenRequired: there is no token.
    :raises QueueTokenInvalid: forged, altered, of another customer or of another concert.
    :raises QueueTokenNotActive: still waiting; `retry_after` is when to ask again.
    :raises QueueTokenExpired: the visit is over.
    :raises ServiceUnavailable: the store does not answer; no visitor passes.
    """
    claims = _own_claims(token, customer_id=customer_id, concert_id=concert_id)
    visit = visit_status(claims)
    if visit.outcome is VisitStatus.WAITING:
        raise QueueTokenNotActive(retry_after=visit.poll_after_seconds)
    if visit.outcome is VisitStatus.EXPIRED:
        raise QueueTokenExpired(expired_reason=visit.ended_reason)
    return Admission(
        concert_id=concert_id,
        customer_id=customer_id,
        generation=visit.generation,
        slot=visit.slot,
        admitted_at=from_micros(visit.admitted_at),
        lease_until=from_micros(visit.expires_at),
        new_holds_until=from_micros(visit.new_holds_until),
        seen_at=from_micros(visit.at),
    )


def require_new_hold_allowed(*, admission: Admission, has_paid: bool) -> None:
    """Refuse a visitor who may pay for what is held, but claim nothing new: two leases after admission, and after a payment.

    The first payment of a visit ends it. The room hears of it a moment later (`finish_paid_visits`), so until then its gate lets the
    visitor pass; the service that holds seats knows of the sale, and says if the visitor `has_paid`.

    :raises QueueTokenExpired: the visit has been paid in, or that time is over.
    """
    if has_paid:
        raise QueueTokenExpired(expired_reason=EndReason.COMPLETED.value)
    if admission.seen_at > admission.new_holds_until:
        raise QueueTokenExpired


def verify_token(*, token: str | None, customer_id: int, concert_id: int) -> VisitRef:
    """Return the visit that a token names, by its signature alone: the store is not asked, so it need not be up.

    :raises QueueTokenRequired: there is no token.
    :raises QueueTokenInvalid: forged, altered, of another customer or of another concert.
    """
    claims = _own_claims(token, customer_id=customer_id, concert_id=concert_id)
    return VisitRef(generation=claims.generation, slot=claims.slot)


def has_slot_in(*, token: str | None, concert_id: int) -> bool:
    """Tell whether a token was given out for a concert, to whomever, by its signature alone."""
    try:
        return read_claims(token).concert_id == concert_id
    except (QueueTokenRequired, QueueTokenInvalid):
        return False


def concert_of_token(*, token: str | None, customer_id: int) -> int:
    """Return the concert that a customer's token is for, by its signature alone.

    :raises QueueTokenRequired: there is no token.
    :raises QueueTokenInvalid: forged, altered or of another customer.
    """
    claims = read_claims(token)
    if claims.customer_id != customer_id:
        raise QueueTokenInvalid
    return claims.concert_id


def extend_lease(*, concert_id: int, customer_id: int, slot: int, until: datetime) -> None:
    """Let the lease outlive a hold that ends at `until`. Call it after the commit; it never fails.

    The store may be down: the hold is paid without a lease.
    """
    try:
        with store_needed():
            live_room(concert_id).extend_lease(
                customer_id=customer_id, slot=slot, until=to_micros(until + HOLD_MARGIN)
            )
    except ServiceUnavailable:
        logger.warning("lease_not_extended", concert_id=concert_id, customer_id=customer_id)


def shorten_lease(
    *, concert_id: int, customer_id: int, slot: int, until: datetime | None = None
) -> None:
    """Take back what a hold had added; `until` is when the last of the customer's other holds ends.

    A minute to choose again is left while new holds are allowed. Call it after the commit; it never fails.
    """
    try:
        with store_needed():
            live_room(concert_id).shorten_lease(
                customer_id=customer_id,
                slot=slot,
                until=to_micros(until + HOLD_MARGIN) if until else 0,
            )
    except ServiceUnavailable:
        logger.warning("lease_not_shortened", concert_id=concert_id, customer_id=customer_id)


def _own_claims(token: str | None, *, customer_id: int, concert_id: int) -> TokenClaims:
    claims = read_claims(token)
    if (claims.customer_id, claims.concert_id) != (customer_id, concert_id):
        raise QueueTokenInvalid
    return claims
