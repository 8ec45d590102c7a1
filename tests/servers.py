"""Servers for the tests: an early pytest plugin, because settings need to know where they are.

`addopts` names it with `-p`, so it runs before pytest-django imports the settings. The first
process starts one PostgreSQL for all; each process that runs tests starts its own Valkey, which
it may flush. `TEST_DATABASE_URL` names a PostgreSQL to use instead: its role must be a superuser,
who may create databases and turn triggers off.
"""

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis

from dev.stack.environment import new_secrets
from dev.stack.servers import (
    PostgresServer,
    ServerFailed,
    ValkeyServer,
    free_port,
    temporary_root,
)

FOLDER_PREFIX = "encore-tests-"
ATTEMPTS = 5
SLOTS = 16_384
CLUSTER_TIMEOUT = 30.0

# Nothing that a test writes has to survive a crash of the machine.
POSTGRES_SETTINGS = {
    # Tests end by emptying tables. Statistics of that moment would make slow plans of the next test's rows.
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "300",
    "max_wal_senders": "0",
    "wal_level": "minimal",
}

Server = TypeVar("Server", PostgresServer, ValkeyServer)

_running: list[PostgresServer | ValkeyServer] = []
_folders: list[Path] = []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    options = early_config.known_args_namespace
    if not (options.help or options.version):
        atexit.register(stop_servers)
        try:
            _prepare_environment(has_workers=bool(getattr(options, "numprocesses", None)))
        except ServerFailed as error:
            raise pytest.UsageError(str(error)) from error
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    stop_servers()


def start_valkey(**options: Any) -> ValkeyServer:
    """Start a Valkey server in a folder of its own; `stop_servers` ends it at the latest."""
    server = _start(lambda folder: _valkey(folder, **options))
    _running.append(server)
    return server


def start_cluster(size: int) -> list[ValkeyServer]:
    """Start a Valkey Cluster of `size` nodes that share the slots evenly, in order, without replicas."""
    options = {"cluster-enabled": "yes", "cluster-node-timeout": "2000"}
    servers = [start_valkey(options=options) for _ in range(size)]
    nodes = [redis.Redis.from_url(server.url) for server in servers]
    for index, node in enumerate(nodes):
        first, end = (SLOTS * part // size for part in (index, index + 1))
        node.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
        node.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port)
    deadline = time.monotonic() + CLUSTER_TIMEOUT
    while not all(_is_joined(node, size) for node in nodes):
        if time.monotonic() > deadline:
            raise ServerFailed(f"The nodes did not meet within {CLUSTER_TIMEOUT} s.")
        time.sleep(0.1)
    for node in nodes:
        node.close()
    return servers


def _is_joined(node: redis.Redis, size: int) -> bool:
    info: dict[str, str] = node.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(size)


def stop_servers() -> None:
    while _running:
        _running.pop().stop()
    while _folders:
        shutil.rmtree(_folders.pop(), ignore_errors=True)


def _prepare_environment(*, has_workers: bool) -> None:
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if not is_worker:
        _remove_abandoned_folders()
        database_url = os.environ.get("TEST_DATABASE_URL") or _start_postgres().url
        os.environ.update(new_secrets(), DATABASE_URL=database_url, LOG_LEVEL="WARNING")
    # The process that only hands out tests to workers needs no Valkey.
    store_url = "redis://127.0.0.1:1/0" if has_workers and not is_worker else start_valkey().url
    data_dir = new_folder()
    (data_dir / "static").mkdir()  # whitenoise warns if there is none
    os.environ.update(
        DATA_DIR=str(data_dir),
        QUEUE_URL=store_url,
        CACHE_URL=store_url,
        BROKER_URL=store_url,
    )


def _start_postgres() -> PostgresServer:
    server = _start(
        lambda folder: PostgresServer(
            home=folder,
            log_path=folder / "postgres.log",
            password="tests",
            port=free_port(),
            settings=POSTGRES_SETTINGS,
        )
    )
    _running.append(server)
    return server


def _valkey(folder: Path, **options: Any) -> ValkeyServer:
    return ValkeyServer(
        directory=folder, log_path=folder / "valkey.log", port=free_port(), **options
    )


def _start(make: Callable[[Path], Server]) -> Server:
    """Start a server; another process may take a free port first, so try again with another."""
    for attempt in range(ATTEMPTS):
        server = make(new_folder())
        try:
            server.start()
        except ServerFailed as error:
            if "already in use" not in str(error) or attempt == ATTEMPTS - 1:
                raise
        else:
            return server
    raise AssertionError("unreachable")


def new_folder() -> Path:
    """Return a folder that PostgreSQL's user can reach; `stop_servers` removes it."""
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=temporary_root()))
    folder.chmod(0o755)
    _folders.append(folder)
    return folder


def _remove_abandoned_folders() -> None:
    """A run that was killed could not tidy up behind itself."""
    for folder in temporary_root().glob(f"{FOLDER_PREFIX}*-*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        with suppress(PermissionError, ValueError):
            try:
                os.kill(int(owner), 0)
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)
