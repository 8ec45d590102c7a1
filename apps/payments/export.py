"""The ledger as CSV: one row for each entry, so that every column of amounts adds up to what the books say.

One format for all: UTF-8 with a byte order mark, by which spreadsheets know it, commas, lines that end with LF, and a header.
The database makes the rows. They are put into a file first and sent on from there, so that a slow reader keeps neither a
transaction nor a session open.
"""

from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import IO
from uuid import UUID

from django.db import connection
from django.db.models import Case, F, Func, Q, QuerySet, TextField, Value, When, Window
from django.db.models.expressions import Combinable
from django.db.models.functions import Mod, Right, RowNumber
from django.db.models.lookups import Exact

from apps.accounts.models import WALK_UP_DOMAIN
from apps.core.audit_sessions import audit_session
from apps.core.transactions import database_now
from apps.payments.models import LedgerEntry, LedgerTransaction

HEADER = (
    "created_at",
    "transaction_id",
    "customer_id",
    "customer_email",
    "number",
    "type",
    "account",
    "amount",
    "balance_after",
    "reference",
    "reason",
    "adjusted_by",
)
ENTRIES_OF_A_TRANSACTION = 2
NO_ID = UUID(int=0)


class _Time(Func):
    """A moment in UTC as ISO 8601."""

    template = """to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    output_field = TextField()


class _Harmless(Func):
    """A text in which a spreadsheet sees no formula, by an apostrophe before it (OWASP, "CSV Injection"). Empty is nothing."""

    template = r"NULLIF(regexp_replace(%(expressions)s, '^[=+\-@\t\r\n＝＋－＠]', '''\&'), '')"
    output_field = TextField()


# Customers of the counter without an account have none.
_NO_ADDRESS = f"@{WALK_UP_DOMAIN}"
_ADDRESS = Case(
    When(
        Exact(Right(F("transaction__customer__email"), len(_NO_ADDRESS)), Value(_NO_ADDRESS)),
        then=Value(""),
    ),
    default=F("transaction__customer__email"),
    output_field=TextField(),
)

COLUMNS: tuple[Combinable, ...] = (
    _Time(F("transaction__created_at")),
    F("transaction_id"),
    F("transaction__customer_id"),
    _Harmless(_ADDRESS),
    F("transaction__sequence"),
    F("transaction__type"),
    F("account"),
    F("amount"),
    F("transaction__balance_after"),
    F("transaction__reference"),
    _Harmless(F("transaction__reason")),
    _Harmless(F("transaction__adjusted_by__email")),
)


def write_ledger(
    transactions: QuerySet[LedgerTransaction], file: IO[bytes], *, seconds: float | None = None
) -> int:
    """Write the entries of these transactions, oldest first, under a header; return how many they are.

    Amounts are won: positive is a credit, negative a debit; `balance_after` is the customer's. Times are UTC. Text that a
    spreadsheet would take for a formula begins with an apostrophe. It is one statement, so all rows are of one moment. `seconds`
    bound it.

    :raises OperationalError: it took longer.
    """
    entries = (
        LedgerEntry.objects.filter(transaction__in=transactions.order_by().values("pk"))
        .order_by("transaction__created_at", "transaction_id", "pk")
        .values_list(*COLUMNS)
    )
    rows = connection.ops.compose_sql(*entries.query.sql_with_params())  # type: ignore[attr-defined]
    file.write(BOM_UTF8 + ",".join(HEADER).encode() + b"\n")
    number = 0
    with (
        audit_session(seconds=seconds),
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(f"COPY ({rows}) TO STDOUT (FORMAT csv)") as copy,
    ):
        for row in copy:
            file.write(row)
            number += 1
    return number


@dataclass(frozen=True, slots=True)
class Part:
    """The transactions from `first` to before `end`, in the order of time and id, and how many they are."""

    first: tuple[datetime, UUID]
    end: tuple[datetime, UUID]
    transactions: int

    @property
    def entries(self) -> int:
        return self.transactions * ENTRIES_OF_A_TRANSACTION


def between(
    transactions: QuerySet[LedgerTransaction],
    first: tuple[datetime, UUID],
    end: tuple[datetime, UUID],
) -> QuerySet[LedgerTransaction]:
    """Return those of a part. The ledger is never changed, so it is the same whenever it is asked for."""
    return transactions.filter(
        Q(created_at=first[0], id__gte=first[1]) | Q(created_at__gt=first[0]),
        Q(created_at=end[0], id__lt=end[1]) | Q(created_at__lt=end[0]),
        created_at__range=(first[0], end[0]),
    )


def parts_of(
    transactions: QuerySet[LedgerTransaction], *, entries: int, seconds: float
) -> Iterator[Part]:
    """Divide what there is until now into parts of at most so many entries, oldest first.

    :raises OperationalError: it took longer than `seconds`.
    """
    size = entries // ENTRIES_OF_A_TRANSACTION
    now = database_now()
    order = [F("created_at").asc(), F("pk").asc()]
    numbered = transactions.filter(created_at__lt=now).order_by()
    with audit_session(seconds=seconds):
        total = numbered.count()
        firsts = list(
            numbered.annotate(row=Window(RowNumber(), order_by=order))
            .annotate(place=Mod(F("row"), Value(size)))
            .filter(place=1 % size)
            .order_by("row")
            .values_list("created_at", "pk")
        )
    for number, (first, end) in enumerate(pairwise([*firsts, (now, NO_ID)])):
        yield Part(first, end, min(size, total - number * size))
