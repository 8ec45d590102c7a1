"""Rate limits: counters in the cache's store, exact over any span of a minute, at one round trip a call.

A limiter whose store is down lets through: refusing customers because the counter is away would be the greater harm.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from apps.api.addresses import client_network
from apps.core.lean_store import LeanStoreClient, Script, script_client

WINDOW_SECONDS = 60
# Of calls that make a customer of the caller: each would bring a quota of its own. Logins count failures, see `apps/accounts/guesses.py`.
BY_NETWORK = frozenset({"register"})
# In the environment of a call that was counted before Django saw it.
COUNTED_QUOTA = "encore.quota"

_LIMIT = Path(__file__).with_name("limit.lua")
_HIT = Script(_LIMIT, Path(__file__).with_name("hit.lua"))
_COUNT = _LIMIT.read_text()


@dataclass(frozen=True, slots=True)
class Quota:
    """Hold what is left of one limit; `resets_in` and `window` are in seconds."""

    name: str
    limit: int
    remaining: int
    resets_in: int
    is_exceeded: bool
    window: int = WINDOW_SECONDS

    def headers(self) -> dict[str, str]:
        """Return the fields of the IETF draft "RateLimit header fields for HTTP"."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.limit};w={self.window}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={self.resets_in}',
        }


def hit_limit(name: str, request: HttpRequest | Request) -> Quota | None:
    """Count a call against the limit `name` of its caller, once; None when the counters cannot be reached."""
    quota: Quota | None = request.META.pop(COUNTED_QUOTA, None)
    if quota is not None and quota.name == name:
        return quota
    return hit_limit_of_caller(name, _caller(name, request))


def hit_limit_of_caller(name: str, caller: str) -> Quota | None:
    """Count one call of `caller` against the limit `name`; None when the counters cannot be reached."""
    call = CallToCount(name, caller)
    try:
        call.counted = _HIT.run(script_client(settings.CACHE_URL), [call.key], call.most, call.span)
    except redis.RedisError:
        return None
    return call.quota


def is_counted_on(url: str) -> bool:
    """Return whether the counters are on this server, which is no cluster."""
    return url == settings.CACHE_URL and isinstance(script_client(url), LeanStoreClient)


class CallToCount:
    """A call that is counted by the script which serves it, before all else and on the same server.

    The script has `lua`, which defines `count`, and what that needs: `key`, `most` and `span`. `counted` is what it returned.
    """

    lua = _COUNT
    span = WINDOW_SECONDS

    def __init__(self, name: str, caller: str) -> None:
        self._name = name
        self.key = f"ratelimit:{name}:{caller}"
        self.most: int = settings.RATE_LIMITS[name]
        self.counted: Sequence[int] | None = None

    @property
    def quota(self) -> Quota | None:
        """Tell what is left; None if the call was not counted."""
        if self.counted is None:
            return None
        is_allowed, remaining, reset = self.counted
        resets_in = min(max(1, math.ceil(reset / 1_000_000)), self.span)
        return Quota(self._name, self.most, remaining, resets_in, is_exceeded=not is_allowed)


def caller_of_customer(customer_id: int) -> str:
    return f"customer-{customer_id}"


def caller_of_network(environ: Mapping[str, Any]) -> str:
    """Name the caller by the headers of a call, for whom nothing better is known."""
    return f"network-{client_network(environ)}"


def _caller(name: str, request: HttpRequest | Request) -> str:
    """Name the customer of a logged-in call, the network of an anonymous one and of those in `BY_NETWORK`."""
    if request.user.is_authenticated and name not in BY_NETWORK:
        return caller_of_customer(request.user.pk)
    return caller_of_network(request.META)
