from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.payments.reconciling import lines_of, reconcile


class Command(BaseCommand):
    help = (
        "Add up the ledger, per customer and in total; fails when it does not match the balances."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        found = reconcile()
        totals = found.totals
        for name, amount in lines_of(totals):
            self.stdout.write(f"{name:<20}{amount:>22,} won")
        self.stdout.write(f"{totals.transactions:,} transactions, {totals.wallets:,} wallets")
        for breach in found.breaches:
            self.stderr.write(breach)
        if found.breaches:
            raise CommandError(f"The books do not balance: {len(found.breaches)} differences.")
        self.stdout.write(self.style.SUCCESS("The books balance."))
