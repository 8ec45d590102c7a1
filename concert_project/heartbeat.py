"""Say that this process does its work, to the watchdog that started it (`concert_project/watchdog.py`).

A thread touches a file once a second for as long as the process works. A process that is frozen touches nothing; one that is alive
and does not work notices it here, and stops touching. Without a watchdog none of this happens.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import structlog

from concert_project.watchdog import FOLDER_VARIABLE

logger = structlog.get_logger(__name__)

BEAT_SECONDS = 1.0
# Nothing that a process does lasts as long: tasks have a time limit below it, statements one far below.
WORK_SECONDS = 150.0

Check = Callable[[], bool]
Application = Callable[..., Iterable[bytes]]

_beating: set[tuple[str, int]] = set()


def show_life(name: str, *, works: Check = lambda: True) -> None:
    """Start to show signs of life as `name`, unless this process does already, or no watchdog is there."""
    folder, me = os.environ.get(FOLDER_VARIABLE), (name, os.getpid())
    if folder is None or me in _beating:
        return
    _beating.add(me)  # with its number: a process that was forked has no thread of its parent
    path = Path(folder, f"{name}.{os.getpid()}")
    threading.Thread(target=_show_life, args=(path, works), name="heartbeat", daemon=True).start()


def _show_life(path: Path, works: Check) -> None:
    has_worked = True
    while True:
        try:
            is_working = works()
            if is_working:
                path.touch()
            elif has_worked:
                logger.error("process_does_no_work", process=path.name)
            has_worked = is_working
        except Exception:
            logger.exception("heartbeat_failed", process=path.name)
        time.sleep(BEAT_SECONDS)


class WatchedApplication:
    """A WSGI application that knows whether its threads still finish requests."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._begun_at: dict[int, float] = {}
        self._finished_at = time.monotonic()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        thread = threading.get_ident()
        self._begun_at[thread] = time.monotonic()
        try:
            return self._application(environ, start_response)
        finally:
            del self._begun_at[thread]
            self._finished_at = time.monotonic()

    def works(self) -> bool:
        """Return False when a request has been under way for `WORK_SECONDS`, and none was finished meanwhile."""
        now = time.monotonic()
        oldest = min(list(self._begun_at.values()), default=now)
        return now - max(oldest, self._finished_at) < WORK_SECONDS
