"""Stacks and servers that a command starts for itself and throws away: in a temporary folder, on free ports, told nothing by the caller."""

import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from dev.stack.children import Child, ChildFailed
from dev.stack.environment import new_secrets
from dev.stack.servers import PostgresServer, ServerFailed, ValkeyServer, free_port, temporary_root
from dev.stack.stack import STORE_VARIABLES, Stack

# Of the caller's environment: what programs need, and nothing that names a server or a secret.
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Raised by Ctrl-C or SIGTERM."""


class ThrowawayStack(Stack):
    # Those of `make run` are left to it: a reader of its webhooks has the address from the last time.
    postgres_port = valkey_port = receiver_port = 0

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        super().__init__(data_dir=folder, port=free_port(), environment={**kept, **settings})

    @property
    def postgres(self) -> PostgresServer:
        return next(server for server in self.servers if isinstance(server, PostgresServer))

    def child(self, name: str) -> Child:
        return next(child for child in self.children if child.name == name)


@contextmanager
def running_stack(purpose: str, settings: Mapping[str, str]) -> Iterator[ThrowawayStack]:
    """Run a stack, with Django set up for it in this process. Call it from the main thread.

    :raises ServerFailed, ChildFailed: it did not start.
    """
    folder = new_folder(purpose)
    stack = ThrowawayStack(folder, settings)
    try:
        stack.boot()
        os.environ.update(stack.environment)
        import django

        django.setup()
        yield stack
    finally:
        stack.shut_down()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_servers(
    purpose: str, *, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[PostgresServer, ValkeyServer]]:
    """Run PostgreSQL, with these settings, and Valkey without a stack, with Django set up for them in this process.

    :raises ServerFailed: one of them did not start.
    """
    folder = new_folder(purpose)
    postgres = PostgresServer(
        home=folder,
        log_path=folder / "postgres.log",
        password=secrets.token_hex(8),
        port=free_port(),
        settings=settings,
    )
    valkey = ValkeyServer(
        directory=folder / "valkey", log_path=folder / "valkey.log", port=free_port()
    )
    try:
        postgres.start()
        valkey.start()
        with django_on(postgres.url, valkey.url):
            yield postgres, valkey
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def django_on(database_url: str, store_url: str) -> Iterator[None]:
    """Set Django up in this process for servers that belong to no stack; close its sessions at the end."""
    os.environ.update(
        new_secrets(),
        DJANGO_SETTINGS_MODULE="concert_project.settings.test",
        DATABASE_URL=database_url,
        DATABASE_STATEMENT_TIMEOUT_MS="0",
        LOG_LEVEL="ERROR",
        **dict.fromkeys(STORE_VARIABLES, store_url),
    )
    import django
    from django.db import connections

    django.setup()
    try:
        yield
    finally:
        connections.close_all()


def new_folder(purpose: str) -> Path:
    """Make a folder that every user can reach: PostgreSQL does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix=f"encore-{purpose}-", dir=temporary_root()))
    folder.chmod(0o755)
    return folder


@contextmanager
def exit_when_it_fails(
    console: Console, *failures: type[Exception], status: int = 1
) -> Iterator[None]:
    """End the program with 130 after Ctrl-C or SIGTERM, and with `status` after a failure, which is told in one line."""
    told: tuple[type[Exception], ...] = (OSError, ServerFailed, ChildFailed, *failures)
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        yield
    except Interrupted:
        sys.exit(130)
    except told as error:
        console.print(f"[bold red]✗[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(status)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    for again in SIGNALS:
        signal.signal(again, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the shutdown
    raise Interrupted
