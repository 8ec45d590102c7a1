"""Common ground of the scenarios: the stack, the form, loads with their CPU time, and the progress that people see."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID

from dev.bench.cpu import cpu_between, cpu_seconds
from dev.bench.figures import medians, of_neighbours
from dev.bench.forms import Form
from dev.bench.generators import Call, Crowd, Load, run_k6, run_wrk, wrk_path
from dev.bench.stack import BenchStack


class ScenarioFailed(Exception):
    """A scenario did not do its work, so there is nothing to report. The message is for people."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`figures` are compared between runs and with bounds; `details` is everything else worth keeping."""

    figures: dict[str, float]
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Calls whose rate is measured. `calls` makes those of one repeat; `base_url` is where they go.

    With `seconds` it is measured for as long whatever the form says, and needs no warming up.
    """

    base_url: str
    calls: Callable[[], Sequence[Call]]
    expected: int = 200
    counts: bool = False
    once: bool = False
    connections: int | None = None  # None for those of the form
    seconds: int | None = None


@dataclass(kw_only=True)
class Bench:
    stack: BenchStack
    form: Form
    folder: Path
    progress: Progress
    customers: list[Any] = field(default_factory=list)
    concerts: list[int] = field(default_factory=list)  # whose waiting rooms are open
    rooms: dict[int, tuple[int, list[str]]] = field(default_factory=dict)  # filled ones, by size
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _task: TaskID | None = None

    # --- Progress ---------------------------------------------------------------------------------

    def begin(self, title: str, *, steps: int) -> None:
        self.end()
        self._task = self.progress.add_task(title, total=steps)

    def advance(self, by: float = 1) -> None:
        if self._task is not None:
            self.progress.advance(self._task, by)

    def end(self) -> None:
        if self._task is not None:
            self.progress.remove_task(self._task)
            self._task = None

    # --- Load -------------------------------------------------------------------------------------

    def load(self, target: Target, calls: Sequence[Call], *, seconds: int) -> Load:
        """Play calls; all of them have to be answered as expected.

        :raises ScenarioFailed: one was not, or they did not last.
        """
        connections = target.connections or self.form.connections
        if wrk_path() is not None:
            load = run_wrk(
                target.base_url,
                calls,
                folder=self.folder,
                seconds=seconds,
                connections=connections,
                once=target.once,
                count=target.counts,
            )
        else:
            load = self._load_by_k6(target, calls, seconds, connections)
        refuse_unless_done(load, target, calls)
        return load

    def _load_by_k6(
        self, target: Target, calls: Sequence[Call], seconds: int, connections: int
    ) -> Load:
        file = self.folder / "calls.json"
        file.write_text(json.dumps([asdict(call) for call in calls]))
        plan = {
            "base": target.base_url.rstrip("/"),
            "steps": ["call"],
            "calls": str(file),
            "expected": [target.expected],
            "users": connections,
            "duration": f"{seconds}s",
            "once": target.once,
        }
        crowd = run_k6("calls.js", plan, folder=self.folder, timeout=seconds)
        step = crowd.steps.get("call", {"count": 0, "p50": 0, "p95": 0, "p99": 0})
        return Load(
            requests=int(step["count"]),
            seconds=crowd.seconds,
            p50=step["p50"],
            p95=step["p95"],
            p99=step["p99"],
            refused=sum(crowd.refusals.values()),
        )

    def hello(self) -> tuple[float, float]:
        """Measure the floor; return its calls a second, and the milliseconds of CPU that one of them takes."""
        target = Target(self.stack.floors["hello"], lambda: [Call("/")])
        before = self.cpu()
        load = self.load(target, target.calls(), seconds=self.form.floor_duration)
        return load.rate, cpu_between(before, self.cpu(), units=load.requests)["floors"]

    def crowd(self, script: str, plan: dict[str, Any], *, timeout: float, **options: Any) -> Crowd:
        plan = {"base": self.stack.base_url, **plan}
        return run_k6(script, plan, folder=self.folder, timeout=timeout, **options)

    def cpu(self) -> dict[str, float]:
        return cpu_seconds(self.stack.groups)

    # --- Rates beside the floor -------------------------------------------------------------------

    def rates(
        self, targets: dict[str, Target], *, repeats: int | None = None
    ) -> dict[str, dict[str, Any]]:
        """Measure each target between two measurements of `hello`, over and over; return medians by target.

        Every other repeat goes the other way round, so that no target always comes first.

        :raises ScenarioFailed: a target did not do its work.
        """
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in targets}
        rates = dict.fromkeys(targets, 0.0)
        if self.form.warm_up:
            for name, target in targets.items():
                if target.seconds:
                    continue
                warm = self.load(target, target.calls(), seconds=self.form.warm_up)
                rates[name] = warm.rate
        before = self.hello()
        for repeat in range(repeats or self.form.repeats):
            for name in list(targets)[:: -1 if repeat % 2 else 1]:
                target = targets[name]
                calls = target.calls()
                span = target.seconds or self.form.duration
                if target.once and rates[name]:
                    span = max(1, min(span, int(len(calls) / (rates[name] * 1.4))))
                cpu_before = self.cpu()
                load = self.load(target, calls, seconds=span)
                cpu_ms = cpu_between(cpu_before, self.cpu(), units=load.requests)
                if target.base_url in self.stack.floors.values():
                    cpu_ms["service"] = cpu_ms["floors"]
                after = self.hello()
                rates[name] = max(rates[name], load.rate)
                rows[name].append(
                    {
                        "rate": round(load.rate, 1),
                        "of_hello": round(of_neighbours(load.rate, before[0], after[0]), 5),
                        "hello": round((before[0] + after[0]) / 2, 1),
                        "hello_cpu_ms": round((before[1] + after[1]) / 2, 4),
                        **{p: round(getattr(load, p), 3) for p in ("p50", "p95", "p99")},
                        "cpu_ms": cpu_ms,
                    }
                )
                before = after
                self.advance()
        return {name: _summary(found) for name, found in rows.items()}


def refuse_unless_done(load: Load, target: Target, calls: Sequence[Call]) -> None:
    """:raises ScenarioFailed: not every call was answered as expected."""
    path = calls[0].path
    others = {code: n for code, n in load.statuses.items() if code != str(target.expected)}
    if load.is_exhausted:
        raise ScenarioFailed(f"{len(calls):,} calls of {path} were too few.")
    if others or load.refused or load.broken:
        raise ScenarioFailed(
            f"{path}: {load.refused:,} refused, {load.broken:,} broken, other statuses: {others}"
        )
    if not load.requests:
        raise ScenarioFailed(f"{path} was never answered.")


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    plain = [{key: value for key, value in row.items() if key != "cpu_ms"} for row in rows]
    middle, cpu_ms = medians(plain), medians([row["cpu_ms"] for row in rows])
    return {
        **middle,
        # Hardly changed by what else the machine does, unlike a rate.
        "cpu_of_hello": round(middle["hello_cpu_ms"] / cpu_ms["service"], 4),
        "cpu_ms": cpu_ms,
        "runs": plain,
    }
