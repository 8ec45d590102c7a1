"""`python -m dev.stack` as a newcomer meets it: a real stack, booted once for all these tests."""

import fcntl
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest
import redis

from dev.stack import cleaning, servers
from dev.stack.environment import new_secrets, read_env_file, remove
from dev.stack.servers import HOST, PostgresServer, free_port, postgres_home
from dev.stack.stack import Stack
from dev.stack.throwaway import ThrowawayStack
from tests.reservations.workers import wait_until
from tests.servers import new_folder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BOOT_TIMEOUT = 120.0
RECEIVER_PORT = Stack.receiver_port


def start(*, data_dir, port, **variables):
    """Start a stack that knows nothing of this test's servers."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "dev.stack"],
        cwd=ROOT,
        env={**kept, "DATA_DIR": str(data_dir), "PORT": str(port), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def refusal(data_dir, port=None, **variables):
    """Return what a stack says that must not start."""
    process = start(data_dir=data_dir, port=free_port() if port is None else port, **variables)
    output, _ = process.communicate(timeout=BOOT_TIMEOUT)
    assert process.returncode == 1
    return " ".join(output.split())


def introduction_of(process):
    """Return all that a stack says until it runs."""
    output = []
    for line in process.stdout:
        output.append(line)
        if "Ctrl-C stops everything" in line:
            return "".join(output)
    pytest.fail("".join(output))


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def python(*command, data_dir):
    """Run a command that knows a data folder and nothing else."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def cleaned(data_dir):
    """Return the status of `make clean`, as far as it is about data, and what it says."""
    process = python("dev/stack/cleaning.py", data_dir=data_dir)
    return process.returncode, process.stdout.strip()


@pytest.fixture
def fresh():
    """A data folder that is not there yet."""
    return new_folder() / "data"


@pytest.fixture(scope="module")
def data_dir():
    return new_folder() / "data"


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def supervisor(data_dir, port):
    with ExitStack() as taken:
        with suppress(OSError):  # something else may have it already
            taken.enter_context(socket.create_server((HOST, RECEIVER_PORT)))
        process = start(data_dir=data_dir, port=port, WATCHDOG_SECONDS="5", COLUMNS="200")
        process.introduction = introduction_of(process)
    yield process
    stop(process)


@pytest.fixture
def endpoints(supervisor, data_dir):
    return read_env_file(data_dir / "endpoints.env")


class TestRunningStack:
    """`make test` keeps a class in one process, so one stack is booted for all of these."""

    def test_writes_down_where_everything_listens(self, endpoints, data_dir, port):
        assert endpoints["BASE_URL"] == f"http://{HOST}:{port}"
        assert stat.S_IMODE((data_dir / "endpoints.env").stat().st_mode) == 0o600
        with psycopg.connect(endpoints["DATABASE_URL"]) as connection:
            applied = connection.execute("SELECT count(*) FROM django_migrations").fetchone()
        assert applied is not None
        assert applied[0] > 0
        for name in ("QUEUE_URL", "CACHE_URL", "BROKER_URL"):
            with redis.Redis.from_url(endpoints[name]) as client:
                assert client.ping()
        assert httpx.get(endpoints["WEBHOOK_URL"]).json()["count"] >= 0

    def test_serves_with_a_role_that_cannot_rewrite_the_ledger(self, endpoints):
        with psycopg.connect(endpoints["DATABASE_URL"], autocommit=True) as connection:
            for statement in (
                "UPDATE payments_ledgerentry SET amount = 0",
                "DELETE FROM payments_ledgertransaction",
                "TRUNCATE payments_ledgerentry",
                "ALTER TABLE payments_ledgerentry DISABLE TRIGGER ALL",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
            booked = connection.execute("SELECT count(*) FROM payments_ledgerentry").fetchone()
        assert booked is not None
        assert booked[0] > 0

    def test_serves_with_a_role_that_waits_for_nothing_without_end(self, endpoints):
        with psycopg.connect(endpoints["DATABASE_URL"]) as connection:
            for name in ("lock_timeout", "statement_timeout"):
                assert connection.execute(f"SHOW {name}").fetchone() != ("0",)

    def test_answers_and_serves_its_static_files(self, endpoints):
        with httpx.Client(base_url=endpoints["BASE_URL"], timeout=30) as client:
            assert client.get("/readyz").json()["status"] == "ok"
            page = client.get("/admin/login/")
            assert page.status_code == 200
            stylesheet = re.search(r'href="(/static/[^"]+\.css)"', page.text)
            assert stylesheet is not None
            assert client.get(stylesheet[1]).status_code == 200

    def test_keeps_the_waiting_room_through_restarts(self, endpoints):
        with redis.Redis.from_url(endpoints["QUEUE_URL"]) as client:
            assert client.config_get("appendonly")["appendonly"] == "yes"
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"

    def test_asks_for_passwords(self, endpoints):
        guesses = {
            name: endpoints[name].replace(endpoints[name].split("@")[0].rsplit(":")[-1], "guess")
            for name in ("DATABASE_URL", "QUEUE_URL")
        }

        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(guesses["DATABASE_URL"])
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(guesses["QUEUE_URL"]).ping()

    def test_says_what_to_open_and_who_to_be(self, supervisor, endpoints):
        assert re.search(rf"Storefront +{endpoints['BASE_URL']}/ ", supervisor.introduction)
        assert f"{endpoints['BASE_URL']}/api/docs/" in supervisor.introduction
        assert f"{endpoints['BASE_URL']}/admin/" in supervisor.introduction
        assert "Demo" in supervisor.introduction

    def test_names_the_file_with_the_requests(self, supervisor, endpoints, data_dir):
        httpx.get(f"{endpoints['BASE_URL']}/nowhere/", timeout=30)

        log = data_dir / "logs" / "web.log"
        assert f"Every request {log} " in " ".join(supervisor.introduction.split())
        assert "request='GET /nowhere/'" in log.read_text()

    def test_says_that_the_port_of_the_receiver_was_taken(self, supervisor, endpoints):
        address = endpoints["WEBHOOK_URL"]

        assert urlsplit(address).port != RECEIVER_PORT
        assert f"{address} (something else has port {RECEIVER_PORT})" in " ".join(
            supervisor.introduction.split()
        )

    def test_has_said_so_when_a_sale_goes_through(self, supervisor, endpoints, data_dir):
        """Workers, beat and the receiver of webhooks were ready."""
        signs = {path.name.split(".")[0] for path in data_dir.glob("heartbeats/*/*")}
        journey = python("manage.py", "journey", "--patience", "15", data_dir=data_dir)

        assert signs == {"web", "worker", "pool", "beat"}
        assert "Workers and beat" in supervisor.introduction
        assert journey.returncode == 0, journey.stdout
        assert "From registration to a ticket and back" in journey.stdout

    @pytest.mark.skipif(shutil.which("curl") is None, reason="the README calls it")
    def test_sells_to_who_follows_the_readme_twice(self, endpoints):
        text = (ROOT / "README.md").read_text()
        walk = text.partition("## A first sale")[2].partition("\n## ")[0]
        blocks = "".join(re.findall(r"^```sh\n(.*?)^```", walk, re.DOTALL | re.MULTILINE))
        script = blocks.replace("http://127.0.0.1:8000", endpoints["BASE_URL"])

        said = subprocess.check_output(
            ["bash", "-c", script * 2], stderr=subprocess.STDOUT, text=True, timeout=BOOT_TIMEOUT
        )

        assert set(re.findall(r'^{"code":"([^"]*)', said, re.MULTILINE)) == {"SUCCESS"}
        assert said.count("Reservation confirmed.") == 2
        assert "Traceback" not in said

    def test_says_how_other_commands_find_it(self, supervisor, data_dir):
        assert f"DATA_DIR={data_dir} make logs" in "".join(
            line.strip("│ \n") + " " for line in supervisor.introduction.splitlines()
        )

    def test_starts_a_process_again_that_does_no_work(self, supervisor, data_dir):
        [sign] = data_dir.glob("heartbeats/beat/beat.*")

        os.kill(int(sign.suffix[1:]), signal.SIGSTOP)

        for line in supervisor.stdout:
            if "was killed" in line:
                break
        assert "beat was killed, and is started again" in line
        wait_until(
            lambda: set(data_dir.glob("heartbeats/beat/beat.*")) - {sign}, "it was not replaced"
        )
        assert supervisor.poll() is None

    def test_goes_on_when_one_worker_of_the_web_is_killed(self, supervisor, data_dir, endpoints):
        """A deployment replaces it, too."""
        before = set(data_dir.glob("heartbeats/web/web.*"))
        killed = min(before)

        os.kill(int(killed.suffix[1:]), signal.SIGKILL)

        wait_until(
            lambda: len(set(data_dir.glob("heartbeats/web/web.*")) - {killed}) >= len(before),
            "it was not replaced",
        )
        assert supervisor.poll() is None
        assert httpx.get(f"{endpoints['BASE_URL']}/readyz", timeout=30).status_code == 200
        assert len(before) == 2

    def test_is_found_by_a_command_without_any_environment(self, supervisor, data_dir, endpoints):
        program = "from django.conf import settings; print(settings.QUEUE_URL)"

        shell = ("manage.py", "shell", "--no-imports", "--command", program)
        output = python(*shell, data_dir=data_dir).stdout

        assert output.strip() == endpoints["QUEUE_URL"]

    def test_is_not_cleaned_away(self, supervisor, data_dir):
        assert cleaned(data_dir) == (1, f"A stack runs on {data_dir}. Stop it first.")
        assert (data_dir / "secrets.env").exists()

    def test_is_not_started_twice(self, supervisor, data_dir):
        message = refusal(data_dir)

        assert f"A stack already runs on {data_dir}" in message
        assert f"(process {supervisor.pid})" in message
        assert supervisor.poll() is None

    def test_leaves_no_process_behind(self, supervisor, data_dir):
        children = psutil.Process(supervisor.pid).children(recursive=True)

        supervisor.send_signal(signal.SIGINT)
        output, _ = supervisor.communicate(timeout=60)

        assert supervisor.returncode == 0
        assert "Everything stopped" in output
        assert len(children) > 8
        assert not [child for child in children if child.is_running()]
        assert not (data_dir / "endpoints.env").exists()

    def test_leaves_nothing_that_make_clean_does_not_remove(self, supervisor, data_dir):
        assert supervisor.poll() is not None

        assert cleaned(data_dir) == (0, "")
        assert not data_dir.exists()


class TestNoStack:
    """Show what every command says that has to find one."""

    def said(self, data_dir, command="journey"):
        process = python("manage.py", command, data_dir=data_dir)
        assert process.returncode == 1
        assert "Traceback" not in process.stdout
        return process.stdout

    @pytest.mark.parametrize("command", ["journey", "verify_invariants", "room", "migrate"])
    def test_is_said_with_the_variable_that_names_another(self, tmp_path, command):
        said = self.said(tmp_path, command)

        assert f"No stack is running on {tmp_path}." in said
        assert "DATA_DIR=/path/to/folder" in said

    def test_is_seen_also_when_one_was_killed_there(self, tmp_path):
        (tmp_path / "stack.lock").write_text("12345")
        (tmp_path / "endpoints.env").write_text("DATABASE_URL=postgresql://x@127.0.0.1:1/x\n")

        assert "No stack is running on" in self.said(tmp_path)

    def test_is_told_from_one_that_is_starting(self, tmp_path):
        with (tmp_path / "stack.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

            assert "is still starting" in self.said(tmp_path)


class TestCleaning:
    def test_leaves_what_others_have_put_there(self, tmp_path):
        for name in ("stack.lock", "secrets.env", "endpoints.unfinished", "thesis.txt"):
            (tmp_path / name).touch()
        (tmp_path / "logs").mkdir()

        assert cleaned(tmp_path) == (
            0,
            f"{tmp_path} stays: it holds more than `make run` has made.",
        )
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    @pytest.mark.parametrize("name", ["logs/letter.txt", "postgres/data/PG_VERSION", "secrets.env"])
    def test_refuses_a_folder_of_others(self, tmp_path, name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

        status, said = cleaned(tmp_path)

        assert status == 1
        assert f"{tmp_path} is no folder of `make run`" in said
        assert path.exists()

    def test_refuses_a_file(self, tmp_path):
        (tmp_path / "file").touch()

        assert cleaned(tmp_path / "file")[0] == 1
        assert (tmp_path / "file").exists()

    def test_follows_no_link_out_of_the_folder(self, tmp_path):
        """Except to where a stack itself puts the database of root."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "PG_VERSION").touch()
        data_dir = tmp_path / "data"
        data_dir.mkdir()
        (data_dir / "stack.lock").touch()
        (data_dir / "postgres").symlink_to(elsewhere)

        assert cleaned(data_dir) == (0, "")
        assert not data_dir.exists()
        assert (elsewhere / "PG_VERSION").exists()
        assert cleaning.ROOT_HOME == servers.ROOT_HOME

    def test_has_nothing_to_do_where_nothing_is(self, tmp_path):
        assert cleaned(tmp_path / "data") == (0, "")


class TestStackOfAnotherLife:
    """Power was cut: at whatever moment, the next start tidies up."""

    def test_starts_from_any_state_of_its_files(self, fresh):
        first = start(data_dir=fresh, port=free_port())
        introduction_of(first)
        stop(first)
        for name in ("heartbeats", "celerybeat-schedule", "demo_logins.json", "stack.lock"):
            path = fresh / name
            remove(path)
            path.touch()
        (fresh / "endpoints.env").write_text("DATABASE_URL=postgresql://nowh")
        (fresh / "endpoints.unfinished").mkdir()
        (fresh / "postgres" / "data" / "postmaster.pid").write_text("1\n")
        for log in fresh.glob("valkey/appendonlydir/*.incr.aof"):
            with log.open("ab") as file:
                file.write(b"*3\r\n$3\r\nSE")

        process = start(data_dir=fresh, port=free_port())

        assert "Demo customer" in introduction_of(process)
        stop(process)


class TestThrowawayStack:
    def test_leaves_the_port_of_the_receiver_to_make_run(self):
        stack = ThrowawayStack(new_folder(), new_secrets())
        (stack.data_dir / "logs").mkdir()

        stack._start_receiver()
        address = stack.environment["WEBHOOK_URL"]
        count = httpx.get(address).json()["count"]
        stack.shut_down()

        assert count == 0
        assert urlsplit(address).port != RECEIVER_PORT


class TestStackThatCannotStart:
    def test_names_the_port_that_is_taken(self, fresh):
        port = free_port()
        with socket.create_server((HOST, port)):
            message = refusal(fresh, port)

        assert f"Port {port} cannot be used (Address already in use)" in message
        assert "make run PORT=" in message

    @pytest.mark.parametrize("port", ["0", "65536", "http"])
    def test_wants_a_port_number(self, fresh, port):
        assert "PORT must be a number" in refusal(fresh, port)

    def test_names_the_folder_it_cannot_write_to(self):
        assert "Cannot write to /proc/encore" in refusal("/proc/encore")

    def test_shows_why_a_server_failed_and_stops_the_others(self, fresh):
        (fresh / "postgres" / "data").mkdir(parents=True)
        (fresh / "postgres" / "data" / "PG_VERSION").write_text("12\n")
        (fresh / "postgres" / "data" / "postmaster.opts").touch()  # a server has run on it

        message = refusal(fresh)

        assert "was made by PostgreSQL 12" in message

    def test_says_that_its_secrets_are_gone(self, fresh):
        fresh.mkdir()
        server = PostgresServer(
            home=postgres_home(fresh),
            log_path=fresh / "postgres.log",
            password="another",
            port=free_port(),
        )
        server.start()
        server.stop()

        message = refusal(fresh)

        assert "was made with other secrets than those of now." in message

    def test_names_what_is_in_its_way(self, fresh):
        fresh.mkdir()
        (fresh / "logs").touch()

        message = refusal(fresh)

        assert f"File exists: '{fresh}/logs'. Mend or remove {fresh}" in message

    def test_shows_the_log_of_a_process_that_failed(self, fresh):
        message = refusal(fresh, DJANGO_SETTINGS_MODULE="no_such_settings")

        assert "prepare ended (exit code 1)" in message
        assert "No module named 'no_such_settings'" in message
        assert not list(fresh.rglob("postmaster.pid"))
