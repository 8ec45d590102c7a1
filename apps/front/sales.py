"""The two calls of a sale: holding chosen seats and paying for a hold.

They differ from the calls of the crowd in what must not happen twice. A refusal has written nothing, so Django may be asked again;
a call that failed after it had decided may have been committed, so Django is told of the failure and tries nothing. And a copy of
a login lets no caller at seats or money: PostgreSQL is asked for each.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID
from wsgiref.types import WSGIEnvironment

from django.conf import settings
from django.utils import translation

from apps.accounts.authentication import bearer_token
from apps.accounts.models import token_digest
from apps.accounts.selectors import live_customer
from apps.api.fields import BIGINT_MAX, is_canonical_uuid
from apps.api.idempotency import fingerprint_of, idempotent, usable_key
from apps.api.refusal_counts import count_refusal
from apps.api.responses import as_json, error_body
from apps.api.throttling import Quota, caller_of_customer, hit_limit_of_caller
from apps.api.views import FAILURE, ApiView, IdempotentView
from apps.concerts.models import SEATS_PER_CUSTOMER_MAX
from apps.core.codes import CODES
from apps.core.errors import DomainError, ServiceUnavailable
from apps.core.transactions import Steps
from apps.front.answers import Answer, Envelope
from apps.front.calls import Call
from apps.front.routes import Route, is_usual_post, noted, quota_headers
from apps.queue.services import concert_of_token
from apps.reservations.errors import SeatAlreadyHeld, SeatAlreadyReserved
from apps.reservations.serializers import confirmation_data, held_seats_data
from apps.reservations.services import admission_to_look, confirm_reservation, hold_seats
from apps.reservations.views.holds import HELD, HoldsView
from apps.reservations.views.reservations import CONFIRMED, ReservationsView

BODY_MAX = 512  # bytes; enough for the ids of ten seats
HOLDS, RESERVATIONS = "/api/v1/holds", "/api/v1/reservations"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Sale:
    """A call of a customer, as far as everything about it is usual."""

    call: Call
    customer_id: int
    quota: Quota | None
    key: str | None
    body: dict[str, Any]

    @property
    def queue_token(self) -> str | None:
        return self.call.environ.get("HTTP_QUEUE_TOKEN")

    def answer(
        self,
        view: type[IdempotentView],
        decide: Callable[[], Steps[T]],
        envelope: Envelope,
        data_of: Callable[[T], dict[str, Any]],
    ) -> Answer | None:
        """Have the effect once and answer as `view` would; None for the answer to an earlier call with the same key.

        :raises DomainError: refused; nothing was written.
        """
        environ = self.call.environ
        has_decided = False

        def rendered(result: T) -> tuple[int, bytes]:
            nonlocal has_decided
            has_decided = True
            return 201, envelope.around(as_json(data_of(result)), self.call.language)

        try:
            kept = idempotent(
                customer_id=self.customer_id,
                operation=view.idempotent_as,
                key=self.key,
                fingerprint=fingerprint_of("POST", environ["PATH_INFO"], self.body),
                decide=decide,
                render=rendered,
            )
        except Exception as error:
            is_refusal = isinstance(error, DomainError)
            if isinstance(error, ServiceUnavailable) or (has_decided and not is_refusal):
                environ[FAILURE] = error
            raise
        if kept.is_replay:
            return None
        return Answer(kept.status, kept.body, quota_headers(self.quota))

    def error_answer(self, refusal: DomainError) -> Answer:
        count_refusal(refusal.code)
        entry = CODES[refusal.code]
        with translation.override(self.call.language):
            body = as_json(error_body(refusal.code, refusal.details, refusal.message))
        again = [("Retry-After", str(refusal.retry_after or 1))] if entry.retryable else []
        return Answer(entry.status, body, [*again, *quota_headers(self.quota)])


# --- Reading a call ---------------------------------------------------------------------------------------------------


def _is_usual(environ: WSGIEnvironment) -> bool:
    key = environ.get("HTTP_IDEMPOTENCY_KEY")
    return is_usual_post(environ, BODY_MAX) and (key is None or usable_key(key))


def _is_usual_with_key(environ: WSGIEnvironment) -> bool:
    return "HTTP_IDEMPOTENCY_KEY" in environ and _is_usual(environ)


def _read(call: Call, view: type[ApiView], fields: set[str]) -> _Sale | None:
    """Return what a call wants; None if it is unusual, of a stranger, or one too many."""
    # Before the body: a caller without a login must not make a thread wait for one.
    bearer = bearer_token(call.environ.get("HTTP_AUTHORIZATION", ""))
    login = live_customer(token_digest(bearer)) if bearer else None
    if login is None:
        return None
    customer_id, _ = login
    quota = _count(call, view, customer_id)
    if quota is not None and quota.is_exceeded:
        return None
    body = call.read_body()
    try:
        asked = json.loads(body.decode()) if body else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(asked, dict) or asked.keys() != fields:
        return None
    return _Sale(call, customer_id, quota, call.environ.get("HTTP_IDEMPOTENCY_KEY"), asked)


def _count(call: Call, view: type[ApiView], customer_id: int) -> Quota | None:
    name = view.rate_limit_of("POST")
    if name is None or not settings.RATE_LIMIT_ENABLED:
        return None
    return noted(call, hit_limit_of_caller(name, caller_of_customer(customer_id)))


def _is_id(value: object) -> bool:
    return type(value) is int and 1 <= value <= BIGINT_MAX


def _are_seats(value: object) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= SEATS_PER_CUSTOMER_MAX
        and all(map(_is_id, value))
        and len(set(value)) == len(value)
    )


# --- The calls --------------------------------------------------------------------------------------------------------

_held = Envelope(HELD)
_confirmed = Envelope(CONFIRMED)


def hold(call: Call, _no_id: int) -> Answer | None:
    sale = _read(call, HoldsView, {"performance_id", "seat_ids"})
    if sale is None:
        return None
    performance_id, seat_ids = sale.body["performance_id"], sale.body["seat_ids"]
    if not _is_id(performance_id) or not _are_seats(seat_ids):
        return None
    admission = admission_to_look(
        token=sale.queue_token, customer_id=sale.customer_id, performance_id=performance_id
    )
    decide = partial(
        hold_seats.decide,
        customer_id=sale.customer_id,
        performance_id=performance_id,
        seat_ids=seat_ids,
        admission=admission,
    )
    try:
        return sale.answer(HoldsView, decide, _held, held_seats_data)
    except (SeatAlreadyHeld, SeatAlreadyReserved) as refusal:
        # The ones that a crowd gets.
        return sale.error_answer(refusal)


def confirm(call: Call, _no_id: int) -> Answer | None:
    sale = _read(call, ReservationsView, {"hold_id"})
    if sale is None or not is_canonical_uuid(sale.body["hold_id"]):
        return None
    decide = partial(
        confirm_reservation.decide,
        customer_id=sale.customer_id,
        hold_id=UUID(sale.body["hold_id"]),
        token_concert_id=concert_of_token(token=sale.queue_token, customer_id=sale.customer_id),
    )
    return sale.answer(ReservationsView, decide, _confirmed, confirmation_data)


SALES = {
    ("POST", HOLDS): Route("hold", hold, _is_usual),
    ("POST", RESERVATIONS): Route("pay", confirm, _is_usual_with_key),
}
