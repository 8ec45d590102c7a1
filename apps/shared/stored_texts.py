"""Texts from before they were composed on their way in (`apps/shared/texts.py`); for migrations."""

from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction

ROWS_AT_ONCE = 10_000


def compose_rows(table: str, *columns: str) -> None:
    """Compose the texts of some columns, in short transactions.

    Reads the table in pieces by its `id`, and writes only the rows that change.
    """
    changes = ", ".join(f"{column} = normalize({column}, NFC)" for column in columns)
    differs = " OR ".join(f"{column} IS NOT NFC NORMALIZED" for column in columns)
    run_in_pieces(
        table,
        f"UPDATE {table} SET {changes} WHERE id > %(after)s AND id <= %(until)s AND ({differs})",  # noqa: S608
    )


def run_in_pieces(table: str, statement: str) -> None:
    """Run a statement for the ids from `after`, which it leaves out, to `until`, piece by piece of a table."""
    for after, until in _pieces(table):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, {"after": after, "until": until})


def _pieces(table: str) -> Iterator[tuple[int, int]]:
    after = 0
    while True:
        last = _last_id(
            f"SELECT max(id) FROM (SELECT id FROM {table} WHERE id > %s ORDER BY id LIMIT %s) AS piece",  # noqa: S608
            [after, ROWS_AT_ONCE],
        )
        if last is None:
            return
        yield after, last
        after = last


def _last_id(statement: str, parameters: list[Any]) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        [(last,)] = cursor.fetchall()
    return None if last is None else int(last)
