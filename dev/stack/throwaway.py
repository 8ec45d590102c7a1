"""A stack that a command starts for itself and throws away: in a temporary folder, on free ports, told nothing by the caller."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from dev.stack.servers import free_port, temporary_root
from dev.stack.stack import Stack

# Of the caller's environment: what programs need, and nothing that names a server or a secret.
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Raised by Ctrl-C or SIGTERM."""


class ThrowawayStack(Stack):
    # Those of `make run` are left to it: whoever looks at its webhooks has the address from the last time.
    postgres_port = valkey_port = receiver_port = 0

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        super().__init__(data_dir=folder, port=free_port(), environment={**kept, **settings})

    def boot(self) -> None:
        """Start everything; call it from the main thread.

        :raises ServerFailed, ChildFailed: with the end of a log.
        """
        self._boot()

    def shut_down(self) -> None:
        self._stop()


@contextmanager
def running_stack(purpose: str, settings: Mapping[str, str]) -> Iterator[ThrowawayStack]:
    """A stack, and Django set up for it in this process. Call it from the main thread.

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


def new_folder(purpose: str) -> Path:
    """A folder that every user can reach: PostgreSQL does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix=f"encore-{purpose}-", dir=temporary_root()))
    folder.chmod(0o755)
    return folder


def raise_when_interrupted() -> None:
    """From now on a signal to end raises `Interrupted` in the main thread, once."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    for again in SIGNALS:
        signal.signal(again, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the shutdown
    raise Interrupted
