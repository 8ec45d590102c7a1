"""Find breaches by one statement, whose rows they are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from apps.core.audit_sessions import limited

EXAMPLES_MAX = 10


@dataclass(frozen=True)
class Findings:
    breaches: int = 0
    examples: Sequence[str] = ()
    counts: dict[str, int] = field(default_factory=dict)
    not_checked: str = ""


def breaches(
    statement: str,
    parameters: dict[str, Any] | None = None,
    *,
    since: datetime | None = None,
    **recent: str,
) -> Findings:
    """Run a statement whose rows are breaches, each described by one text.

    `recent` are conditions for its `{names}`, which limit it to what has changed since that moment (see `limited`).
    """
    statement = limited(statement, since, **recent)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) OVER (), breach.found FROM ({statement}) breach (found)"  # noqa: S608
            f" ORDER BY breach.found LIMIT {EXAMPLES_MAX}",
            {"since": since, **(parameters or {})},
        )
        rows = cursor.fetchall()
    return Findings(rows[0][0] if rows else 0, [example for _, example in rows])


def listed(found: Iterable[str], *, counts: dict[str, int] | None = None) -> Findings:
    every = list(found)
    return Findings(len(every), every[:EXAMPLES_MAX], counts or {})
