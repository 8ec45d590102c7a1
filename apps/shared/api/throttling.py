"""Rate limits: atomic counters in the cache's store, exact over any span of a minute.

A limiter whose store is down lets through: refusing customers because the counter is away would be the greater harm.
"""

import functools
import math
import time
from dataclasses import dataclass
from typing import ClassVar, cast

import redis
from django.conf import settings
from django.http import HttpRequest
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage, Storage
from limits.storage.redis_cluster import RedisClusterStorage
from limits.strategies import MovingWindowRateLimiter
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.shared.errors import DomainError
from apps.shared.store import Breaker, StoreUnavailable, connection_options

WINDOW_SECONDS = 60
# Of calls that make a customer of the caller: each would bring a quota of its own.
BY_ADDRESS = frozenset({"login", "register"})

_breaker = Breaker()


class RateLimited(DomainError):
    code: ClassVar[str] = "RATE_LIMITED"


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of one limit; `resets_in` is in seconds."""

    name: str
    limit: int
    remaining: int
    resets_in: int
    is_exceeded: bool

    def headers(self) -> dict[str, str]:
        """The fields of the IETF draft "RateLimit header fields for HTTP"."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={self.resets_in}',
        }


@functools.cache
def _limiter() -> MovingWindowRateLimiter:
    url, options = settings.CACHE_URL, connection_options()
    storage: Storage
    if "+cluster" in url:
        storage = RedisClusterStorage(url, key_prefix="ratelimit", **options)
    else:
        storage = RedisStorage(url, key_prefix="ratelimit", **options)
    return MovingWindowRateLimiter(storage)


def spend(name: str, request: HttpRequest | Request) -> Quota | None:
    """Count a call against the limit `name` of its caller; None when the counters cannot be reached."""
    caller = _caller(name, request)
    limit = settings.RATE_LIMITS[name]
    item = RateLimitItemPerMinute(limit)
    try:
        with _breaker:
            is_allowed = _limiter().hit(item, name, caller)
            stats = _limiter().get_window_stats(item, name, caller)
    except (StoreUnavailable, redis.RedisError):
        return None
    resets_in = min(max(1, math.ceil(stats.reset_time - time.time())), WINDOW_SECONDS)
    return Quota(name, limit, stats.remaining, resets_in, is_exceeded=not is_allowed)


def _caller(name: str, request: HttpRequest | Request) -> str:
    """The customer of a logged-in call, the address of an anonymous one, and of every one that `BY_ADDRESS` names.

    Only the addresses that our own `NUM_PROXIES` proxies appended to X-Forwarded-For are believed.
    """
    if request.user.is_authenticated and name not in BY_ADDRESS:
        return f"customer-{request.user.pk}"
    # It reads the headers only, which both kinds of request have.
    return f"address-{BaseThrottle().get_ident(cast(Request, request))}"
