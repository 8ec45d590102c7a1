"""Count refusals by code and minute, over all processes, at no cost to the calls that are refused.

A call appends its code to a list of the process. A thread adds up what has come together, every other second, and tells the cache's store
with one script. Counts that the store does not take are lost, and so are those of a process that is killed: they are for looking.
"""

import os
import threading
import time
from collections import Counter, deque
from pathlib import Path

import redis
from django.conf import settings

from apps.core.lean_store import Script, script_client

FLUSH_SECONDS = 2.0
KEPT_MINUTES = 65
# Drop codes beyond it: while the store hangs, nothing may fill the memory.
CODES_MAX = 100_000

_FOLDER = Path(__file__).parent
_ADD = Script(_FOLDER / "refusal_counts.lua")
_READ = Script(_FOLDER / "refusal_counts_read.lua", writes=False)

_codes: deque[str] = deque(maxlen=CODES_MAX)
_has_codes = threading.Event()
_starting = threading.Lock()
_process: int | None = None


def count_refusal(code: str) -> None:
    """Count one refusal."""
    _codes.append(code)
    if not _has_codes.is_set():
        _has_codes.set()
        _start_if_needed()


def flush_refusals() -> None:
    """Tell the store what has come together; without the store it is forgotten."""
    _has_codes.clear()
    counts: Counter[str] = Counter()
    while _codes:
        counts[_codes.popleft()] += 1
    if not counts:
        return
    pairs = [word for pair in counts.items() for word in pair]
    minute = _key(int(time.time() // 60))
    _ADD.run(script_client(settings.CACHE_URL), [minute], KEPT_MINUTES * 60_000, *pairs)


def refusals_by_code(*, minutes: int) -> dict[str, int]:
    """Return how many calls were refused in the last minutes, the one that has begun included, by code; those of the API and the pages.

    :raises StoreUnavailable: the counts cannot be reached.
    """
    now = int(time.time() // 60)
    keys = [_key(now - ago) for ago in range(minutes)]
    counts: Counter[str] = Counter()
    for fields in _READ.run(script_client(settings.CACHE_URL), keys):
        for code, number in zip(fields[::2], fields[1::2], strict=True):
            counts[code.decode()] += int(number)
    return dict(counts)


def _key(minute: int) -> str:
    # One hash tag, so that a cluster has all minutes on one node.
    return f"{{refusals}}:{minute}"


def _start_if_needed() -> None:
    """Start the thread, once in each process: a fork does not take it along."""
    global _process
    if _process == os.getpid():
        return
    with _starting:
        if _process != os.getpid():
            _process = os.getpid()
            threading.Thread(target=_run, name="refusal-counts", daemon=True).start()


def _run() -> None:
    while True:
        _has_codes.wait()
        time.sleep(FLUSH_SECONDS)
        try:
            flush_refusals()
        except redis.RedisError:
            continue
