"""The programs that make the load: wrk, k6 and pgbench."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev.browser import install_from_debian

HERE = Path(__file__).resolve().parent
SCENARIOS = HERE / "scenarios"
# More than one would only take the processor from the service: one thread plays far more than any floor answers.
WRK_THREADS = 1
STOP_GRACE = 60.0  # seconds beyond the planned end


class GeneratorFailed(Exception):
    """A generator is missing, or ended with an error. The message is for people."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call; `visit` is a queue token, `etag` the one that the caller has."""

    path: str
    method: str = "GET"
    login: str = ""
    visit: str = ""
    etag: str = ""
    body: str = ""

    def line(self) -> str:
        login = f"Bearer {self.login}" if self.login else ""
        return "\t".join((self.method, self.path, login, self.visit, self.etag, self.body))


@dataclass(frozen=True, slots=True)
class Load:
    """Answers to one load. Times are milliseconds; `statuses` is empty where they were not counted."""

    requests: int
    seconds: float
    p50: float
    p95: float
    p99: float
    refused: int = 0
    broken: int = 0
    is_exhausted: bool = False
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def wrk_path() -> str | None:
    return shutil.which("wrk")


def install_wrk() -> bool:
    """Try to install wrk where that is possible, on Debian as root; return whether it is there now."""
    if wrk_path() is None:
        install_from_debian("wrk")
    return wrk_path() is not None


def wrk_version() -> str | None:
    path = wrk_path()
    if path is None:
        return None
    # It prints its version with the usage and returns 1.
    output = subprocess.run([path, "-v"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"wrk (?:debian/)?(\S+)", output)
    return found[1] if found else "unknown"


def k6_path() -> str:
    return str(Path(sys.executable).parent / "k6")


def k6_version() -> str:
    output = subprocess.check_output([k6_path(), "version"], text=True)
    return output.split()[1].lstrip("v")


def run_wrk(
    base_url: str,
    calls: Sequence[Call],
    *,
    folder: Path,
    seconds: int,
    connections: int,
    once: bool = False,
    count: bool = False,
) -> Load:
    """Play `calls` for some seconds.

    :raises GeneratorFailed: wrk is not there, or it said something else than expected.
    """
    path = wrk_path()
    if path is None:
        raise GeneratorFailed("There is no wrk.")
    file = folder / "calls.tsv"
    file.write_text("".join(call.line() + "\n" for call in calls))
    switches = {"ONCE": once, "COUNT": count}
    environment = {**os.environ, "CALLS": str(file)}
    environment |= {name: "1" for name, is_on in switches.items() if is_on}
    command = [path, "-t", str(WRK_THREADS), "-c", str(connections), "-d", f"{seconds}s"]
    command += ["--timeout", "30s", "-s", str(SCENARIOS / "calls.lua"), base_url]
    return read_wrk(_run(command, environment, timeout=seconds + STOP_GRACE))


def read_wrk(output: str) -> Load:
    """Read what `calls.lua` prints.

    :raises GeneratorFailed: it is not there.
    """
    found = re.search(r"^RESULT (.+)$", output, re.MULTILINE)
    if found is None:
        raise GeneratorFailed(f"wrk printed no result:\n{output}")
    return Load(**json.loads(found[1]))


@dataclass(frozen=True, slots=True)
class Crowd:
    """Measurements of a script of k6. Times are milliseconds.

    `steps` has the percentiles of the calls that did their work, by step; `refusals` counts the others by code, or by status
    where there was no code; `counters` is what else the script counted.
    """

    seconds: float
    steps: dict[str, dict[str, float]]
    refusals: dict[str, int]
    counters: dict[str, int]

    def done(self, step: str) -> int:
        return int(self.steps.get(step, {}).get("count", 0))

    @property
    def requests(self) -> int:
        return sum(self.done(step) for step in self.steps if step != "plateau") + sum(
            self.refusals.values()
        )


def run_k6(
    script: str,
    plan: Mapping[str, Any],
    *,
    folder: Path,
    timeout: float,
    is_over: Callable[[], bool] = lambda: False,
) -> Crowd:
    """Run a script of `scenarios` with a plan until it ends, or until `is_over`.

    :raises GeneratorFailed: k6 failed; a script fails when a user meets what should never happen.
    """
    from apps.core.codes import CODES

    plan_file, report = folder / "plan.json", folder / "report.json"
    plan_file.write_text(json.dumps({"codes": sorted(CODES), **plan}))
    report.unlink(missing_ok=True)
    command = [
        k6_path(),
        "run",
        "--quiet",
        "--no-usage-report",
        "--no-color",
        "--log-output=stderr",
    ]
    command += ["-e", f"PLAN={plan_file}", "-e", f"REPORT={report}", str(SCENARIOS / script)]
    output = _run(command, dict(os.environ), timeout=timeout + STOP_GRACE, is_over=is_over)
    if not report.exists():
        raise GeneratorFailed(f"k6 left no report of {script}:\n{output[-2_000:]}")
    return read_k6(json.loads(report.read_text()))


def read_k6(report: Mapping[str, Any]) -> Crowd:
    steps: dict[str, dict[str, float]] = {}
    refusals: dict[str, int] = {}
    counters: dict[str, int] = {}
    for name, metric in report["metrics"].items():
        kind, _, rest = name.partition("_")
        values = metric["values"]
        if kind == "step" and values["count"]:
            steps[rest] = {
                "count": values["count"],
                "p50": round(values["med"], 2),
                "p95": round(values["p(95)"], 2),
                "p99": round(values["p(99)"], 2),
                "max": round(values["max"], 2),
            }
        elif kind == "refused" and values["count"]:
            refusals[rest] = int(values["count"])
        elif kind == "counted":
            counters[rest] = int(values["count"])
    return Crowd(report["state"]["testRunDurationMs"] / 1_000, steps, refusals, counters)


def run_pgbench(
    program: Path,
    database_url: str,
    *,
    script: Path,
    seconds: int,
    variables: Mapping[str, int],
    clients: int,
) -> float:
    """Run a script of pgbench with prepared statements; return how often it was played a second.

    :raises GeneratorFailed: it failed, or a client was aborted.
    """
    command = [
        str(program),
        "--no-vacuum",
        "--protocol=prepared",
        f"--client={clients}",
        "--jobs=1",
    ]
    command += [f"--time={seconds}", f"--file={script}"]
    command += [f"--define={name}={value}" for name, value in variables.items()]
    output = _run([*command, database_url], dict(os.environ), timeout=seconds + STOP_GRACE)
    return read_pgbench(output)


def read_pgbench(output: str) -> float:
    """
    :raises GeneratorFailed: it is not the report of a run in which everything went well.
    """
    failed = re.search(r"^number of failed transactions: (\d+)", output, re.MULTILINE)
    rate = re.search(r"^tps = ([\d.]+)", output, re.MULTILINE)
    if rate is None or "aborted" in output or (failed and failed[1] != "0"):
        raise GeneratorFailed(f"pgbench did not do its work:\n{output[-2_000:]}")
    return float(rate[1])


def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    timeout: float,
    is_over: Callable[[], bool] = lambda: False,
) -> str:
    """Return what a program printed, once it has ended; ask it to end when `is_over`."""
    until = time.monotonic() + timeout
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    name = Path(command[0]).name
    was_asked = False
    try:
        while True:
            try:
                output, _ = process.communicate(timeout=0.25)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() > until:
                    raise GeneratorFailed(f"{name} did not end within {timeout:.0f} s.") from None
                if not was_asked and is_over():
                    process.send_signal(2)
                    was_asked = True
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0 and not was_asked:
        raise GeneratorFailed(f"{name} ended with {process.returncode}:\n{output[-2_000:]}")
    return output
