"""Slow hashes for passwords, of which a process computes only a few at the same time.

A hash takes a core for tens of milliseconds and its thread as long. A crowd that logs in at once would fill every thread of
every web process with that; so most threads are kept for those who wait in a queue, and logins that find the line full are
told when to come back. All that hashes or compares a password goes through here, the upgrade of an old hash and the hash
that an unknown address costs included.
"""

import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher as DjangoArgon2PasswordHasher
from django.contrib.auth.hashers import PBKDF2PasswordHasher as DjangoPBKDF2PasswordHasher

from apps.core.errors import TooBusy

PATIENCE_SECONDS = 1.0  # many times what a hash takes
# Spread over these seconds, the refused of one moment do not come back as one crowd.
RETRY_SECONDS_MAX = 5


class Line:
    """Let `at_once` threads work and as many more wait behind them, each for `patience` seconds at most."""

    def __init__(self, at_once: int, *, patience: float = PATIENCE_SECONDS) -> None:
        self._places = 2 * at_once
        self._patience = patience
        self._standing = 0
        self._lock = threading.Lock()
        self._working = threading.Semaphore(at_once)

    def refuse_if_full(self) -> None:
        """:raises TooBusy: the line is full. When it is not, the last place may still be gone a moment later."""
        if self._standing >= self._places:
            raise _too_busy()

    @contextmanager
    def turn(self) -> Generator[None]:
        """
        :raises TooBusy: at once when the line is full, and to those whose patience has ended.
        """
        with self._lock:
            self.refuse_if_full()
            self._standing += 1
        try:
            if not self._working.acquire(timeout=self._patience):
                raise _too_busy()
            try:
                yield
            finally:
                self._working.release()
        finally:
            with self._lock:
                self._standing -= 1


def _too_busy() -> TooBusy:
    return TooBusy(retry_after=1 + secrets.randbelow(RETRY_SECONDS_MAX))


# Of this process.
LINE = Line(settings.PASSWORD_HASHES_AT_ONCE)


def refuse_if_busy() -> None:
    """Spare a call with a password the work that comes before its hash.

    :raises TooBusy: the line of this process is full.
    """
    LINE.refuse_if_full()


class Argon2PasswordHasher(DjangoArgon2PasswordHasher):
    """Argon2id with 19 MiB, two passes and one lane, the first choice of OWASP's Password Storage Cheat Sheet.

    Django's defaults take 100 MiB and eight lanes for each hash: a crowd that logs in at once would stop the box office.
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with LINE.turn():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with LINE.turn():
            return super().verify(password, encoded)


class PBKDF2PasswordHasher(DjangoPBKDF2PasswordHasher):
    """Django's own, for hashes that were made elsewhere. Comparing with one computes it, so that is in line as well."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with LINE.turn():
            return super().encode(password, salt, iterations)
