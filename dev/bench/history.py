"""Compare what the same work costs with and without years of sales in the database; or check all invariants of those.

    make bench-history                                          fills a database, measures beside an empty one
    make bench-history ARGS="--reservations 5000000 --keep /var/tmp/encore-history"
                                                                the same, and what was filled stays for the next time
    make bench-history ARGS="--database-url postgresql://..."   only fills a database, which must be a throw-away one
    make bench-invariants ARGS="--reservations 200000"          how long it takes to check every invariant

The role of the address must be a superuser (triggers rest while it fills), and the tables must be there. A million reservations
take a few minutes and about 3 GB, and as much again while they are measured, which happens on a copy.
"""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from rich.console import Console

from apps.core.commands import address, folder_path, progress_bars, whole_number
from dev.bench.filling import History, Progress, fill
from dev.bench.kept import HistoryRefused, KeptHistory
from dev.stack.servers import ValkeyServer, free_port
from dev.stack.throwaway import django_on, exit_when_it_fails, new_folder
from dev.tool import parser_of


def main(history: History, *, keep: Path | None, invariants: bool) -> None:
    """Print what was asked for.

    :raises HistoryRefused: the folder to keep it in holds another history.
    """
    with ExitStack() as ending:
        home = new_folder("history")
        ending.callback(shutil.rmtree, home, ignore_errors=True)
        kept = KeptHistory(keep or home)
        with _filling() as on_progress:
            kept.fill(history, on_progress=on_progress)
        stores = []
        for name in ("empty", "history"):
            log = home / f"{name}.log"
            store = ValkeyServer(directory=home / name, log_path=log, port=free_port())
            ending.callback(store.stop)
            store.start()
            stores.append(store.url)
        postgres = ending.enter_context(kept.copied())
        ending.enter_context(django_on(postgres.url, stores[0]))
        from dev.bench.past import check_all, compare

        lines = check_all(history) if invariants else compare(history, stores=stores)
        for line in lines:
            print(line, flush=True)


@contextmanager
def _filling() -> Iterator[Progress]:
    """Show what is made on a bar, but none where nothing has to be filled."""
    with progress_bars() as progress:
        task = progress.add_task("Filling", total=None, visible=False)

        def show(subject: str, done: int, total: int) -> None:
            subject = subject or "Filling"
            progress.update(task, description=subject, completed=done, total=total, visible=True)

        yield show


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("make bench-history", __doc__)
    number = whole_number(1, 100_000_000)
    for name, text in (
        ("--reservations", "in the past (default: 200,000, of invariants a million)"),
        ("--concerts", "that are over (default: one for each 100 reservations)"),
        ("--accounts", "of customers (default: one for each 4 reservations)"),
        ("--kept-days", "leave out events and exits that are older, as if they had been purged"),
        (
            "--kept-hold-days",
            "the same for holds that ended without a payment (default: as --kept-days)",
        ),
    ):
        parser.add_argument(name, type=number, metavar="N", help=text)
    parser.add_argument(
        "--rooms",
        choices=["RETIRED", "RESTING"],
        default="RETIRED",
        help="RESTING: as after an upgrade, before ticks have retired them",
    )
    parser.add_argument(
        "--invariants", action="store_true", help="check all invariants instead of comparing"
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--keep",
        type=folder_path,
        metavar="FOLDER",
        help="fill a database in this folder, or take the one that is there, and let it stay",
    )
    place.add_argument(
        "--database-url",
        type=address("postgresql", "postgres", example="postgresql://encore@127.0.0.1:5432/encore"),
        metavar="URL",
        help="fill this one, measure nothing",
    )
    parser.add_argument("--only-fill", action="store_true", help="measure nothing; with --keep")
    return parser


def _history(options: argparse.Namespace) -> History:
    """:raises ValueError: the numbers do not fit together."""
    reservations = options.reservations or (1_000_000 if options.invariants else 200_000)
    return History(
        concerts=options.concerts or max(reservations // 100, 1),
        reservations=reservations,
        accounts=options.accounts or reservations // 4,
        kept_days=options.kept_days,
        kept_hold_days=options.kept_hold_days,
        activity=options.rooms,
        answers=reservations // 10 if options.invariants else 0,
    )


if __name__ == "__main__":
    parser = _parser()
    options = parser.parse_args()
    if options.only_fill and not options.keep:
        parser.error("--only-fill needs --keep: what is filled would be thrown away")
    try:
        wanted = _history(options)
    except ValueError as error:
        parser.error(str(error))
    with exit_when_it_fails(Console(stderr=True), HistoryRefused, psycopg.OperationalError):
        if options.database_url or options.only_fill:
            with _filling() as on_progress:
                if options.keep:
                    KeptHistory(options.keep).fill(wanted, on_progress=on_progress)
                else:
                    fill(options.database_url, wanted, on_progress=on_progress)
        else:
            main(wanted, keep=options.keep, invariants=options.invariants)
