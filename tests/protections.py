"""Taking a protection away from a named statement of a `.sql` file, and stopping whoever is about to send one.

    change(monkeypatch, "lock_wallet", "FOR NO KEY UPDATE", "")
    before(monkeypatch, "book", barrier.wait)

A name stands for one statement in the whole project.
"""

import re
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from apps.core import database
from apps.core.database import Parameters, Statement

CLOCK = "clock_timestamp()"

_ROW_LOCK = re.compile(r"FOR (NO KEY )?UPDATE( OF \w+)?( NOWAIT| SKIP LOCKED)?")
_ADVISORY_LOCK = re.compile(
    r"pg_(try_)?advisory_xact_lock\(\s*hashtextextended\(.*, 0\)\s*\)", re.DOTALL
)


def statements() -> Iterator[tuple[dict[str, Statement], str]]:
    """Every statement of the project: the dictionary that it is in, and its name there."""
    for name, module in sorted(sys.modules.items()):
        found = getattr(module, "SQL", None) if name.startswith("apps.") else None
        if isinstance(found, dict):
            yield from ((found, key) for key in found)


def change(
    monkeypatch: pytest.MonkeyPatch, name: str, *changes: tuple[str | re.Pattern[str], str]
) -> None:
    """Replace parts of a statement for this test; each must be there."""
    [home] = [home for home, key in statements() if key == name]
    text = str(home[name])
    for old, new in changes:
        pattern = old if isinstance(old, re.Pattern) else re.compile(re.escape(old))
        text, count = pattern.subn(lambda _match, new=new: new, text)  # type: ignore[misc]
        assert count, f"{old} is not in {name}"
    monkeypatch.setitem(home, name, Statement(name, text))


def unlock(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let statements find the same rows without locking anything."""
    for name in names:
        [home] = [home for home, key in statements() if key == name]
        is_advisory = _ADVISORY_LOCK.search(home[name])
        change(monkeypatch, name, (_ADVISORY_LOCK, "true") if is_advisory else (_ROW_LOCK, ""))


def stop_clock(monkeypatch: pytest.MonkeyPatch, at: datetime, *names: str) -> None:
    """Let statements take another moment for the present one."""
    for name in names:
        change(monkeypatch, name, (CLOCK, f"'{at.isoformat()}'::timestamptz"))


def before(
    monkeypatch: pytest.MonkeyPatch, name: str, action: Callable[[Parameters], object]
) -> None:
    """Run `action` in every thread that is about to send the statement, when what it has sent before is done."""
    original = database._execute

    def execute(cursor: Any, statement: Statement, parameters: Parameters) -> None:
        if statement.name == name:
            with connection.connection.pipeline() as pipeline:
                pipeline.sync()
            action(parameters)
        original(cursor, statement, parameters)

    monkeypatch.setattr(database, "_execute", execute)


@contextmanager
def without_triggers() -> Generator[None]:
    """Let everybody write money as they like. pgtrigger's own `ignore` rewrites statements, which prepared ones do not bear."""
    tables = ("payments_wallet", "payments_ledgertransaction", "payments_ledgerentry")
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        try:
            yield
        finally:
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
