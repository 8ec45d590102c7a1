"""Every argument of the tools beside the management commands, given what it cannot be."""

import argparse
import re

import pytest

from dev.bench import command, explain, history, options, seat_map, staff_pages
from dev.drill import options as drill_options
from dev.screenshots import __main__ as screenshots

PARSERS = {
    "bench": options.parser,
    "drill": drill_options.parser,
    "explain": explain._parser,
    "history": history._parser,
    "screenshots": screenshots._parser,
    "seat_map": seat_map._parser,
    "staff_pages": staff_pages._parser,
}
NO_TEXTS = ["\udcff", "\0", ""]
HOSTILE = ["nan", "inf", "-1", "9" * 5_000, "[::1", "postgresql://[::1", *NO_TEXTS]
FOLDERS = {"history", "output", "tree", "keep", "json"}


def cases():
    for name, parser in PARSERS.items():
        for action in parser()._actions:
            hostile = NO_TEXTS if action.dest in FOLDERS else HOSTILE
            for value in [] if action.nargs == 0 else hostile:
                yield pytest.param(
                    parser, f"{action.option_strings[0]}={value}", id=f"{name} {value[:9]!a}"
                )
        yield pytest.param(parser, "--nonsense", id=f"{name} --nonsense")


class TestHostileArguments:
    @pytest.mark.parametrize(("parser", "argument"), list(cases()))
    def test_is_refused_in_one_line(self, parser, argument: str, capsys):
        with pytest.raises(SystemExit) as refusal:
            parser().parse_args([argument])

        assert refusal.value.code == 2
        assert ": error: " in capsys.readouterr().err.splitlines()[-1]

    @pytest.mark.parametrize(
        "argument",
        ["--faults=earthquake", "--faults=", "--customers=0", "--seconds=nan", "--seed=-1"],
    )
    def test_the_drill_refuses_what_it_does_not_understand(self, argument: str, capsys):
        with pytest.raises(SystemExit):
            drill_options.parser().parse_args([argument])

        assert re.search(r"no such fault|not a (whole )?number", capsys.readouterr().err)

    def test_a_result_is_one_of_a_measurement(self, tmp_path):
        path = tmp_path / "package.json"
        path.write_text('{"name": "encore"}')

        with pytest.raises(argparse.ArgumentTypeError, match="is no result of"):
            options.result(str(path))

    def test_nothing_is_measured_that_cannot_be_kept(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(command, "install_wrk", lambda: pytest.fail("It began."))
        (tmp_path / "file").touch()

        assert command.run(["--quick", f"--output={tmp_path}/file/results"]) == 2
        assert "cannot be written: Not a directory" in " ".join(capsys.readouterr().err.split())
