"""A history that is kept in a folder, and what is measured beside it."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dev.bench.filling import History
from dev.bench.kept import FILLED, HistoryRefused, KeptHistory
from dev.stack.servers import PostgresServer, temporary_root
from tests.dev.tools import run

pytestmark = pytest.mark.slow

SIZES = ["--concerts", "6", "--reservations", "60", "--accounts", "20", "--kept-days", "90"]
HISTORY = History(concerts=6, reservations=60, accounts=20, kept_days=90)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="encore-kept-", dir=temporary_root()))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def measured(folder: Path) -> subprocess.CompletedProcess[str]:
    return run("dev.bench.history", "--keep", str(folder), *SIZES)


@pytest.fixture
def kept(folder: Path, measured: subprocess.CompletedProcess[str]) -> KeptHistory:
    assert measured.returncode == 0, measured.stderr[-3_000:]
    return KeptHistory(folder)


def databases(postgres: PostgresServer) -> set[str]:
    with psycopg.connect(postgres.url) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")
        return {name for (name,) in found}


def reservations(postgres: PostgresServer) -> int:
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute("SELECT count(*) FROM reservations_reservation").fetchone()
    assert row
    return int(row[0])


class TestHistory:
    @pytest.mark.parametrize(
        ("concerts", "reservations", "accounts"), [(7, 60, 50), (20, 60, 50), (2, 60, 20)]
    )
    def test_refuses_sizes_that_do_not_fit_together(
        self, concerts: int, reservations: int, accounts: int
    ) -> None:
        with pytest.raises(ValueError, match=r"each concert|more accounts"):
            History(concerts=concerts, reservations=reservations, accounts=accounts)


class TestComparison:
    def test_measures_every_call_with_and_without(
        self, kept: KeptHistory, measured: subprocess.CompletedProcess[str]
    ) -> None:
        rows = [line for line in measured.stdout.splitlines() if line.startswith("| ")][1:]

        assert len(rows) == 11
        assert all(float(row.split("|")[4]) > 0 for row in rows)

    def test_leaves_what_was_filled(self, kept: KeptHistory) -> None:
        assert kept.sizes == HISTORY


class TestInvariants:
    def test_find_nothing_in_a_history(self, kept: KeptHistory) -> None:
        checked = run("dev.bench.history", "--invariants", *SIZES)

        rows = [line for line in checked.stdout.splitlines() if line.startswith("| `")]
        assert len(rows) >= 16
        assert [row for row in rows if not re.search(r"\| 0( \(.*\))? \|$", row)] == []


class TestKeptHistory:
    def test_lends_copies(self, kept: KeptHistory) -> None:
        with kept.copied() as postgres:
            assert reservations(postgres) == 60
            with psycopg.connect(postgres.url) as connection:
                connection.execute("TRUNCATE reservations_reservation CASCADE")
            assert reservations(postgres) == 0

        with kept.copied() as postgres:
            assert reservations(postgres) == 60

    def test_is_filled_once(self, kept: KeptHistory) -> None:
        begun = []

        kept.fill(HISTORY, on_progress=lambda *step: begun.append(step))

        assert begun == []

    def test_refuses_to_pass_for_another(self, kept: KeptHistory) -> None:
        with pytest.raises(HistoryRefused):
            kept.fill(History(concerts=6, reservations=120, accounts=20))

        assert kept.sizes == HISTORY

    def test_refuses_a_folder_without_one(self, tmp_path: Path) -> None:
        with pytest.raises(HistoryRefused, match="bench-history"), KeptHistory(tmp_path).copied():
            pass

        assert list(tmp_path.iterdir()) == []


class TestBench:
    def test_plays_scenarios_on_a_copy(self, kept: KeptHistory, tmp_path: Path) -> None:
        played = run(
            *("dev.bench", "--smoke", "--history", str(kept.folder), "--output", str(tmp_path)),
            *("--scenario", "hold-and-pay", "--scenario", "clock"),
        )

        assert played.returncode == 0, played.stderr[-5_000:]
        [path] = tmp_path.glob("*-smoke-history.json")
        result = json.loads(path.read_text())
        assert result["failures"] == {}
        assert result["history"]["reservations"] == 60
        assert result["figures"]["sale_breaches"] == 0
        assert result["figures"]["alone_seconds"] > 0
        with kept.copied() as postgres:
            assert reservations(postgres) == 60
            assert databases(postgres) == {"postgres", FILLED, postgres.name}

    def test_refuses_a_folder_without_a_history(self, tmp_path: Path) -> None:
        played = run("dev.bench", "--smoke", "--history", str(tmp_path), "--output", str(tmp_path))

        assert played.returncode == 1
        assert "holds no history" in played.stderr
        assert list(tmp_path.iterdir()) == []
