import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dev.bench import command
from dev.bench.options import SCENARIOS
from dev.bench.pretix import installation
from dev.bench.pretix.installation import CommandFailed, Installation, run_to_end
from dev.bench.scenarios.side_by_side import compared


def measured(rate: float, cpu_ms: float, *, idle: float = 0.0) -> dict[str, Any]:
    return {
        "sales": 100,
        "sales_per_second": rate,
        "cpu_ms": {"service": cpu_ms},
        "behind_seconds": 0.5,
        "idle": idle,
    }


class TestCompared:
    def test_a_ratio_is_that_to_both_neighbours(self) -> None:
        ours = [measured(140, 9.0), measured(180, 11.0)]

        figures, [row] = compared(ours, [measured(8, 200.0)])

        assert figures["pretix_ratio"] == row["ratio"] == 20
        assert figures["pretix_cpu_ratio"] == row["cpu_ratio"] == 20
        assert (row["pretix"], row["encore"]) == (8, 160)

    def test_the_middle_of_several_counts(self) -> None:
        ours = [measured(100, 10.0)] * 4

        figures, rows = compared(ours, [measured(rate, 200.0) for rate in (10, 2, 5)])

        assert [row["ratio"] for row in rows] == [10, 50, 20]
        assert figures["pretix_ratio"] == 20
        assert figures["pretix_rate"] == 5
        assert figures["beside_pretix_rate"] == 100

    def test_tells_what_the_idle_one_costs(self) -> None:
        ours = [measured(100, 10.0, idle=0.01), measured(100, 10.0, idle=0.03)]

        _, [row] = compared(ours, [measured(10, 200.0, idle=0.5)])

        assert row["idle_encore"] == 0.5
        assert row["idle_pretix"] == 0.02


class TestInstallation:
    def test_is_not_complete_before_it_was_finished(self, tmp_path: Path) -> None:
        assert not Installation(tmp_path / "nothing").is_complete()

    def test_is_not_complete_without_the_packages(self, tmp_path: Path) -> None:
        (tmp_path / "installed").write_text(installation._stamp())
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python").symlink_to(sys.executable)

        assert not Installation(tmp_path).is_complete()

    def test_is_no_part_of_a_run_of_everything_until_it_is_complete(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command, "Installation", lambda: Installation(tmp_path))
        console = Console(record=True, quiet=False, width=200)

        names = command.everything_possible(console)

        assert names == [name for name in SCENARIOS if name != "pretix"]
        assert 'make bench ARGS="--scenario pretix"' in console.export_text()


class TestRunToEnd:
    def test_counts_the_lines_that_begin_with_a_word(self) -> None:
        counted: list[int] = []
        program = "print('Collecting a'); print(' Collecting b'); print('Uncollecting'); print()"

        run_to_end(
            [sys.executable, "-c", program], each="Collecting", progress=lambda: counted.append(1)
        )

        assert len(counted) == 2

    def test_gives_a_program_what_it_reads(self) -> None:
        program = "import sys; sys.exit(sys.stdin.read() != 'rows')"

        run_to_end([sys.executable, "-c", program], given="rows")

    def test_a_failure_tells_how_the_output_ended(self) -> None:
        program = "import sys; print('No network'); sys.exit(3)"

        with pytest.raises(CommandFailed, match="No network"):
            run_to_end([sys.executable, "-c", program])

    def test_a_program_does_not_outlive_an_interruption(self) -> None:
        program = "import os, time; print('Collecting', os.getpid()); time.sleep(60)"

        def interrupt() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_to_end([sys.executable, "-c", program], each="Collecting", progress=interrupt)

        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        assert program not in listed.stdout
