"""Run the scenarios that were asked for, keep the result, say what it is worth."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from apps.shared.commands import progress_bars
from benchmarks import machine
from benchmarks.bench import Bench, ScenarioFailed
from benchmarks.forms import FULL, QUICK, SMOKE, Form
from benchmarks.generators import GeneratorFailed, install_wrk
from benchmarks.options import SCENARIOS, parse
from benchmarks.stack import BenchStack, running_bench_stack
from devstack.children import ChildFailed
from devstack.servers import ServerFailed
from devstack.stack import ROOT
from devstack.throwaway import Interrupted, raise_when_interrupted

FORMAT = 1  # of a result's file


def run(arguments: Sequence[str]) -> int:
    """Return an exit status: 1 if something was not measured or, with `--check`, a bound was missed."""
    options = parse(arguments)
    console = Console(stderr=True, highlight=False)
    if not install_wrk():
        console.print("[yellow]There is no wrk; k6 makes its load, and is itself the limit.[/]")
    form = form_of(options)
    names = options.scenario or list(SCENARIOS)
    raise_when_interrupted()
    try:
        with running_bench_stack(console) as stack:
            result = measure(stack, form, names, users=options.users, console=console)
    except Interrupted:
        return 130
    except (ServerFailed, ChildFailed) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    path = save(result, options.output)
    console.print(f"Result: {path}")
    return 1 if result["failures"] else 0


def form_of(options: Any) -> Form:
    form = SMOKE if options.smoke else QUICK if options.quick else FULL
    if options.duration:
        form = replace(form, duration=options.duration, sale_seconds=options.duration)
    if options.repeats:
        form = replace(form, repeats=options.repeats)
    if options.users:
        peak = max(users for _, users in form.stages)
        stages = tuple((span, users * options.users // peak) for span, users in form.stages)
        form = replace(
            form,
            stages=stages,
            buyers=options.users,
            rivals=options.users,
            on_sale_customers=options.users,
        )
    return form if form in (FULL, QUICK, SMOKE) else replace(form, name=f"{form.name}, changed")


def measure(
    stack: BenchStack, form: Form, names: Sequence[str], *, users: int | None, console: Console
) -> dict[str, Any]:
    """Play the scenarios one after the other; one that fails is told of, and the others still run."""
    from benchmarks.registry import PLAYS, prepare  # needs Django

    commit, is_changed = machine.commit_of(ROOT)
    result: dict[str, Any] = {
        "format": FORMAT,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "is_changed": is_changed,
        "form": form.name,
        "machine": machine.describe(stack),
        "load_before": machine.load_average(),
        "figures": {},
        "scenarios": {},
        "failures": {},
    }
    with progress_bars() as progress:
        bench = Bench(stack=stack, form=form, folder=stack.data_dir, progress=progress, users=users)
        prepare(bench, names)
        for name in names:
            started_at = time.monotonic()
            try:
                outcome = PLAYS[name](bench)
            except (ScenarioFailed, GeneratorFailed) as error:
                result["failures"][name] = str(error)
                console.print(f"[bold red]✗[/] {name}: {error}", markup=True, soft_wrap=True)
                continue
            finally:
                bench.end()
            seconds = round(time.monotonic() - started_at, 1)
            result["scenarios"][name] = {"seconds": seconds, **outcome.details}
            result["figures"] |= outcome.figures
            console.print(f"[green]✓[/] {name}  [dim]{seconds} s[/]  {_glance(outcome.figures)}")
    result["load_after"] = machine.load_average()
    return result


def save(result: dict[str, Any], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    day = result["taken_at"][:10]
    form = "" if result["form"] == "full" else "-" + result["form"].replace(", ", "-")
    path = folder / f"{day}-{result['commit']}{form}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return path


def _glance(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:,g}" for name, value in figures.items())
