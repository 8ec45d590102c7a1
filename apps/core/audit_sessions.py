"""Reads of whole tables: what adds up the books or checks every row, beside the sales that go on."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

from django.db import connection, transaction

# For each sort or hash table of a statement; what needs more spills to disk. A web request keeps the server's default.
WORK_MEM = "256MB"


@contextmanager
def audit_session(*, seconds: float | None = None) -> Generator[None]:
    """Let every statement inside take `seconds`, or as long as it takes, instead of what a request may take.

    READ COMMITTED: each statement sees the moment at which it began, and that moment is forgotten when it ends. So vacuum
    is held up by one statement and not by all of them, and what must belong together must be one statement. Inside a
    transaction of the caller it is part of that one.
    """
    milliseconds = 0 if seconds is None else max(1, int(seconds * 1000))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, true), set_config('work_mem', %s, true),"
                # Compiling costs more than it saves.
                " set_config('jit', 'off', true)",
                [str(milliseconds), WORK_MEM],
            )
        yield


def limited(statement: str, since: datetime | None, **recent: str) -> str:
    """Fill each `{name}` of a statement with a condition: the one given if only what is recent is read, else none.

    A condition finds its rows by an index, names the moment as `%(since)s` and may refer to those that come after it. So a check
    of everything and one of what has changed are one statement.
    """
    for name, condition in recent.items():
        statement = statement.replace(f"{{{name}}}", f"({condition})" if since else "TRUE")
    return statement
