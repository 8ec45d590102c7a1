"""Prepared statements and pipelines, for the use cases where building queries costs more than running them.

Elsewhere the ORM is the way to the database: its queries are put together by the client and never prepared. What runs here takes
part in the same transaction, on the same connection, and is seen by the same execute wrappers. The SQL stands in a `.sql` file
beside the module that uses it, each statement under a line `-- name: <name>` and a comment that says what it is for.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper

from apps.core.postgresql.base import DatabaseWrapper

Parameters = Mapping[str, Any]
Row = tuple[Any, ...]
Cursor = psycopg.Cursor[Row]

# A cursor keeps the rows of its last statement in memory, so one with more of them is not kept.
KEPT_ROWS_MAX = 100
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


class Statement(str):
    """One SQL statement with psycopg's named placeholders; `name` is how its file calls it."""

    name: str

    def __new__(cls, name: str, text: str) -> "Statement":
        statement = super().__new__(cls, text)
        statement.name = name
        return statement


Call = tuple[Statement, Parameters]


def load_statements(path: Path) -> dict[str, Statement]:
    """Return the statements of a `.sql` file by name, without their comments."""
    _, *parts = _NAME.split(path.read_text())
    return {
        name: Statement(name, _without_comments(text))
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


def _without_comments(text: str) -> str:
    return re.sub(r"^\s*--.*\n", "", text, flags=re.MULTILINE).strip().removesuffix(";")


def fetch_all(statement: Statement, parameters: Parameters) -> list[Row]:
    """Run one statement, prepared on its first use by a connection, and return its rows."""
    [rows] = fetch_pipelined([(statement, parameters)])
    return rows


def fetch_one(statement: Statement, parameters: Parameters) -> Row | None:
    """Return the first row of a statement, None if it has none."""
    rows = fetch_all(statement, parameters)
    return rows[0] if rows else None


def fetch_pipelined(calls: Sequence[Call]) -> list[list[Row]]:
    """Run statements one after the other in one round trip and return the rows of each.

    Each sees what the ones before it have done and waited for. When one fails, those after it do not run; the exception has the
    name of the failed one in `failed_statement`.

    :raises django.db.Error: as the ORM would.
    """
    database = _database()
    if database.connection is None:
        database.ensure_connection()
    raw = database.connection
    cursors = [_take_cursor(database, statement) for statement, _ in calls]
    try:
        with database.wrap_database_errors:
            if len(calls) == 1:
                _execute(cursors[0], *calls[0])
            else:
                with raw.pipeline():
                    for cursor, (statement, parameters) in zip(cursors, calls, strict=True):
                        _execute(cursor, statement, parameters)
    except Exception as error:
        failed = next((i for i, cursor in enumerate(cursors) if cursor.pgresult is None), -1)
        error.failed_statement = calls[failed][0].name  # type: ignore[attr-defined]
        raise
    return [
        _fetch(database, cursor, statement)
        for cursor, (statement, _) in zip(cursors, calls, strict=True)
    ]


def _database() -> DatabaseWrapper:
    # Attributes of `django.db.connection` look it up each.
    return cast(DatabaseWrapper, connections[DEFAULT_DB_ALIAS])


def _take_cursor(database: DatabaseWrapper, statement: Statement) -> Cursor:
    """Return the cursor that ran this statement before, which has found out its types; else, or while that is taken, a new one."""
    cursor: Cursor | None = database.kept_cursors.pop(statement, None)
    return psycopg.Cursor(database.connection) if cursor is None else cursor


def _execute(cursor: Cursor, statement: Statement, parameters: Parameters) -> None:
    database = _database()
    if not (database.execute_wrappers or database.queries_logged):
        cursor.execute(statement, parameters)
        return
    wrapped: CursorWrapper = database._prepare_cursor(cursor)  # type: ignore[attr-defined]
    wrapped.execute(statement, parameters)
    if database.queries_logged:
        # Django asks the cursor what it has sent, and one that sends prepared statements has no answer.
        database.queries_log[-1]["sql"] = statement


def _fetch(database: DatabaseWrapper, cursor: Cursor, statement: Statement) -> list[Row]:
    # Asked here because `cursor.description` would describe each column.
    rows = cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else []
    if len(rows) <= KEPT_ROWS_MAX:
        cursor.pgresult = None  # from now on it has not run
        database.kept_cursors[statement] = cursor
    return rows
