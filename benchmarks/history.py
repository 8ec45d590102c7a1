"""Make years of sales in bulk, and compare what the same work costs with and without them.

    python -m benchmarks.history                                       makes both, measures both
    python -m benchmarks.history --concerts 10000 --reservations 5000000 --accounts 1000000
    python -m benchmarks.history --database-url postgresql://...       only fills a database, which must be a throw-away one

The role of the address must be a superuser (triggers rest while it fills), and the tables must be there. A million reservations
take a few minutes and about 3 GB.
"""

import argparse
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from apps.shared.commands import whole_number
from devstack.environment import new_secrets
from devstack.servers import PostgresServer, ValkeyServer, free_port

HERE = Path(__file__).parent
REPEATS = 9
SALES = 40  # recent ones, which the watch looks at


@dataclass(frozen=True)
class History:
    """Say how much to make. `kept_days` leaves out what a retention of as many days would have deleted by now."""

    concerts: int = 2_000
    reservations: int = 200_000
    accounts: int = 50_000
    kept_days: int | None = None
    activity: str = "RETIRED"
    pending: int = 0
    answers: int = 0

    @property
    def per_concert(self) -> int:
        return self.reservations // self.concerts

    def __post_init__(self) -> None:
        """
        :raises ValueError: the numbers do not fit together.
        """
        if self.reservations % self.concerts or self.per_concert % 2 or not self.per_concert:
            raise ValueError("each concert must have the same even number of reservations")
        if self.accounts < self.per_concert:
            raise ValueError("nobody may be a customer of one concert twice: more accounts needed")


def fill(url: str, history: History) -> None:
    """Make the history in a database whose tables are there, and have it vacuumed and analysed."""
    kept_from = "'-infinity'::timestamptz"
    if history.kept_days is not None:
        kept_from = f"date_trunc('day', now() - interval '{history.kept_days} days')"
    words = {
        ":concerts": str(history.concerts),
        ":reservations": str(history.reservations),
        ":accounts": str(history.accounts),
        ":per_concert": str(history.per_concert),
        ":kept_from": kept_from,
        ":activity": f"'{history.activity}'",
        ":pending": str(history.pending),
        ":answers": str(history.answers),
    }
    script = (HERE / "history.sql").read_text().partition("\nSET ")
    statements = script[1] + script[2]  # without the introduction, which names the words as well
    for word, value in words.items():
        statements = statements.replace(word, value)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements.encode())
        connection.execute("VACUUM ANALYZE")


# --- With and without it ----------------------------------------------------------------------------------------------


def main(history: History) -> None:
    with tempfile.TemporaryDirectory(prefix="encore-history-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # root's servers run as somebody else
        postgres = PostgresServer(
            home=home,
            log_path=home / "postgres.log",
            password=secrets.token_hex(8),
            port=free_port(),
            # Filling the tables is not what is measured.
            settings={"max_wal_size": "8GB"},
        )
        stores = []
        for name in ("empty", "history"):
            (home / name).mkdir()
            log = home / f"{name}.log"
            stores.append(ValkeyServer(directory=home / name, log_path=log, port=free_port()))
        try:
            postgres.start()
            for store in stores:
                store.start()
            _start_django(postgres, stores[0])
            for line in report(history, stores=[store.url for store in stores]):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
        finally:
            _close_connections()
            for store in stores:
                store.stop()
            postgres.stop()


def report(history: History, *, stores: Sequence[str]) -> Iterator[str]:
    """Yield the Markdown line by line; of the two stores the second is that of the history."""
    from django.core.management import call_command
    from django.db import connection

    begun_at = time.monotonic()
    empty = connection.settings_dict["NAME"]
    full = f"{empty}_history"
    services = dict(zip((empty, full), stores, strict=True))
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{full}"')
    with _service(full, services[full]):
        call_command("migrate", verbosity=0)
        fill(_url(), history)
    yield (
        f"{history.concerts:,} past concerts, {history.reservations:,} past reservations, {history.accounts:,} accounts; "
        f"made in {time.monotonic() - begun_at:.0f} s; {os.cpu_count()} cores.\n"
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
    yield "| call, ms (median) | empty | with history | ratio |"
    yield "|---|--:|--:|--:|"
    for title, taken in times.items():
        without, with_it = (statistics.median(taken[name]) for name in (empty, full))
        yield f"| {title} | {without:.1f} | {with_it:.1f} | {with_it / without:.2f} |"


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
        from apps.payments.services import charge_wallet
        from apps.shared.transactions import run_in_transaction

        name = secrets.token_hex(8)
        customer = User.objects.create(email=f"{name}@example.com", name=name)
        run_in_transaction(lambda: charge_wallet(customer_id=customer.pk, amount=1_000_000))
        return customer

    def sell(self) -> None:
        """Hold a seat, pay for it and cancel the reservation."""
        from apps.reservations.services import (
            cancel_reservation,
            confirm_reservation,
            hold_best_available,
        )
        from apps.shared.transactions import run_in_transaction

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

        from apps.reservations.invariants import check_invariants

        since = timezone.now() - timedelta(minutes=20)
        broken = [one for one in check_invariants(since=since) if one.breaches]
        if broken:
            raise RuntimeError(f"{broken}")

    def calls(self) -> Sequence[tuple[str, Callable[[], object]]]:
        from apps.concerts.models import Concert
        from apps.queue import services as queue
        from apps.reservations import selectors
        from apps.reservations.services import expire_holds
        from apps.shared import metrics, outbox
        from apps.shared.caching import forget_everything
        from apps.shared.retention import purge_all

        Concert.objects.exists()  # connects
        forget_everything()
        return [
            ("join an empty room, be admitted, leave", self.admit),
            ("tick", queue.admit_visitors),
            ("relay", outbox.consumers_with_due_deliveries),
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


def _url() -> str:
    from django.db import connection

    place = connection.settings_dict
    return f"postgresql://{place['USER']}:{place['PASSWORD']}@{place['HOST']}:{place['PORT']}/{place['NAME']}"


def _start_django(postgres: PostgresServer, valkey: ValkeyServer) -> None:
    os.environ.update(
        new_secrets(),
        DJANGO_SETTINGS_MODULE="concert_project.settings.test",
        DATABASE_URL=postgres.url,
        LOG_LEVEL="ERROR",
        **dict.fromkeys(("QUEUE_URL", "CACHE_URL", "BROKER_URL"), valkey.url),
    )
    import django

    django.setup()


def _close_connections() -> None:
    from django.db import connections

    connections.close_all()


if __name__ == "__main__":
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
        help="leave out events, exits and ended holds that are older, as if they had been purged",
    )
    parser.add_argument(
        "--rooms",
        choices=["RETIRED", "RESTING"],
        default="RETIRED",
        help="RESTING: as after an upgrade, before ticks have retired them",
    )
    parser.add_argument("--database-url", metavar="URL", help="fill this one, measure nothing")
    arguments = parser.parse_args()
    try:
        wanted = History(
            concerts=arguments.concerts,
            reservations=arguments.reservations,
            accounts=arguments.accounts,
            kept_days=arguments.kept_days,
            activity=arguments.rooms,
        )
    except ValueError as error:
        parser.error(str(error))
    if arguments.database_url:
        fill(arguments.database_url, wanted)
    else:
        main(wanted)
