import json
import secrets
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TextIO, cast

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich import box
from rich.console import Console
from rich.table import Table

from apps.core.commands import address, file_path, progress_bars, whole_number
from dev.bench.queue_benchmark import BenchmarkFailed, measure
from dev.bench.queue_benchmark_report import Bounds, Report, Verdict, as_json, judge

SIZES = [1_000, 1_000_000]
SIZE_MIN, SIZE_MAX = 50, 20_000_000
TIMEOUT = 120.0  # seconds; reading the memory of a large key takes a while
FILE_WIDTH = 160  # of tables that do not go to a terminal

TITLES = {
    "join": "join",
    "join_early": "join by lottery",
    "status": "status, WAITING",
    "status_busy": "status, no pause",
    "gate": "status, ACTIVE",
    "board": "board",
    "admit": "tick, admitting",
    "purge": "tick, purging",
    "finish": "finish",
    "restore": "restore",
    "replay": "replay",
    "close": "close",
}


class Command(BaseCommand):
    help = (
        "Measure waiting rooms of the given sizes: joining, asking, admitting, purging those who "
        "went away, by the caller's clock and by the server's own statistics. Fails if a cost is "
        "above its bound: status and admission at the largest size within 1.2 times the smallest, "
        "300 bytes a visitor, 10 ms for the longest script, one round trip per join and status."
    )
    requires_system_checks: list[str] = []
    stealth_options = ("bounds",)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["epilog"] = (
            "Example: manage.py queue_benchmark --waiting 1000 --waiting 1000000 --json costs.json. "
            "A million takes about two minutes and 300 MB. Without --server a Valkey is started for "
            "this alone, with an append-only file, and thrown away; no live room is touched."
        )
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--waiting",
            type=whole_number(SIZE_MIN, SIZE_MAX),
            action="append",
            metavar="N",
            help="visitors in a room; repeat it to compare sizes (default: 1000 and 1000000)",
        )
        parser.add_argument(
            "--operations",
            type=whole_number(10, 100_000),
            default=1_000,
            metavar="N",
            help="calls of each kind in a repetition, as far as half of the visitors suffice (default: 1000)",
        )
        parser.add_argument(
            "--repeats",
            type=whole_number(1, 100),
            default=11,
            metavar="N",
            help="repetitions: the fastest counts, and the median of their ratios (default: 11)",
        )
        parser.add_argument(
            "--json", type=file_path, metavar="FILE", help="write the figures to this file, too"
        )
        parser.add_argument(
            "--server",
            type=address("redis", "rediss", "unix", example="redis://127.0.0.1:6379/0"),
            metavar="URL",
            help="an empty Valkey or Redis 7 to measure, redis://host:port/0; its statistics start anew",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        bounds: Bounds = options.get("bounds") or Bounds()
        # First the file: whoever cannot use the result should not have to wait for it.
        output = _open(options["json"]) if options["json"] else nullcontext()
        server = _named_server(options["server"]) if options["server"] else _throwaway_server()
        with output as file, server as client, progress_bars() as progress:
            tasks: dict[str, Any] = {}

            def show(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = progress.add_task(what, total=total)
                progress.update(tasks[what], completed=done)

            try:
                report = measure(
                    client,
                    options["waiting"] or SIZES,
                    operations=options["operations"],
                    repeats=options["repeats"],
                    on_progress=show,
                )
            except (BenchmarkFailed, redis.RedisError) as error:
                raise CommandError(str(error)) from error
            verdicts = judge(report, bounds)
            if file:
                json.dump(as_json(report, verdicts), file, indent=2)
        self._print(report, verdicts)
        broken = [verdict.what for verdict in verdicts if not verdict.holds]
        if broken:
            raise CommandError(f"Above the bound: {'; '.join(broken)}.")
        self.stdout.write(self.style.SUCCESS("Every bound holds."))

    def _print(self, report: Report, verdicts: list[Verdict]) -> None:
        """Tables; in Markdown unless a terminal shows them."""
        is_terminal = self.stdout.isatty()
        console = Console(
            file=cast(TextIO, self.stdout),
            width=None if is_terminal else FILE_WIDTH,
            highlight=False,
        )
        persistence = "append-only file" if report.append_only else "no append-only file"
        console.print(
            f"{report.server}, {persistence}, {report.cores} cores; load {report.load_before:.1f} "
            f"before, {report.load_after:.1f} after. Times in microseconds."
        )
        for title, table in (
            *_tables_of_rooms(report),
            *_table_of_ratios(report),
            ("Bounds", _table_of_verdicts(verdicts)),
        ):
            table.box = box.SIMPLE if is_terminal else box.MARKDOWN
            table.pad_edge = not is_terminal
            for column in table.columns:
                column.header = str(column.header).replace("\n", "\n" if is_terminal else " ")
            console.print(f"\n{title}", style="bold")
            console.print(table)


def _tables_of_rooms(report: Report) -> Generator[tuple[str, Table]]:
    for room in report.rooms:
        table = _table(
            *("operation", "per\nsecond", "caller\np50", "caller\np99"),
            *("server\np50", "server\np99", "server\nmax", "server\neach"),
        )
        for name, title in TITLES.items():
            one = room.operations[name]
            client = (one.visitors_per_second, one.client_p50, one.client_p99)
            server = (one.server_p50, one.server_p99, one.server_longest)
            table.add_row(
                title,
                *(f"{number:,.0f}" for number in (*client, *server)),
                f"{one.server_per_visitor:.1f}",
            )
        yield f"{room.waiting:,} waiting, {room.bytes_per_visitor:.0f} bytes each", table


def _table_of_ratios(report: Report) -> Generator[tuple[str, Table]]:
    if report.ratios:
        sizes = f"{report.rooms[-1].waiting:,} : {report.rooms[0].waiting:,} waiting"
        table = _table("operation", "caller", "server")
        for name, title in TITLES.items():
            one = report.ratios[name]
            table.add_row(title, f"{one['client']:.2f} x", f"{one['server']:.2f} x")
        yield f"Cost of one visitor, {sizes}", table


def _table_of_verdicts(verdicts: list[Verdict]) -> Table:
    table = _table("cost", "measured", "bound", "")
    for verdict in verdicts:
        table.add_row(
            verdict.what,
            f"{verdict.measured:,.2f} {verdict.unit}",
            f"{verdict.bound:,g} {verdict.unit}",
            "holds" if verdict.holds else "BROKEN",
            style="" if verdict.holds else "bold red",
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table()
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


@contextmanager
def _named_server(url: str) -> Generator[redis.Redis]:
    try:
        with redis.Redis.from_url(url, socket_timeout=TIMEOUT) as client:
            client.ping()
            yield client
    except (redis.ConnectionError, redis.AuthenticationError, ValueError) as error:
        raise CommandError(f"The server cannot be used: {error}") from error


@contextmanager
def _throwaway_server() -> Generator[redis.Redis]:
    """A Valkey set up as in a deployment, in a folder that goes with it."""
    try:
        from dev.stack.servers import ServerFailed, ValkeyServer, free_port
    except ImportError as error:
        raise CommandError(
            "No Valkey comes with this installation: name one with --server."
        ) from error
    with tempfile.TemporaryDirectory(prefix="encore-benchmark-") as folder:
        try:
            server = ValkeyServer(
                directory=Path(folder),
                log_path=Path(folder) / "valkey.log",
                port=free_port(),
                password=secrets.token_urlsafe(24),
                append_only=True,
                options={"auto-aof-rewrite-min-size": "1gb"},
            )
            server.start()
        except ServerFailed as error:
            raise CommandError(f"{error}\nOr name an empty server with --server.") from error
        try:
            with redis.Redis.from_url(server.url, socket_timeout=TIMEOUT) as client:
                yield client
        finally:
            server.stop()


def _open(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"Cannot write to {path}: {error.strerror}") from error
