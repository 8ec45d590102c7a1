"""The outside data platform, told by signed messages (Standard Webhooks 1.0)."""

import json
import os
from datetime import UTC, datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from uuid import UUID

import httpx
from django.conf import settings
from standardwebhooks import Webhook

HTTP_TIMEOUT = httpx.Timeout(settings.WEBHOOK_TIMEOUT, connect=min(settings.WEBHOOK_TIMEOUT, 2.0))


def post_message(
    *,
    message_id: UUID,
    type: str,
    occurred_at: datetime,
    data: dict[str, Any],
    request_id: str | None = None,
) -> httpx.Response:
    """POST one message to `WEBHOOK_URL`, signed with every secret of `WEBHOOK_SECRETS`; redirects are not followed.

    `message_id` is what the receiver recognizes a repetition by, `request_id` names the call it follows from. Connections are kept; one that the other side has closed
    meanwhile is replaced.

    :raises httpx.TransportError: no answer came.
    """
    body = json.dumps({"type": type, "timestamp": occurred_at.isoformat(), "data": data})
    sent_at = datetime.now(UTC)
    signatures = [
        _webhook(secret).sign(str(message_id), sent_at, body) for secret in settings.WEBHOOK_SECRETS
    ]
    headers = {
        "content-type": "application/json",
        "webhook-id": str(message_id),
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    if request_id:
        headers["x-request-id"] = request_id
    return _post(settings.WEBHOOK_URL, content=body, headers=headers)


def _post(url: str, **message: Any) -> httpx.Response:
    has_connected = False

    def note(event: str, _details: object) -> None:
        nonlocal has_connected
        has_connected |= event == "connection.connect_tcp.started"

    client = _client(os.getpid())
    try:
        return client.post(url, extensions={"trace": note}, **message)
    except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
        if has_connected:
            raise
    # It was closed while it lay idle, or just as this message was on its way: that says nothing about the platform.
    with _new_client() as fresh:
        return fresh.post(url, **message)


@cache
def _client(process_id: int) -> httpx.Client:
    """The client of this process, for all its threads: a child must not share connections with its parent."""
    return _new_client()


def _new_client() -> httpx.Client:
    # Messages have nothing to do with each other: no cookie of one answer goes out with the next.
    cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
    return httpx.Client(
        timeout=HTTP_TIMEOUT,
        follow_redirects=False,
        cookies=cookies,
        verify=_tls(),
    )


@cache
def _tls() -> Any:
    """Reading the certificates takes ten times as long as a message."""
    return httpx.create_ssl_context()


@cache
def _webhook(secret: str) -> Webhook:
    return Webhook(secret)
