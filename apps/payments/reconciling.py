"""Add up the books: what the command and the page of staff say about them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.utils.translation import gettext as _

from apps.core.audit_sessions import audit_session
from apps.payments import selectors
from apps.payments.selectors import LedgerTotals

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Sums of the ledger, and all that is wrong with it, in words."""

    totals: LedgerTotals
    breaches: list[str]


def reconcile(*, since: datetime | None = None, seconds: float | None = None) -> Reconciliation:
    """Add up the whole ledger, or what has moved since a moment; in `seconds` at most.

    Each step is one statement and sees one moment, so it is right also while money moves.

    :raises OperationalError: it took longer.
    """
    stop_at = None if seconds is None else time.monotonic() + seconds

    def read(what: Callable[..., T]) -> T:
        left = None if stop_at is None else max(0.001, stop_at - time.monotonic())
        with audit_session(seconds=left):
            return what(since=since)

    totals = read(selectors.ledger_totals)
    breaches = [
        *map(str, read(selectors.wallet_differences)),
        *(f"customer {pk}: balance below zero" for pk in read(selectors.negative_wallets)),
        *(f"transaction {pk}: unbalanced" for pk in read(selectors.unbalanced_transactions)),
    ]
    # The balances of the wallets are no part of what has moved lately.
    if totals.difference or (since is None and not totals.adds_up):
        breaches.append("the totals differ")
    return Reconciliation(totals, breaches)


def lines_of(totals: LedgerTotals) -> list[tuple[str, int]]:
    """Return the sums of the ledger with their names."""
    return [
        (_("top-ups"), totals.charged),
        (_("paid at the counter"), totals.till),
        (_("paid by the house"), totals.comps),
        (_("corrections"), totals.adjusted),
        (_("payments"), -totals.paid),
        (_("refunds"), totals.refunded),
        (_("owed to customers"), totals.owed),
        (_("balances of wallets"), totals.balances),
    ]
