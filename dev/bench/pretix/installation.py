"""Install pretix into a virtual environment of its own, which no dependency of Encore knows, and fill a database for it once."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dev.bench.bench import Bench, ScenarioFailed

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / ".pretix"
REQUIREMENTS = ("pretix==2026.8.0", "gunicorn==27.0.1")
PACKAGES = 135  # that pip fetches for them, about: the length of a progress bar
SHOWN = ("pretix", "django", "celery", "psycopg2-binary", "gunicorn")
TAIL = 1_500  # characters of an output that a message shows
VERSIONS = (
    "import importlib.metadata as m, json, sys;"
    "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)


class Installation:
    """A folder with the environment and, once it was filled, `database.sql`. It may be removed at any time."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.database = folder / "database.sql"
        self._stamp = folder / "installed"

    def is_complete(self) -> bool:
        """Return whether these very versions are installed and their Python still starts."""
        try:
            return self._stamp.read_text() == _stamp() and bool(self.versions())
        except (OSError, subprocess.CalledProcessError):
            return False

    def versions(self) -> dict[str, str]:
        command = [str(self.python), "-c", VERSIONS, *SHOWN]
        output = subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True)
        found: dict[str, str] = json.loads(output)
        return found

    def complete(self, bench: Bench) -> None:
        """Install what is missing, with the client and the index that pip is configured for.

        :raises ScenarioFailed: there is no network, or no Python that makes environments.
        """
        if self.is_complete():
            return
        bench.begin("Installing pretix", steps=PACKAGES)
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            run_to_end([sys.executable, "-m", "venv", str(self.folder)])
            pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "install"]
            pip += ["--no-input", "--no-compile", "--progress-bar", "off", *REQUIREMENTS]
            run_to_end(pip, each="Collecting", progress=bench.advance)
        except CommandFailed as error:
            raise ScenarioFailed(
                f"pretix could not be installed into {self.folder}. It needs the network once, and a Python with `venv`; "
                f"call this again, or copy the folder from a machine that has it. {error}"
            ) from error
        self._stamp.write_text(_stamp())


class CommandFailed(Exception):
    """A program returned an error. The message is the end of what it printed."""


def run_to_end(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    given: str = "",
    each: str = "",
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Run a program that reads `given`; report progress for each line that begins with the word `each`.

    :raises CommandFailed: it returned an error.
    """
    process = subprocess.Popen(
        command,
        env={**(os.environ if environment is None else environment), "PYTHONUNBUFFERED": "1"},
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines = []
    try:
        process.stdin.write(given)
        process.stdin.close()
        for line in process.stdout:
            lines.append(line)
            if each and line.split()[:1] == [each]:
                progress()
        process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise CommandFailed(f"`{' '.join(command[:4])}` said:\n{''.join(lines)[-TAIL:]}")


def _stamp() -> str:
    return "\n".join((*REQUIREMENTS, sys.version.split()[0]))
