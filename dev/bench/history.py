"""Compare what the same work costs with and without years of sales in the database.

    python -m dev.bench.history                                       fills a database, measures beside an empty one
    python -m dev.bench.history --concerts 10000 --reservations 5000000 --accounts 1000000 --keep /var/tmp/encore-history
                                                                       the same, and what was filled stays for the next time
    python -m dev.bench.history --database-url postgresql://...       only fills a database, which must be a throw-away one

The role of the address must be a superuser (triggers rest while it fills), and the tables must be there. A million reservations
take a few minutes and about 3 GB, and as much again while they are measured, which happens on a copy.
"""

import argparse
import os
import secrets
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from apps.core.commands import address, folder_path, progress_bars, whole_number
from dev.bench.filling import History, Progress, fill
from dev.bench.kept import HistoryRefused, KeptHistory
from dev.bench.markdown import table
from dev.stack.servers import ServerFailed, ValkeyServer, free_port
from dev.stack.throwaway import django_on, new_folder

REPEATS = 9
SALES = 40  # recent ones, which the watch looks at


def main(history: History, *, keep: Path | None) -> None:
    """
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
        for line in report(history, stores=stores):
            print(line, flush=True)


@contextmanager
def _filling() -> Iterator[Progress]:
    """Show what is made on a bar."""
    with progress_bars() as progress:
        task = progress.add_task(
            "Filling", total=None, visible=False
        )  # what is kept is not filled again

        def show(subject: str, done: int, total: int) -> None:
            description = subject or "Filling"
            progress.update(
                task, description=description, completed=done, total=total, visible=True
            )

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
    parser.add_argument("--concerts", type=number, default=History.concerts, metavar="N")
    parser.add_argument("--reservations", type=number, default=History.reservations, metavar="N")
    parser.add_argument("--accounts", type=number, default=History.accounts, metavar="N")
    parser.add_argument(
        "--kept-days",
        type=number,
        metavar="N",
        help="leave out events and exits that are older, as if they had been purged",
    )
    parser.add_argument(
        "--kept-hold-days",
        type=number,
        metavar="N",
        help="the same for holds that ended without a payment (default: as --kept-days)",
    )
    parser.add_argument(
        "--rooms",
        choices=["RETIRED", "RESTING"],
        default="RETIRED",
        help="RESTING: as after an upgrade, before ticks have retired them",
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


if __name__ == "__main__":
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.only_fill and not arguments.keep:
        parser.error("--only-fill needs --keep: what is filled would be thrown away")
    try:
        wanted = History(
            concerts=arguments.concerts,
            reservations=arguments.reservations,
            accounts=arguments.accounts,
            kept_days=arguments.kept_days,
            kept_hold_days=arguments.kept_hold_days,
            activity=arguments.rooms,
        )
    except ValueError as error:
        parser.error(str(error))
    try:
        if arguments.database_url or arguments.only_fill:
            with _filling() as on_progress:
                if arguments.keep:
                    KeptHistory(arguments.keep).fill(wanted, on_progress=on_progress)
                else:
                    fill(arguments.database_url, wanted, on_progress=on_progress)
        else:
            main(wanted, keep=arguments.keep)
    except (HistoryRefused, ServerFailed, psycopg.OperationalError) as error:
        sys.exit(str(error))
