"""Who owns a transaction, and what happens after it.

A use case owns its transaction and is the outermost one (`use_case`); a step that several use cases share must be called
inside one (`requires_transaction`).
"""

import functools
from collections.abc import Callable
from datetime import datetime
from typing import ParamSpec, TypeVar, cast

import structlog
from django.db import InternalError, OperationalError, connection, transaction
from django.dispatch import Signal

from apps.shared.errors import ServiceUnavailable

P = ParamSpec("P")
T = TypeVar("T")

logger = structlog.get_logger(__name__)

ATTEMPTS = 3
SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
IDLE_IN_TRANSACTION_TIMEOUT = "25P03"


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE that PostgreSQL gave for an error of Django or psycopg."""
    return getattr(error.__cause__ or error, "sqlstate", None)


def run_in_transaction(work: Callable[[], T]) -> T:
    """Run `work` in a durable transaction of its own.

    A deadlock or a serialization failure rolls back and is tried again, three times in all.

    :raises ServiceUnavailable: a lock or a statement took longer than the database allows, or all attempts failed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic(durable=True):
                return work()
        except (OperationalError, InternalError) as error:
            state = sqlstate(error)
            if state in (LOCK_NOT_AVAILABLE, QUERY_CANCELED, IDLE_IN_TRANSACTION_TIMEOUT):
                raise ServiceUnavailable from error
            if state not in (SERIALIZATION_FAILURE, DEADLOCK_DETECTED):
                raise
            logger.warning("transaction_retried", attempt=attempt, sqlstate=state)
            if attempt == ATTEMPTS:
                raise ServiceUnavailable from error
    raise AssertionError("unreachable")


def use_case(service: Callable[P, T]) -> Callable[P, T]:
    """Give a service a durable transaction of its own (see `run_in_transaction`)."""

    @functools.wraps(service)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_in_transaction(lambda: service(*args, **kwargs))

    return wrapper


def requires_transaction(step: Callable[P, T]) -> Callable[P, T]:
    """Refuse to run a step outside the transaction of a use case.

    :raises RuntimeError: there is no transaction.
    """

    @functools.wraps(step)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        if not connection.in_atomic_block:
            raise RuntimeError(f"{step.__qualname__} must be called inside a transaction.")
        return step(*args, **kwargs)

    return wrapper


def send_on_commit(signal: Signal, event: object) -> None:
    """Announce `event` once the transaction is committed.

    A receiver that fails is logged; it stops neither its siblings nor the answer to the customer.
    """

    def send() -> None:
        for receiver, outcome in signal.send_robust(sender=type(event), event=event):
            if isinstance(outcome, Exception):
                logger.error("receiver_failed", receiver=str(receiver), exc_info=outcome)

    transaction.on_commit(send)


def database_now() -> datetime:
    """The database's wall clock at this instant, in a statement of its own.

    Read it after the last lock is taken: inside a locking statement it would be the time before the wait.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cast(datetime, cursor.fetchone()[0])
