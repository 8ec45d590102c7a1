"""Run a command, and end it, and itself, when a process of it falls silent.

    python -P concert_project/watchdog.py [--folder FOLDER] -- celery -A concert_project worker ...

Every process of the command touches a file of its own in FOLDER, once a second, for as long as it does its work
(`concert_project/heartbeat.py`). One whose file stays as it is for `WATCHDOG_SECONDS` (30, 0 for never) is frozen, or knows that it
does nothing: then the whole process group is killed, this process included, so that the supervisor of containers or processes
starts it anew. A supervisor that restarts what has ended, but not what is unhealthy, needs no more than that, and no rights.

A command that ends by itself ends this process with its exit status. SIGTERM and SIGQUIT are passed on. Of the standard library
only, so that it stays small and starts at once.
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

FOLDER_VARIABLE = "HEARTBEAT_FOLDER"
PATIENCE_SECONDS = 30.0
START_SECONDS = 120.0  # until the first sign of life
LOOK_SECONDS = 1.0
PR_SET_PDEATHSIG = 1


class Watch:
    """Tell which process of `folder` is silent, by whether its file changes between two looks.

    The clock of the files does not matter, so it may jump. A watchdog that was stopped together with the processes (a container that was
    paused, a machine that slept) begins anew.
    """

    def __init__(self, folder: Path, *, patience: float, start_patience: float) -> None:
        self._folder = folder
        self._patience = patience
        self._start_patience = start_patience
        self._looked_at = time.monotonic()
        self._begin_anew(self._looked_at)

    def find_silent(self) -> str | None:
        """Return why the command has to end, None if it need not."""
        now = time.monotonic()
        if now - self._looked_at > self._patience / 2:
            self._begin_anew(now)
        self._looked_at = now
        self._folder.mkdir(exist_ok=True)  # tidying up temporary files must not end a process
        for path in self._folder.iterdir():
            touched_at = path.stat().st_mtime_ns
            known, since = self._seen.get(path.name, (0, now))
            if known != touched_at:
                self._seen[path.name] = (touched_at, now)
            elif now - since > self._patience:
                if _is_alive(path.name):
                    return f"{path.name} was silent for {now - since:.0f} s"
                path.unlink()
                del self._seen[path.name]
                self._begun_at = now
        if not self._seen and now - self._begun_at > self._start_patience:
            return f"there was no sign of life for {now - self._begun_at:.0f} s"
        return None

    def _begin_anew(self, now: float) -> None:
        self._seen: dict[str, tuple[int, float]] = {}
        self._begun_at = now


def main() -> int:
    parser = argparse.ArgumentParser(prog="watchdog")
    parser.add_argument("--folder", type=Path, help="where to look for signs of life")
    parser.add_argument("command", nargs="+", help="after --")
    options = parser.parse_args()
    patience = float(os.environ.get("WATCHDOG_SECONDS") or PATIENCE_SECONDS)
    folder = _empty_folder(options.folder)
    if os.getpgrp() != os.getpid():
        os.setpgrp()  # what it kills must be its own
    child = subprocess.Popen(  # noqa: S603
        options.command,
        env={**os.environ, FOLDER_VARIABLE: str(folder)},
        preexec_fn=_end_with_parent,
    )

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, pass_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the command, too
    watch = Watch(folder, patience=patience, start_patience=max(START_SECONDS, patience))
    while True:
        with suppress(subprocess.TimeoutExpired):
            status = child.wait(LOOK_SECONDS)
            return status if status >= 0 else 128 - status
        reason = watch.find_silent() if patience else None
        if reason:
            _say(reason, options.command)
            os.killpg(0, signal.SIGKILL)


def _empty_folder(folder: Path | None) -> Path:
    """Return a folder without the signs of an earlier life."""
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="heartbeats-"))
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    folder.unlink(missing_ok=True)
    folder.mkdir(parents=True)
    return folder


def _is_alive(name: str) -> bool:
    """Return whether the process of a file is still there; the file is called `name.pid`."""
    try:
        os.kill(int(name.rpartition(".")[2]), 0)
    except (ProcessLookupError, ValueError):
        return False
    return True


def _end_with_parent() -> None:
    """Let the kernel kill the command when this process is killed, where the kernel is Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _say(reason: str, command: list[str]) -> None:
    """Write one line as the logs of the other processes are."""
    line = {
        "event": "process_ended_by_watchdog",
        "reason": reason,
        "command": " ".join(command),
        "level": "error",
        "logger": "watchdog",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
