"""The outside data platform, for development: verifies signed messages and shows them.

    POST /           take a Standard Webhooks message: 204, or 400 if the signature is wrong
    GET /            the last messages, as a page or, with `Accept: application/json`, as JSON
    PUT /behaviour   how to answer from now on, {} for as it should:
                     {"status": 429, "retry_after": 2}  fail, with a `Retry-After` if it is named
                     {"delay_seconds": 2}               be slow
                     {"mode": "hang"}                   take the message and never answer
                     {"mode": "drop"}                   take the message and cut the connection
                     {"mode": "nonsense"}               answer what is no HTTP
                     {"mode": "drip", "status": 200}    answer, and send a long body, a byte every 3 s

It listens on loopback; `WEBHOOK_URL` says where, `WEBHOOK_SECRETS` are the accepted secrets.
"""

import html
import json
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from standardwebhooks import Webhook, WebhookVerificationError

KEPT_MESSAGES = 200
MAX_BODY_BYTES = 1024 * 1024
LONGEST_HANG = 60.0  # seconds
ANSWER, HANG, DROP, NONSENSE, DRIP = MODES = ("answer", "hang", "drop", "nonsense", "drip")
DRIP_SECONDS, DRIP_BYTES = 3.0, 1_000_000
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>Webhook receiver</title><style>body{{font:15px/1.5 system-ui;margin:2rem}}
td,th{{text-align:left;vertical-align:top;padding:.3rem 1rem .3rem 0}}pre{{margin:0}}</style>
<h1>What the outside world was told</h1><p>{count} messages since this process started, newest first.</p>
<table><tr><th>Received<th>Message<th>Signature<th>Answer<th>Body</tr>{rows}</table></html>"""
ROW = "<tr><td>{received_at}<td>{id}<td>{signature}<td>{answer}<td><pre>{body}</pre></tr>"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Modes of answering messages with a valid signature."""

    mode: str = ANSWER
    status: int = int(HTTPStatus.NO_CONTENT)
    retry_after: int | None = None
    delay_seconds: float = 0.0

    @classmethod
    def read(cls, wanted: Any) -> "Behaviour":
        """:raises ValueError, AttributeError, TypeError: there is no such behaviour."""
        mode, retry_after = wanted.get("mode", ANSWER), wanted.get("retry_after")
        return cls(
            mode=MODES[MODES.index(mode)],
            status=HTTPStatus(wanted.get("status", HTTPStatus.NO_CONTENT)).value,
            retry_after=None if retry_after is None else int(retry_after),
            delay_seconds=min(max(float(wanted.get("delay_seconds", 0)), 0.0), LONGEST_HANG),
        )


class Receiver(ThreadingHTTPServer):
    """Keeps what arrived in memory, newest last."""

    daemon_threads = True

    def __init__(self, *, host: str, port: int, webhook_secrets: Sequence[str]) -> None:
        super().__init__((host, port), Handler)
        self.webhooks = [Webhook(secret) for secret in webhook_secrets]
        self.lock = threading.Lock()
        self.count = 0
        self.messages: deque[dict[str, Any]] = deque(maxlen=KEPT_MESSAGES)
        self.behaviour = Behaviour()
        self.has_changed = threading.Event()

    def has_valid_signature(self, body: bytes, headers: dict[str, str]) -> bool:
        for webhook in self.webhooks:
            # ValueError: the library does not expect headers of any other form.
            with suppress(WebhookVerificationError, ValueError):
                webhook.verify(body, headers, json_parse=False)
                return True
        return False

    def keep(self, message: dict[str, Any]) -> None:
        """Show it from now on, and write it down: one line each, however many arrive at once."""
        line = json.dumps(message, ensure_ascii=False) + "\n"
        with self.lock:
            print(line, end="", flush=True)
            self.count += 1
            self.messages.append(message)

    def behave(self, behaviour: Behaviour) -> None:
        """Answer like this from now on; what hangs is let go."""
        self.behaviour = behaviour
        self.has_changed.set()
        self.has_changed = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        body = self._read_body()
        if body is None:
            return
        is_valid = self.server.has_valid_signature(
            body, {key.lower(): value for key, value in self.headers.items()}
        )
        behaviour, has_changed = self.server.behaviour, self.server.has_changed
        if not is_valid:
            behaviour = Behaviour(status=int(HTTPStatus.BAD_REQUEST))
        message = {
            "id": self.headers.get("webhook-id"),
            "received_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "signature": "valid" if is_valid else "invalid",
            "answer": behaviour.status if behaviour.mode in (ANSWER, DRIP) else behaviour.mode,
            "body": _parsed(body),
        }
        self.server.keep(message)
        time.sleep(behaviour.delay_seconds)
        if behaviour.mode == ANSWER:
            self._answer(behaviour.status, retry_after=behaviour.retry_after)
            return
        if behaviour.mode == HANG:
            has_changed.wait(LONGEST_HANG)
        elif behaviour.mode == NONSENSE:
            self.wfile.write(b"\x00\xff 200 sure, whatever\r\n\r\n{]")
        elif behaviour.mode == DRIP:
            self._drip(behaviour.status, until=has_changed)
        self.close_connection = True

    def do_GET(self) -> None:
        with self.server.lock:
            count, messages = self.server.count, list(self.server.messages)[::-1]
        if "text/html" in self.headers.get("Accept", ""):
            rows = "".join(
                ROW.format(**{name: _escaped(value) for name, value in message.items()})
                for message in messages
            )
            page = PAGE.format(count=count, rows=rows)
            self._answer(HTTPStatus.OK, page, "text/html; charset=utf-8")
        else:
            answer = json.dumps({"count": count, "messages": messages}, ensure_ascii=False)
            self._answer(HTTPStatus.OK, answer, "application/json")

    def do_PUT(self) -> None:
        body = self._read_body()
        if body is None:
            return
        try:
            self.server.behave(Behaviour.read(json.loads(body)))
            self._answer(HTTPStatus.NO_CONTENT)
        except (ValueError, AttributeError, TypeError):
            self._answer(HTTPStatus.BAD_REQUEST)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of requests; messages are logged where they are kept."""

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._answer(HTTPStatus.LENGTH_REQUIRED)
            return None
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        return self.rfile.read(int(length))

    def _drip(self, status: int, *, until: threading.Event) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(DRIP_BYTES))
        self.end_headers()
        with suppress(OSError):  # the other side has hung up
            while not until.wait(DRIP_SECONDS):
                self.wfile.write(b".")

    def _answer(
        self,
        status: int,
        body: str = "",
        content_type: str = "text/plain",
        *,
        retry_after: int | None = None,
    ) -> None:
        content = body.encode()
        self.send_response(status)
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _escaped(value: Any) -> str:
    is_body = isinstance(value, dict)
    return html.escape(json.dumps(value, ensure_ascii=False, indent=1) if is_body else str(value))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def main() -> None:
    address = urlsplit(os.environ["WEBHOOK_URL"])
    receiver = Receiver(
        host=address.hostname or "127.0.0.1",
        port=address.port or 80,
        webhook_secrets=os.environ["WEBHOOK_SECRETS"].split(","),
    )
    receiver.serve_forever()


if __name__ == "__main__":
    main()
