"""Test what races need: a rival in another thread, and a moment at which all of them meet or one of them stops."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from django.db import connection, connections

from apps.ops.invariants import check_invariants
from tests.protections import Step, before

PATIENCE = 20.0

Elsewhere = Callable[[Callable[[], Any]], "Future[Any]"]


def winners(outcomes: Sequence[Any]) -> list[Any]:
    return [outcome for outcome in outcomes if not isinstance(outcome, Exception)]


def refusals(outcomes: Sequence[Any]) -> list[type[Exception]]:
    return [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)]


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call returns or raises."""
    try:
        return call()
    except Exception as refusal:
        return refusal


def outcome_of(future: "Future[Any]") -> Any:
    """Return what the other thread returned or raised."""
    return future.exception(PATIENCE) or future.result()


def meet_before(monkeypatch: pytest.MonkeyPatch, where: str | Step, parties: int) -> None:
    """Make every thread wait for the others at a statement or step: the moment the lock would have guarded."""
    barrier = threading.Barrier(parties)
    before(monkeypatch, where, lambda *_: barrier.wait(timeout=PATIENCE))


def with_own_connection(call: Callable[[], Any]) -> Callable[[], Any]:
    """Make a call fit for another thread, whose database connection it closes."""

    def run() -> Any:
        try:
            return call()
        finally:
            connections.close_all()

    return run


class Stopped:
    """A call in another thread that stands still before a statement or step until `finish` lets it go on."""

    def __init__(
        self,
        elsewhere: Elsewhere,
        monkeypatch: pytest.MonkeyPatch,
        where: str | Step,
        call: Callable[[], Any],
    ) -> None:
        self._may_go_on, is_there = threading.Event(), threading.Event()

        def pause(*_parameters: object) -> None:
            is_there.set()
            assert self._may_go_on.wait(PATIENCE)

        before(monkeypatch, where, pause)
        self._future = elsewhere(call)
        assert is_there.wait(PATIENCE)

    def finish(self) -> Any:
        """Return what the call returns or raises in the end."""
        self._may_go_on.set()
        return outcome_of(self._future)


def wait_until_blocked() -> None:
    """Wait until a session of this database waits for a lock that another one has."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            # A transaction would see the same again and again.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone() is not None:
                return
        time.sleep(0.01)
    raise TimeoutError("No session waits for a lock.")


def breaches() -> list[str]:
    """Return the names of the invariants that do not hold."""
    return [invariant.name for invariant in check_invariants() if invariant.breaches]
