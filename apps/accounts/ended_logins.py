"""Ends of logins, told to the copies that `login_copies.py` keeps of them in the cache's store."""

import threading
import time
from collections.abc import Iterable

import redis
import structlog
from django.conf import settings

from apps.core.store import connect

logger = structlog.get_logger(__name__)

COPY_LIFE_MAX = 60  # seconds
END_LIFE = 120  # seconds
RETRY_SECONDS = 0.5
ENDED = b"-"


def copy_key(token_hash: bytes | memoryview) -> str:
    return f"login:{bytes(token_hash).hex()}"


def end_login_copies(token_hashes: Iterable[bytes | memoryview]) -> None:
    """End the copies of these tokens, so that none lets a caller in any more. Call it after the commit that ended them; it never fails.

    Without a store there are no copies to be read. One that was only away brings them back, so a thread goes on trying for as
    long as they live.
    """
    hashes = list(token_hashes)
    store_url = settings.CACHE_URL
    if not (_have_ended(hashes, store_url) or _have_ended(hashes, store_url)):
        logger.warning("login_copies_not_ended", tokens=len(hashes))
        threading.Thread(target=_end_later, args=[hashes, store_url], daemon=True).start()


def _end_later(hashes: list[bytes | memoryview], store_url: str) -> None:
    give_up_at = time.monotonic() + COPY_LIFE_MAX
    while time.monotonic() < give_up_at:
        time.sleep(RETRY_SECONDS)
        if _have_ended(hashes, store_url):
            return


def _have_ended(hashes: list[bytes | memoryview], store_url: str) -> bool:
    try:
        # A client of its own, which has not been told to rest by the failures of others.
        with connect(store_url) as client:
            for token_hash in hashes:
                client.set(copy_key(token_hash), ENDED, ex=END_LIFE)
    except redis.RedisError:
        return False
    return True
