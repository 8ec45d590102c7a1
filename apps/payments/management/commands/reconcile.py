from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core.audit_sessions import audit_session
from apps.payments import selectors


class Command(BaseCommand):
    help = (
        "Add up the ledger, per customer and in total; fails when it does not match the balances."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        # Each is one statement and sees one moment, so it is right also while money moves.
        with audit_session():
            totals = selectors.ledger_totals()
            differences = selectors.wallet_differences()
            negative = selectors.negative_wallets()
            unbalanced = selectors.unbalanced_transactions()
        for name, amount in (
            ("top-ups", totals.charged),
            ("corrections", totals.adjusted),
            ("payments", -totals.paid),
            ("refunds", totals.refunded),
            ("owed to customers", totals.owed),
            ("balances of wallets", totals.balances),
        ):
            self.stdout.write(f"{name:<20}{amount:>22,} won")
        self.stdout.write(f"{totals.transactions:,} transactions, {totals.wallets:,} wallets")

        breaches = [
            *map(str, differences),
            *(f"customer {pk}: balance below zero" for pk in negative),
            *(f"transaction {pk}: unbalanced" for pk in unbalanced),
        ]
        if not totals.adds_up:
            breaches.append("the totals differ")
        for breach in breaches:
            self.stderr.write(breach)
        if breaches:
            raise CommandError(f"The books do not balance: {len(breaches)} differences.")
        self.stdout.write(self.style.SUCCESS("The books balance."))
