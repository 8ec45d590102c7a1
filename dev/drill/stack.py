"""The stack that the drill breaks: of its own, thrown away afterwards, and supervised as a deployment is."""

import shutil
import signal
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import psycopg
from rich.console import Console

from dev.stack.servers import ValkeyServer
from dev.stack.throwaway import ThrowawayStack

SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "concert_project.settings.local",
    # All customers come from one address.
    "RATE_LIMIT_ENABLED": "0",
    # Short enough for holds to end, and to be swept, within a phase.
    "HOLD_SECONDS": "15",
    # Short enough for a frozen process to be replaced while customers still shop.
    "WATCHDOG_SECONDS": "10",
}
APPLICATION_NAME = "drill"
TEND_SECONDS = 0.05


class DrillStack(ThrowawayStack):
    """PostgreSQL, a Valkey for the waiting room and one for the broker, and every process of `make run`.

    A process that was killed is started again by `tend`, which has to be called now and then from the main thread.
    """

    # Without the demo's data: the drill brings its own.
    preparation = (("django", "migrate", "--verbosity", "0"),)
    queue_store: ValkeyServer
    broker: ValkeyServer

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SETTINGS)
        self.console = Console(quiet=True)
        self.revived: Counter[str] = Counter()
        self._kept_down: set[str] = set()

    def boot(self) -> None:
        (self.data_dir / "logs").mkdir()
        self.queue_store = self._start_valkey(name="queue")
        # In memory: a broker that is killed comes back with nothing, which is the worst it can do.
        self.broker = self._start_valkey(name="broker", append_only=False)
        self.environment.update(
            QUEUE_URL=self.queue_store.url,
            CACHE_URL=self.queue_store.url,
            BROKER_URL=self.broker.url,
        )
        super().boot()

    # --- Supervising ------------------------------------------------------------------------------

    def tend(self) -> None:
        """Start what has ended by itself, as any supervisor does."""
        for child in self.children:
            if child.name not in self._kept_down and not child.is_running():
                self.revived[child.name] += 1
                self.revive(child.name)

    def revive(self, name: str) -> None:
        """Start a process again whose life is over, and whatever it had started, too."""
        self._kept_down.discard(name)
        child = self.child(name)
        child.kill()
        child.start()

    def kill(self, name: str) -> None:
        """End a process and everything it started; it stays down until `revive`."""
        self._kept_down.add(name)
        self.child(name).kill()

    def crash(self, name: str) -> None:
        """Kill the main process only; what it started is gone at the latest when `revive` replaces it."""
        self._kept_down.add(name)
        self.child(name).send(signal.SIGKILL)

    def sleep(self, seconds: float) -> None:
        """Let time pass, and tend to what has ended meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(TEND_SECONDS, left))
            self.tend()

    # --- Looking behind the scenes ----------------------------------------------------------------

    @contextmanager
    def session(self, *, autocommit: bool = True) -> Generator[psycopg.Connection]:
        """Open a session of the database's owner, who sees and ends all others."""
        with psycopg.connect(
            self.postgres.url, autocommit=autocommit, application_name=APPLICATION_NAME
        ) as connection:
            yield connection

    def process_showing_life(self, name: str, sign: str) -> psutil.Process:
        """Return the process of a child behind one of the files by which its watchdog sees that it lives."""
        files = list(self._heartbeats(name).glob(f"{sign}.*"))
        return psutil.Process(int(files[0].suffix[1:]))

    @property
    def schedule_path(self) -> Path:
        """Return the file in which beat remembers what ran last."""
        return self.data_dir / "celerybeat-schedule"

    def process_of_session(self, client_port: int, *, name: str) -> psutil.Process | None:
        """Return the process below `name` whose connection to the database begins at `client_port`."""
        main = self.child(name).process
        assert main is not None
        for process in psutil.Process(main.pid).children(recursive=True):
            try:
                ends = {connection.laddr.port for connection in process.net_connections("tcp4")}
            except psutil.Error:
                continue
            if client_port in ends:
                return process
        return None

    def behave(self, **behaviour: object) -> None:
        """Tell the outside platform how to answer from now on; nothing means: as it should."""
        url = self.environment["WEBHOOK_URL"]
        httpx.put(f"{url}behaviour", json=behaviour, timeout=5).raise_for_status()

    def messages_received(self) -> int:
        """Return how many messages the outside platform was sent, whatever it answered."""
        answer = httpx.get(self.environment["WEBHOOK_URL"], timeout=5).raise_for_status()
        count: int = answer.json()["count"]
        return count

    def forget_queue(self) -> None:
        """Remove what the waiting room's store, which is down, has written to disk."""
        shutil.rmtree(self.data_dir / "queue", ignore_errors=True)
