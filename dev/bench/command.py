"""Run the scenarios that were asked for, keep the result, say what it is worth."""

import gzip
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from apps.core.commands import progress_bars
from dev.bench import machine
from dev.bench.bench import Bench, ScenarioFailed
from dev.bench.bounds import missed
from dev.bench.comparison import compare
from dev.bench.forms import FULL, QUICK, SMOKE, Form
from dev.bench.generators import GeneratorFailed, install_wrk
from dev.bench.kept import HistoryRefused
from dev.bench.options import SCENARIOS, parse
from dev.bench.page import write_history, write_page, write_rooms
from dev.bench.pretix.installation import Installation
from dev.bench.profiling import ProfilerFailed, as_text, profiled, top_costs
from dev.bench.stack import BenchStack, running_bench_stack
from dev.stack.stack import ROOT
from dev.stack.throwaway import exit_when_it_fails

FORMAT = 1  # of a result's file
PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
INSTALL = 'make bench ARGS="--scenario pretix" does it, and measures'
PROFILED = ("web", "worker", "sync")


def run(arguments: Sequence[str]) -> int:
    """Return an exit status: 1 if something was not measured or, with `--check`, a bound was missed."""
    options = parse(arguments)
    console = Console(stderr=True, highlight=False)
    old = options.against
    if options.report:
        result = options.report
        if result.get("history") and old is None:
            console.print(
                "A result with history is shown beside one without: name it by --against."
            )
            return 2
        write(result, old)
        return 0
    try:
        # First: what cannot be kept need not be measured.
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        console.print(f"{escape(str(options.output))} cannot be written: {error.strerror}.")
        return 2
    if not install_wrk():
        console.print("[yellow]There is no wrk; k6 makes its load, and is itself the limit.[/]")
    form = form_of(options)
    names = options.scenario or everything_possible(console)
    load_before = machine.load_average()
    with (
        exit_when_it_fails(console, HistoryRefused),
        running_bench_stack(console, history=options.history) as stack,
    ):
        result = measure(stack, form, names, console=console)
        result["load_before"] = load_before
        if options.profile:
            result["profiles"] = take_profiles(stack, form, options, result, console)
    path = save(result, options.output)
    console.print(f"Result: {path}", soft_wrap=True)
    if form == FULL and not options.scenario and not options.tree:
        write(result, old)
        console.print(f"Page: {PAGE}")
    if old is not None:
        sys.stdout.write("\n".join(compare(old, result)) + "\n")
    return 1 if _is_bad(result, options, console) else 0


def write(result: dict[str, Any], old: dict[str, Any] | None) -> None:
    """Write the page anew; of a result with history only its comparison with one without, if there is one."""
    if not result.get("history"):
        write_page(result, PAGE)
        if "room" in result["scenarios"]:
            write_rooms(result, PAGE.with_name("waiting-room.md"))
    elif old is not None:
        write_history(old, result, PAGE)


def _is_bad(result: dict[str, Any], options: Any, console: Console) -> bool:
    """Return whether something was not measured or, where that was asked for, misses its bound."""
    too_low = missed(result["figures"]) if options.check else []
    for bound in too_low:
        value = result["figures"][bound.figure]
        console.print(
            f"[bold red]✗[/] {bound.what}: {value:g}, {bound.direction} {bound.required:g} is required"
        )
    return bool(result["failures"] or too_low)


def everything_possible(console: Console) -> list[str]:
    """Return all scenarios, but not the one that would first have to install something."""
    if Installation().is_complete():
        return list(SCENARIOS)
    console.print(
        f"[yellow]Without pretix, which is not installed:[/] {escape(INSTALL)}", soft_wrap=True
    )
    return [name for name in SCENARIOS if name != "pretix"]


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
    stack: BenchStack, form: Form, names: Sequence[str], *, console: Console
) -> dict[str, Any]:
    """Play the scenarios one after the other; one that fails is told of, and the others still run."""
    from dev.bench.registry import FILLING, PLAYS  # these need Django

    commit, is_changed = machine.commit_of(ROOT)
    result: dict[str, Any] = {
        "format": FORMAT,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "is_changed": is_changed,
        "form": form.name,
        "history": asdict(stack.history) if stack.history else None,
        "machine": machine.describe(stack),
        "figures": {},
        "scenarios": {},
        "failures": {},
    }

    def play(bench: Bench, name: str) -> None:
        started_at = time.monotonic()
        try:
            outcome = PLAYS[name](bench)
        finally:
            if not FILLING & set(names[names.index(name) + 1 :]):
                bench.rooms.clear()
        seconds = round(time.monotonic() - started_at, 1)
        result["scenarios"][name] = {"seconds": seconds, **outcome.details}
        result["figures"] |= outcome.figures
        glance = "  ".join(f"{figure} {value:,g}" for figure, value in outcome.figures.items())
        console.print(f"[green]✓[/] {name}  [dim]{seconds} s[/]  {glance}", soft_wrap=True)

    _play_all(stack, form, names, play, result, console)
    result["load_after"] = machine.load_average()
    return result


def take_profiles(
    stack: BenchStack, form: Form, options: Any, result: dict[str, Any], console: Console
) -> dict[str, Any]:
    """Play scenarios once more under py-spy; return the top functions by scenario and process, and keep the stacks."""
    from dev.bench.registry import PLAYS  # it needs Django

    profiles: dict[str, Any] = {}
    folder = path_of(result, options.output).with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)

    def play(bench: Bench, name: str) -> None:
        files = {group: folder / f"{name}-{group}.folded" for group in PROFILED}
        roots = {group: stack.groups[group][0] for group in PROFILED}
        with profiled(roots, files):
            PLAYS[name](bench)
        profiles[name] = {}
        for group, file in files.items():
            folded = file.read_bytes()
            file.unlink()
            file.with_suffix(".folded.gz").write_bytes(gzip.compress(folded))
            costs = top_costs(folded.decode().splitlines())
            profiles[name][group] = costs
            file.with_suffix(".txt").write_text(as_text(costs))
        console.print(f"[green]✓[/] profile of {name}  [dim]{folder}[/]", soft_wrap=True)

    once = replace(form, repeats=1)
    _play_all(stack, once, options.profile, play, result, console)
    return profiles


def _play_all(
    stack: BenchStack,
    form: Form,
    names: Sequence[str],
    play: Callable[[Bench, str], None],
    result: dict[str, Any],
    console: Console,
) -> None:
    """Play each scenario; note one that fails and go on, whatever it was: what was measured before must not be lost."""
    from dev.bench.crowd import close_rooms  # these need Django
    from dev.bench.registry import prepare

    with progress_bars() as progress:
        bench = Bench(stack=stack, form=form, folder=stack.data_dir, progress=progress)
        prepare(bench, names)
        for name in names:
            try:
                play(bench, name)
            except Exception as error:
                result["failures"][name] = str(error) or type(error).__name__
                console.print(f"[bold red]✗[/] {name}: {escape(str(error))}", soft_wrap=True)
                if not isinstance(error, (ScenarioFailed, GeneratorFailed, ProfilerFailed)):
                    console.print_exception()
            finally:
                bench.end()
                close_rooms(bench)


def path_of(result: dict[str, Any], folder: Path) -> Path:
    form = "" if result["form"] == "full" else "-" + result["form"].replace(", ", "-")
    history = "-history" if result.get("history") else ""
    return folder / f"{result['taken_at'][:10]}-{result['commit']}{form}{history}.json"


def save(result: dict[str, Any], folder: Path) -> Path:
    path = path_of(result, folder)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return path
