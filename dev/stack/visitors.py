"""Cookies of a visitor who has logged in and queued: cookies, as Playwright takes them.

Needs Django to be set up for the stack that the browser visits.
"""

import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from django.conf import settings
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.queue.services import join_queue, visitor_status
from apps.storefront.queue_cookie import FIRST_POSITION, TOKEN

TURN_TIMEOUT = 60.0  # seconds
POLL_SECONDS = 0.2

Cookie = dict[str, str]


def admitted_cookies(base_url: str, concert_id: int, customer_id: int) -> list[Cookie]:
    """Return those of a customer whose turn it is.

    :raises TimeoutError: no turn came in time.
    """
    token = join_queue(customer_id=customer_id, concert_id=concert_id).token
    [token] = await_turn([token])
    customer = User.objects.get(pk=customer_id)
    return [session_cookie(base_url, customer), queue_cookie(base_url, concert_id, token)]


def await_turn(tokens: Iterable[str], *, poll_seconds: float = POLL_SECONDS) -> list[str]:
    """Wait until it is the turn of each; return their latest tokens.

    Asking tells the room that they have come, without which they would lose the turn within a minute.

    :raises TimeoutError: no turn came in time.
    """
    until = time.monotonic() + TURN_TIMEOUT
    latest = []
    for token in tokens:
        while (status := visitor_status(token=token)).status != "ACTIVE":
            if time.monotonic() > until:
                raise TimeoutError("No turn came in time.")
            time.sleep(poll_seconds)
        latest.append(status.token)
    return latest


def session_cookie(base_url: str, customer: User) -> Cookie:
    client = Client()
    client.force_login(customer)
    name = settings.SESSION_COOKIE_NAME
    return _cookie(base_url, name, client.cookies[name].value, "/")


def queue_cookie(base_url: str, concert_id: int, token: str) -> Cookie:
    return _cookie(base_url, TOKEN, token, reverse("storefront:concert", args=[concert_id]))


def first_position_cookie(base_url: str, concert_id: int, position: int) -> Cookie:
    path = reverse("storefront:concert", args=[concert_id])
    return _cookie(base_url, FIRST_POSITION, str(position), path)


def _cookie(base_url: str, name: str, value: str, path: str) -> Cookie:
    host = urlsplit(base_url).hostname or ""
    return {"name": name, "value": value, "domain": host, "path": path}
