"""Remember what a visitor pressed before logging in: "Join the queue" of one concert.

The cookie is set by our answer to that press alone, which no other site can make. So a link to our login joins no visitor.
"""

from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

NAME = "join_intent"
LIFETIME = timedelta(minutes=30)  # to find a password, or to register


def keep_join_intent(response: HttpResponseBase, *, concert_id: int) -> None:
    response.set_signed_cookie(
        NAME,
        str(concert_id),
        max_age=LIFETIME,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def join_intent_of(request: HttpRequest) -> int | None:
    """Return the concert whose queue the visitor wants to join, None without a valid cookie."""
    found = request.get_signed_cookie(NAME, default=None, max_age=LIFETIME)
    return None if found is None else int(found)


def forget_join_intent(response: HttpResponseBase) -> None:
    response.delete_cookie(NAME, samesite="Lax")
