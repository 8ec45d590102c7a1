"""A history that stays in a folder, so that it is filled once and measured beside as often as one likes.

The folder is laid out as the data folder of a stack: its PostgreSQL and its secrets. What is filled is a database of its own;
each measurement runs on a copy of it, which is dropped afterwards.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg

from dev.bench.filling import History, Progress, fill
from dev.stack.environment import settings_without_servers, stack_secrets, write_env_file
from dev.stack.servers import PostgresServer, free_port, postgres_home
from dev.stack.stack import ROOT

FILLED = "encore_history"
SIZES = "history.json"  # written last: a folder without it was never filled to the end
# Filling may be done again; what is measured runs with the default configuration.
WHILE_FILLING = {
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


class HistoryRefused(Exception):
    """The folder does not hold what is asked for. The message is for people."""


class KeptHistory:
    """The history of one folder, which has to be an absolute one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def sizes(self) -> History:
        """
        :raises HistoryRefused: there is none.
        """
        try:
            return History(**json.loads((self.folder / SIZES).read_text()))
        except FileNotFoundError:
            raise HistoryRefused(
                f'{self.folder} holds no history: make bench-history ARGS="--keep {self.folder}" makes one.'
            ) from None

    def fill(self, history: History, *, on_progress: Progress = lambda *_: None) -> None:
        """Make the history, unless it is there already.

        :raises HistoryRefused: the folder holds one of other sizes.
        :raises ServerFailed: PostgreSQL did not start.
        """
        if (self.folder / SIZES).exists():
            if self.sizes != history:
                raise HistoryRefused(f"{self.folder} holds another history: {self.sizes}.")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # root's servers run as another user
        with self._running(WHILE_FILLING) as postgres:
            _make_database(postgres, FILLED)
            url = f"{postgres.url.removesuffix(postgres.name)}{FILLED}"
            _migrate(url)
            fill(url, history, on_progress=on_progress)
        _write_out(postgres.data)
        (self.folder / SIZES).write_text(json.dumps(asdict(history)) + "\n")

    @contextmanager
    def copied(self) -> Iterator[PostgresServer]:
        """Run PostgreSQL with a copy of the history as its own database until the block ends.

        :raises HistoryRefused: there is none.
        :raises ServerFailed: PostgreSQL did not start, which it does not while another measurement uses the folder.
        """
        _ = self.sizes
        with self._running() as postgres:
            _make_database(postgres, postgres.name, template=FILLED)
            try:
                yield postgres
            finally:
                _drop_all_but_the_history(postgres)

    @contextmanager
    def lent_to(self, data_dir: Path) -> Iterator[None]:
        """Let the stack of `data_dir`, which is new, run on a copy of the history until the block ends.

        :raises HistoryRefused, ServerFailed: as for `copied`.
        """
        _ = self.sizes
        with self._running() as postgres:
            _make_database(postgres, postgres.name, template=FILLED)
        (data_dir / "postgres").symlink_to(postgres_home(self.folder))
        secrets = stack_secrets(self.folder)
        write_env_file(data_dir / "secrets.env", secrets, comment="Those of the history.")
        try:
            yield
        finally:
            with self._running() as postgres:
                _drop_all_but_the_history(postgres)

    @contextmanager
    def _running(self, settings: dict[str, str] | None = None) -> Iterator[PostgresServer]:
        log = self.folder / "postgres.log"
        log.touch(mode=0o600)
        postgres = PostgresServer(
            home=postgres_home(self.folder),
            log_path=log,
            password=stack_secrets(self.folder)["EMBEDDED_POSTGRES_PASSWORD"],
            port=free_port(),
            settings=settings,
        )
        try:
            postgres.start()
            yield postgres
        finally:
            postgres.stop()


def _make_database(postgres: PostgresServer, name: str, *, template: str = "template1") -> None:
    """Make a database anew. Files are copied as they are: through the log, as a small one is, takes several times as long."""
    with _administration(postgres) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(
            f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy'.encode()
        )


def _drop_all_but_the_history(postgres: PostgresServer) -> None:
    """Drop what measurements have made, so that the folder is as small as before."""
    with _administration(postgres) as connection:
        for (name,) in connection.execute(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname NOT IN ('postgres', %s)",
            [FILLED],
        ).fetchall():
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def _write_out(folder: Path) -> None:
    """Have the disk take what a server with `fsync=off` has left to the system."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _administration(postgres: PostgresServer) -> psycopg.Connection[Any]:
    url = f"{postgres.url.removesuffix(postgres.name)}postgres"
    return psycopg.connect(url, autocommit=True)


def _migrate(url: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "--no-input", "--verbosity", "0"],
        cwd=ROOT,
        env={
            **os.environ,
            **settings_without_servers(),
            "DJANGO_SETTINGS_MODULE": "concert_project.settings.test",
            "DATABASE_URL": url,
        },
        check=True,
    )
