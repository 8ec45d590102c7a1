import os
import sys
from argparse import ArgumentTypeError
from datetime import UTC, date, datetime, time, timedelta
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from apps.accounts.models import User, normalized_email
from apps.core.commands import file_path, moment, words
from apps.payments.export import write_ledger
from apps.payments.models import LedgerTransaction
from apps.payments.selectors import ledger_transactions

BLOCK = 1024 * 1024  # characters
ID_DIGITS = 19  # of the highest id; int() refuses some thousand


def end(text: str) -> datetime:
    """Read a moment as `moment` does, but take a day for its end."""
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
        "a credit, negative a debit. Times are UTC. The whole file shows one moment; FILE is there when it is complete."
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
            "--customer",
            type=words,
            metavar="EMAIL_OR_ID",
            help="the movements of one customer only",
        )
        parser.add_argument(
            "--from", dest="since", type=moment, metavar="DATE", help="leave out what was before"
        )
        parser.add_argument(
            "--to", dest="until", type=end, metavar="DATE", help="leave out what came after"
        )
        parser.add_argument(
            "--output",
            type=file_path,
            metavar="FILE",
            help="where to write (default: standard output)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        customer: str | None = options["customer"]
        transactions = ledger_transactions(
            customer_id=None if customer is None else _customer_id(customer),
            since=options["since"],
            until=options["until"],
        )
        path: Path | None = options["output"]
        try:
            if path is None:
                self._print(transactions)
            else:
                entries = _write(transactions, path)
                self.stdout.write(self.style.SUCCESS(f"{entries:,} entries in {path}."))
        except OSError as error:
            place = path or f"A temporary file in {gettempdir()} (TMPDIR)"
            raise CommandError(f"{place} cannot be written: {error.strerror}.") from error

    def _print(self, transactions: QuerySet[LedgerTransaction]) -> None:
        """Hand a complete file on as fast as it is read; the database waits for no reader."""
        with TemporaryFile() as file:
            entries = write_ledger(transactions, file)
            file.seek(0)
            text = TextIOWrapper(file, encoding="utf-8", newline="")
            try:
                while block := text.read(BLOCK):
                    self.stdout.write(block, ending="")
                self.stdout.flush()
            except BrokenPipeError:
                # The reader has seen enough (`| head`): so that flushing at the end does not fail as well.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return
        self.stderr.write(f"{entries:,} entries, complete.")


def _write(transactions: QuerySet[LedgerTransaction], path: Path) -> int:
    """Write the file under another name until it is complete, unless it is a device or a pipe; return its entries."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            return write_ledger(transactions, file)
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            entries = write_ledger(transactions, file)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return entries


def _customer_id(email_or_id: str) -> int:
    by = (
        {"pk": int(email_or_id)}
        if email_or_id.isdecimal() and len(email_or_id) <= ID_DIGITS
        else {"email": normalized_email(email_or_id)}
    )
    found = User.objects.filter(**by).values_list("pk", flat=True).first()
    if found is None:
        raise CommandError(f"No customer {email_or_id!r}.")
    return found
