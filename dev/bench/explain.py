"""Explain how the hot queries run at 100,000 rows, with and without the index that serves each.

    make explain                  print the plans
    make explain ARGS=--write     and put them into docs/database.md

A throw-away PostgreSQL is filled from `dataset.sql`. Each case calls the code of the project and explains the statement that it
sends; then the index is dropped inside a transaction, the same call is explained again, and the transaction is rolled back.
"""

import argparse
import os
import platform
import re
import secrets
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from dev.stack.environment import new_secrets
from dev.stack.servers import PostgresServer, free_port

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "database.md"
MARKERS = ("<!-- plans: made by `make explain` -->", "<!-- end of plans -->")
EXPLAIN = "EXPLAIN (ANALYZE, COSTS OFF, BUFFERS, TIMING OFF, SUMMARY ON) "
REPEATS = 5
LONGEST_LINE = 118
NO_STORE = "redis://127.0.0.1:1/0"


@dataclass(frozen=True)
class Case:
    """`call` sends the statement that contains `text`; any of `indexes` makes it fast."""

    title: str
    indexes: tuple[str, ...]
    text: str
    call: Callable[[], object]


@dataclass(frozen=True)
class Measurement:
    """Milliseconds (the median) and 8 kB pages of one execution."""

    plan: list[str]
    milliseconds: float
    pages: int


def main(*, write: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="encore-explain-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # root's server runs as somebody else
        server = PostgresServer(
            home=home,
            log_path=home / "postgres.log",
            password=secrets.token_hex(8),
            port=free_port(),
        )
        server.start()
        try:
            page = "".join(report(server))
        finally:
            _close_connections()
            server.stop()
    sys.stdout.write(page)
    if write:
        before, _, rest = PAGE.read_text().partition(MARKERS[0])
        after = rest.partition(MARKERS[1])[2]
        PAGE.write_text(f"{before}{MARKERS[0]}\n\n{page}\n{MARKERS[1]}{after}")


def report(server: PostgresServer) -> Iterator[str]:
    """The Markdown of all cases, piece by piece."""
    _start_django(server)
    _fill()
    results = [(case, *measure(case)) for case in cases()]
    yield (
        f"PostgreSQL {server.version()}, default configuration, {os.cpu_count()} cores, {platform.machine()}; "
        f"median of {REPEATS} executions with a warm cache, parallel workers off.\n\n"
        "| query | index | without: ms | pages | with: ms | pages |\n|---|---|--:|--:|--:|--:|\n"
    )
    for number, (case, without, with_index) in enumerate(results, start=1):
        yield (
            f"| {number}. {case.title} | {_names(case)} | {without.milliseconds:.2f} | {without.pages:,} "
            f"| {with_index.milliseconds:.2f} | {with_index.pages:,} |\n"
        )
    for number, (case, without, with_index) in enumerate(results, start=1):
        yield f"\n<details><summary>{number}. {case.title}</summary>\n"
        for name, measured in (("Without", without), ("With", with_index)):
            plan = "\n".join(measured.plan)
            yield f"\n{name} {_names(case)}:\n\n```text\n{plan}\n```\n"
        yield "\n</details>\n"


def _names(case: Case) -> str:
    return " or ".join(f"`{index}`" for index in case.indexes)


def cases() -> Iterable[Case]:
    # Imported here: Django's settings need the server's address.
    from django.db import connection
    from django.utils import timezone
    from rest_framework.test import APIRequestFactory

    from apps.accounts.authentication import AccessTokenAuthentication
    from apps.api.idempotency import stored_answer
    from apps.api.operations import Operation
    from apps.concerts import selectors as concerts
    from apps.concerts.models import Performance
    from apps.concerts.selectors import RankingWindow
    from apps.concerts.selectors.concerts import _price_range
    from apps.concerts.services import _last_sale_at
    from apps.core.database import fetch_all
    from apps.outbox import draining
    from apps.outbox.events import CONSUMERS
    from apps.payments.selectors import transactions_of_customer
    from apps.queue.services.exit_log import ends_since
    from apps.reservations import selectors as reservations
    from apps.reservations.models import Reservation
    from apps.reservations.services import best_available, expiring, holding

    customer_id, now = 4_242, timezone.now()
    performance = Performance.objects.select_related("concert").get(pk=21)  # 2,000 live holds
    request_for_seats = {
        "performance_id": performance.pk,
        "seat_ids": [seat.pk for seat in concerts.seats_of(performance.pk)[:2]],
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_accesstoken SET token_hash = sha256('bearer') WHERE id = 50000"
        )
        cursor.execute("SELECT reference FROM payments_ledgertransaction WHERE type = 'PAYMENT'")
        paid: UUID = cursor.fetchone()[0]
    request = APIRequestFactory().get("/", HTTP_AUTHORIZATION="Bearer bearer")

    yield Case(
        "The login of every call",
        ("access_token_hash_unique",),
        "accounts_accesstoken",
        lambda: AccessTokenAuthentication().authenticate(request),
    )
    yield Case(
        "Seats of a hall of 5,000, in seat-map order",
        ("seat_once_per_performance", "seat_price_range"),
        "concerts_seat",
        lambda: list(concerts.seats_of(performance.pk)),
    )
    yield Case(
        "What is taken in that hall",
        ("seat_claims_open", "hold_may_claim"),
        "reservations_seatclaim",
        lambda: reservations.seats_with_states(
            performance_id=performance.pk, customer_id=customer_id
        ),
    )
    yield Case(
        "Claims on the seats of a hold request",
        ("seat_claimed_once", "seat_claims_of_seat"),
        "reservations_seatclaim",
        lambda: fetch_all(holding.SQL["read_seats"], request_for_seats),
    )
    yield Case(
        "Seats that a customer has of a performance",
        ("hold_of_customer", "seat_claims_open"),
        "reservations_seatclaim",
        lambda: fetch_all(
            holding.SQL["count_seats_of_customer"],
            {"performance_id": performance.pk, "customer_id": customer_id},
        ),
    )
    yield Case(
        "Best available: four seats side by side",
        ("seat_claims_open", "hold_may_claim"),
        "reservations_seatclaim",
        lambda: best_available._choose(performance.pk, 4, None, at=now),
    )
    yield Case(
        "Sweep: holds whose time is over",
        ("hold_to_expire",),
        "reservations_hold",
        expiring._expire_batch,
    )
    yield Case(
        "A customer's reservations, newest first",
        ("reservation_of_customer",),
        "reservations_reservation",
        lambda: list(Reservation.objects.of_customer(customer_id).newest_first()[:20]),
    )
    yield Case(
        "A customer's money, newest first",
        ("ledger_transaction_number_unique",),
        "payments_ledgertransaction",
        lambda: list(transactions_of_customer(customer_id=customer_id)[:20]),
    )
    yield Case(
        "The payment that a refund refers to",
        ("ledger_one_payment_per_reference",),
        "payments_ledgertransaction",
        lambda: _payment_of(paid),
    )
    yield Case(
        "The answer kept for an Idempotency-Key",
        ("idempotency_key_once",),
        "api_idempotencyrecord",
        lambda: stored_answer(
            customer_id=customer_id, operation=Operation.CONFIRM, key="unknown", fingerprint=""
        ),
    )
    yield Case(
        "What is due for a consumer",
        ("event_delivery_pending",),
        "outbox_eventdelivery",
        lambda: draining._claim(CONSUMERS["external_sync"]),
    )
    yield Case(
        "Ranking of a day, from the table",
        ("ranking_entry_day",),
        "concerts_rankingentry",
        lambda: concerts.recorded_reservations(RankingWindow.DAY),
    )
    yield Case(
        "Ranking of all time, from the table",
        ("ranking_entry_concert",),
        "concerts_rankingentry",
        lambda: concerts.recorded_reservations(RankingWindow.ALL),
    )
    yield Case(
        "The last sale of a performance",
        ("ranking_entry_performance",),
        "concerts_rankingentry",
        lambda: _last_sale_at(5),
    )
    yield Case(
        "Lowest and highest price of a concert",
        ("seat_price_range",),
        "concerts_seat",
        lambda: _price_range(performance.concert_id),
    )
    yield Case(
        "Visits that ended lately (healing)",
        ("queue_exit_recent",),
        "queue_queueexit",
        lambda: list(ends_since(now - timedelta(minutes=10), concert_id=21, generation=1)),
    )


def _payment_of(reference: UUID) -> object:
    from apps.payments.models import LedgerTransaction

    payments = LedgerTransaction.objects.filter(type=LedgerTransaction.Type.PAYMENT)
    return payments.filter(reference=reference).first()


def measure(case: Case) -> tuple[Measurement, Measurement]:
    """The case without its index, then with it. Nothing that it writes or drops is kept."""
    from django.db import transaction

    with transaction.atomic():
        sql, parameters = _statement_of(case)
        transaction.set_rollback(True)
    with transaction.atomic():
        for index in case.indexes:
            _drop(index)
        without = _explain(sql, parameters)
        transaction.set_rollback(True)
    return without, _explain(sql, parameters)


def _statement_of(case: Case) -> tuple[str, Any]:
    sent: list[tuple[str, Any]] = []

    def record(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        sent.append((sql, parameters))
        return execute(sql, parameters, many, context)

    from django.db import connection

    with connection.execute_wrapper(record):
        case.call()
    return next(
        (sql, parameters)
        for sql, parameters in sent
        if case.text in sql and sql.lstrip().startswith(("SELECT", "WITH", "SET LOCAL"))
    )


def _explain(sql: str, parameters: Any) -> Measurement:
    plans = []
    for _ in range(REPEATS + 1):  # the first one warms the cache
        with _rolled_back() as cursor:
            settings, statement = _with_settings(sql)
            cursor.execute(settings + EXPLAIN + statement, parameters)
            if settings:
                cursor.nextset()
            plans.append([row[0] for row in cursor.fetchall()])
    times = [float(plan[-1].split()[2]) for plan in plans[1:]]
    return Measurement(_trimmed(plans[-1]), statistics.median(times), _pages(plans[-1]))


def _with_settings(sql: str) -> tuple[str, str]:
    """Return what is set for a statement alone, if anything, and the statement."""
    found = re.match(r"\s*SET LOCAL [^;]+; ", sql)
    return (found[0], sql[found.end() :]) if found else ("", sql)


def _pages(plan: list[str]) -> int:
    """Those of the topmost node, which includes the others."""
    line = next((line for line in plan if "Buffers: shared" in line), "")
    return sum(int(number) for number in re.findall(r"(?:hit|read)=(\d+)", line))


def _trimmed(plan: list[str]) -> list[str]:
    """Without what only repeats: planning, buffers of inner nodes, the ends of long lines."""
    kept: list[str] = []
    for line in plan:
        if line.startswith("Planning"):
            break
        if "Buffers:" in line or "Memory:" in line or "Batches:" in line:
            continue
        kept.append(line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 2] + " …")
    return kept


def _drop(index: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT conrelid::regclass FROM pg_constraint WHERE conname = %s", [index])
        owner = cursor.fetchone()
        if owner:
            cursor.execute(f"ALTER TABLE {owner[0]} DROP CONSTRAINT {index} CASCADE")
        else:
            cursor.execute(f"DROP INDEX {index}")


@contextmanager
def _rolled_back() -> Iterator[Any]:
    """Explaining a writing or locking statement runs it."""
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        yield cursor
        transaction.set_rollback(True)


def _start_django(server: PostgresServer) -> None:
    os.environ.update(
        new_secrets(),
        DJANGO_SETTINGS_MODULE="concert_project.settings.test",
        DATABASE_URL=server.url,
        DATABASE_STATEMENT_TIMEOUT_MS="0",
        QUEUE_URL=NO_STORE,
        CACHE_URL=NO_STORE,
        BROKER_URL=NO_STORE,
    )
    import django

    django.setup()


def _fill() -> None:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute((HERE / "dataset.sql").read_text())
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SET jit = off")


def _close_connections() -> None:
    from django.db import connections

    connections.close_all()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make explain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="put the plans into docs/database.md")
    return parser


if __name__ == "__main__":
    main(write=_parser().parse_args().write)
