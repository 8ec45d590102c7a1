"""Test what a deployment starts is frozen with SIGSTOP, and ends, so that it is started anew."""

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from dev.stack.children import Child
from dev.stack.servers import free_port
from dev.stack.stack import ROOT, WATCHDOG
from tests.reservations.workers import started, wait_until
from tests.servers import new_folder

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

WATCHDOG_SECONDS = "3"
ALONE = ("--without-mingle", "--without-gossip", "--without-heartbeat")
CELERY = {
    "worker": ("worker", *ALONE, "--queues", "default,admission", "--concurrency", "2"),
    "sync": ("worker", *ALONE, "--queues", "external", "--pool", "threads", "--concurrency", "4"),
    "beat": ("beat",),
}


def under(life: Path) -> tuple[str, ...]:
    return (sys.executable, "-P", str(WATCHDOG), "--folder", str(life), "--")


def freeze(process: Child, life: Path, sign: str) -> None:
    """Stop the process behind the first file that is called `sign`, once it shows life."""
    wait_until(lambda: list(life.glob(f"{sign}.*")), process.log_tail())
    os.kill(int(next(life.glob(f"{sign}.*")).suffix[1:]), signal.SIGSTOP)


def assert_ended(process: Child, below: list[psutil.Process]) -> None:
    wait_until(lambda: not process.is_running(), "it goes on")
    assert process.was_killed()
    assert "process_ended_by_watchdog" in process.log_tail()
    wait_until(
        lambda: (
            not [
                child
                for child in below
                if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
            ]
        ),
        "something is left",
    )


def below(process: Child) -> list[psutil.Process]:
    assert process.process is not None
    return psutil.Process(process.process.pid).children(recursive=True)


class TestCelery:
    @pytest.mark.parametrize(
        ("name", "sign"),
        [("worker", "worker"), ("worker", "pool"), ("sync", "worker"), ("beat", "beat")],
    )
    def test_ends_when_it_is_frozen(self, name, sign, tmp_path):
        life = tmp_path / "life"
        with started(
            name, *CELERY[name], under=under(life), WATCHDOG_SECONDS=WATCHDOG_SECONDS
        ) as process:
            wait_until(lambda: list(life.glob(f"{sign}.*")), process.log_tail())
            processes = below(process)

            freeze(process, life, sign)

            assert_ended(process, processes)


class TestWeb:
    def test_ends_when_one_of_its_processes_is_frozen(self, tmp_path):
        life = tmp_path / "life"
        web = Child(
            name="web",
            command=[
                *under(life),
                *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws"),
                *("--port", str(free_port()), "--workers", "2", "--respawn-failed-workers"),
                "concert_project.wsgi:application",
            ],
            log_path=new_folder() / "web.log",
            environment={**os.environ, "WATCHDOG_SECONDS": WATCHDOG_SECONDS},
            directory=ROOT,
        )
        web.start()
        try:
            wait_until(lambda: len(list(life.glob("web.*"))) == 2, web.log_tail())
            processes = below(web)

            freeze(web, life, "web")

            assert_ended(web, processes)
        finally:
            web.stop()
