import dataclasses
import json
import sys
import time
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.core.commands import moment, progress_bars
from apps.ops.invariants import INVARIANTS, Invariant, check_invariants
from apps.ops.monitoring import Scope, keep_outcome

PLAIN_WIDTH = 120  # columns, when the width of the output is unknown


class Command(BaseCommand):
    help = (
        "Check what must be true of everything that was ever held, sold, paid and announced: seats, "
        "balances, the ledger, reservations, seat limits, events, the ranking, admissions and "
        "idempotency keys. Reads whole tables, changes nothing, locks nothing, and may run while "
        "sales go on. Ends with status 1 when an invariant is broken."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["epilog"] = (
            "A million reservations take less than a minute. The ranking is compared with its store; "
            "when that does not answer, it is reported as not checked, and the rest still counts. "
            "Beat does the same every night, and with what has changed every five minutes; /metrics has the outcomes. "
            "docs/operations.md says what to do about a breach."
        )
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            type=moment,
            metavar="DATE",
            help=(
                "look only at what has changed since a day in UTC (2026-07-01) or a time with its offset "
                "(2026-07-01T20:00+09:00): as dear as the changes are many"
            ),
        )
        parser.add_argument(
            "--json",
            action="store_true",
            help="print one JSON object instead of the table: seconds, breaches and a list of invariants",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        begun_at = time.monotonic()
        with progress_bars(transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("Checking", total=len(INVARIANTS))
            results = check_invariants(
                since=options["since"], on_progress=lambda _: bar.advance(task)
            )
        seconds = time.monotonic() - begun_at
        if options["since"] is None:
            keep_outcome(results, scope=Scope.EVERYTHING, seconds=seconds)
        if options["json"]:
            self._print_json(results, seconds)
        else:
            self._print_table(results)

        broken = [result.name for result in results if result.breaches]
        if broken:
            raise CommandError(f"{len(broken)} of {len(results)} are broken: {', '.join(broken)}.")
        if not options["json"]:
            self.stdout.write(
                self.style.SUCCESS(f"{len(results)} invariants, 0 breaches, {seconds:.1f} s.")
            )

    def _print_json(self, results: list[Invariant], seconds: float) -> None:
        summary = {
            "seconds": round(seconds, 3),
            "breaches": sum(result.breaches for result in results),
            "invariants": [
                dataclasses.asdict(result) | {"seconds": round(result.seconds, 3)}
                for result in results
            ],
        }
        self.stdout.write(json.dumps(summary, indent=2))

    def _print_table(self, results: list[Invariant]) -> None:
        table = Table(show_edge=False)
        table.add_column("", justify="right")
        table.add_column("Invariant", overflow="fold")
        table.add_column("Breaches", justify="right", no_wrap=True)
        table.add_column("Seconds", justify="right", no_wrap=True)
        for number, result in enumerate(results, start=1):
            found = [result.statement, *result.examples]
            if result.breaches > len(result.examples):
                found.append(f"… and {result.breaches - len(result.examples):,} more")
            if result.counts:
                found.append(
                    ", ".join(f"{name} {count:,}" for name, count in result.counts.items())
                )
            if result.not_checked:
                found.append(f"not checked: {result.not_checked}")
            table.add_row(
                str(number),
                escape("\n  ".join(found)),
                f"{result.breaches:,}",
                f"{result.seconds:.2f}",
                style="bold red" if result.breaches else "yellow" if result.not_checked else "",
            )
        is_terminal = self.stdout.isatty()
        Console(
            file=cast(IO[str], self.stdout),
            force_terminal=is_terminal,
            width=None if is_terminal else PLAIN_WIDTH,
        ).print(table)
