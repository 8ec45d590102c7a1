"""Clients of Valkey/Redis that refuse quickly when the server does not answer.

redis-py retries ten times by default, which turns a time-out of 0.3 s into many seconds; here nothing is retried, and after
a failure a breaker refuses further calls for a second without touching the network.
"""

import time
from types import TracebackType
from typing import Any, cast
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

BREAK_SECONDS = 1.0
CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_NO_ANSWER = (redis.ConnectionError, redis.TimeoutError, OSError)
# It is there, but not fit to serve: a cluster without its nodes, a replica in the middle of a fail-over.
_UNFIT = (
    redis.exceptions.ClusterError,
    redis.exceptions.MasterDownError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.SlotNotCoveredError,
    redis.exceptions.TryAgainError,
)
# The same, where redis-py has no exception of its own: too few replicas, a full disk, a script that does not end.
_UNFIT_ANSWERS = ("NOREPLICAS", "MISCONF", "BUSY")


class StoreUnavailable(redis.ConnectionError):
    """The store is away: it did not answer in time, or did not a moment ago, or says that it cannot serve now."""


# Raised while a server does not answer: the store, or the database.
AWAY = (StoreUnavailable, OperationalError, InterfaceError)


class Breaker:
    """A context manager around calls to one server: a connection failure inside makes the next second refuse at once."""

    def __init__(self, rest_seconds: float = BREAK_SECONDS) -> None:
        self._rest_seconds = rest_seconds
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def trip(self) -> None:
        self._open_until = time.monotonic() + self._rest_seconds

    def __enter__(self) -> None:
        if self.is_open:
            raise StoreUnavailable("not tried: the store did not answer a moment ago")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The client of a cluster wraps these into an exception of another family, which also tells of mistakes in our calls.
        is_wrapped = isinstance(error, redis.exceptions.RedisClusterException)
        reason = (error.__cause__ or error.__context__) if error and is_wrapped else error
        is_unfit = isinstance(reason, redis.ResponseError) and str(reason).startswith(
            _UNFIT_ANSWERS
        )
        if is_unfit or isinstance(reason, (*_NO_ANSWER, *_UNFIT)):
            if not isinstance(error, StoreUnavailable):
                self.trip()
            raise StoreUnavailable(str(error)) from error


class _Guarded:
    """Puts a breaker around every command of a redis-py client."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._breaker = Breaker()
        super().__init__(*args, **kwargs)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with self._breaker:
            return super().execute_command(*args, **options)  # type: ignore[misc]


class StoreClient(_Guarded, redis.Redis):
    pass


class ClusterStoreClient(_Guarded, RedisCluster):
    pass


def connection_options() -> dict[str, Any]:
    """Arguments for any redis-py client: short time-outs, no retries."""
    return {
        "socket_timeout": settings.STORE_TIMEOUT,
        "socket_connect_timeout": settings.STORE_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
    }


def connect(url: str) -> StoreClient | ClusterStoreClient:
    """Return a client for `redis://host:port/0`, or for a cluster with `redis+cluster://host:port`.

    Its commands raise `StoreUnavailable` when the server does not answer within `STORE_TIMEOUT` seconds.
    """
    scheme = urlsplit(url).scheme
    if scheme in CLUSTER_SCHEMES:
        plain = url.replace(scheme, CLUSTER_SCHEMES[scheme], 1)
        with Breaker():  # other than a plain client, it asks for the nodes at once
            return cast(
                ClusterStoreClient, ClusterStoreClient.from_url(plain, **connection_options())
            )
    return cast(StoreClient, StoreClient.from_url(url, **connection_options()))
