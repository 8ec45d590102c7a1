import io
import os
import signal
import subprocess
import sys

import psutil
import pytest
from rich.console import Console

from dev.stack.children import Child, ChildFailed
from dev.stack.logs import LogFollower

SLEEPER = "import time; print('asleep', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(15, lambda *_: print('no', flush=True))\n" + SLEEPER
SUPERVISOR = """
import pathlib, sys
from dev.stack.children import Child
child = Child(name="x", command=[sys.executable, "-c", {sleeper!r}], log_path=pathlib.Path({log!r}))
child.start()
child.wait_until(lambda: "asleep" in child.log_tail(), timeout=30)
print(child.process.pid, flush=True)
sys.stdin.read()
"""
INTERRUPTED = """
import os, pathlib, signal, sys
from dev.stack.children import Child
class Interrupted(BaseException): pass
def interrupt(*_): raise Interrupted
signal.signal(signal.SIGTERM, interrupt)
os.register_at_fork(before=lambda: os.kill(os.getpid(), signal.SIGTERM))
child = Child(name="x", command=["sleep", "600"], log_path=pathlib.Path({log!r}))
try:
    child.start()
except Interrupted:
    child.stop()
    sys.exit(7)
"""


@pytest.fixture
def child(tmp_path):
    """Start a Python program as a child and wait until it has printed `asleep`."""
    started = []

    def start(program, **options):
        command = [sys.executable, "-c", program]
        child = Child(name="sleeper", command=command, log_path=tmp_path / "log", **options)
        started.append(child)
        child.start()
        child.wait_until(lambda: "asleep" in child.log_tail(), timeout=30)
        return child

    yield start
    for child in started:
        child.send(signal.SIGKILL)
        child.wait()


class TestChild:
    def test_stops_when_asked(self, child):
        sleeper = child(SLEEPER)

        sleeper.stop()

        assert sleeper.process.returncode == -signal.SIGTERM

    def test_is_killed_with_everything_that_it_started(self, child):
        parent = child("import subprocess; subprocess.Popen(['sleep', '600'])\n" + STUBBORN)
        [grandchild] = psutil.Process(parent.process.pid).children()

        parent.kill()

        assert parent.process.returncode == -signal.SIGKILL
        psutil.wait_procs([grandchild], timeout=10)
        assert not grandchild.is_running()

    def test_is_killed_when_it_does_not_listen(self, child):
        stubborn = child(STUBBORN, patience=0.3)

        stubborn.stop()

        assert stubborn.process.returncode == -signal.SIGKILL

    def test_is_out_of_reach_of_the_terminal(self, child):
        """Ctrl-C goes to the foreground process group; the supervisor orders the shutdown."""
        sleeper = child(SLEEPER)

        assert os.getpgid(sleeper.process.pid) != os.getpgid(0)
        assert os.getsid(sleeper.process.pid) != os.getsid(0)

    def test_says_how_it_ended_and_what_it_wrote(self, child):
        with pytest.raises(ChildFailed, match=r"sleeper ended \(exit code 3\)(.|\n)*no such seat"):
            child("print('no such seat'); raise SystemExit(3)")

    def test_lets_a_signal_wait_until_it_was_forked(self, tmp_path):
        """An exception that is raised in a hook of the fork would be ignored, and the signal with it."""
        program = INTERRUPTED.format(log=str(tmp_path / "log"))

        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

        assert (ended.returncode, ended.stderr) == (7, "")

    def test_ends_with_a_supervisor_that_is_killed(self, tmp_path):
        """The kernel of Linux sees to it; elsewhere there is no such protection."""
        program = SUPERVISOR.format(sleeper=SLEEPER, log=str(tmp_path / "log"))
        supervisor = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert supervisor.stdout is not None
        grandchild = psutil.Process(int(supervisor.stdout.readline()))

        supervisor.kill()
        supervisor.communicate()

        grandchild.wait(30)
        assert not grandchild.is_running()


class TestLogFollower:
    def test_shows_no_lines_about_every_request(self, tmp_path):
        """They would push the logins out of sight."""
        web = tmp_path / "web.log"
        web.touch()
        output = io.StringIO()
        follower = LogFollower(Console(file=output), [web])

        web.write_text(
            "2026-01-01T00:00:00Z [info     ] request_finished   [encore.requests] code=200\n"
            '{"event": "webhook_sent", "level": "info"}\n'
            "2026-01-01T00:00:00Z [warning  ] request_finished   [encore.requests] code=404\n"
            '{"code": 409, "event": "request_finished", "request_id": "x", "level": "warning"}\n'
            "2026-01-01T00:00:00Z [error    ] request_finished   [encore.requests] code=503\n"
            '{"code": 500, "event": "request_finished", "request_id": "x", "level": "error"}\n'
            "2026-01-01T00:00:00Z [warning  ] broker_unavailable [x]\n"
            '{"event": "request_failed", "level": "error"}\n'
            "Traceback (most recent call last):\n"
        )
        follower.show_new_lines()

        assert output.getvalue().splitlines() == [
            "web | 2026-01-01T00:00:00Z [error    ] request_finished   [encore.requests] code=503",
            'web | {"code": 500, "event": "request_finished", "request_id": "x", "level": "error"}',
            "web | 2026-01-01T00:00:00Z [warning  ] broker_unavailable [x]",
            'web | {"event": "request_failed", "level": "error"}',
            "web | Traceback (most recent call last):",
        ]

    def test_shows_new_complete_lines_after_the_name_of_their_file(self, tmp_path):
        web, worker = tmp_path / "web.log", tmp_path / "worker.log"
        web.write_text("from before\n")
        worker.write_text("")
        output = io.StringIO()
        follower = LogFollower(Console(file=output), [web, worker])

        with web.open("a") as log:
            log.write("a seat [b]was[/b] held\nhalf a li")
        worker.write_text("admitted\n")
        follower.show_new_lines()
        with web.open("a") as log:
            log.write("ne\n")
        follower.show_new_lines()

        assert output.getvalue().splitlines() == [
            "web    | a seat [b]was[/b] held",
            "worker | admitted",
            "web    | half a line",
        ]
