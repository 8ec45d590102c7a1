"""Copies of logins in the cache's store, for calls that must not cost a statement.

PostgreSQL decides whether a token is live; a copy repeats its answer for at most a minute. What ends a login writes an end over
its copy after the commit. The end outlives every read that began before it, and a copy is only ever written where there is
nothing, so no slow reader brings an ended login back. While an end is there, every call asks PostgreSQL. A lost copy costs one
prepared statement; their lives differ, so that copies made in the same second are not all lost in the same second.
"""

import random
import time
from contextlib import suppress

import redis
from django.conf import settings

from apps.accounts.ended_logins import COPY_LIFE_MAX, END_LIFE, ENDED, copy_key
from apps.accounts.selectors import live_customer
from apps.core.lean_store import script_client

COPY_LIFE_MIN = 40  # seconds
# Seconds from asking PostgreSQL to writing the copy; after longer there is none.
FILL_LONGEST = END_LIFE / 4


def customer_id_of(token_hash: bytes) -> int | None:
    """Return the customer whose live token has this digest; None if PostgreSQL knows of none."""
    kept = None
    with suppress(redis.RedisError):
        kept = script_client(settings.CACHE_URL).execute_command("GET", copy_key(token_hash))
    customer_id = _customer_id_in(kept)
    return customer_id if customer_id is not None else _ask_database(token_hash, kept)


def _customer_id_in(kept: bytes | None) -> int | None:
    """Return the customer whom a copy names; None if there is no copy, or one of a login that is over."""
    if kept is None or kept == ENDED:
        return None
    customer_id, expires_at = kept.split(b":")
    return int(customer_id) if time.time() < float(expires_at) else None


def _ask_database(token_hash: bytes, kept: bytes | None) -> int | None:
    """Return the customer whose live token has this digest, and keep a copy if there is nothing in its place yet."""
    asked_at = time.monotonic()
    found = live_customer(token_hash)
    if found is None:
        return None
    customer_id, expires_at = found
    life = min(random.randint(COPY_LIFE_MIN, COPY_LIFE_MAX), int(expires_at - time.time()))
    if kept is None and life > 0 and time.monotonic() - asked_at < FILL_LONGEST:
        copy = f"{customer_id}:{expires_at}"
        with suppress(redis.RedisError):
            script_client(settings.CACHE_URL).execute_command(
                "SET", copy_key(token_hash), copy, "NX", "EX", life
            )
    return customer_id
