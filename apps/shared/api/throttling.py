"""Rate limits: counters in the cache's store, exact over any span of a minute, at one round trip a call.

A limiter whose store is down lets through: refusing customers because the counter is away would be the greater harm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import redis
from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.shared.errors import DomainError
from apps.shared.lean_store import Command, LeanStoreClient, Script, script_client

WINDOW_SECONDS = 60
# Of calls that make a customer of the caller: each would bring a quota of its own.
BY_ADDRESS = frozenset({"login", "register"})
# In the environment of a call that was counted before Django saw it.
COUNTED_QUOTA = "encore.quota"

_CUSTOMER = "customer-"
_HIT = Script(Path(__file__).with_name("hit.lua"))


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


def spend(name: str, request: HttpRequest | Request) -> Quota | None:
    """Count a call against the limit `name` of its caller, once; None when the counters cannot be reached."""
    quota: Quota | None = request.META.pop(COUNTED_QUOTA, None)
    if quota is not None and quota.name == name:
        return quota
    return hit_limit(name, _caller(name, request))


def hit_limit(name: str, caller: str, *, after: Sequence[Command] = ()) -> Quota | None:
    """Count one call of `caller` against the limit `name`; None when the counters cannot be reached.

    The commands of `after` go to the counters' store before that, in the same round trip where it is one server.
    """
    limit = settings.RATE_LIMITS[name]
    try:
        counted = _HIT.run(
            script_client(settings.CACHE_URL),
            [_key(name, caller)],
            limit,
            WINDOW_SECONDS,
            after=after,
        )
    except redis.RedisError:
        return None
    return _quota(name, limit, counted)


def hit_limit_of_login(name: str, copy_key: str) -> tuple[bytes | None, Quota | None] | None:
    """Count one call of the customer whom the copy of a login names, in the round trip that reads the copy.

    Returns the copy and what is left; nothing is counted if the copy names nobody. None when the counters cannot be reached, and on
    a cluster, where copies and counters are on different nodes.
    """
    limit = settings.RATE_LIMITS[name]
    client = script_client(settings.CACHE_URL)
    if not isinstance(client, LeanStoreClient):
        return None
    before_customer = _key(name, _CUSTOMER)
    try:
        answer = _HIT.run(client, [copy_key], limit, WINDOW_SECONDS, before_customer)
    except redis.RedisError:
        return None
    copy, *counted = answer or [None]
    return copy, _quota(name, limit, counted) if counted else None


def _key(name: str, caller: str) -> str:
    return f"ratelimit:{name}:{caller}"


def _quota(name: str, limit: int, counted: Sequence[int]) -> Quota:
    is_allowed, remaining, reset = counted
    resets_in = min(max(1, math.ceil(reset / 1_000_000)), WINDOW_SECONDS)
    return Quota(name, limit, remaining, resets_in, is_exceeded=not is_allowed)


def caller_of_customer(customer_id: int) -> str:
    return f"{_CUSTOMER}{customer_id}"


def caller_of_address(request: HttpRequest | Request) -> str:
    """Only the addresses that our own `NUM_PROXIES` proxies appended to X-Forwarded-For are believed."""
    # It reads the headers only, which both kinds of request have.
    return f"address-{BaseThrottle().get_ident(cast(Request, request))}"


def _caller(name: str, request: HttpRequest | Request) -> str:
    """The customer of a logged-in call, the address of an anonymous one, and of every one that `BY_ADDRESS` names."""
    if request.user.is_authenticated and name not in BY_ADDRESS:
        return caller_of_customer(request.user.pk)
    return caller_of_address(request)
