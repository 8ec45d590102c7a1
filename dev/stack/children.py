"""Child processes that are stopped in order, and that do not outlive this one.

Honcho, instead, stops all at once with SIGTERM, reads them through pipes that break with it, and leaves them behind when it is killed.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.05

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ChildFailed(Exception):
    """A child process ended or did not become ready. The message is for people."""


@dataclass(kw_only=True)
class Child:
    """One program in a session of its own, which writes to a log file.

    The session keeps a Ctrl-C of the terminal away from it: only `stop` ends it. On Linux the
    kernel sends `stop_signal` when the thread that called `start` ends for whatever reason,
    so start children from the main thread.
    """

    name: str
    command: Sequence[str]
    log_path: Path
    environment: Mapping[str, str] | None = None
    directory: Path | None = None
    user: pwd.struct_passwd | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 10.0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self, *, standard_input: bytes = b"") -> None:
        """Start the program; return before it is ready."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log, _signals_deferred():
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self.environment,
                start_new_session=True,
                preexec_fn=_end_with_parent(self.stop_signal),
                **run_as(self.user),
            )
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(standard_input)
            self.process.stdin.close()

    def wait_until(self, is_ready: Callable[[], bool], *, timeout: float) -> None:
        """:raises ChildFailed: it ended, or was not ready after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not is_ready():
            if not self.is_running():
                raise ChildFailed(self.describe_end())
            if time.monotonic() > deadline:
                raise ChildFailed(
                    f"{self.name} was not ready after {timeout:.0f} s.{self.log_tail()}"
                )
            time.sleep(POLL_SECONDS)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def was_killed(self) -> bool:
        """Return whether SIGKILL ended it (the kernel for want of memory, or its watchdog), or what its watchdog watches."""
        killed = (-signal.SIGKILL, 128 + signal.SIGKILL)
        return self.process is not None and self.process.poll() in killed

    def describe_end(self) -> str:
        code = self.process.poll() if self.process else None
        how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else "ended"
        return f"{self.name} {how} (exit code {code}).{self.log_tail()}"

    def log_tail(self, lines: int = 15) -> str:
        with suppress(OSError):
            tail = self.log_path.read_text(errors="replace").splitlines()[-lines:]
            if tail:
                return f" The end of {self.log_path}:\n  " + "\n  ".join(tail)
        return ""

    def send(self, signal_number: signal.Signals) -> None:
        if self.process is not None and self.is_running():
            self.process.send_signal(signal_number)

    def wait(self) -> None:
        """Wait until it has ended after `stop_signal`; kill its whole session if it does not."""
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(self.patience)
            self.kill()

    def stop(self) -> None:
        self.send(self.stop_signal)
        self.wait()

    def kill(self) -> None:
        """End it with everything it started, at once, as a crash of its container would."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def stop_all(children: Sequence[Child]) -> None:
    """Ask all of them to stop, then wait for each."""
    for child in children:
        child.send(child.stop_signal)
    for child in children:
        child.wait()


def run_as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """Return what `subprocess` needs to run a program as `user`; nothing for None."""
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "umask": 0o077}


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Handle signals when a process has been forked: what a handler raises in a hook of the fork is lost, and so is the hook's lock."""
    late: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: late.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for came in late:
            os.kill(os.getpid(), came)


def _end_with_parent(signal_number: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def before_exec() -> None:
        # After the change of user, which would clear it.
        libc.prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec
