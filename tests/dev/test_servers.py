import shutil
import socket
import stat
import subprocess
from pathlib import Path

import psutil
import psycopg
import pytest

from dev.stack import servers
from dev.stack.servers import (
    HOST,
    PostgresServer,
    ServerFailed,
    ValkeyServer,
    free_port,
    postgres_home,
)
from tests.servers import new_folder


@pytest.fixture
def closed_folder(tmp_path, monkeypatch):
    """Make a folder that no other user may enter, as a home folder often is."""
    elsewhere = tmp_path / "var"
    elsewhere.mkdir()
    monkeypatch.setattr(servers, "ROOT_HOME", elsewhere / "encore")
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    return folder


def modes(path: Path):
    return {str(folder): stat.S_IMODE(folder.stat().st_mode) for folder in (path, *path.parents)}


class TestPostgresHome:
    def test_is_inside_the_data_folder(self, closed_folder):
        home = postgres_home(closed_folder)

        assert (closed_folder / "postgres").resolve() == home
        assert postgres_home(closed_folder) == home

    @pytest.mark.parametrize("is_root", [True, False])
    def test_leaves_closed_folders_closed(self, closed_folder, monkeypatch, is_root):
        nobody = servers.unprivileged_user() or object()
        monkeypatch.setattr(servers, "unprivileged_user", lambda: nobody if is_root else None)
        before = modes(closed_folder)

        home = postgres_home(closed_folder)

        assert modes(closed_folder) == before
        assert (home == closed_folder / "postgres") is not is_root

    def test_is_empty_again_after_the_data_folder_was_removed(self, closed_folder):
        home = postgres_home(closed_folder)
        (home / "old").touch()
        if home == closed_folder / "postgres":
            shutil.rmtree(home)
        else:
            (closed_folder / "postgres").unlink()

        assert list(postgres_home(closed_folder).iterdir()) == []


@pytest.fixture
def postgres():
    home = new_folder()
    server = PostgresServer(
        home=home,
        log_path=home / "log",
        password="p/w",
        port=free_port(),
        settings={"fsync": "off"},
    )
    yield server
    server.stop()


@pytest.mark.slow
class TestPostgresServer:
    def test_keeps_its_data_through_a_restart(self, postgres):
        postgres.start()
        with psycopg.connect(postgres.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")

        postgres.stop()
        postgres.start()

        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)

    def test_leaves_no_process_and_no_mode_of_a_parent_changed(self, postgres):
        before = modes(postgres.home.parent)

        postgres.start()
        main = psutil.Process(postgres.child.process.pid)
        processes = [main, *main.children(recursive=True)]
        postgres.stop()

        assert len(processes) > 1
        assert not [process for process in processes if process.is_running()]
        assert modes(postgres.home.parent) == before

    def test_refuses_a_wrong_password(self, postgres):
        postgres.start()

        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres.url.replace("p%2Fw", "wrong"))

    def test_says_that_its_port_is_taken(self, postgres):
        with (
            socket.create_server((HOST, postgres.port)),
            pytest.raises(ServerFailed, match="Address already in use"),
        ):
            postgres.start()

    def test_runs_from_a_copy_if_its_user_cannot_reach_the_programs(self, monkeypatch):
        home = new_folder()
        monkeypatch.setattr(servers, "is_open_to_all", lambda path: False)

        programs = servers._postgres_programs(copy_to=home)

        assert home in programs.parents
        for program in ("initdb", "postgres"):
            output = subprocess.check_output([programs / program, "--version"], text=True)
            assert output.startswith(f"{program} (PostgreSQL) 18")
            assert stat.S_IMODE((programs / program).stat().st_mode) == 0o755


def test_valkey_says_that_its_port_is_taken(tmp_path):
    port = free_port()
    server = ValkeyServer(directory=tmp_path, log_path=tmp_path / "log", port=port)

    with (
        socket.create_server((HOST, port)),
        pytest.raises(ServerFailed, match="Address already in use"),
    ):
        server.start()


def test_a_preferred_port_is_used_only_if_it_is_free():
    port = free_port()

    assert free_port(port) == port
    with socket.create_server((HOST, port)):
        assert free_port(port) not in {port, 0}
