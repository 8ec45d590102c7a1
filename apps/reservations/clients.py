"""The outside data platform, told by signed messages (Standard Webhooks 1.0)."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, cast
from uuid import UUID

import httpx
from django.conf import settings
from standardwebhooks import Webhook

from apps.core.deadlines import exchange_within, with_deadlines

HTTP_TIMEOUT = httpx.Timeout(settings.WEBHOOK_TIMEOUT, connect=min(settings.WEBHOOK_TIMEOUT, 2.0))
# The status is the answer. What follows the headers is read only to keep the connection, and to quote a refusal: a body that is
# longer, or not there by then, costs its connection and nothing else.
BODY_SECONDS = 0.25
BODY_BYTES = 16_384
ANSWER_BYTES = 65_536  # of everything up to the status and its headers


class Answer(NamedTuple):
    """Answer of the platform; `text` is the beginning of its body, as far as that came."""

    status_code: int
    headers: httpx.Headers
    text: str


def post_message(
    *,
    message_id: UUID,
    type: str,
    occurred_at: datetime,
    data: dict[str, Any],
    request_id: str | None = None,
) -> Answer:
    """POST one message to `WEBHOOK_URL`, signed with every secret of `WEBHOOK_SECRETS`; redirects are not followed.

    `message_id` is what the receiver recognizes a repetition by, `request_id` names the call it follows from. Connections are
    kept; one that the other side has closed meanwhile is replaced.

    :raises httpx.TransportError: no status and headers came within `WEBHOOK_TIMEOUT` seconds from the beginning, nor within
        `ANSWER_BYTES`.
    """
    body = json.dumps({"type": type, "timestamp": occurred_at.isoformat(), "data": data})
    sent_at = datetime.now(UTC)
    signatures = [
        _webhook(secret).sign(str(message_id), sent_at, body) for secret in settings.WEBHOOK_SECRETS
    ]
    headers = {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "Encore",
        "webhook-id": str(message_id),
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    if request_id:
        headers["x-request-id"] = request_id
    headers |= _login(settings.WEBHOOK_URL)
    return _post(settings.WEBHOOK_URL, content=body, headers=headers)


def _post(url: str, **message: Any) -> Answer:
    has_connected = False

    def note(event: str, _details: object) -> None:
        nonlocal has_connected
        has_connected |= event == "connection.connect_tcp.started"

    with exchange_within(settings.WEBHOOK_TIMEOUT, bytes_max=ANSWER_BYTES):
        try:
            return _answer(_client(os.getpid()), url, {"trace": note}, **message)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if has_connected:
                raise
        # It was closed while it lay idle, or just as this message was on its way: that says nothing about the platform.
        with _new_client() as fresh:
            return _answer(fresh, url, {}, **message)


def _answer(client: httpx.Client, url: str, extensions: dict[str, Any], **message: Any) -> Answer:
    """Send a message past the layers of the client that would cost as much again: redirects, cookies, a line of log."""
    request = httpx.Request(
        "POST",
        _parsed(url),
        extensions={"timeout": HTTP_TIMEOUT.as_dict(), **extensions},
        **message,
    )
    # The client knows which of its transports leads there: a proxy of the environment, or none.
    response = client._transport_for_url(request.url).handle_request(request)
    stream = cast(httpx.SyncByteStream, response.stream)
    body = b""
    try:
        with (
            suppress(httpx.TransportError),
            exchange_within(BODY_SECONDS, bytes_max=BODY_BYTES),
        ):
            for part in stream:
                body += part
    finally:
        stream.close()
    text = body[:BODY_BYTES].decode(errors="replace")
    return Answer(response.status_code, response.headers, text)


@cache
def _login(url: str) -> dict[str, str]:
    """Return the header for the name and the password that an address may carry."""
    request = httpx.Request("POST", url)
    if request.url.userinfo:
        next(httpx.BasicAuth(request.url.username, request.url.password).auth_flow(request))
    return {name: value for name, value in request.headers.items() if name == "authorization"}


@cache
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


@cache
def _client(process_id: int) -> httpx.Client:
    """Return the client of this process, for all its threads: a child must not share connections with its parent."""
    return _new_client()


def _new_client() -> httpx.Client:
    return with_deadlines(httpx.Client(timeout=HTTP_TIMEOUT, verify=_tls()))


@cache
def _tls() -> Any:
    """Make it once for a process: reading the certificates takes ten times as long as a message."""
    return httpx.create_ssl_context()


@cache
def _webhook(secret: str) -> Webhook:
    return Webhook(secret)
