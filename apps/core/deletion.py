"""Deletion of sets of rows, counted and carried out with one statement for each kind of row.

Django's own collector reads each row that goes along, and its admin lists them: a hall of 60,000 seats takes it longer than a
statement may. What it would find is the same: `CASCADE` goes along, everything else stands in the way.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import IntegrityError, connection, models
from django.db.models import QuerySet
from django.db.models.deletion import CASCADE, get_candidate_relations_to_delete
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core.errors import Conflict
from apps.core.transactions import requires_transaction

ROWS_MAX = 200_000  # at a time, a few seconds of work
BATCH = 20_000  # rows of one statement, so that none comes near the time-out
# Goes with its account in Django, and says what staff have done.
KEPT = (LogEntry,)

Model = type[models.Model]
Counts = Mapping[Model, int]


class DeletionRefused(Conflict):
    """Something refers to what was to be deleted, or it is not what the page showed; `reason` says so to people."""

    code = "VALIDATION_ERROR"

    def __init__(self, reason: str) -> None:
        super().__init__(errors={"deletion": [reason]})
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Deletion:
    """Rows that go, children before what they belong to, and rows that stand in the way, by their model.

    Counts end at `ROWS_MAX` + 1. Rows that are found in two ways are counted in one.
    """

    going: dict[Model, int]
    in_the_way: dict[Model, int]

    @property
    def rows(self) -> int:
        return sum(self.going.values())

    @property
    def refusal(self) -> str | None:
        """Say why it cannot be; None if it can."""
        if self.in_the_way:
            return _("This cannot be deleted because these refer to it: %(rows)s.") % {
                "rows": counts_in_words(self.in_the_way)
            }
        if self.rows > ROWS_MAX:
            return ngettext(
                "This would delete more than %(count)s row. Delete a part of it first.",
                "This would delete more than %(count)s rows. Delete a part of it first.",
                ROWS_MAX,
            ) % {"count": f"{ROWS_MAX:,}"}
        return None


def rows_by_key(model: Model, ids: Sequence[int]) -> QuerySet[Any]:
    """Find rows by their keys, which travel as one array: tens of thousands in an IN list cost seconds to read."""
    return model._base_manager.filter(pk__in=RawSQL("SELECT unnest(%s::bigint[])", [list(ids)]))


def counts_in_words(counts: Counts) -> str:
    """Return, for example, "performances: 1, seats: 60,000"."""
    return ", ".join(
        f"{model._meta.verbose_name_plural}: {_bounded(count)}" for model, count in counts.items()
    )


def _bounded(count: int) -> str:
    return f"{count:,}" if count <= ROWS_MAX else f"> {ROWS_MAX:,}"


def deletion_of(found: QuerySet[Any]) -> Deletion:
    """Count what would go with the rows that `found` finds by their keys, and what stands in the way."""
    going: dict[Model, int] = {}
    in_the_way: dict[Model, int] = {}
    for rows, goes in _with_all_that_refers_to(found):
        counts = going if goes else in_the_way
        if count := rows.order_by()[: ROWS_MAX + 1].count():
            counts[rows.model] = max(count, counts.get(rows.model, 0))
    return Deletion(going, in_the_way)


@requires_transaction
def delete_rows(found: QuerySet[Any], *, expected: int | None = None) -> Deletion:
    """Delete rows and all that goes with them; returns the counts.

    The caller has to lock out all that may still refer to them. `expected` is how many rows the caller was told.

    :raises DeletionRefused: something refers to them, they are too many, or not as many as expected.
    """
    deletion = deletion_of(found)
    if deletion.refusal:
        raise DeletionRefused(deletion.refusal)
    if expected not in (None, deletion.rows):
        raise DeletionRefused(_("This has changed in the meantime. Check it again."))
    try:
        with connection.cursor() as cursor:
            # Else all references are looked for in the commit, which is one statement however many there are.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for rows, goes in _with_all_that_refers_to(found):
            if goes:
                _delete_in_batches(rows)
    except IntegrityError as error:
        raise DeletionRefused(_("This has changed in the meantime. Check it again.")) from error
    return deletion


def _delete_in_batches(rows: QuerySet[Any]) -> None:
    # By their keys: a DELETE with a condition that leads over other tables reads its own from end to end.
    count = BATCH
    while count == BATCH:
        ids = list(rows.order_by().values_list("pk", flat=True)[:BATCH])
        count = rows_by_key(rows.model, ids)._raw_delete(rows.db) if ids else 0


def _with_all_that_refers_to(found: QuerySet[Any]) -> Iterator[tuple[QuerySet[Any], bool]]:
    """Find what refers to rows, before them, and say of each whether it goes along."""
    relation: Any
    for relation in get_candidate_relations_to_delete(found.model._meta):
        model: Model = relation.related_model
        rows = model._base_manager.filter(**{f"{relation.field.name}__in": found.values("pk")})
        if relation.on_delete is CASCADE and model not in KEPT:
            yield from _with_all_that_refers_to(rows)
        else:
            yield rows, False
    yield found, True
