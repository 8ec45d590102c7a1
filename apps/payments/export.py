"""The ledger as CSV: one row for each entry, so that every column of amounts adds up to what the books say."""

import csv
from collections.abc import Iterator
from datetime import UTC

from django.db.models import QuerySet

from apps.payments.models import LedgerEntry, LedgerTransaction
from apps.shared.long_reads import long_read

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
BATCH = 2_000
# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class _Line:
    """A file for `csv.writer` that hands back what it is given."""

    def write(self, text: str) -> str:
        return text


def ledger_csv(transactions: QuerySet[LedgerTransaction]) -> Iterator[str]:
    """The entries of these transactions, oldest first, line by line, under a header.

    Amounts are won: positive is a credit, negative a debit; `balance_after` is the customer's. Times are UTC. Text that a
    spreadsheet would take for a formula begins with an apostrophe. All lines are of one moment, and only some of them are in
    memory at a time: a cursor of the server reads them in one transaction, which is open until the last line is taken.
    """
    writer = csv.writer(_Line())
    yield writer.writerow(HEADER)
    entries = (
        LedgerEntry.objects.filter(transaction__in=transactions.order_by().values("pk"))
        .order_by("transaction__created_at", "transaction_id", "pk")
        .values_list(
            "transaction__created_at",
            "transaction_id",
            "transaction__customer_id",
            "transaction__customer__email",
            "transaction__number",
            "transaction__type",
            "account",
            "amount",
            "transaction__balance_after",
            "transaction__reference",
            "transaction__reason",
            "transaction__adjusted_by__email",
        )
    )
    with long_read():
        for created_at, *others in entries.iterator(chunk_size=BATCH):
            time = created_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
            yield writer.writerow([time, *(_harmless(value) for value in others)])


def _harmless(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
