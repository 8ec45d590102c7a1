"""Measure how long it takes to check every invariant of a service that has sold a lot.

    make bench-invariants                              a million reservations
    make bench-invariants ARGS="--reservations 200000"

A throw-away PostgreSQL, with its default configuration, is filled from `history.sql`, and a throw-away Valkey with the ranking.
"""

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from apps.core.commands import whole_number
from dev.bench.filling import History, fill
from dev.stack.environment import new_secrets
from dev.stack.servers import PostgresServer, ValkeyServer, free_port

STEP = 40_000  # reservations
TABLES = (
    "reservations_reservation",
    "reservations_hold",
    "reservations_seatclaim",
    "payments_ledgertransaction",
    "payments_ledgerentry",
    "outbox_outboxevent",
    "outbox_eventdelivery",
    "queue_queueexit",
    "api_idempotencyrecord",
)


def main(*, reservations: int) -> None:
    with tempfile.TemporaryDirectory(prefix="encore-invariants-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # root's servers run as somebody else
        (home / "valkey").mkdir()
        postgres = PostgresServer(
            home=home,
            log_path=home / "postgres.log",
            password=secrets.token_hex(8),
            port=free_port(),
            # Filling the tables is not what is measured.
            settings={"max_wal_size": "8GB"},
        )
        valkey = ValkeyServer(
            directory=home / "valkey", log_path=home / "valkey.log", port=free_port()
        )
        try:
            postgres.start()
            valkey.start()
            _start_django(postgres, valkey)
            for line in report(reservations):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
        finally:
            _close_connections()
            valkey.stop()
            postgres.stop()


def report(reservations: int) -> Iterator[str]:
    """The Markdown, line by line."""
    begun_at = time.monotonic()
    _fill(reservations)
    from apps.ops.invariants import check_invariants

    sizes = ", ".join(f"{table.split('_')[1]} {count:,}" for table, count in _counts())
    yield f"{reservations:,} reservations ({sizes}); made in {time.monotonic() - begun_at:.0f} s; {os.cpu_count()} cores.\n"
    yield "| invariant | first: s | again: s | breaches |"
    yield "|---|--:|--:|--:|"
    first, again = check_invariants(), check_invariants()
    for cold, warm in zip(first, again, strict=True):
        found = f"{cold.breaches:,}" + (f" ({cold.not_checked})" if cold.not_checked else "")
        yield f"| `{cold.name}` | {cold.seconds:.2f} | {warm.seconds:.2f} | {found} |"
    totals = [sum(one.seconds for one in run) for run in (first, again)]
    yield f"| **all** | {totals[0]:.2f} | {totals[1]:.2f} | {sum(one.breaches for one in first):,} |"


def _start_django(postgres: PostgresServer, valkey: ValkeyServer) -> None:
    os.environ.update(
        new_secrets(),
        DJANGO_SETTINGS_MODULE="concert_project.settings.test",
        DATABASE_URL=postgres.url,
        **dict.fromkeys(("QUEUE_URL", "CACHE_URL", "BROKER_URL"), valkey.url),
    )
    import django

    django.setup()


def _fill(reservations: int) -> None:
    from django.core.management import call_command

    from apps.concerts.services import rebuild_ranking

    call_command("migrate", verbosity=0)
    fill(
        os.environ["DATABASE_URL"],
        History(
            concerts=reservations // 4_000,
            reservations=reservations,
            accounts=reservations // 5,
            pending=500,
            answers=reservations // 10,
        ),
    )
    rebuild_ranking()


def _counts() -> Iterator[tuple[str, int]]:
    from django.db import connection

    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
            yield table, cursor.fetchone()[0]


def _close_connections() -> None:
    from django.db import connections

    connections.close_all()


def whole_halls(text: str) -> int:
    number = whole_number(STEP, 100_000_000)(text)
    if number % STEP:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a multiple of {STEP:,}, which fills every hall"
        )
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reservations", type=whole_halls, default=1_000_000, metavar="N")
    return parser


if __name__ == "__main__":
    main(reservations=_parser().parse_args().reservations)
