"""Real worker and beat processes on the test's own database and store."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import redis
from django.conf import settings
from django.db import connection

from dev.stack.children import Child
from tests.servers import new_folder

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


class Process(Child):
    """A Celery process that can be killed with -9: its children, or itself alone."""

    _known: Sequence[psutil.Process] = ()

    def pool(self) -> Sequence[psutil.Process]:
        assert self.process is not None
        self._known = psutil.Process(self.process.pid).children()
        return self._known

    def survivors(self) -> list[psutil.Process]:
        """Return the children that run on, as far as `pool` has met them."""
        return [
            child
            for child in self._known
            if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
        ]

    def kill_pool(self) -> None:
        """Send SIGKILL to the children that run the tasks."""
        for child in self.pool():
            child.kill()

    def kill_parent(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)


def wait_until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


@contextmanager
def started(
    name: str, *arguments: str, under: Sequence[str] = (), **variables: str
) -> Iterator[Process]:
    """`celery -A concert_project` with these arguments; everything of it is gone afterwards.

    `under` is the beginning of the command line, of a program that starts it.
    """
    folder = new_folder()
    process = Process(
        name=name,
        command=[
            *(*under, sys.executable, "-m", "celery", "--quiet", "-A", "concert_project"),
            *arguments,
        ],
        log_path=folder / f"{name}.log",
        environment={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "concert_project.settings.test",
            "DATABASE_URL": database_url(),
            "DATA_DIR": str(folder),
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser",
            **variables,
        },
        directory=ROOT,
        patience=20.0,
    )
    process.start()
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def worker(queues: str, *, concurrency: int = 1, **variables: str) -> Iterator[Process]:
    """A prefork worker as `make run` starts it, ready to take tasks."""
    alone = ("--without-mingle", "--without-gossip", "--without-heartbeat")
    size = ("--queues", queues, "--concurrency", str(concurrency), "--pool", "prefork")
    name = f"worker-{queues.replace(',', '-')}"
    with started(name, "worker", *alone, *size, "--hostname", f"{name}@%h", **variables) as process:
        wait_until(lambda: len(process.pool()) >= concurrency, process.log_tail())
        yield process


def database_url() -> str:
    database = connection.settings_dict
    login = (
        f"{database['USER']}:{database['PASSWORD']}" if database["PASSWORD"] else database["USER"]
    )
    return f"postgresql://{login}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


def senders_of(task: str) -> set[str]:
    """Return the processes that have put this task into the default queue, as far as no worker has taken it."""
    with redis.Redis.from_url(settings.BROKER_URL) as client:
        waiting = client.lrange("celery:default", 0, -1)
    headers = [json.loads(message)["headers"] for message in waiting]
    return {header["origin"] for header in headers if header["task"] == task}
