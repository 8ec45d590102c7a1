"""One line in the log for each request.

A crowd makes thousands of them a second, so with `LOG_FORMAT=json` lines are collected and written together, at most
`WRITE_SECONDS` after the first of them. Whatever else is logged is written at once, as everywhere.
"""

import atexit
import json
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.util import Finalize

import structlog
from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse

NAME = "encore.requests"
WRITE_SECONDS = 0.1
# A write of at most PIPE_BUF bytes is atomic: lines of several processes do not mix.
WRITE_BYTES = 4096
# Kept at most: a reader of the log that has stopped reading must not fill the memory.
LINES_MAX = 10_000

logger = structlog.get_logger(NAME)
_switch = logging.getLogger(NAME)


class LineWriter:
    """Write lines to a file descriptor from a thread of its own, many at a time."""

    def __init__(self, descriptor: Callable[[], int]) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._has_lines = threading.Event()
        self._writing = threading.Lock()
        self._starting = threading.Lock()
        self._process: int | None = None

    def write(self, line: bytes) -> None:
        """Keep `line`, without its end, until the next write; wait for that when too many are kept already."""
        self._lines.append(line)
        if not self._has_lines.is_set():
            self._has_lines.set()
            self._start_if_needed()
        if len(self._lines) > LINES_MAX:
            try:
                self.flush()
            except OSError:
                self._lines.popleft()  # no thread takes them, and no request may fail for that

    def flush(self) -> None:
        """Write everything that has been kept."""
        with self._writing:
            self._has_lines.clear()
            chunk = bytearray()
            while self._lines:
                line = self._lines.popleft()
                if len(chunk) + len(line) >= WRITE_BYTES:
                    self._send(chunk)
                    chunk = bytearray()
                chunk += line + b"\n"
            self._send(chunk)

    def _send(self, chunk: bytearray) -> None:
        try:
            while chunk:
                del chunk[: os.write(self._descriptor(), chunk)]
        except OSError:
            self._lines.appendleft(bytes(chunk[:-1]))
            self._has_lines.set()
            raise

    def _start_if_needed(self) -> None:
        """Start the thread, once in each process: a fork does not take it along."""
        if self._process == os.getpid():
            return
        with self._starting:
            if self._process != os.getpid():
                self._process = os.getpid()
                threading.Thread(target=self._run, name="request-log", daemon=True).start()
                atexit.register(self.flush)
                # Processes that multiprocessing has made end without `atexit` before Python 3.13.
                Finalize(None, self.flush, exitpriority=1)

    def _run(self) -> None:
        while True:
            self._has_lines.wait()
            time.sleep(WRITE_SECONDS)
            try:
                self.flush()
            except OSError:
                logger.exception("request_log_failed")


_writer = LineWriter(lambda: sys.stderr.fileno())


def log_request(*, request_id: str, method: str, path: str, status: int, seconds: float) -> None:
    """Log an answered request; `path` comes with its query."""
    level = _level_of(status)
    if not _switch.isEnabledFor(level):
        return
    asked = f"{method} {path}"
    if settings.LOG_FORMAT != "json":
        logger.log(
            level,
            "request_finished",
            code=status,
            request=asked,
            seconds=round(seconds, 4),
            request_id=request_id,
        )
        return
    # Put together by hand: as a dictionary it costs three times as much, and a crowd pays for each line.
    line = (
        f'{{"code": {status}, "request": {_quoted(asked)}, "seconds": {round(seconds, 4)!r}, '
        f'"event": "request_finished", "request_id": {_quoted(request_id)}, '
        f'"level": "{_LEVEL_NAMES[level]}", "logger": "{NAME}", "timestamp": "{_timestamp()}"}}'
    )
    _writer.write(line.encode())


_LEVEL_NAMES = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}
_quoted = json.encoder.encode_basestring_ascii
_second = (0, "")


def _timestamp() -> str:
    """Return the time as every other line has it; the text of a second is made once."""
    global _second
    micros = time.time_ns() // 1_000
    second, text = _second
    if second != micros // 1_000_000:
        second = micros // 1_000_000
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _second = (second, text)
    return f"{text}.{micros % 1_000_000:06d}Z"


def _level_of(status: int) -> int:
    if status >= 500:
        return logging.ERROR
    return logging.WARNING if status >= 400 else logging.INFO


class RequestLogMiddleware:
    """Put the request's id on every line that is logged meanwhile, and log the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        got_request_exception.connect(_log_failure, dispatch_uid=NAME)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began_at = time.perf_counter()
        request_id = request.META["HTTP_X_REQUEST_ID"]
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            response = self.get_response(request)
            log_request(
                request_id=request_id,
                method=request.method or "",
                path=request.get_full_path(),
                status=response.status_code,
                seconds=time.perf_counter() - began_at,
            )
        finally:
            structlog.contextvars.clear_contextvars()
        return response


def _log_failure(*, request: HttpRequest | None = None, **_: object) -> None:
    """Log an exception that nothing has handled, while it is being handled."""
    asked = f"{request.method} {request.get_full_path()}" if request else ""
    logger.exception("request_failed", request=asked)
