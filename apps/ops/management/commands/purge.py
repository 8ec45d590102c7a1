import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.core.commands import progress_bars
from apps.ops.purging import count_old, purge
from apps.ops.retention import RETENTIONS, Retention


class Command(BaseCommand):
    help = (
        "Delete rows that are older than their retention. Sales, tickets, money and the ranking are kept for ever and are "
        "not among the tables. Works in short transactions and may be stopped at any time, or run beside sales and beside "
        "the purge that beat does every ten minutes."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["epilog"] = (
            "Example: manage.py purge --table events --dry-run. docs/operations.md has the settings that say how long each "
            "table is kept, and what is lost with its rows."
        )
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        names = [retention.name for retention in RETENTIONS]
        parser.add_argument(
            "--table",
            nargs="+",
            choices=names,
            default=names,
            metavar="NAME",
            help=f"these only, of {', '.join(names)} (default: all)",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="count what would be deleted, change nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = [retention for retention in RETENTIONS if retention.name in options["table"]]
        total = 0
        for retention in wanted:
            rows = count_old(retention)
            if not options["dry_run"]:
                rows = self._purge(retention, expected=rows)
            days = retention.keep.total_seconds() / 86_400
            self.stdout.write(f"{retention.name:<20} kept {days:>5g} days {rows:>12,} rows")
            total += rows
        done = "would be deleted, nothing changed" if options["dry_run"] else "deleted"
        self.stdout.write(self.style.SUCCESS(f"{total:,} rows {done}."))

    def _purge(self, retention: Retention, *, expected: int) -> int:
        with progress_bars(transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task(retention.name, total=expected)
            return purge(retention, seconds=None, on_progress=lambda rows: bar.advance(task, rows))
