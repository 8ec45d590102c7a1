import ast
import sys
from pathlib import Path

import pytest

from dev import bootstrap

SOURCE = Path(bootstrap.__file__)


@pytest.fixture
def old_python(monkeypatch):
    """This interpreter is too old and there is no other on PATH."""
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    monkeypatch.setenv("PATH", "")


class TestPythonTooOld:
    def test_is_refused_with_the_version_it_takes(self, old_python, capsys):
        assert bootstrap.main("embedded") == 1

        message = capsys.readouterr().err
        assert "needs Python 3.11 or newer, and found only Python 3.9" in message
        assert "make PYTHON=" in message

    def test_passes_on_to_a_newer_one_on_path(self, old_python, monkeypatch, tmp_path):
        newer = tmp_path / "python3.12"
        newer.write_text("#!/bin/sh\necho 3.12; echo /usr\n")
        newer.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

        assert bootstrap.find_python() == "python3.12"

    def test_ignores_a_shim_without_a_version_behind_it(self, old_python, monkeypatch, tmp_path):
        shim = tmp_path / "python3.12"
        shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
        shim.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(bootstrap.Refused, match="found only Python"):
            bootstrap.find_python()

    def test_can_be_said_by_an_old_python(self):
        """Syntax that came after Python 3.4 would end in a SyntaxError instead of a message."""
        too_new = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match, ast.AsyncFunctionDef)

        nodes = list(ast.walk(ast.parse(SOURCE.read_text())))

        assert not [node for node in nodes if isinstance(node, too_new)]
        assert not [node for node in nodes if isinstance(node, ast.FunctionDef) and node.returns]
        imported = {
            alias.name.split(".")[0]
            for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert imported - {"print_function"} <= sys.stdlib_module_names


class TestMissingVenvModule:
    def test_is_named(self, monkeypatch, tmp_path):
        python = tmp_path / "python"
        python.write_text("#!/bin/sh\necho 'ensurepip is not available'\nexit 1\n")
        python.chmod(0o755)
        monkeypatch.setattr(bootstrap, "VENV", str(tmp_path / "venv"))

        with pytest.raises(bootstrap.Refused, match="python3-venv"):
            bootstrap.make_venv(str(python))

        assert not (tmp_path / "venv").exists()


class TestNoPackageIndex:
    def test_is_said_in_one_sentence(self, monkeypatch, tmp_path):
        requirements = tmp_path / "embedded.txt"
        requirements.write_text(f"encore-needs-this==1.0 --hash=sha256:{'0' * 64}\n")
        monkeypatch.setattr(bootstrap, "requirements_path", lambda _: str(requirements))
        monkeypatch.setattr(bootstrap, "VENV", str(tmp_path))
        monkeypatch.setattr(bootstrap, "VENV_PYTHON", sys.executable)
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
        monkeypatch.setenv("PIP_RETRIES", "1")

        with pytest.raises(bootstrap.Refused) as refusal:
            bootstrap.install("embedded")

        message = str(refusal.value)
        assert message.startswith("No package index can be reached, and packages that Encore needs")
        assert "PIP_INDEX_URL=" in message
        assert "\n" not in message
        assert "Traceback" not in message


class TestInstalledEnvironment:
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.installed: list[str] = []
        monkeypatch.setattr(bootstrap, "VENV", sys.prefix)
        monkeypatch.setattr(bootstrap, "VENV_PYTHON", sys.executable)
        monkeypatch.setattr(bootstrap, "stamp_path", lambda name: str(tmp_path / name))
        monkeypatch.setattr(bootstrap, "install", self.installed.append)

    def test_is_left_alone_if_nothing_changed(self, tmp_path, capsys):
        (tmp_path / "embedded").write_text(bootstrap.requirements_hash("embedded"))

        assert bootstrap.main("embedded") == 0

        assert self.installed == []
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize("requirement_set", ["embedded", "development"])
    def test_is_brought_up_to_date_otherwise(self, tmp_path, requirement_set):
        (tmp_path / "embedded").write_text("hash of another day")

        bootstrap.main(requirement_set)

        assert self.installed == [requirement_set]

    def test_is_made_again_if_it_was_moved(self, monkeypatch, tmp_path):
        monkeypatch.setattr(bootstrap, "VENV", str(tmp_path))

        assert not bootstrap.has_usable_venv()
