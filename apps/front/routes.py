"""The calls of the crowd. Each returns its answer; whatever it refuses or returns None for is left to Django.

What a route has done by then is safe to be done again: a place is kept when it is asked for twice, leaving twice is leaving once,
being seen twice is being seen. A call that was counted against a limit says so in its environment.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast
from wsgiref.types import WSGIEnvironment

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.utils import translation

from apps.accounts.authentication import bearer_token
from apps.accounts.login_copies import customer_id_of
from apps.accounts.models import token_digest
from apps.accounts.selectors import live_customer
from apps.api.throttling import (
    COUNTED_QUOTA,
    CallToCount,
    Quota,
    caller_of_customer,
    caller_of_network,
    hit_limit_of_caller,
    is_counted_on,
)
from apps.concerts.selectors import current_seat_map
from apps.core.path_converters import BIGINT_MAX
from apps.front.answers import (
    Answer,
    Envelope,
    Header,
    PlainRenderer,
    etag_of,
    is_known,
)
from apps.front.calls import Call, has_no_body, takes_json
from apps.queue import views as queue_views
from apps.queue.selectors import (
    STATUSES_KEPT,
    WaitingRoomStatus,
    waiting_room_status,
    waiting_room_status_at_hand,
)
from apps.queue.serializers import (
    BoardSerializer,
    QueueTokenSerializer,
    VisitorStatusSerializer,
)
from apps.queue.services import VisitorStatus, join_queue, leave_queue, visitor_status
from apps.reservations.selectors import availability
from apps.reservations.services import admission_to_look
from apps.reservations.views.seats import AVAILABILITY, SEAT_MAP
from apps.storefront.views.waiting import status_answer

BODY_MAX = 256  # bytes; a join is shorter, however it is spaced
_JOIN_BODY = re.compile(
    rb'[ \t\r\n]*\{[ \t\r\n]*"concert_id"[ \t\r\n]*:[ \t\r\n]*(0|[1-9][0-9]{0,18})[ \t\r\n]*\}[ \t\r\n]*'
)
_LENGTH = re.compile(r"[1-9][0-9]{0,2}")
AVAILABILITIES_KEPT = 256
MAPS_KEPT = 32

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Route:
    """`answer` gets the call and the id in its path, 0 if there is none; `is_usual` looks at the rest of the call.

    `answer_at_hand` is asked first, and calls nothing that could fail or log.
    """

    name: str
    answer: Callable[[Call, int], Answer | None]
    is_usual: Callable[[WSGIEnvironment], bool]
    answer_at_hand: Callable[[WSGIEnvironment, int], Answer | None] | None = None


def _is_usual_read(environ: WSGIEnvironment) -> bool:
    return takes_json(environ) and has_no_body(environ)


def _is_usual_look_at_room(environ: WSGIEnvironment) -> bool:
    """Leave those who show a token to Django: while a concert is offline it makes a difference to them."""
    return "HTTP_QUEUE_TOKEN" not in environ and _is_usual_read(environ)


def is_usual_post(environ: WSGIEnvironment, body_max: int) -> bool:
    """Return whether it is JSON of at most `body_max` bytes from a caller that has a login to show."""
    length = environ.get("CONTENT_LENGTH") or ""
    return (
        takes_json(environ)
        and environ.get("CONTENT_TYPE") == "application/json"
        and _LENGTH.fullmatch(length) is not None
        and int(length) <= body_max
        and bearer_token(environ.get("HTTP_AUTHORIZATION", "")) is not None
    )


def _is_usual_join(environ: WSGIEnvironment) -> bool:
    return is_usual_post(environ, BODY_MAX)


# --- The place in the queue -------------------------------------------------------------------------------------------

_joined = Envelope(queue_views.JOINED)
_joined_before = Envelope(queue_views.JOINED_BEFORE)
_own_place = Envelope(queue_views.OWN_PLACE)
_left = Envelope(queue_views.LEFT)
_JOIN_LIMIT = queue_views.QueueTokensView.rate_limits["POST"]
_render_token = PlainRenderer(QueueTokenSerializer)
_render_status = PlainRenderer(VisitorStatusSerializer)


def join(call: Call, _no_id: int) -> Answer | None:
    """Take a place for the customer, who is asked of PostgreSQL: most join once, so that a copy of the login would not be there yet.

    Counting against the limit and joining is one round trip where the counters and the rooms are on one server.
    """
    # Before the body: a caller without a login must not make a thread wait for one.
    bearer = bearer_token(call.environ.get("HTTP_AUTHORIZATION", ""))
    login = live_customer(token_digest(bearer)) if bearer else None
    body = call.read_body() if login else None
    wanted = _JOIN_BODY.fullmatch(body) if body else None
    if login is None or wanted is None or int(wanted[1]) > BIGINT_MAX:
        return None
    customer_id, _ = login
    quota, to_count = None, None
    if settings.RATE_LIMIT_ENABLED:
        caller = caller_of_customer(customer_id)
        if is_counted_on(settings.QUEUE_URL):
            to_count = CallToCount(_JOIN_LIMIT, caller)
        else:
            quota = noted(call, hit_limit_of_caller(_JOIN_LIMIT, caller))
            if quota is not None and quota.is_exceeded:
                return None
    try:
        status = join_queue(
            customer_id=customer_id,
            concert_id=int(wanted[1]),
            previous_token=call.environ.get("HTTP_QUEUE_TOKEN"),
            call=to_count,
        )
    finally:
        if to_count is not None:
            quota = noted(call, to_count.quota)
    envelope = _joined if status.is_new else _joined_before
    return Answer(
        201 if status.is_new else 200,
        envelope.around(_render_token(status), call.language),
        [*_advice(status), *quota_headers(quota)],
    )


def show_place(call: Call, _no_id: int) -> Answer | None:
    status = visitor_status(token=call.environ.get("HTTP_QUEUE_TOKEN"))
    body = _own_place.around(_render_status(status), call.language)
    return Answer(200, body, _advice(status))


def leave(call: Call, _no_id: int) -> Answer | None:
    name = queue_views.OwnQueueTokenView.rate_limit_of("DELETE")
    quota = None
    if name is not None and settings.RATE_LIMIT_ENABLED:
        quota = noted(call, hit_limit_of_caller(name, caller_of_network(call.environ)))
    if quota is not None and quota.is_exceeded:
        return None
    status = leave_queue(token=call.environ.get("HTTP_QUEUE_TOKEN"))
    body = _left.around(_render_status(status), call.language)
    return Answer(200, body, [*_advice(status), *quota_headers(quota)])


def poll_page(call: Call, concert_id: int) -> Answer | None:
    request = WSGIRequest(call.environ)
    with translation.override(call.language):
        response = status_answer(request, concert_id)
    cookies = [("Set-Cookie", cookie.output(header="")) for cookie in response.cookies.values()]
    return Answer(response.status_code, response.content, cookies)


def _customer_id(call: Call) -> int | None:
    bearer = bearer_token(call.environ.get("HTTP_AUTHORIZATION", ""))
    return customer_id_of(token_digest(bearer)) if bearer else None


def noted(call: Call, quota: Quota | None) -> Quota | None:
    """Leave word for the view that the call has been counted, should it come to that."""
    if quota is not None:
        call.environ[COUNTED_QUOTA] = quota
    return quota


def quota_headers(quota: Quota | None) -> list[Header]:
    return list(quota.headers().items()) if quota is not None else []


def _advice(status: VisitorStatus) -> list[Header]:
    seconds = status.poll_after_seconds
    return [] if seconds is None else [("Retry-After", str(seconds))]


# --- What is the same for everybody -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rendered:
    """The bytes of an object and the headers that go with them."""

    source: object
    body: bytes
    etag: str
    headers: list[Header] = field(default_factory=list)

    def answer(self, environ: WSGIEnvironment) -> Answer:
        if is_known(environ, self.etag):
            return Answer(304, b"", self.headers)
        return Answer(200, self.body, self.headers)


_room_status = Envelope(queue_views.BOARD)
_availability = Envelope(AVAILABILITY)
_seat_map = Envelope(SEAT_MAP)
_render_room_status = PlainRenderer(BoardSerializer)
_room_statuses: dict[int, _Rendered] = {}
_availabilities: dict[tuple[int, str], _Rendered] = {}
_maps: dict[tuple[int, str], _Rendered] = {}


def _keep(kept: dict[Key, _Rendered], key: Key, rendered: _Rendered, entries_max: int) -> _Rendered:
    """Keep bytes for as long as what they were made from is what is shown; who comes too late begins anew."""
    if len(kept) >= entries_max:
        kept.clear()
    kept[key] = rendered
    return rendered


def show_room_status(call: Call, concert_id: int) -> Answer | None:
    status = waiting_room_status(concert_id)
    rendered = _keep(_room_statuses, concert_id, _rendered_status(status), STATUSES_KEPT)
    return rendered.answer(call.environ)


def room_status_at_hand(environ: WSGIEnvironment, concert_id: int) -> Answer | None:
    status = waiting_room_status_at_hand(concert_id)
    rendered = _room_statuses.get(concert_id)
    if status is None or rendered is None or rendered.source is not status:
        return None
    return rendered.answer(environ)


def _rendered_status(status: WaitingRoomStatus) -> _Rendered:
    body = _room_status.around(_render_room_status(status), settings.LANGUAGE_CODE)
    etag = etag_of(body)
    return _Rendered(status, body, etag, [("ETag", etag)])


def _may_look(call: Call, performance_id: int) -> bool:
    """Return whether the call has a login.

    :raises DomainError: the waiting room does not let the customer look at the seats.
    """
    customer_id = _customer_id(call)
    if customer_id is None:
        return False
    admission_to_look(
        token=call.environ.get("HTTP_QUEUE_TOKEN"),
        customer_id=customer_id,
        performance_id=performance_id,
    )
    return True


def show_availability(call: Call, performance_id: int) -> Answer | None:
    if not _may_look(call, performance_id):
        return None
    current = availability(performance_id)
    key = (performance_id, call.language)
    rendered = _availabilities.get(key)
    if rendered is None or rendered.source != current.version:
        body = _availability.around(current.data, call.language)
        rendered = _Rendered(current.version, body, current.etag, [("ETag", current.etag)])
        _keep(_availabilities, key, rendered, AVAILABILITIES_KEPT)
    return rendered.answer(call.environ)


def show_seat_map(call: Call, performance_id: int) -> Answer | None:
    if not _may_look(call, performance_id):
        return None
    drawn = current_seat_map(performance_id)
    key = (performance_id, call.language)
    rendered = _maps.get(key)
    if rendered is None or rendered.source is not drawn:
        body = _seat_map.around(drawn.data, call.language)
        rendered = _Rendered(drawn, body, drawn.etag, [("ETag", drawn.etag)])
        _keep(_maps, key, rendered, MAPS_KEPT)
    return rendered.answer(call.environ)


# --- Which call is which ----------------------------------------------------------------------------------------------

TOKENS, OWN_TOKEN = "/api/v1/queue/tokens", "/api/v1/queue/tokens/me"
_BY_PATH = {
    ("POST", TOKENS): Route("join", join, _is_usual_join),
    ("GET", OWN_TOKEN): Route("place", show_place, _is_usual_read),
    ("DELETE", OWN_TOKEN): Route("leave", leave, _is_usual_read),
}
_WITH_ID = re.compile(
    r"/api/v1/queue/concerts/([0-9]{1,19})"
    r"|/api/v1/performances/([0-9]{1,19})/availability"
    r"|/concerts/([0-9]{1,19})/queue/status/"
    r"|/api/v1/performances/([0-9]{1,19})/seat-map"
)
_BY_GROUP = (
    Route("board", show_room_status, _is_usual_look_at_room, room_status_at_hand),
    Route("availability", show_availability, _is_usual_read),
    Route("poll", poll_page, has_no_body),
    Route("seat map", show_seat_map, _is_usual_read),
)


def find_route(method: str, path: str) -> tuple[Route, int] | None:
    """Return the route of a call and the id in its path; None if the call is not of the crowd's."""
    route = _BY_PATH.get((method, path))
    if route is not None:
        return route, 0
    found = _WITH_ID.fullmatch(path) if method == "GET" else None
    if found is None:
        return None
    group = cast(int, found.lastindex)
    number = int(found[group])
    return (_BY_GROUP[group - 1], number) if number <= BIGINT_MAX else None
