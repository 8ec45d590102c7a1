"""Reads of money: balances, and whether everything adds up. All amounts are won."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet, Sum

from apps.core.audit_sessions import limited
from apps.payments.models import COUNTER_TYPES, LedgerTransaction, Wallet


def wallet_balance(*, customer_id: int) -> int:
    """Return what the customer can spend, in won; 0 before the first top-up."""
    balance = Wallet.objects.filter(pk=customer_id).values_list("balance", flat=True).first()
    return balance or 0


def paid_by_house_of(reference: UUID) -> int:
    """Return what the house has paid of a sale and not got back, in won."""
    kinds = (LedgerTransaction.Type.COMP, LedgerTransaction.Type.COMP_BACK)
    found = LedgerTransaction.objects.filter(type__in=kinds, reference=reference)
    return found.aggregate(total=Sum("amount"))["total"] or 0


def transactions_of_customer(*, customer_id: int) -> QuerySet[LedgerTransaction]:
    """Return the customer's movements, newest first."""
    return LedgerTransaction.objects.filter(customer_id=customer_id).order_by("-sequence")


def ledger_transactions(
    *,
    customer_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[LedgerTransaction]:
    """Return the movements of all customers, or of one, from `since` on and before `until`, oldest first."""
    found = LedgerTransaction.objects.order_by("created_at", "pk")
    if customer_id is not None:
        found = found.filter(customer_id=customer_id)
    if since is not None:
        found = found.filter(created_at__gte=since)
    if until is not None:
        found = found.filter(created_at__lt=until)
    return found


@dataclass(slots=True)
class Refunds:
    """Say what was given back of a sale, the first refund first; in won, what the house has paid of the sale and what of that it got back."""

    booked: list[LedgerTransaction] = field(default_factory=list)
    house: int = 0
    house_back: int = 0


def refunds_of(references: Iterable[UUID]) -> dict[UUID, Refunds]:
    """Return what was given back of these references; one query, and those of which there is nothing to say are left out."""
    Type = LedgerTransaction.Type  # noqa: N806
    refunds: dict[UUID, Refunds] = {}
    # There is an index for each of the two.
    kinds = Q(type=Type.REFUND) | Q(type__in=COUNTER_TYPES)
    found = LedgerTransaction.objects.filter(kinds, reference__in=list(references))
    for row in found.order_by("sequence"):
        assert row.reference is not None
        of_sale = refunds.setdefault(row.reference, Refunds())
        match row.type:
            case Type.REFUND:
                of_sale.booked.append(row)
            case Type.COMP:
                of_sale.house += row.amount
            case Type.COMP_BACK:
                of_sale.house_back -= row.amount
    return refunds


# --- Whether everything adds up: all of it, or what has moved since a moment ------------------------------------------

_CUSTOMERS_MOVED = "customer_id IN (SELECT customer_id FROM payments_ledgertransaction WHERE created_at >= %(since)s)"
# Entries have no time. Those of the same time are the ones that were numbered since: among them may be some whose transaction is
# missing. (`+ 0` keeps the planner from walking all entries for the first that fits. Of a range with two ends it expects a small
# part of the table, of one that is open a third.)
_TRANSACTIONS_MOVED = """
    SELECT id FROM payments_ledgertransaction WHERE created_at >= %(since)s
    UNION ALL
    SELECT transaction_id FROM payments_ledgerentry WHERE id BETWEEN (
        SELECT min(id + 0) FROM payments_ledgerentry
        WHERE transaction_id IN (SELECT id FROM payments_ledgertransaction WHERE created_at >= %(since)s)
    ) AND (SELECT max(id) FROM payments_ledgerentry)
"""


@dataclass(frozen=True, slots=True)
class WalletDifference:
    customer_id: int
    balance: int
    ledger: int

    def __str__(self) -> str:
        return f"customer {self.customer_id}: balance {self.balance:,}, ledger {self.ledger:,}"


_WALLET_DIFFERENCES = """
    SELECT COALESCE(wallet.customer_id, booked.customer_id),
           COALESCE(wallet.balance, 0), COALESCE(booked.total, 0)
    FROM (SELECT * FROM payments_wallet WHERE {customers}) wallet
    FULL JOIN (
        SELECT customer_id, SUM(amount)::bigint AS total
        FROM payments_ledgerentry
        WHERE customer_id IS NOT NULL AND {customers}
        GROUP BY customer_id
    ) booked ON booked.customer_id = wallet.customer_id
    WHERE COALESCE(wallet.balance, 0) <> COALESCE(booked.total, 0)
    ORDER BY 1
"""


def wallet_differences(*, since: datetime | None = None) -> list[WalletDifference]:
    """Customers whose balance is not the sum of their ledger entries."""
    statement = limited(_WALLET_DIFFERENCES, since, customers=_CUSTOMERS_MOVED)
    return [WalletDifference(*row) for row in _rows(statement, since)]


def negative_wallets(*, since: datetime | None = None) -> list[int]:
    """Customers whose balance is below zero."""
    wallets = Wallet.objects.filter(balance__lt=0)
    if since is not None:
        moved = LedgerTransaction.objects.filter(created_at__gte=since)
        wallets = wallets.filter(pk__in=moved.values("customer"))
    return list(wallets.order_by("pk").values_list("pk", flat=True))


# Read in order, with the wallet as the last line of each history: every line says what balance it found, and which number it
# comes after. Two lines of the same number are two movements that did not see each other, or a wallet that lags behind.
_BROKEN_HISTORIES = """
    SELECT DISTINCT customer_id
    FROM (
        SELECT customer_id, is_wallet, after, found,
            lag(sequence, 1, 0) OVER history AS sequence_before,
            lag(balance, 1, 0) OVER history AS balance_before,
            lead(sequence) OVER history AS sequence_after
        FROM (
            SELECT customer_id, sequence, sequence - 1 AS after, balance_after - amount AS found, balance_after AS balance,
                FALSE AS is_wallet
            FROM payments_ledgertransaction
            WHERE {customers}
            UNION ALL
            SELECT customer_id, version + 1, version, balance, balance, TRUE
            FROM payments_wallet
            WHERE {customers}
        ) line
        WINDOW history AS (PARTITION BY customer_id ORDER BY sequence, is_wallet)
    ) line
    WHERE after <> sequence_before OR found <> balance_before OR is_wallet <> (sequence_after IS NULL)
    ORDER BY customer_id
"""


def broken_histories(*, since: datetime | None = None) -> list[int]:
    """Customers whose movements do not follow from each other: 1, 2, 3, … from a balance of 0 to that of the wallet."""
    statement = limited(_BROKEN_HISTORIES, since, customers=_CUSTOMERS_MOVED)
    return [row[0] for row in _rows(statement, since)]


# Sums of a few amounts are exact as float8, and take a fifth of the memory and time of numeric, which SUM(bigint) is.
# `accounts` tells two entries apart: no other pair has the same sum.
_UNBALANCED_TRANSACTIONS = """
    SELECT COALESCE(booked.id, entries.transaction_id)
    FROM (SELECT * FROM payments_ledgertransaction WHERE {transactions}) booked
    FULL JOIN (
        SELECT transaction_id, COUNT(*) AS number, SUM(amount::float8) AS total,
               SUM(amount::float8) FILTER (WHERE account = 'CUSTOMER_LIABILITY') AS owed,
               SUM(CASE account WHEN 'CUSTOMER_LIABILITY' THEN 1 WHEN 'CASH' THEN 10 WHEN 'SALES_REVENUE' THEN 100
                   WHEN 'REFUNDS' THEN 1000 WHEN 'ADJUSTMENTS' THEN 10000
                   WHEN 'TILL_CASH' THEN 100000 WHEN 'TILL_CARD' THEN 1000000 WHEN 'COMPS' THEN 10000000 END) AS accounts,
               MIN(customer_id) FILTER (WHERE account = 'CUSTOMER_LIABILITY') AS customer_id,
               COUNT(customer_id) AS customers
        FROM payments_ledgerentry
        WHERE {entries}
        GROUP BY transaction_id
    ) entries ON entries.transaction_id = booked.id
    WHERE booked.id IS NULL OR entries.number IS DISTINCT FROM 2
        OR entries.total <> 0 OR entries.owed IS DISTINCT FROM booked.amount
        OR entries.accounts IS DISTINCT FROM 1 + CASE booked.type
            WHEN 'CHARGE' THEN 10 WHEN 'PAYMENT' THEN 100 WHEN 'REFUND' THEN 1000 WHEN 'ADJUSTMENT' THEN 10000
            WHEN 'TILL_CASH' THEN 100000 WHEN 'TILL_CARD' THEN 1000000 WHEN 'COMP' THEN 10000000 WHEN 'COMP_BACK' THEN 10000000 END
        OR entries.customers <> 1 OR entries.customer_id IS DISTINCT FROM booked.customer_id
    ORDER BY 1
"""


def unbalanced_transactions(*, since: datetime | None = None) -> list[UUID]:
    """Transactions without exactly their two entries: what is owed to the customer changes by the amount, and what the type
    is booked against by its opposite. Those that do not exist, but have entries, are among them.
    """
    statement = limited(
        _UNBALANCED_TRANSACTIONS,
        since,
        # An array is expected to be short: for as many as the range may hold, the planner would make room.
        transactions="id = ANY (ARRAY{moved})",
        entries="transaction_id = ANY (ARRAY{moved})",
        moved=_TRANSACTIONS_MOVED,
    )
    return [row[0] for row in _rows(statement, since)]


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """Sums over the whole ledger; `balances` is the sum over the wallets, `till` what was paid at the counter, `comps` what the house pays.

    Sums over what has moved since a moment say nothing of the wallets: those are 0.
    """

    charged: int
    till: int
    comps: int
    adjusted: int
    paid: int
    refunded: int
    owed: int
    balances: int
    wallets: int
    transactions: int

    @property
    def difference(self) -> int:
        """Top-ups, what the counter and the house paid, and corrections minus payments plus refunds, less what is owed to customers."""
        brought = self.charged + self.till + self.comps + self.adjusted
        return brought - self.paid + self.refunded - self.owed

    @property
    def adds_up(self) -> bool:
        return self.difference == 0 and self.owed == self.balances


_LEDGER_TOTALS = """
    SELECT COALESCE(SUM(amount) FILTER (WHERE type = 'CHARGE'), 0)::bigint,
           COALESCE(SUM(amount) FILTER (WHERE type IN ('TILL_CASH', 'TILL_CARD')), 0)::bigint,
           COALESCE(SUM(amount) FILTER (WHERE type IN ('COMP', 'COMP_BACK')), 0)::bigint,
           COALESCE(SUM(amount) FILTER (WHERE type = 'ADJUSTMENT'), 0)::bigint,
           COALESCE(-SUM(amount) FILTER (WHERE type = 'PAYMENT'), 0)::bigint,
           COALESCE(SUM(amount) FILTER (WHERE type = 'REFUND'), 0)::bigint,
           (SELECT COALESCE(SUM(amount), 0)::bigint FROM payments_ledgerentry
            WHERE account = 'CUSTOMER_LIABILITY' AND {entries}),
           (SELECT COALESCE(SUM(balance), 0)::bigint FROM payments_wallet WHERE {wallets}),
           (SELECT COUNT(*) FROM payments_wallet WHERE {wallets}),
           COUNT(*)
    FROM payments_ledgertransaction
    WHERE {transactions}
"""


def ledger_totals(*, since: datetime | None = None) -> LedgerTotals:
    """Return the whole ledger in a few sums: one statement, so that they belong together under load too."""
    statement = limited(
        _LEDGER_TOTALS,
        since,
        transactions="created_at >= %(since)s",
        entries="transaction_id IN (SELECT id FROM payments_ledgertransaction WHERE created_at >= %(since)s)",
        wallets="FALSE",
    )
    return LedgerTotals(*_rows(statement, since)[0])


def _rows(statement: str, since: datetime | None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"since": since})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
