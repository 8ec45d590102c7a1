"""Figures that one process reads, and all processes show.

`apps/core/caching.py` shares an answer within a process. Where a reading costs too much for each process to make it, the cache's store has
it: whoever finds it too old claims it there and reads it anew, while the others go on showing the one before. So the database is
asked once for each span of time, however many processes and people look.
"""

import json
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings

from apps.core.caching import ProcessCache
from apps.core.lean_store import Script, script_client
from apps.core.store import AWAY, StoreUnavailable

logger = structlog.get_logger(__name__)

KEPT_SECONDS = 3_600
# Lies above what a reading takes. A process that died while it read holds the others up for as long, and so does a failure.
CLAIM_SECONDS = 10.0
# Bounds the wait of those who ask while another process reads for the very first time.
FIRST_SECONDS, FIRST_STEP = 0.5, 0.05
# A process asks the store as often as that, whoever looks; one thread does, a moment ahead.
PROCESS_SECONDS, PROCESS_AHEAD = 0.5, 0.25
# Without the store each process reads, and knows nothing of a reading before.
ALONE_SECONDS = 15.0
ENTRIES_MAX = 200

_FOLDER = Path(__file__).parent
_TAKE = Script(_FOLDER / "shared_readings.lua")
_KEEP = Script(_FOLDER / "shared_readings_keep.lua")

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold figures as JSON has them. `version` names the reading; `is_late` says that the next one is overdue."""

    data: Data
    version: str
    is_late: bool = False


class SharedReadings:
    """Readings by key, each made anew by one caller at a time once it is `seconds` old.

    `read` is called with the key and the data of the reading before, None if there is none, and returns the data of the next one, of which
    JSON can be made. While the store is away each process reads for itself, more rarely.
    """

    def __init__(
        self, name: str, *, seconds: float, read: Callable[[str, Data | None], Data]
    ) -> None:
        """`name` is of the keys in the store; give it another one when the shape of the data changes."""
        self._name = name
        self._seconds = seconds
        self._read = read
        # Two spans and some more, so that one who reads slowly is no reason to worry.
        self._late_seconds = 3 * seconds + 2
        self._at_hand: ProcessCache[str, Reading | None] = ProcessCache(
            seconds=min(PROCESS_SECONDS, seconds / 2),
            ahead=min(PROCESS_AHEAD, seconds / 4),
            entries_max=ENTRIES_MAX,
        )
        self._alone: ProcessCache[str, Reading | None] = ProcessCache(
            seconds=max(seconds, ALONE_SECONDS), entries_max=ENTRIES_MAX
        )

    def get(self, key: str = "") -> Reading | None:
        """Return the last reading; None if it is made for the first time at this moment, or cannot be made.

        Waits for it only if there is none at all.
        """
        return self._at_hand.get(key, lambda: self._shared(key))

    def _shared(self, key: str) -> Reading | None:
        claim = uuid.uuid4().hex
        give_up_at = time.monotonic() + FIRST_SECONDS
        try:
            while True:
                kept, age, is_ours = self._take(key, claim)
                previous = _parsed(kept)
                if is_ours:
                    return self._read_anew(key, claim, previous)
                if previous is not None:
                    return Reading(
                        previous.data, previous.version, is_late=age > self._late_seconds
                    )
                if time.monotonic() > give_up_at:
                    return None
                time.sleep(FIRST_STEP)
        except StoreUnavailable:
            return self._alone.get(key, lambda: self._read_alone(key))

    def _take(self, key: str, claim: str) -> tuple[bytes | None, float, bool]:
        milliseconds = (
            int(self._seconds * 1_000),
            KEPT_SECONDS * 1_000,
            int(CLAIM_SECONDS * 1_000),
        )
        kept, age, is_ours = _TAKE.run(
            script_client(settings.CACHE_URL), self._keys(key), *milliseconds, claim
        )
        return kept, age / 1_000, bool(is_ours)

    def _read_anew(self, key: str, claim: str, previous: Reading | None) -> Reading | None:
        """Make the next reading and keep it for all; without the database, the one before is what there is."""
        try:
            data = self._read(key, previous.data if previous else None)
        except AWAY as error:
            logger.warning("reading_failed", reading=self._name, key=key, reason=repr(error))
            return previous and Reading(previous.data, previous.version, is_late=True)
        reading = Reading(data, claim)
        kept = json.dumps([claim, data], separators=(",", ":"))
        with suppress(StoreUnavailable):
            client = script_client(settings.CACHE_URL)
            _KEEP.run(client, self._keys(key), kept, KEPT_SECONDS * 1_000, claim)
        return reading

    def _read_alone(self, key: str) -> Reading | None:
        try:
            return Reading(self._read(key, None), uuid.uuid4().hex)
        except AWAY as error:
            logger.warning("reading_failed", reading=self._name, key=key, reason=repr(error))
            return None

    def _keys(self, key: str) -> list[str]:
        # One hash tag for both, so that a cluster has them on one node.
        tagged = f"reading:{{{self._name}:{key}}}"
        return [tagged, f"{tagged}:claim"]


def _parsed(kept: bytes | None) -> Reading | None:
    if kept is None:
        return None
    version, data = json.loads(kept)
    return Reading(data, version)
