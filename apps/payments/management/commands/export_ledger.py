import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction

from apps.accounts.models import User, normalized_email
from apps.payments.export import ledger_csv
from apps.payments.selectors import ledger_transactions
from apps.shared.commands import moment


def end(text: str) -> datetime:
    """As `moment`, but a day means its end."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return moment(text)
    try:
        return datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1)
    except OverflowError as error:
        raise ArgumentTypeError("there is no day after that") from error


class Command(BaseCommand):
    help = (
        "Write the ledger as CSV, one row for each entry, oldest first. Amounts are won: positive is "
        "a credit, negative a debit. Times are UTC. The whole file shows one moment."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["epilog"] = (
            "A DATE is a day in UTC (2026-07-01), first and last included, or a time with its offset "
            "(2026-07-01T00:00+09:00: the month as it is in Seoul), the last excluded. "
            "Example: manage.py export_ledger --from 2026-07-01 --to 2026-07-31 --output july.csv"
        )
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--customer", metavar="EMAIL_OR_ID", help="the movements of one customer only"
        )
        parser.add_argument(
            "--from", dest="since", type=moment, metavar="DATE", help="leave out what was before"
        )
        parser.add_argument(
            "--to", dest="until", type=end, metavar="DATE", help="leave out what came after"
        )
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="where to write (default: standard output)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        customer: str | None = options["customer"]
        transactions = ledger_transactions(
            customer_id=None if customer is None else _customer_id(customer),
            since=options["since"],
            until=options["until"],
        )
        path: Path | None = options["output"]
        with transaction.atomic(), connection.cursor() as cursor:
            # Whoever pages through the lines may take a while over one screen.
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            if path is None:
                self._print(ledger_csv(transactions))
                return
            try:
                with path.open("w", encoding="utf-8", newline="") as file:
                    entries = -1  # not counting the header
                    for line in ledger_csv(transactions):
                        file.write(line)
                        entries += 1
            except OSError as error:
                raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stdout.write(self.style.SUCCESS(f"{entries:,} entries in {path}."))

    def _print(self, lines: Iterator[str]) -> None:
        try:
            for line in lines:
                self.stdout.write(line)
        except BrokenPipeError:
            # Whoever read has seen enough (`| head`): so that flushing at the end does not fail as well.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _customer_id(email_or_id: str) -> int:
    by = (
        {"pk": int(email_or_id)}
        if email_or_id.isdecimal()
        else {"email": normalized_email(email_or_id)}
    )
    found = User.objects.filter(**by).values_list("pk", flat=True).first()
    if found is None:
        raise CommandError(f"No customer {email_or_id!r}.")
    return found
