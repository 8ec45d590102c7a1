"""Logs of the processes of a stack: kept in files; what is remarkable is shown on the terminal as well."""

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

# In the two formats of our logs. Lines for every request and every task would push the logins out of sight, and a
# refusal is told to its caller; only an answer that failed is an error.
UNREMARKABLE = re.compile(
    r"\[(debug|info) +\]|\[warning +\] request_finished "
    r'|"level": "(debug|info)"|"event": "request_finished", .*"level": "warning"'
)
COLOURS = ("cyan", "green", "magenta", "yellow", "blue")


class LogFollower:
    """Prints the remarkable lines that are appended to log files, each after the name of its file.

    The processes write to the files themselves, so that a supervisor that is killed takes no
    pipe with it.
    """

    def __init__(self, console: Console, paths: Sequence[Path]) -> None:
        """Follow `paths` from their present ends on."""
        self._console = console
        self._positions = {path: path.stat().st_size for path in paths}
        self._styles = {path: COLOURS[i % len(COLOURS)] for i, path in enumerate(paths)}
        self._width = max(len(path.stem) for path in paths)

    def show_new_lines(self) -> None:
        for path, position in self._positions.items():
            with path.open("rb") as file:
                file.seek(position)
                new = file.read()
            complete = new[: new.rfind(b"\n") + 1]
            self._positions[path] += len(complete)
            for line in complete.decode(errors="replace").splitlines():
                if UNREMARKABLE.search(line):
                    continue
                name = Text(f"{path.stem:<{self._width}} | ", style=self._styles[path])
                self._console.print(name.append(line, style="default"), soft_wrap=True)
