"""The whole of `make bench` in seconds: on a stack of its own, as a program of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from dev.bench.bounds import BOUNDS
from dev.bench.page import REGIONS, write_page
from tests.dev.tools import ROOT, run

pytestmark = pytest.mark.slow

SCENARIOS = (
    "livez",
    "join",
    "status",
    "room",
    "queue",
    "hold-and-pay",
    "cockpit",
    "hot-seat",
    "seat-map",
    "on-sale",
    "clock",
)
# Of scenarios that the smoke leaves out: `board` differs from `status` in what it calls only, and pretix has to be installed.
NOT_MEASURED = {"board_of_hello", "board_large_of_small", "pretix_ratio"}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("results")
    scenarios = [word for name in SCENARIOS for word in ("--scenario", name)]

    played = run("dev.bench", "--smoke", "--output", str(folder), *scenarios)

    assert played.returncode == 0, played.stderr[-5_000:]
    [path] = folder.glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


class TestSmoke:
    def test_plays_every_scenario(self, result: dict[str, Any]) -> None:
        assert result["failures"] == {}
        assert list(result["scenarios"]) == list(SCENARIOS)

    def test_has_a_figure_for_every_bound(self, result: dict[str, Any]) -> None:
        assert {bound.figure for bound in BOUNDS} - result["figures"].keys() == NOT_MEASURED

    def test_counts_work_beside_its_floor(self, result: dict[str, Any]) -> None:
        figures = result["figures"]

        assert 0 < figures["join_of_hello"] < 1
        assert 0 < figures["status_of_hello"] < 1
        assert 0 < figures["sale_of_pgbench"] < 1
        assert figures["queue_p95_of_hello"] > 1

    def test_knows_which_process_the_time_goes_to(self, result: dict[str, Any]) -> None:
        cpu = result["scenarios"]["hold-and-pay"]["cpu_ms"]
        groups = ("web", "worker", "sync", "beat", "postgres", "valkey")

        # The consumers of a few sales may take less than a tick of the system's clock.
        assert all(cpu[name] > 0 for name in ("web", "postgres"))
        assert cpu["service"] == pytest.approx(sum(cpu[name] for name in groups), abs=0.01)

    def test_sells_every_seat_once(self, result: dict[str, Any]) -> None:
        figures, on_sale = result["figures"], result["scenarios"]["on-sale"]

        assert on_sale["steps"]["pay"]["count"] >= 1
        assert on_sale["samples"][-1][1] == on_sale["seats"]
        for name in ("doubles", "lost", "errors", "out_of_order", "breaches"):
            assert figures[f"on_sale_{name}"] == 0, name

    def test_lets_one_of_the_rivals_win(self, result: dict[str, Any]) -> None:
        assert result["figures"]["hot_seat_winners"] == 1
        assert result["figures"]["hot_seat_breaches"] == 0

    def test_says_on_what_it_was_measured(self, result: dict[str, Any]) -> None:
        versions = result["machine"]["versions"]

        assert {"python", "django", "granian", "psycopg", "postgres", "valkey", "k6"} <= {
            name for name, version in versions.items() if version
        }
        assert result["machine"]["cores"] >= 1
        assert len(result["load_before"]) == len(result["load_after"]) == 3

    def test_fills_the_page(self, result: dict[str, Any], tmp_path: Path) -> None:
        page = tmp_path / "performance.md"
        page.write_text((ROOT / "docs" / "performance.md").read_text())

        write_page(result, page)

        written = page.read_text()
        assert result["commit"] in written
        assert written.count("<!-- bench: ") == len(REGIONS)
        for picture in (tmp_path / "performance").glob("*.svg"):
            assert f"performance/{picture.name}" in written
