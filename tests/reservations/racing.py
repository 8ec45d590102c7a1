"""Test what races need: a rival in another thread, a moment at which everybody meets, and protections that can be taken away."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pgtrigger
import pytest
from django.db import connection

from apps.ops.invariants import check_invariants
from tests.protections import before, unlock

PATIENCE = 20.0

Elsewhere = Callable[[Callable[[], Any]], "Future[Any]"]


def winners(outcomes: Sequence[Any]) -> list[Any]:
    return [outcome for outcome in outcomes if not isinstance(outcome, Exception)]


def refusals(outcomes: Sequence[Any]) -> list[type[Exception]]:
    return [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)]


def outcome_of(future: "Future[Any]") -> Any:
    """Return what the other thread returned or raised."""
    return future.exception(PATIENCE) or future.result()


def meet_before(monkeypatch: pytest.MonkeyPatch, statement: str, parties: int) -> None:
    """Make every thread wait for the others just before it sends the statement: the moment the lock would have guarded."""
    barrier = threading.Barrier(parties)
    before(monkeypatch, statement, lambda _parameters: barrier.wait(timeout=PATIENCE))


def pause_before(
    monkeypatch: pytest.MonkeyPatch, statement: str
) -> tuple[threading.Event, threading.Event]:
    """Stop whoever is about to send the statement: the first event says that somebody is, setting the second lets go on."""
    is_there, may_go_on = threading.Event(), threading.Event()

    def pause(_parameters: object) -> None:
        is_there.set()
        assert may_go_on.wait(PATIENCE)

    before(monkeypatch, statement, pause)
    return is_there, may_go_on


def wait_until_blocked(sessions: int = 1) -> None:
    """Wait until as many sessions of this database wait for a lock that somebody else has."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_stat_clear_snapshot()"
            )  # a transaction would see the same again and again
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0] >= sessions:
                return
        time.sleep(0.01)
    raise TimeoutError("Nobody waits.")


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payments and cancellations lock nothing any more but the wallet."""
    unlock(monkeypatch, "lock_customer_of_hold", "lock_seats_of_hold", "lock_hold")


@contextmanager
def without_constraints(*names: str) -> Generator[None]:
    """Drop constraints or unique indexes by name. All data is gone afterwards: it may be in breach of them."""
    removed = [_removed(name) for name in names]
    try:
        yield
    finally:
        with pgtrigger.ignore(), connection.cursor() as cursor:
            cursor.execute("TRUNCATE accounts_user, concerts_concert, outbox_outboxevent CASCADE")
            for restore in removed:
                cursor.execute(restore)


def _removed(name: str) -> str:
    """Drops it, and returns the statement that brings it back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conname = %s",
            [name],
        )
        if found := cursor.fetchone():
            table, definition = found
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
            return f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}'
        cursor.execute("SELECT pg_get_indexdef(%s::regclass)", [name])
        [definition] = cursor.fetchone()
        cursor.execute(f'DROP INDEX "{name}"')
        return str(definition)


def breaches() -> list[str]:
    """The names of the invariants that do not hold."""
    return [invariant.name for invariant in check_invariants() if invariant.breaches]
