"""Limits of guessing: failures count, at the account that was named and from the network they came from; successes do not.

Some failures are free. Beyond, each one doubles the wait before the next guess, up to a bound, and time forgives: one failure
after another is forgotten. A guess counts as a failure from its beginning on, so that parallel ones cannot outrun their number;
what was right is taken back, together with the failures at the same account from the same network, which were slips.

A network or a device from which an account has been logged in is known to it for `LOGIN_KNOWN_DAYS`: guesses at the account from
there are counted by themselves, whatever others do to the account or from the network. So a flood of guesses locks no owner out at
home or on the telephone, and elsewhere for one wait at a time.

An account that does not exist is counted like any other. Names are kept as digests. As with all limits, a store that is down lets
through: the line in front of the hashes (`apps/accounts/hashers.py`) still bounds how many passwords are compared.
"""

import hashlib
import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import chain
from pathlib import Path
from types import TracebackType

import redis
from django.conf import settings

from apps.accounts.errors import EmailTaken, InvalidCredentials, TooManyFailures
from apps.accounts.models import normalized_email
from apps.api.throttling import Quota
from apps.core.lean_store import Script, script_client

_SCRIPT = Script(Path(__file__).with_name("guesses.lua"))
# As the script numbers them.
NOWHERE = 0
OF_ACCOUNT = 0

_MICROS = 1_000_000
_DAY = 24 * 3600  # seconds
_FAILURES = (InvalidCredentials, EmailTaken)


class Entrance(StrEnum):
    """Doors whose failures are counted apart: customers who mistype must not keep staff out."""

    SHOP = "shop"
    STAFF = "staff"


class Guess:
    """A guess at a secret of an account, or at whether there is one. A context manager around what compares.

    It stays a failure if what is inside raises a refusal of the guess, or ends without `was_right()`. Any other exception takes it
    back: nothing was learned from it. `quota` is what is left; None if nothing was counted.

    :raises TooManyFailures: when it is entered: the account or the network has to wait.
    """

    def __init__(
        self, entrance: Entrance, *, account: str, network: str, device: str | None = None
    ) -> None:
        named = normalized_email(account)
        subjects = [("account", named), ("network", network), ("there", f"{named} {network}")]
        if device is not None:
            subjects.append(("device", f"{named} {device}"))
        # Together on one node of a cluster.
        self._keys = [
            f"guesses:{{{entrance}}}:{kind}:{_digest(subject)}" for kind, subject in subjects
        ]
        self._counted_at, self._which = NOWHERE, OF_ACCOUNT
        self._is_right = False
        self._refusal: TooManyFailures | None = None
        self.quota: Quota | None = None
        if settings.RATE_LIMIT_ENABLED:
            self._begin()

    def was_right(self) -> None:
        self._is_right = True

    def __enter__(self) -> "Guess":
        if self._refusal:
            raise self._refusal
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._counted_at == NOWHERE:
            return
        if self._is_right:
            self._note(self._run("right", self._counted_at))
        elif error is not None and not isinstance(error, _FAILURES):
            self._note(self._run("unmade", self._counted_at))

    def _begin(self) -> None:
        self._note(self._run("begin"))
        if self.quota is not None and self.quota.is_exceeded:
            self._refusal = TooManyFailures(
                is_of_account=self._which == OF_ACCOUNT, retry_after=self.quota.resets_in
            )

    def _note(self, counted: Sequence[int] | None) -> None:
        if counted is None:
            return
        self._counted_at, self._which, left, rest = counted
        free, forget_after = settings.LOGIN_FAILURES[self._which]
        seconds = max(1, math.ceil(rest / _MICROS))
        is_refused = self._counted_at == NOWHERE
        self.quota = Quota("login", free, left, seconds, is_refused, window=free * forget_after)

    def _run(self, what: str, *more: int) -> Sequence[int] | None:
        limits = [(free, after * _MICROS) for free, after in settings.LOGIN_FAILURES]
        waits = [seconds * _MICROS for seconds in settings.LOGIN_WAITS]
        known_for = settings.LOGIN_KNOWN_DAYS * _DAY
        arguments = (what, *chain.from_iterable(limits), *waits, known_for, *more)
        try:
            counted: Sequence[int] = _SCRIPT.run(
                script_client(settings.CACHE_URL), self._keys, *arguments
            )
        except redis.RedisError:
            return None
        return counted


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
