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
import os
import secrets
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from apps.core.commands import address, folder_path, progress_bars, whole_number
from dev.bench.filling import History, Progress, fill
from dev.bench.kept import HistoryRefused, KeptHistory
from dev.bench.markdown import table
from dev.stack.servers import ValkeyServer, free_port
from dev.stack.throwaway import django_on, exit_when_it_fails, new_folder

REPEATS = 9
SALES = 40  # recent ones, which the watch looks at


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
        lines = check_all(history) if invariants else report(history, stores=stores)
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


def report(history: History, *, stores: Sequence[str]) -> Iterator[str]:
    """Yield the Markdown line by line; of the two stores the second is that of the history."""
    from django.core.management import call_command
    from django.db import connection

    full = connection.settings_dict["NAME"]
    empty = f"{full}_empty"
    services = dict(zip((empty, full), stores, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{empty}"')
        cursor.execute(f'CREATE DATABASE "{empty}"')
    for name, store in services.items():
        with _service(name, store):
            call_command("migrate", verbosity=0)
    yield (
        f"{history.concerts:,} past concerts, {history.reservations:,} past reservations, {history.accounts:,} accounts; "
        f"{os.cpu_count()} cores.\n"
    )
    scenes: dict[str, Scene] = {}
    for name, store in services.items():
        with _service(name, store):
            scenes[name] = Scene()
    times: dict[str, dict[str, list[float]]] = {}
    for _ in range(REPEATS):
        for name, scene in scenes.items():
            with _service(name, services[name]):
                for title, call in scene.calls():
                    began_at = time.perf_counter()
                    call()
                    took = (time.perf_counter() - began_at) * 1000
                    times.setdefault(title, {}).setdefault(name, []).append(took)
    medians = {
        title: [statistics.median(taken[name]) for name in (empty, full)]
        for title, taken in times.items()
    }
    yield from table(
        "call, ms (median) | empty | with history | ratio",
        "lrrr",
        (
            f"{title} | {without:.1f} | {with_it:.1f} | {with_it / without:.2f}"
            for title, (without, with_it) in medians.items()
        ),
    )


def check_all(history: History) -> Iterator[str]:
    """Yield how long it takes to check each invariant, with nothing in memory and again, as Markdown."""
    from apps.concerts.services import rebuild_ranking
    from apps.ops.invariants import check_invariants

    rebuild_ranking()
    yield f"{history.reservations:,} reservations; {os.cpu_count()} cores.\n"
    first, again = check_invariants(), check_invariants()
    rows = [
        f"`{cold.name}` | {cold.seconds:.2f} | {warm.seconds:.2f} | {cold.breaches:,}"
        + (f" ({cold.not_checked})" if cold.not_checked else "")
        for cold, warm in zip(first, again, strict=True)
    ]
    totals = [sum(invariant.seconds for invariant in run) for run in (first, again)]
    breaches = sum(invariant.breaches for invariant in first)
    rows.append(f"**all** | {totals[0]:.2f} | {totals[1]:.2f} | {breaches:,}")
    yield from table("invariant | first: s | again: s | breaches", "lrrr", rows)


class Scene:
    """Stage one concert on sale beside whatever the database holds, with some sales of the last minutes."""

    def __init__(self) -> None:
        from django.utils import timezone

        from apps.concerts.models import Concert
        from apps.concerts.services import create_performance, generate_seats, rebuild_ranking

        now = timezone.now()
        self.concert = Concert.objects.create(
            title="Now",
            artist="Now",
            venue="Now",
            sales_open_at=now - timedelta(days=1),
            seats_per_customer=10,
            is_published=True,
        )
        self.performance = create_performance(
            concert_id=self.concert.pk, starts_at=now + timedelta(days=30)
        )
        generate_seats(performance_id=self.performance.pk)
        for _ in range(SALES):
            self.sell()
        rebuild_ranking()

    def customer(self) -> Any:
        from apps.accounts.models import User
        from apps.core.transactions import run_in_transaction
        from apps.payments.services import charge_wallet

        name = secrets.token_hex(8)
        customer = User.objects.create(email=f"{name}@example.com", name=name)
        run_in_transaction(lambda: charge_wallet(customer_id=customer.pk, amount=1_000_000))
        return customer

    def sell(self) -> None:
        """Hold a seat, pay for it and cancel the reservation."""
        from apps.core.transactions import run_in_transaction
        from apps.reservations.services import (
            cancel_reservation,
            confirm_reservation,
            hold_best_available,
        )

        customer_id = self.customer().pk
        held = run_in_transaction(
            lambda: hold_best_available(
                customer_id=customer_id,
                performance_id=self.performance.pk,
                quantity=1,
                grade=None,
                admission=None,
            )
        )
        sold = run_in_transaction(
            lambda: confirm_reservation(customer_id=customer_id, hold_id=held.hold.pk)
        )
        run_in_transaction(
            lambda: cancel_reservation(customer_id=customer_id, reservation_id=sold.reservation.pk)
        )

    def admit(self) -> None:
        """Join the empty room, be admitted by a tick, and leave."""
        from django.utils import timezone

        from apps.queue import services
        from apps.queue.models import WaitingRoom

        status = services.join_queue(customer_id=self.customer().pk, concert_id=self.concert.pk)
        # A tick a moment ago has looked at it already.
        WaitingRoom.objects.filter(concert=self.concert).update(next_tick_at=timezone.now())
        if services.admit_visitors() != 1:
            raise RuntimeError("nobody was admitted")
        services.leave_queue(token=status.token)

    def watch(self) -> None:
        from django.utils import timezone

        from apps.ops.invariants import check_invariants

        since = timezone.now() - timedelta(minutes=20)
        broken = [invariant for invariant in check_invariants(since=since) if invariant.breaches]
        if broken:
            raise RuntimeError(f"{broken}")

    def calls(self) -> Sequence[tuple[str, Callable[[], object]]]:
        from apps.concerts.models import Concert
        from apps.core.caching import clear_process_caches
        from apps.ops import metrics
        from apps.ops.purging import purge_all
        from apps.outbox import draining
        from apps.queue import services as queue
        from apps.reservations import selectors
        from apps.reservations.services import expire_holds

        Concert.objects.exists()  # connects
        clear_process_caches()
        return [
            ("join an empty room, be admitted, leave", self.admit),
            ("tick", queue.admit_visitors),
            ("relay", draining.consumers_with_due_deliveries),
            ("sweep", expire_holds),
            ("sale, cancelled again", self.sell),
            (
                "dates of a concert",
                lambda: selectors.performances_with_availability(self.concert.pk),
            ),
            ("metrics", metrics._read_backlogs),
            ("purge that finds nothing", purge_all),
            ("watch of the invariants", self.watch),
        ]


@contextmanager
def _service(database: str, store: str) -> Iterator[None]:
    """Let Django use this database and this store."""
    from django.db import connection
    from django.test import override_settings

    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = database
    with override_settings(QUEUE_URL=store):
        try:
            yield
        finally:
            connection.close()
            connection.settings_dict["NAME"] = before


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
        pending=500 if options.invariants else 0,
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
