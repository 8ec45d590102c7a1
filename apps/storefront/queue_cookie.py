"""The queue token of a browser: a cookie that no script can read and that is sent to the pages of one concert only.

It is not in the session: a visitor whose login has expired, or who meets a store that lost everything, still proves the
place with it. `queue_from` beside it remembers the first position shown, for the progress bar; nothing depends on it.
"""

from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from apps.queue.errors import QueueTokenInvalid, QueueTokenRequired
from apps.queue.services import verify_token

TOKEN, FIRST_POSITION = "queue_token", "queue_from"
# A waiting room may be open for days; the token itself says what it is worth.
LIFETIME = timedelta(days=2)
LONGEST_TOKEN = 1_000


def queue_token_of(request: HttpRequest) -> str | None:
    token = request.COOKIES.get(TOKEN, "")
    return token if 0 < len(token) <= LONGEST_TOKEN else None


def own_queue_token_of(request: HttpRequest, *, concert_id: int) -> str:
    """Return the token of the cookie. Another customer may have logged in on this device since; who is not logged in is taken at its word.

    :raises QueueTokenRequired: there is no cookie.
    :raises QueueTokenInvalid: it was altered, or is of another customer.
    """
    token = queue_token_of(request)
    if token is None:
        raise QueueTokenRequired
    if request.user.is_authenticated:
        verify_token(token=token, customer_id=request.user.pk, concert_id=concert_id)
    return token


def has_queue_token(request: HttpRequest, *, concert_id: int) -> bool:
    """Return whether this customer has joined, by the signature alone: what has become of the place, only the store knows."""
    try:
        own_queue_token_of(request, concert_id=concert_id)
    except (QueueTokenRequired, QueueTokenInvalid):
        return False
    return True


def first_position_of(request: HttpRequest) -> int | None:
    """Return where the progress bar starts; None if the cookie is missing or makes no sense."""
    text = request.COOKIES.get(FIRST_POSITION, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else None


def keep_queue_token(response: HttpResponse, *, concert_id: int, token: str) -> None:
    _set(response, TOKEN, token, concert_id=concert_id)


def keep_first_position(response: HttpResponse, *, concert_id: int, position: int) -> None:
    _set(response, FIRST_POSITION, str(position), concert_id=concert_id)


def forget_queue_token(response: HttpResponse, *, concert_id: int) -> None:
    for name in (TOKEN, FIRST_POSITION):
        response.delete_cookie(name, path=_path(concert_id), samesite="Lax")


def _set(response: HttpResponse, name: str, value: str, *, concert_id: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=LIFETIME,
        path=_path(concert_id),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _path(concert_id: int) -> str:
    return reverse("storefront:concert", args=[concert_id])
