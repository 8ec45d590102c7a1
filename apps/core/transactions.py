"""Own a transaction, and act after it.

A use case owns its transaction and is the outermost one (`use_case`); a step that several use cases share must be called
inside one (`requires_transaction`). The use cases that a sale waits for are written in two steps (`decide_then_write`).
"""

import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, ParamSpec, TypeVar, cast

import psycopg
import structlog
from django.db import IntegrityError, InternalError, OperationalError, connection, transaction
from django.dispatch import Signal

from apps.core.database import Call, Row, Statement, fetch_one, fetch_pipelined
from apps.core.errors import DomainError, ServiceUnavailable

P = ParamSpec("P")
T = TypeVar("T")

logger = structlog.get_logger(__name__)

ATTEMPTS = 3
SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
FOREIGN_KEY_VIOLATION = "23503"
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
IDLE_IN_TRANSACTION_TIMEOUT = "25P03"

# Goes into the pipeline of a use case after its last lock; see `database_now`.
CLOCK = Statement("clock", "SELECT clock_timestamp()")
COMMIT = Statement("commit", "COMMIT")


def violated_constraint(error: IntegrityError) -> str | None:
    """Return the name of the constraint that PostgreSQL names in an error."""
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE that PostgreSQL gave for an error of Django or psycopg."""
    return getattr(error.__cause__ or error, "sqlstate", None)


def run_in_transaction(work: Callable[[], T]) -> T:
    """Run `work` in a durable transaction of its own.

    A deadlock or a serialization failure rolls back and is tried again, three times in all. So does a reference to what was deleted
    meanwhile: the next attempt does not find it, and refuses.

    :raises ServiceUnavailable: a lock or a statement took longer than the database allows, or all attempts failed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic(durable=True):
                return work()
        except (OperationalError, InternalError, IntegrityError) as error:
            state = sqlstate(error)
            if state in (LOCK_NOT_AVAILABLE, QUERY_CANCELED, IDLE_IN_TRANSACTION_TIMEOUT):
                raise ServiceUnavailable from error
            if state not in (SERIALIZATION_FAILURE, DEADLOCK_DETECTED, FOREIGN_KEY_VIOLATION):
                raise
            logger.warning("transaction_retried", attempt=attempt, sqlstate=state)
            if attempt == ATTEMPTS:
                raise ServiceUnavailable from error
    raise AssertionError("unreachable")


class use_case(Generic[P, T]):  # noqa: N801
    """Give a service a durable transaction of its own (see `run_in_transaction`).

    `step` is the same within the transaction of another use case, which has more to do in it.
    """

    def __init__(self, service: Callable[P, T]) -> None:
        functools.update_wrapper(self, service)
        self.step = requires_transaction(service)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return run_in_transaction(lambda: self.step(*args, **kwargs))


@dataclass(frozen=True, slots=True)
class Decision(Generic[T]):
    """The outcome of a use case that has locked, read and refused, but written nothing yet.

    `writes` make `result` true. `refusals` name the refusal that the violation of a constraint stands for.
    """

    result: T
    writes: Sequence[Call]
    refusals: Mapping[str, DomainError] = field(default_factory=dict)

    def carry_out(self, *along: Call, is_last: bool = False) -> T:
        """Send the writes, and what is to be written `along` with them, in one round trip.

        With `is_last` nothing follows them in their transaction, so that round trip commits it as well: Django then finds nothing
        left to commit and goes on to what waits for the commit. A write that fails keeps the commit from running.
        """
        if calls := [*self.writes, *along]:
            if is_last and _may_commit():
                calls.append((COMMIT, {}))
            try:
                fetch_pipelined(calls)
            except IntegrityError as error:
                refusal = self.refusals.get(violated_constraint(error) or "")
                if refusal is None:
                    raise
                raise refusal from error
        return self.result


# Round trips on the way to a result: yields the statements of one and is sent their rows.
RoundTrips = Generator[Sequence[Call], list[list[Row]], T]
# A use case on its way to what it decides.
Steps = RoundTrips[Decision[T]]


def run_steps(steps: RoundTrips[T], rows: list[list[Row]] | None = None) -> T:
    """Make the round trips of `steps` and return its result; `rows` are of the first one, if it was made already."""
    try:
        calls = next(steps) if rows is None else steps.send(rows)
        while True:
            calls = steps.send(fetch_pipelined(calls))
    except StopIteration as end:
        result: T = end.value
        return result


class decide_then_write(Generic[P, T]):  # noqa: N801
    """Make a use case of a generator that locks and reads, decides under its locks and returns what has to be written.

    It refuses nothing before its first round trip: what others put in front of it there may have to refuse first, see `idempotent`.

    Called, it runs in the transaction that is open, or in a durable one of its own. A refusal has written nothing, so the
    transaction that it ends is committed: a rollback would make the connection forget its prepared statements.
    """

    def __init__(self, steps: Callable[P, Steps[T]]) -> None:
        self.decide = requires_transaction(steps)
        functools.update_wrapper(self, steps)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        if connection.in_atomic_block:
            return run_steps(self.decide(*args, **kwargs)).carry_out()

        def work() -> T | DomainError:
            try:
                decision = run_steps(self.decide(*args, **kwargs))
            except DomainError as refusal:
                return refusal
            return decision.carry_out(is_last=True)

        return unless_refused(run_in_transaction(work))


def unless_refused(outcome: T | DomainError) -> T:
    """Raise a refusal that was carried out of a transaction, so that it did not roll back."""
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def _may_commit() -> bool:
    """Tell whether the innermost block is the whole transaction, as everywhere but in a test that rolls back, and is sound."""
    return len(connection.atomic_blocks) == 1 and not connection.needs_rollback


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
    """Return the database's wall clock at this instant, in a statement of its own.

    Read it after the last lock is taken: inside a locking statement it would be the time before the wait.
    """
    row = fetch_one(CLOCK, {})
    assert row is not None
    return cast(datetime, row[0])
