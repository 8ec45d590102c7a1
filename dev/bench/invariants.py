"""Measure how long it takes to check every invariant of a service that has sold a lot.

    make bench-invariants                              a million reservations
    make bench-invariants ARGS="--reservations 200000"

A throw-away PostgreSQL, with its default configuration, is filled from `history.sql`, and a throw-away Valkey with the ranking.
"""

import argparse
import os
import time
from collections.abc import Iterator

from apps.core.commands import whole_number
from dev.bench.filling import History, fill
from dev.bench.markdown import table
from dev.stack.throwaway import running_servers

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
    # Filling the tables is not what is measured.
    with running_servers("invariants", settings={"max_wal_size": "8GB"}):
        for line in report(reservations):
            print(line, flush=True)


def report(reservations: int) -> Iterator[str]:
    """Yield the Markdown line by line."""
    begun_at = time.monotonic()
    _fill(reservations)
    from apps.ops.invariants import check_invariants

    sizes = ", ".join(f"{table.split('_')[1]} {count:,}" for table, count in _counts())
    yield f"{reservations:,} reservations ({sizes}); made in {time.monotonic() - begun_at:.0f} s; {os.cpu_count()} cores.\n"
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
