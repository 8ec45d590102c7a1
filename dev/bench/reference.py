"""The reference sale: what PostgreSQL alone can sell on this machine, with the guarantees that Encore's sale has."""

from pathlib import Path

import psycopg

from dev.bench.generators import run_pgbench
from dev.bench.pretix.installation import run_to_end
from dev.stack.servers import PostgresServer

FLOORS = Path(__file__).resolve().parent / "floors"
DATABASE = "reference"
CUSTOMERS, SEATS = 10_000, 200_000
CLIENTS = 8


class ReferenceSale:
    """A database of its own on a running cluster, filled once; each run sells seats that were not sold before."""

    def __init__(self, postgres: PostgresServer) -> None:
        self._programs = postgres.programs
        self._url = postgres.url.removesuffix(postgres.name) + DATABASE
        self._first = 0
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
            connection.execute(f"CREATE DATABASE {DATABASE}")
        for script in ("reference_schema.sql", "reference_data.sql"):
            self._play(FLOORS / script)

    def sales_per_second(self, *, seconds: int) -> float:
        """
        :raises GeneratorFailed: a sale was refused, or there are no seats left.
        """
        variables = {
            "number": 0,
            "first": self._first,
            "clients": CLIENTS,
            "customers": CUSTOMERS,
        }
        rate = run_pgbench(
            self._programs / "pgbench",
            self._url,
            script=FLOORS / "reference_sale.sql",
            seconds=seconds,
            variables=variables,
            clients=CLIENTS,
        )
        with psycopg.connect(self._url) as connection:
            row = connection.execute("SELECT max(seat_id) FROM reservations_ticket").fetchone()
        self._first = row[0] if row else 0
        return rate

    def _play(self, script: Path) -> None:
        numbers = [f"--set=customers={CUSTOMERS}", f"--set=seats={SEATS}"]
        command = [str(self._programs / "psql"), "--quiet", "--set=ON_ERROR_STOP=1", *numbers]
        run_to_end([*command, f"--file={script}", self._url])
