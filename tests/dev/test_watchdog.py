"""The parent that ends what shows no life: real processes that freeze, end, or never begin to work."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from concert_project import watchdog
from concert_project.watchdog import Watch
from tests.reservations.workers import wait_until

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 3.0
LIVELY = """
import os, time
from concert_project.heartbeat import show_life
show_life("probe")
child = os.fork()
if child == 0:
    show_life("forked")
print("alive", flush=True)
time.sleep(600)
"""


@pytest.fixture
def start(tmp_path):
    """Start a program under the watchdog; `folder` of the process is where it shows its life."""
    processes = []

    def run(program, **variables):
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", str(Path(watchdog.__file__)), "--folder"),
                *(str(tmp_path / "life"), "--", sys.executable, "-c", program),
            ],
            cwd=ROOT,
            env={**os.environ, "WATCHDOG_SECONDS": str(PATIENCE), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        process.folder = tmp_path / "life"
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def lives(process):
    """Start, and return the processes below the watchdog once each has shown its life."""
    wait_until(
        lambda: process.folder.is_dir() and len(list(process.folder.iterdir())) == 2,
        "it did not happen",
    )
    return psutil.Process(process.pid).children(recursive=True)


def is_working(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.slow
class TestWatchdog:
    @pytest.mark.parametrize("name", ["probe", "forked"])
    def test_kills_everything_when_one_process_freezes(self, start, name):
        process = start(LIVELY)
        below = lives(process)
        [sign] = process.folder.glob(f"{name}.*")

        os.kill(int(sign.suffix[1:]), signal.SIGSTOP)
        _, said = process.communicate(timeout=30)

        assert process.returncode == -signal.SIGKILL
        wait_until(lambda: not any(map(is_working, below)), "it did not happen")
        line = json.loads(said.splitlines()[-1])
        assert line["event"] == "process_ended_by_watchdog"
        assert line["reason"].startswith(f"{sign.name} was silent for ")

    def test_lets_live_what_shows_life(self, start):
        process = start(LIVELY)
        lives(process)

        time.sleep(PATIENCE + 2)

        assert process.poll() is None

    def test_never_kills_when_it_is_told_so(self, start):
        process = start(LIVELY, WATCHDOG_SECONDS="0")
        below = lives(process)

        for process_below in below:
            process_below.suspend()
        time.sleep(PATIENCE + 2)

        assert process.poll() is None

    def test_ends_as_its_command_ended(self, start):
        assert start("raise SystemExit(7)").wait(20) == 7
        assert start("import os; os.abort()").wait(20) == 128 + signal.SIGABRT

    def test_passes_on_that_it_should_stop(self, start):
        process = start(
            "import signal, time\n"
            "signal.signal(15, lambda *_: exit(3))\n"
            "print('ready', flush=True); time.sleep(600)"
        )
        assert process.stdout.readline() == "ready\n"

        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 3

    @pytest.mark.skipif(sys.platform != "linux", reason="the kernel's doing")
    def test_takes_its_command_along_when_it_is_killed(self, start):
        process = start("import time; print('ready', flush=True); time.sleep(600)")
        assert process.stdout.readline() == "ready\n"
        [command] = psutil.Process(process.pid).children()

        process.kill()

        wait_until(lambda: not is_working(command), "it did not happen")

    @pytest.mark.parametrize("kind", ["file", "link", "folder of another life"])
    def test_begins_with_an_empty_folder_whatever_was_there(self, start, tmp_path, kind):
        life = tmp_path / "life"
        other = tmp_path / "other"
        other.mkdir()
        (other / "kept").touch()
        if kind == "file":
            life.touch()
        elif kind == "link":
            life.symlink_to(other)
        else:
            life.mkdir()
            (life / "probe.1").touch()

        lives(start(LIVELY))

        assert (other / "kept").exists()


class Clock:
    """Time as the watch reads it; each look comes a second after the last one."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(watchdog.time, "monotonic", lambda: self.now)

    def look(self, watch, seconds):
        """Look once a second, and return the first reason to end."""
        for _ in range(seconds):
            self.now += 1
            if reason := watch.find_silent():
                return reason


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def watch(clock, tmp_path):
    return Watch(tmp_path, patience=30.0, start_patience=120.0)


class TestWatch:
    def test_waits_for_the_first_sign_of_life(self, clock, watch):
        assert clock.look(watch, 120) is None
        assert clock.look(watch, 1) == "there was no sign of life for 121 s"

    def test_is_patient(self, clock, watch, tmp_path):
        (tmp_path / f"probe.{os.getpid()}").touch()

        assert clock.look(watch, 31) is None
        assert "was silent for 31 s" in clock.look(watch, 1)

    def test_does_not_care_what_the_clock_of_the_files_says(self, clock, watch, tmp_path):
        path = tmp_path / f"probe.{os.getpid()}"
        for moment in (2_000_000_000, 1, 1_500_000_000, 0):
            path.touch()
            os.utime(path, (moment, moment))
            assert clock.look(watch, 25) is None

    def test_forgets_a_process_that_is_gone(self, clock, watch, tmp_path):
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        path = tmp_path / f"probe.{ended.pid}"
        path.touch()

        assert clock.look(watch, 100) is None
        assert not path.exists()

    def test_outlives_its_folder(self, clock, watch, tmp_path):
        assert clock.look(watch, 10) is None
        tmp_path.rmdir()

        assert clock.look(watch, 10) is None
        assert tmp_path.is_dir()

    def test_does_not_judge_what_was_stopped_together_with_it(self, clock, watch, tmp_path):
        (tmp_path / f"probe.{os.getpid()}").touch()
        assert clock.look(watch, 20) is None

        clock.now += 3600  # the machine slept

        assert clock.look(watch, 25) is None
