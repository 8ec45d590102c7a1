"""The stack that is measured: of its own, with the settings of a deployment, and the floors beside it."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from dev.bench.filling import History
from dev.bench.kept import KeptHistory
from dev.stack.children import Child
from dev.stack.servers import HOST, ValkeyServer, free_port
from dev.stack.stack import READY_TIMEOUT, answers
from dev.stack.throwaway import ThrowawayStack, new_folder

HARNESS = Path(__file__).resolve().parents[2]  # this checkout, also when another is measured
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "concert_project.settings.production",
    "ALLOWED_HOSTS": HOST,
    # Loopback speaks no TLS; a proxy does in a deployment.
    "SECURE_SSL_REDIRECT": "0",
}
FLOORS = {"hello": "dev.bench.floors.hello", "django": "dev.bench.floors.bare_django"}


class BenchStack(ThrowawayStack):
    """Stack of `make run`, but deployed: no demo data, static files collected, HTTPS settings, every limit on."""

    preparation = (
        ("django", "migrate", "--no-input", "--verbosity", "0"),
        # Neither fingerprinted nor compressed, which takes most of a minute: no scenario asks for a page.
        ("django", "collectstatic", "--no-input", "--verbosity", "0", "--no-post-process"),
    )

    def __init__(self, folder: Path, *, console: Console, history: History | None = None) -> None:
        """`history` is what the database holds before anything is measured."""
        super().__init__(folder, SETTINGS)
        self.console = console
        self.history = history
        self.floors: dict[str, str] = {}

    def boot(self) -> None:
        super().boot()
        [self.valkey] = [server for server in self.servers if isinstance(server, ValkeyServer)]
        with self._step("Floors"):
            for name, module in FLOORS.items():
                self.floors[name] = self._start_floor(name, module)

    @property
    def base_url(self) -> str:
        return self.environment["BASE_URL"]

    @property
    def groups(self) -> dict[str, list[int]]:
        """Return the root processes of each group whose CPU time is told apart."""
        members = {child.name: child for child in self.children}
        members |= {"postgres": self.postgres.child, "valkey": self.valkey.child}
        groups: dict[str, list[int]] = {}
        for name, child in members.items():
            if child.process is not None:
                group = "floors" if name.startswith("floor-") else name
                groups.setdefault(group, []).append(child.process.pid)
        return groups

    def _start_floor(self, name: str, module: str) -> str:
        """Serve another application with the very command that serves Encore; return its address."""
        port = free_port()
        command = [
            f"{module}:application" if re.fullmatch(r"[\w.]+:\w+", word) else word
            for word in self.child("web").command
        ]
        command[command.index("--port") + 1] = str(port)
        child = Child(
            name=f"floor-{name}",
            command=command,
            log_path=self._log(f"floor-{name}"),
            environment={**self.environment, "PYTHONPATH": str(HARNESS)},
            directory=HARNESS,
            stop_signal=signal.SIGTERM,
            patience=15.0,
        )
        self._start(child)
        url = f"http://{HOST}:{port}/"
        child.wait_until(lambda: answers(url), timeout=READY_TIMEOUT)
        return url


@contextmanager
def running_bench_stack(console: Console, *, history: Path | None = None) -> Iterator[BenchStack]:
    """Run a stack, with Django set up for it in this process. Call it from the main thread.

    With `history`, a folder of `KeptHistory`, it runs on a copy of what is kept there.

    :raises ServerFailed, ChildFailed: it did not start.
    :raises HistoryRefused: there is no history in that folder.
    """
    folder = new_folder("bench")
    kept = KeptHistory(history) if history else None
    with ExitStack() as ending:
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        if kept:
            with console.status("Copy of the history ..."):
                ending.enter_context(kept.lent_to(folder))
        stack = BenchStack(folder, console=console, history=kept.sizes if kept else None)
        ending.callback(stack.shut_down)
        stack.boot()
        # This process prepares data and checks invariants; its log lines would hide the progress.
        os.environ.update(stack.environment, LOG_LEVEL="ERROR")
        import django

        django.setup()
        if kept:
            _rank_the_past()
        yield stack


def _rank_the_past() -> None:
    """Fill the new store as that of years would be, before beat finds out within a minute and does it beside a measurement."""
    from apps.concerts.services import rebuild_ranking

    rebuild_ranking()
