"""Copies of logins in the cache's store, for calls that must not cost a statement.

PostgreSQL decides whether a token is live; a copy repeats its answer for at most a minute. What ends a login writes an end over
its copy after the commit. The end outlives every read that began before it, and a copy is only ever written where there is
nothing, so no slow reader brings an ended login back. While an end is there, every call asks PostgreSQL. A lost copy costs one
prepared statement; their lives differ, so that copies made in the same second are not all lost in the same second.
"""

import random
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

import redis
import structlog
from django.conf import settings

from apps.accounts.selectors import live_customer
from apps.shared.lean_store import script_client
from apps.shared.store import connect

logger = structlog.get_logger(__name__)

LIFE_MIN, LIFE_MAX = 40, 60  # seconds
END_LIFE = 120  # seconds
RETRY_SECONDS = 0.5
# Seconds from asking PostgreSQL to writing the copy; after longer there is none.
FILL_LONGEST = END_LIFE / 4
ENDED = b"-"


def copy_key(token_hash: bytes | memoryview) -> str:
    return f"login:{bytes(token_hash).hex()}"


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
    life = min(random.randint(LIFE_MIN, LIFE_MAX), int(expires_at - time.time()))
    if kept is None and life > 0 and time.monotonic() - asked_at < FILL_LONGEST:
        copy = f"{customer_id}:{expires_at}"
        with suppress(redis.RedisError):
            script_client(settings.CACHE_URL).execute_command(
                "SET", copy_key(token_hash), copy, "NX", "EX", life
            )
    return customer_id


def end_login_copies(token_hashes: Iterable[bytes | memoryview]) -> None:
    """Let nobody in by a copy of these tokens any more. Call it after the commit that ended them; it never fails.

    Without a store there are no copies to be read. One that was only away brings them back, so a thread goes on trying for as
    long as they live.
    """
    hashes = list(token_hashes)
    if not (_have_ended(hashes) or _have_ended(hashes)):
        logger.warning("login_copies_not_ended", tokens=len(hashes))
        threading.Thread(target=_end_later, args=[hashes], daemon=True).start()


def _end_later(hashes: list[bytes | memoryview]) -> None:
    give_up_at = time.monotonic() + LIFE_MAX
    while time.monotonic() < give_up_at:
        time.sleep(RETRY_SECONDS)
        if _have_ended(hashes):
            return


def _have_ended(hashes: list[bytes | memoryview]) -> bool:
    try:
        # A client of its own, which has not been told to rest by the failures of others.
        with connect(settings.CACHE_URL) as client:
            for token_hash in hashes:
                client.set(copy_key(token_hash), ENDED, ex=END_LIFE)
    except redis.RedisError:
        return False
    return True
