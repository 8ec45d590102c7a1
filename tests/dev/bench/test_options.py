from pathlib import Path

import pytest

from dev.bench.__main__ import main
from dev.bench.command import form_of, path_of
from dev.bench.forms import FULL, QUICK
from dev.bench.options import parse


class TestForm:
    def test_is_the_whole_unless_asked_otherwise(self) -> None:
        assert form_of(parse([])) == FULL
        assert form_of(parse(["--quick"])) == QUICK

    def test_a_changed_form_says_so(self) -> None:
        form = form_of(parse(["--quick", "--repeats", "2"]))

        assert (form.name, form.repeats) == ("quick, changed", 2)

    def test_users_are_those_of_the_peak(self) -> None:
        form = form_of(parse(["--users", "80"]))

        assert [users for _, users in form.stages] == [20, 80, 80, 0]
        assert (form.buyers, form.rivals, form.on_sale_customers) == (80, 80, 80)

    def test_has_customers_for_every_scenario(self) -> None:
        for form in (FULL, QUICK):
            assert form.crowd >= max(form.sales_max, form.rivals, form.on_sale_customers)


class TestCommandLine:
    def test_refuses_a_scenario_that_does_not_exist(self) -> None:
        with pytest.raises(SystemExit):
            parse(["--scenario", "nothing"])

    def test_refuses_a_folder_that_is_no_checkout(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["--tree", str(tmp_path)]) == 2
        assert "no checkout" in capsys.readouterr().err

    def test_names_a_result_by_day_commit_and_form(self) -> None:
        result = {"taken_at": "2026-11-28T10:00:00", "commit": "abc", "form": "quick, changed"}

        assert path_of(result, Path("x")) == Path("x/2026-11-28-abc-quick-changed.json")
        assert path_of({**result, "form": "full"}, Path("x")) == Path("x/2026-11-28-abc.json")
        with_history = {**result, "form": "quick", "history": {"concerts": 1}}
        assert path_of(with_history, Path("x")) == Path("x/2026-11-28-abc-quick-history.json")

    def test_shows_a_result_with_history_beside_another_only(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "result.json"
        path.write_text('{"form": "full", "history": {"concerts": 1}}')

        assert main(["--report", str(path)]) == 2
        assert "--against" in capsys.readouterr().err
