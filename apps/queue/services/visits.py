"""A visitor's way through the waiting room: joining, waiting, leaving."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from django.utils import timezone

from apps.concerts.errors import ConcertNotFound, SalesClosed, SalesNotOpen
from apps.core.caching import ProcessCache
from apps.core.database import fetch_all, load_statements
from apps.core.errors import RateLimited, ServiceUnavailable
from apps.queue.core.room import CallToCount, EndReason, JoinRefusal, RoomFault, Visit, VisitStatus
from apps.queue.core.tokens import InvalidToken, TokenClaims
from apps.queue.errors import QueueClosed, QueueTokenInvalid, QueueTokenRequired
from apps.queue.live import live_room, store_needed, token_signer
from apps.queue.models import WaitingRoom
from apps.queue.services.clock import from_micros
from apps.queue.services.finishing import finish_visit
from apps.queue.services.rooms import (
    bring_up_to_date,
    end_again_if_ended,
    get_or_create_waiting_room,
    heal,
    schedule_tick_now,
)

_FORGET_EARLY_END = load_statements(Path(__file__).with_suffix(".sql"))["forget_early_end"]


class VisitorStatus(NamedTuple):
    """Hold what a visitor is told, at `seen_at` by the store's clock.

    `position` is None before opening, while a lost room heals, and when EXPIRED; `choose_until` is None unless ACTIVE.
    """

    token: str
    concert_id: int
    status: str
    position: int | None
    estimated_wait_seconds: int | None
    poll_after_seconds: int | None
    seen_at: datetime
    expires_at: datetime | None
    choose_until: datetime | None
    expired_reason: str | None
    is_new: bool


def join_queue(
    *,
    customer_id: int,
    concert_id: int,
    previous_token: str | None = None,
    call: CallToCount | None = None,
) -> VisitorStatus:
    """Take a place in the queue, or get back the one that the customer has.

    `previous_token` brings back a place that the store has lost; one that is good for nothing is ignored. With `call` that is counted
    before all else, in the round trip that joins, and knows afterwards what was counted, also when joining is refused.

    :raises RateLimited: the call is one too many.
    :raises ConcertNotFound: there is no such concert, or it is offline and the customer has no place yet.
    :raises SalesNotOpen: joining begins with the lottery window; `retry_after` tells when.
    :raises SalesClosed, QueueClosed: it is too late.
    :raises ServiceUnavailable: the store does not answer.
    """
    previous = _previous_claims(previous_token, customer_id=customer_id, concert_id=concert_id)
    visit = _join(customer_id, concert_id, previous, call)
    match visit.outcome:
        case JoinRefusal.OVER_LIMIT:
            raise RateLimited
        case JoinRefusal.SALES_NOT_OPEN:
            raise SalesNotOpen(retry_after=visit.poll_after_seconds)
        case JoinRefusal.SALES_CLOSED:
            raise SalesClosed
        case JoinRefusal.WITHDRAWN:
            raise ConcertNotFound
        case JoinRefusal.QUEUE_CLOSED:
            _refuse_unless_published(concert_id)
            raise QueueClosed
    if visit.is_new and visit.slot == 0:
        early = {"customer_id": customer_id, "concert_id": concert_id}
        fetch_all(_FORGET_EARLY_END, early | {"generation": visit.generation})
    if visit.is_new and (visit.position or 1) == 1:
        schedule_tick_now(concert_id)
    blank = TokenClaims(concert_id, customer_id, slot=0, generation=0, issued_at=0)
    return _status(visit, previous or blank, previous_token or "")


def visitor_status(*, token: str | None) -> VisitorStatus:
    """Return the state of the visit; counts as being seen, and needs no SQL unless the room has to be healed.

    :raises QueueTokenRequired, QueueTokenInvalid: there is no token of ours.
    :raises ServiceUnavailable: the store does not answer.
    """
    claims = read_claims(token)
    return _status(visit_status(claims), claims, token or "")


def leave_queue(*, token: str | None) -> VisitorStatus:
    """Give the place up. Leaving what is over already changes nothing.

    :raises QueueTokenRequired, QueueTokenInvalid: there is no token of ours.
    :raises ServiceUnavailable: the store does not answer.
    """
    claims = read_claims(token)
    visit = visit_status(claims)
    if visit.outcome is not VisitStatus.EXPIRED:
        finish_visit(
            concert_id=claims.concert_id,
            customer_id=claims.customer_id,
            slot=visit.slot,
            generation=visit.generation,
            reason=EndReason.LEFT,
        )
        visit = visit._replace(outcome=VisitStatus.EXPIRED, ended_reason=EndReason.LEFT)
    return _status(visit, claims, token or "")


def read_claims(token: str | None) -> TokenClaims:
    """
    :raises QueueTokenRequired: there is no token.
    :raises QueueTokenInvalid: it is not one of ours, or was altered.
    """
    if not token:
        raise QueueTokenRequired
    try:
        return token_signer().read(token)
    except InvalidToken as error:
        raise QueueTokenInvalid from error


def visit_status(claims: TokenClaims) -> Visit:
    """Return the visit that a token claims, healing the room if it has lost it.

    :raises QueueTokenInvalid: the concert is gone.
    :raises ServiceUnavailable: the store does not answer, or has just been lost once more.
    """
    with store_needed():
        visit = live_room(claims.concert_id).touch(claims)
    if visit.needs_healing:
        try:
            visit = heal(claims, visit)
        except ConcertNotFound as error:
            raise QueueTokenInvalid from error
    if visit.needs_healing:
        raise ServiceUnavailable
    return visit


def _join(
    customer_id: int, concert_id: int, previous: TokenClaims | None, call: CallToCount | None
) -> Visit:
    with store_needed():
        live = live_room(concert_id)
        visit = live.join(customer_id, previous=previous, call=call)
        is_lost = visit.outcome is RoomFault.LOST
        if is_lost and previous is None:
            _refuse_unless_published(concert_id)
        if is_lost or (visit.outcome is JoinRefusal.SALES_CLOSED and _is_retired(concert_id)):
            _revive(concert_id)
            visit = live.join(customer_id, previous=previous)
        if visit.outcome is RoomFault.UNKNOWN and previous:
            visit = heal(previous, visit)
            if visit.outcome is VisitStatus.EXPIRED:
                visit = live.join(customer_id)
        if visit.outcome is RoomFault.UNCERTAIN:
            # The store came back from an old file, in which a visit may go on that has ended since.
            end_again_if_ended(
                TokenClaims(concert_id, customer_id, visit.slot, visit.generation, issued_at=0)
            )
            visit = live.join(customer_id, is_checked=True)
    if visit.needs_healing:
        raise ServiceUnavailable
    return visit


# Asked for each join that is refused after the sales, by a crowd that may be large.
_retired: ProcessCache[int, bool] = ProcessCache(seconds=1.0, entries_max=1_000)


def _is_retired(concert_id: int) -> bool:
    """Return whether nothing ticks the room: what the store says of it may be older than the last decision of staff."""
    room = WaitingRoom.objects.filter(concert_id=concert_id)
    return _retired.get(
        concert_id, lambda: room.filter(activity=WaitingRoom.Activity.RETIRED).exists()
    )


def _revive(concert_id: int) -> None:
    """Make the live room from its row, unless the sales of a retired one are still over.

    :raises SalesClosed: they are.
    """
    room = get_or_create_waiting_room(concert_id)
    is_retired = room.activity == WaitingRoom.Activity.RETIRED
    if is_retired and room.closing_at is not None and room.closing_at <= timezone.now():
        raise SalesClosed
    bring_up_to_date(room)


def _refuse_unless_published(concert_id: int) -> None:
    if not get_or_create_waiting_room(concert_id).concert.is_published:
        raise ConcertNotFound


def _previous_claims(token: str | None, *, customer_id: int, concert_id: int) -> TokenClaims | None:
    if not token:
        return None  # as of nearly all who join
    try:
        claims = read_claims(token)
    except QueueTokenInvalid:
        return None
    is_own = (claims.customer_id, claims.concert_id) == (customer_id, concert_id)
    return claims if is_own else None


def _status(visit: Visit, claims: TokenClaims, token: str) -> VisitorStatus:
    has_ended = visit.outcome is VisitStatus.EXPIRED
    return VisitorStatus(
        token=token if has_ended else _current_token(visit, claims, token),
        concert_id=claims.concert_id,
        status=visit.outcome.value,
        position=None if has_ended else visit.position,
        estimated_wait_seconds=None if has_ended else visit.wait_seconds,
        poll_after_seconds=None if has_ended else visit.poll_after_seconds,
        seen_at=from_micros(visit.at),
        expires_at=from_micros(visit.expires_at) if visit.expires_at and not has_ended else None,
        choose_until=(
            from_micros(min(visit.expires_at, visit.new_holds_until))
            if visit.outcome is VisitStatus.ACTIVE
            else None
        ),
        expired_reason=_reason_shown(visit.ended_reason),
        is_new=visit.is_new,
    )


def _reason_shown(reason: EndReason | None) -> str | None:
    """Return the reason that a visitor is told: MERGED is internal and shown as LEFT."""
    if reason is None:
        return None
    return EndReason.LEFT.value if reason is EndReason.MERGED else reason.value


def _current_token(visit: Visit, claims: TokenClaims, token: str) -> str:
    """Return the token that says what is true now: the one shown if nothing has changed, else a renewed one."""
    is_active = visit.outcome is VisitStatus.ACTIVE
    lease_until = visit.expires_at if is_active else 0
    is_unchanged = (claims.slot, claims.generation, claims.lease_until, claims.admitted_at) == (
        visit.slot,
        visit.generation,
        lease_until,
        visit.admitted_at,
    )
    signer = token_signer()
    if is_unchanged and signer.is_current(token):
        return token
    return signer.issue(
        TokenClaims(
            concert_id=claims.concert_id,
            customer_id=claims.customer_id,
            slot=visit.slot,
            generation=visit.generation,
            issued_at=visit.at,
            lease_until=lease_until,
            admitted_at=visit.admitted_at,
        )
    )
