"""Several statements in one round trip."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from apps.core.database import Row

# A hall is read with hash and merge joins only: see `_read_hall` in `apps/reservations/selectors.py`.
BEGIN_HALL, END_HALL = "SET LOCAL enable_nestloop = off", "SET LOCAL enable_nestloop = DEFAULT"


def fetch_batch(statements: Sequence[str], parameters: Mapping[str, Any]) -> list[list[Row]]:
    """Send statements together and return the rows of each, none for one that returns none.

    They are one transaction, and came in one message, so `statement_timestamp()` is the same moment in all of them. Never prepared: the plan of a prepared statement would be made for
    a sale of average size.
    """
    found: list[list[Row]] = []
    with connection.cursor() as cursor:
        cursor.execute("; ".join(statements), parameters)
        for _statement in statements:
            found.append(cursor.fetchall() if cursor.description else [])
            cursor.nextset()
    return found
