"""A cookie by which the pages for logins know a browser again.

It is a number drawn at random and proves nothing by itself: an account knows the devices from which it has been logged in, and from
those its owner gets in while strangers are guessing (`apps/accounts/guesses.py`).
"""

import re
import secrets

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

DEVICE = "device"
_DAY = 24 * 3600  # seconds
_DRAWN = re.compile(r"[A-Za-z0-9_-]{22}")


def device_of(request: HttpRequest) -> str | None:
    """Return the number of the browser; None if it has shown none that we could have drawn."""
    device = request.COOKIES.get(DEVICE, "")
    return device if _DRAWN.fullmatch(device) else None


def new_device() -> str:
    return secrets.token_urlsafe(16)


def keep_device(response: HttpResponseBase, device: str) -> None:
    """Let the browser keep its number for as long as it is known."""
    if settings.LOGIN_KNOWN_DAYS:
        response.set_cookie(
            DEVICE,
            device,
            max_age=settings.LOGIN_KNOWN_DAYS * _DAY,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
