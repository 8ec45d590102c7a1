"""The live rooms and the tokens to them, as this installation is configured."""

from collections.abc import Generator
from contextlib import contextmanager
from functools import cache

import redis
from django.conf import settings

from apps.queue.core.room import Room
from apps.queue.core.tokens import TokenSigner
from apps.shared.errors import ServiceUnavailable
from apps.shared.lean_store import script_client

RETRY_AFTER_SECONDS = 2

# What a store answers that is up but cannot serve at this moment: a fail-over, a full memory.
_UNFIT = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ClusterError,
    redis.exceptions.RedisClusterException,
    redis.exceptions.TryAgainError,
)


def live_room(concert_id: int) -> Room:
    return Room(script_client(settings.QUEUE_URL), concert_id)


@cache
def _signer(keys: tuple[tuple[str, bytes], ...]) -> TokenSigner:
    return TokenSigner(keys)


def token_signer() -> TokenSigner:
    return _signer(tuple(settings.QUEUE_TOKEN_KEYS))


@contextmanager
def store_needed() -> Generator[None]:
    """
    :raises ServiceUnavailable: the store inside does not answer.
    """
    try:
        yield
    except _UNFIT as error:
        raise ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS) from error
