"""Plant plausible mistakes, one at a time, in a copy of the code; run the tests beside each; say which mistakes no test notices.

  python -m dev.mutants --only apps/payments             every mistake in there
  python -m dev.mutants --sample 200 --seed 7            some of all, the same ones again for the same seed
  python -m dev.mutants --only apps/queue/core --list    name them and run nothing

`dev/mutants/tests.toml` says which tests stand beside what, `dev/mutants/accepted.toml` which mistakes may stay, and why. Fails when
the tests notice less than 90 % of the others. `TEST_DATABASE_URL` names a PostgreSQL to use; else one is started.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import cache_from_source
from pathlib import Path, PurePath
from queue import SimpleQueue
from typing import NamedTuple

from dev.mutants.planting import Edit, edits
from dev.stack.servers import PostgresServer, free_port, temporary_root

ROOT = Path(__file__).parents[2]
WANTED = 0.9
SPAN = 3.0  # times what tests take without a mistake: after that they count as failed
# Only the plugins that these tests need: most of the time of a short run is its imports.
PYTEST = f"{sys.executable} -m pytest -x -q --tb=line -p pytest_django.plugin -p time_machine -p no:cacheprovider"
CHOICE = ("-m", "not slow", "-k", "not cluster")  # the others notice the same, and later


class Mutant(NamedTuple):
    path: str
    line: int
    shown: str
    edit: Edit


class Tree:
    """A copy of a checkout for mistakes and their tests, with a database of its own."""

    def __init__(self, root: Path, folder: Path, database_url: str) -> None:
        hidden = shutil.ignore_patterns(".*", "__pycache__", "results", "screenshots")
        self.folder = Path(shutil.copytree(root, folder, ignore=hidden))
        settings = {"TEST_DATABASE_URL": database_url, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        self.environment = os.environ | settings
        self.log = folder / "pytest.log"
        self.database = "--create-db"
        self.process: subprocess.Popen[bytes] | None = None
        self.seconds: dict[frozenset[str], float] = {}

    def notices(self, mutant: Mutant, tests: tuple[str, ...]) -> bool:
        """Tell whether one of the tests fails, or does not end, with this mistake."""
        key = frozenset(tests)
        if key not in self.seconds:
            begun_at = time.monotonic()
            if not self._passes(tests):
                raise SystemExit(f"Without any mistake:\n{self.log.read_text()[-2000:]}")
            self.seconds[key] = time.monotonic() - begun_at
        path = self.folder / mutant.path
        source = path.read_text()
        try:
            self._write(path, mutant.edit.applied_to(source))
            return not self._passes(tests, timeout=self.seconds[key] * SPAN + 30.0)
        finally:
            self._write(path, source)

    def _write(self, path: Path, source: str) -> None:
        path.write_text(source)
        # Python knows a module by second and size, which a mistake may have in common with the truth.
        Path(cache_from_source(str(path))).unlink(missing_ok=True)

    def _passes(self, tests: tuple[str, ...], timeout: float | None = None) -> bool:
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*PYTEST.split(), *CHOICE, self.database, *tests],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.database = "--reuse-db"
            return self.process.wait(timeout) == 0
        except subprocess.TimeoutExpired:
            self.database = "--create-db"  # the run that was killed has not tidied up
            self.stop()
            return False

    def stop(self) -> None:
        """End the tests that run now, with the servers that they have started."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def witnesses_in(root: Path) -> dict[str, tuple[str, ...]]:
    """Return by path of the code the tests to run, those that fail soonest first: of the same name, then as in the table."""
    table = tomllib.loads((root / "dev/mutants/tests.toml").read_text())
    found: dict[str, tuple[str, ...]] = {}
    for rule in table["beside"]:
        for pattern in rule["code"]:
            for path in sorted(root.glob(pattern)):
                tests = sorted(rule["tests"], key=lambda test, path=path: path.stem not in test)  # type: ignore[misc]
                found.setdefault(path.relative_to(root).as_posix(), tuple(tests))
    return found


def accepted_in(root: Path) -> set[tuple[str, str]]:
    """Return what may survive: paths, and what is shown of a mistake."""
    entries = tomllib.loads((root / "dev/mutants/accepted.toml").read_text()).get("accepted", [])
    return {(entry["path"], shown) for entry in entries for shown in entry["mutants"]}


def mutants_of(root: Path, paths: list[str]) -> list[Mutant]:
    """Return every mistake in these files but those that are accepted."""
    accepted, found = accepted_in(root), []
    for path in paths:
        source = (root / path).read_text()
        for edit in edits(PurePath(path), source):
            shown = edit.shown(source)
            if (path, shown) not in accepted:
                found.append(Mutant(path, source.count("\n", 0, edit.start) + 1, shown, edit))
    return found


def survivors_of(root: Path, mutants: list[Mutant], database_url: str, jobs: int) -> list[Mutant]:
    """Try each mistake, `jobs` at once, and return those that no test notices; name them as they turn up."""
    tests, survivors, done = witnesses_in(root), [], Counter[bool]()
    trees: SimpleQueue[Tree] = SimpleQueue()

    def attempt(mutant: Mutant) -> None:
        tree = trees.get()
        try:
            is_noticed = tree.notices(mutant, tests[mutant.path])
        finally:
            trees.put(tree)
        done[is_noticed] += 1
        if not is_noticed:
            survivors.append(mutant)
            print(f"{mutant.path}:{mutant.line}\n    {mutant.shown}", flush=True)
        print(
            f"{done.total()} of {len(mutants)}, {done[False]} survived", end="\r", file=sys.stderr
        )

    with (
        tempfile.TemporaryDirectory(prefix="encore-mutants-") as folder,
        ThreadPoolExecutor(jobs) as pool,
    ):
        copies = [
            Tree(root, Path(folder, str(job)), f"{database_url}_mutants_{job}")
            for job in range(jobs)
        ]
        for tree in copies:
            trees.put(tree)
        try:
            list(pool.map(attempt, mutants))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for tree in copies:
                tree.stop()
            raise
    return survivors


def report(mutants: list[Mutant], survivors: list[Mutant]) -> float:
    """Print how many were noticed in each file; return the share of all."""
    planted, survived = (Counter(mutant.path for mutant in some) for some in (mutants, survivors))
    lines = [(planted[path], survived[path], path) for path in sorted(planted)]
    for count, left, name in [*lines, (len(mutants), len(survivors), "killed in all")]:
        print(f"{count - left:5} of {count:5}  {1 - left / count:4.0%}  {name}")
    return 1 - len(survivors) / len(mutants)


@contextmanager
def database() -> Iterator[str]:
    """Yield the address of a PostgreSQL, started for this if the environment names none."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="encore-mutants-", dir=temporary_root()) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL does not run as root
        server = PostgresServer(
            home=folder,
            log_path=folder / "postgres.log",
            password="tests",  # noqa: S106
            port=free_port(),
            settings={"fsync": "off", "full_page_writes": "off", "max_connections": "300"},
        )
        server.start()
        try:
            yield server.url
        finally:
            server.stop()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m dev.mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--only", metavar="PATH", action="append", help="a file or folder; may be repeated"
    )
    parser.add_argument("--sample", metavar="N", type=int, help="try no more than so many")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="choose others (0)")
    parser.add_argument("--jobs", metavar="J", type=int, default=1, help="at once (1)")
    parser.add_argument("--list", action="store_true", help="only name them")
    options = parser.parse_args(arguments)

    paths = [path for path in witnesses_in(ROOT) if path.startswith(tuple(options.only or [""]))]
    mutants = mutants_of(ROOT, paths)
    if options.sample and options.sample < len(mutants):
        mutants = sorted(random.Random(options.seed).sample(mutants, options.sample))
    if not mutants:
        parser.error("There is nothing to plant there.")
    if options.list:
        print(*(f"{mutant.path}:{mutant.line}: {mutant.shown}" for mutant in mutants), sep="\n")
        return 0
    with database() as url:
        survivors = survivors_of(ROOT, mutants, url, options.jobs)
    return 0 if report(mutants, survivors) >= WANTED else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
