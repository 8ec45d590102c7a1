"""The outside platform on loopback, well-behaved or nearly so. What no platform should do is in `hostile.py`."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

LONG = 10_000_000


class Message(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Platform(ThreadingHTTPServer):
    """Keep what was received, and answer with `status` and `answer_headers` as soon as `may_answer` is set.

    `protocol` says whether connections are kept; `close_after` cuts them after so many answers, without a word. Messages whose ids
    are `refused` are gone. `raw` is sent instead of an answer: `quick` bytes of it at once, the others one every `pace` seconds.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        self.protocol = "HTTP/1.0"
        self.close_after = 0
        self.connections = 0
        self.refused: set[str] = set()
        self.received: list[Message] = []
        self.status = 204
        self.raw, self.quick, self.pace = b"", LONG, 0.05
        self.answer_headers: dict[str, str] = {}
        self.may_answer = threading.Event()
        self.may_answer.set()

    @property
    def message_ids(self) -> list[str]:
        return [message.headers["webhook-id"] for message in self.received]

    def handle_error(self, *_: object) -> None:
        """Say nothing: the process that asked may have been killed."""


class _Handler(BaseHTTPRequestHandler):
    server: Platform

    def setup(self) -> None:
        super().setup()
        self.protocol_version = self.server.protocol
        self.answered = 0
        self.server.connections += 1

    def do_POST(self) -> None:
        platform = self.server
        self.answered += 1
        if platform.close_after and self.answered > platform.close_after:
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        platform.received.append(Message(self.path, headers, body))
        platform.may_answer.wait(60)
        if platform.raw:
            self._send_raw()
            return
        self.send_response(410 if headers["webhook-id"] in platform.refused else platform.status)
        for name, value in platform.answer_headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    def _send_raw(self) -> None:
        raw, quick = self.server.raw, self.server.quick
        try:
            self.wfile.write(raw[:quick])
            for byte in raw[quick:]:
                self.wfile.write(bytes([byte]))
                time.sleep(self.server.pace)
        except OSError:
            self.close_connection = True

    def log_message(self, *args: object) -> None: ...


@contextmanager
def serving() -> Iterator[Platform]:
    """Run a platform until the block is left."""
    with Platform() as platform:
        thread = threading.Thread(target=platform.serve_forever, args=(0.01,))
        thread.start()
        yield platform
        platform.may_answer.set()
        platform.shutdown()
        thread.join()
