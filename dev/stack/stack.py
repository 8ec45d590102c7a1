"""Start everything Encore consists of, in order, and stop it again in the reverse order."""

import fcntl
import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn, TypeVar
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from dev.stack.children import POLL_SECONDS, Child, ChildFailed, stop_all
from dev.stack.environment import remove, stack_secrets, write_env_file
from dev.stack.logs import LogFollower
from dev.stack.servers import (
    HOST,
    PostgresServer,
    ServerFailed,
    ValkeyServer,
    free_port,
    postgres_home,
)

ROOT = Path(__file__).resolve().parents[2]
WATCHDOG = ROOT / "concert_project" / "watchdog.py"
APPLICATION_ROLE = "encore_app"
STORE_VARIABLES = ("QUEUE_URL", "CACHE_URL", "BROKER_URL")
ENDPOINTS = ("DATABASE_URL", *STORE_VARIABLES, "BASE_URL", "WEBHOOK_URL")
PREPARE_TIMEOUT, READY_TIMEOUT = 300.0, 60.0
WATCH_SECONDS = 0.25
LOCK_ATTEMPTS = 5

Server = TypeVar("Server", PostgresServer, ValkeyServer)


def _locks(file: IO[str]) -> bool:
    """Lock a file for as long as it is open; a command that looks whether it is locked has it for a moment."""
    for _ in range(LOCK_ATTEMPTS):
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(POLL_SECONDS)
    return False


def answers(url: str) -> bool:
    """Return whether a server answers with success within five seconds."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
        return bool(answer.status == 200)
    return False


class StackRefused(Exception):
    """The stack cannot start here and now. The message is for people."""


class StopRequested(BaseException):
    """Raised by Ctrl-C or SIGTERM."""


class Stack:
    """Run the processes of one data folder."""

    preparation: Sequence[Sequence[str]] = (("dev.stack.prepare",),)
    # Where its servers listen unless something else does; 0 is any free port.
    postgres_port, valkey_port, receiver_port = 15432, 16379, 18090

    def __init__(self, *, data_dir: Path, port: int, environment: Mapping[str, str]) -> None:
        """`environment` wins: servers and secrets that it names are used as they are."""
        self.data_dir = data_dir
        self.port = port
        self.console = Console(highlight=False)
        self.environment = dict(environment)
        # For migrations alone; nothing else may own the tables.
        self.owner_database_url = self.environment.pop("OWNER_DATABASE_URL", None)
        self.servers: list[PostgresServer | ValkeyServer] = []
        self.children: list[Child] = []
        self.is_stopping = False

    def run(self) -> int:
        """Boot, then watch until it is stopped or a process ends; return an exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._request_stop)
        lock = None
        try:
            lock = self._lock_data_dir()
            started_at = time.monotonic()
            self._refuse_taken_port()
            self.boot()
            self._introduce(time.monotonic() - started_at)
            self._watch()
        except StopRequested:
            return 0
        except (StackRefused, ServerFailed, ChildFailed) as error:
            return self._fail(str(error))
        except OSError as error:
            return self._fail(
                f"{error}. Mend or remove {self.data_dir}, or choose another folder: make run DATA_DIR=/path/to/folder"
            )
        finally:
            self.is_stopping = True
            if lock is not None:
                self.shut_down()
                lock.close()

    def _fail(self, message: str) -> int:
        self.console.print(f"[bold red]✗[/] {escape(message)}", soft_wrap=True)
        return 1

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        if not self.is_stopping:  # once: a second Ctrl-C must not interrupt the shutdown
            self.is_stopping = True
            raise StopRequested

    def _lock_data_dir(self) -> IO[str]:
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            lock = (self.data_dir / "stack.lock").open("a+")
        except OSError as error:
            raise StackRefused(
                f"Cannot write to {self.data_dir} ({error.strerror}). "
                "Choose another folder: make run DATA_DIR=/path/to/folder"
            ) from error
        if not _locks(lock):
            lock.seek(0)
            raise StackRefused(
                f"A stack already runs on {self.data_dir} (process {lock.read().strip() or '?'}). "
                "Stop it, or start a second one: make run PORT=8100 DATA_DIR=.data2"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _refuse_taken_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.port))
            except OSError as error:
                raise StackRefused(
                    f"Port {self.port} cannot be used ({error.strerror}). "
                    f"Choose another: make run PORT={free_port(8100)}"
                ) from error

    def boot(self) -> None:
        """Start everything; call it from the main thread.

        :raises ServerFailed, ChildFailed: with the end of a log.
        """
        for folder in ("logs", "static"):
            (self.data_dir / folder).mkdir(exist_ok=True)
        remove(self.data_dir / "heartbeats")  # of an earlier life
        self._define("DJANGO_SETTINGS_MODULE", "concert_project.settings.local")
        self._define("BASE_URL", f"http://{HOST}:{self.port}")
        self.environment.update(DATA_DIR=str(self.data_dir), PYTHONUNBUFFERED="1")
        # Celery warns root of a danger that loopback and JSON messages do not have.
        self._define("PYTHONWARNINGS", "ignore:You're running the worker with superuser")
        secrets = stack_secrets(self.data_dir)
        for key, value in secrets.items():
            self._define(key, value)
        if "DATABASE_URL" not in self.environment:
            with self._step("PostgreSQL"):
                self._start_postgres(secrets)
        if any(variable not in self.environment for variable in STORE_VARIABLES):
            with self._step("Valkey"):
                valkey = self._start_valkey(secrets["EMBEDDED_VALKEY_PASSWORD"])
            for variable in STORE_VARIABLES:
                self._define(variable, valkey.url)
        if "WEBHOOK_URL" not in self.environment:
            with self._step("Receiver of webhooks"):
                self._start_receiver()
        write_env_file(
            self.data_dir / "endpoints.env",
            {key: self.environment[key] for key in ENDPOINTS},
            comment="Where the running stack listens; removed when it stops.",
        )
        with self._step("Migrations and demo data"):
            self._prepare_database()
        with self._step("Web"):
            self._start_web()
        # They need seconds of both processors, so they start once the pages are there.
        with self._step("Workers and beat"):
            self._start_background()

    def _define(self, key: str, value: str) -> None:
        self.environment.setdefault(key, value)

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        started_at = time.monotonic()
        with self.console.status(f"{title} ..."):
            yield
        self.console.print(f"[green]✓[/] {title}  [dim]{time.monotonic() - started_at:.1f} s[/]")

    def _log(self, name: str) -> Path:
        path = self._log_path(name)
        path.touch(mode=0o600)
        path.write_bytes(b"")
        return path

    def _log_path(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def _start_server(self, make: Callable[[int], Server], *, preferred_port: int) -> Server:
        """Start a server; another program may take its port in this very moment, so try again with another."""
        for preferred, is_last_try in ((preferred_port, False), (0, False), (0, True)):
            server = make(free_port(preferred))
            self.servers.append(server)
            try:
                server.start()
            except ServerFailed as error:
                if is_last_try or "already in use" not in str(error):
                    raise
                self.servers.remove(server)
            else:
                break
        return server

    def _start_postgres(self, secrets: Mapping[str, str]) -> None:
        try:
            home = postgres_home(self.data_dir)
        except OSError as error:
            raise ServerFailed(f"Cannot make a folder for PostgreSQL: {error}") from error
        postgres = self._start_server(
            lambda port: PostgresServer(
                home=home,
                log_path=self._log("postgres"),
                password=secrets["EMBEDDED_POSTGRES_PASSWORD"],
                port=port,
            ),
            preferred_port=self.postgres_port,
        )
        self.owner_database_url = postgres.url
        application = postgres.url_as(APPLICATION_ROLE, secrets["EMBEDDED_APPLICATION_PASSWORD"])
        self._define("DATABASE_URL", application)

    def _start_valkey(
        self, password: str = "", *, name: str = "valkey", append_only: bool = True
    ) -> ValkeyServer:
        return self._start_server(
            lambda port: ValkeyServer(
                directory=self.data_dir / name,
                log_path=self._log(name),
                port=port,
                password=password,
                append_only=append_only,
            ),
            preferred_port=self.valkey_port,
        )

    def _python(self, name: str, *arguments: str, is_watched: bool = False) -> Child:
        """Return a child that runs a module; one that is watched is killed when it shows no life, as in a deployment."""
        watchdog = (
            sys.executable,
            "-P",
            str(WATCHDOG),
            "--folder",
            str(self._heartbeats(name)),
            "--",
        )
        return Child(
            name=name,
            command=[*(watchdog if is_watched else ()), sys.executable, "-m", *arguments],
            log_path=self._log(name),
            environment=self.environment,
            directory=ROOT,
            patience=15.0,
        )

    def _heartbeats(self, name: str) -> Path:
        return self.data_dir / "heartbeats" / name

    def _start_receiver(self) -> None:
        self._define("WEBHOOK_URL", f"http://{HOST}:{free_port(self.receiver_port)}/")
        receiver = self._python("receiver", "dev.stack.receiver")
        self._start(receiver)
        address = self.environment["WEBHOOK_URL"]
        receiver.wait_until(lambda: answers(address), timeout=READY_TIMEOUT)

    def _prepare_database(self) -> None:
        for command in self.preparation:
            child = self._python("prepare", *command)
            if self.owner_database_url:
                owner = {"OWNER_DATABASE_URL": self.owner_database_url}
                child.environment = {**self.environment, **owner}
            self._run_to_end(child)

    def _start(self, child: Child) -> None:
        self.children.append(child)
        child.start()

    def _run_to_end(self, child: Child) -> None:
        """:raises ChildFailed: it took too long or returned an error."""
        self._start(child)
        with suppress(ChildFailed):
            child.wait_until(lambda: False, timeout=PREPARE_TIMEOUT)
        if child.is_running() or child.process is None or child.process.returncode != 0:
            raise ChildFailed(child.describe_end())
        self.children.remove(child)

    def _start_web(self) -> None:
        web = self._python(
            "web",
            *("granian", "--interface", "wsgi", "concert_project.wsgi:application"),
            *("--host", HOST, "--port", str(self.port)),
            *("--workers", "2", "--blocking-threads", "3"),
            # A browser that waits keeps its connection: one that is not accepted would wait for others to leave.
            *("--backlog", "4096", "--backpressure", "8192"),
            # One worker that is killed is no reason to stop the others.
            "--respawn-failed-workers",
            *("--no-ws", "--log-level", "warning"),
            is_watched=True,
        )
        self._start(web)
        web.wait_until(self._is_ready, timeout=READY_TIMEOUT)

    def _start_background(self) -> None:
        celery = ("celery", "--quiet", "-A", "concert_project")
        # Workers of one machine have nothing to tell each other, and asking takes a second.
        worker_alone = ("worker", "--without-mingle", "--without-gossip")
        worker = self._python(
            "worker",
            *(*celery, *worker_alone, "--hostname", "worker@%h"),
            *("--queues", "default,admission", "--concurrency", "2"),
            is_watched=True,
        )
        # Of its own, so that an outside world that is slow delays nothing here.
        sync = self._python(
            "sync",
            *(*celery, *worker_alone, "--hostname", "sync@%h"),
            *("--queues", "external", "--pool", "threads", "--concurrency", "4"),
            is_watched=True,
        )
        beat = self._python("beat", *celery, "beat", is_watched=True)
        for child in (worker, sync, beat):
            self._start(child)
        for child, sign in ((worker, "worker"), (sync, "worker"), (beat, "beat")):
            child.wait_until(partial(self._shows_life, child.name, sign), timeout=READY_TIMEOUT)

    def _shows_life(self, name: str, sign: str) -> bool:
        """Return whether a worker takes tasks, or beat has begun to send them."""
        self._refuse_ended_child()
        return any(self._heartbeats(name).glob(f"{sign}.*"))

    def _is_ready(self) -> bool:
        self._refuse_ended_child()
        return answers(f"http://{HOST}:{self.port}/readyz")

    def _introduce(self, seconds: float) -> None:
        base_url = self.environment["BASE_URL"]
        table = Table.grid(padding=(0, 3))
        table.add_row("Storefront", f"{base_url}/")
        table.add_row("API and its explorer", f"{base_url}/api/docs/")
        table.add_row("Box office", f"{base_url}/admin/")
        table.add_row("Webhooks that went out", self._webhooks_address())
        table.add_row("Where servers listen", str(self.data_dir / "endpoints.env"))
        table.add_row("Every request", str(self._log_path("web")))
        table.add_row("All logs", f"{self.data_dir / 'logs'}  ({self._with_data_dir('make logs')})")
        table.add_row(
            "A customer by API", self._with_data_dir(".venv/bin/python manage.py journey")
        )
        for login in self._demo_logins():
            table.add_row(
                f"Demo {login['role']}",
                f"{escape(login['email'])}  [bold]{escape(login['password'])}[/]",
            )
        self.console.print(
            Panel(table, title=f"Encore runs, {seconds:.1f} s", subtitle="Ctrl-C stops everything"),
        )

    def _webhooks_address(self) -> str:
        """Return where they can be read; say so when it is not where it was the last time."""
        address = self.environment["WEBHOOK_URL"]
        is_ours = any(child.name == "receiver" for child in self.children)
        if is_ours and urlsplit(address).port != self.receiver_port:
            return f"{address}  (something else has port {self.receiver_port})"
        return address

    def _with_data_dir(self, command: str) -> str:
        """Return how to call a command in another shell, so that it finds this stack."""
        is_found = self.data_dir == ROOT / ".data"
        return command if is_found else f"DATA_DIR={self.data_dir} {command}"

    def _demo_logins(self) -> list[dict[str, str]]:
        """Read what `load_demo` writes; there is nothing on a database without demo data."""
        with suppress(OSError, ValueError):
            logins: list[dict[str, str]] = json.loads(
                (self.data_dir / "demo_logins.json").read_text()
            )
            return logins
        return []

    def _watch(self) -> NoReturn:
        # What the receiver took is on its page; the demo data alone would fill the screen.
        shown = [child.log_path for child in self.children if child.name != "receiver"]
        follower = LogFollower(self.console, shown)
        while True:
            time.sleep(WATCH_SECONDS)
            follower.show_new_lines()
            self._restart_killed_children()
            self._refuse_ended_child()

    def _restart_killed_children(self) -> None:
        """Start what was killed, as a deployment does; one that ended by itself has a reason that its owner should read."""
        for child in self.children:
            if child.was_killed():
                child.kill()  # what it left behind
                child.start()
                self.console.print(f"[yellow]![/] {child.name} was killed, and is started again")

    def _refuse_ended_child(self) -> None:
        """:raises ChildFailed: naming the first process that ended by itself."""
        for child in (*self.children, *(server.child for server in self.servers)):
            if not child.is_running():
                raise ChildFailed(child.describe_end())

    def shut_down(self) -> None:
        """Stop what uses the servers before the servers."""
        if not (self.children or self.servers):
            return
        started_at = time.monotonic()
        with self.console.status("Stopping ..."):
            stop_all(self.children)
            for server in reversed(self.servers):
                server.stop()
        (self.data_dir / "endpoints.env").unlink(missing_ok=True)
        self.console.print(f"[dim]Everything stopped, {time.monotonic() - started_at:.1f} s[/]")
