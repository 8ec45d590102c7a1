"""`make drill`: see `options.py`."""

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext

from rich import box
from rich.console import Console
from rich.table import Table

from apps.core.commands import progress_bars
from dev.drill.faults import FAULTS, PlannedFault
from dev.drill.options import parser
from dev.drill.plan import make_plan
from dev.drill.report import Row, as_json, as_table, remarks, summary
from dev.drill.stack import APPLICATION_NAME, DrillStack
from dev.stack.throwaway import exit_when_it_fails, new_folder

FILE_WIDTH = 200  # of tables that do not go to a terminal


def main(arguments: Sequence[str]) -> int:
    """Return 0 if nothing was found, 1 if something was; exit with 2 if the drill did not take place."""
    options = parser().parse_args(arguments)
    plan = make_plan(seed=options.seed, names=options.faults, seconds=options.seconds)
    console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH, highlight=False)
    if options.plan:
        console.print(_table_of_plan(plan))
        return 0
    with (
        exit_when_it_fails(console, status=2),
        options.json.open("w") if options.json else nullcontext() as file,
    ):
        started_at = time.monotonic()
        rows = _drill(
            plan,
            customers=options.customers,
            staff=options.staff,
            keep=options.keep,
            console=console,
        )
        seconds = time.monotonic() - started_at
        if file:
            json.dump(as_json(rows, seed=options.seed, seconds=seconds), file, indent=2)
    breaches = sum(len(row.breaches) for row in rows)
    console.print(
        f"Seed {options.seed}, {len(rows)} faults, {sum(row.calls for row in rows):,} calls, "
        f"{seconds:.0f} s: {breaches} breaches.",
        style="bold red" if breaches else "bold green",
    )
    return 1 if breaches else 0


def _drill(
    plan: Sequence[PlannedFault], *, customers: int, staff: int, keep: bool, console: Console
) -> list[Row]:
    """Go through the plan on a new stack, and print the table.

    :raises ServerFailed, ChildFailed: the stack did not start.
    """
    folder = new_folder("drill")
    rows: list[Row] = []
    is_over = False
    stack = DrillStack(folder)
    try:
        with progress_bars() as progress:
            task = progress.add_task("Starting a stack", total=len(plan))
            stack.boot()
            _set_up_django(stack)
            from dev.drill.run import Drill

            drill = Drill(
                stack=stack,
                plan=plan,
                customers=customers,
                staff=staff,
                on_progress=lambda what: progress.update(task, description=what),
            )
            for number in range(len(plan)):
                rows.append(drill.run_phase(number))
                progress.advance(task)
                if not progress.console.is_terminal:
                    progress.console.print(summary(rows[-1]), soft_wrap=True)
            drill.close()
        is_over = True
        _print_rows(console, rows)
        if any(row.breaches for row in rows):
            keep = True
            with (folder / "history.jsonl").open("w") as file:
                for call in drill.history.calls:
                    file.write(json.dumps(call.as_dict()) + "\n")
    finally:
        stack.shut_down()
        if keep or not is_over:
            console.print(f"Logs, data and history are kept in {folder}", soft_wrap=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return rows


def _set_up_django(stack: DrillStack) -> None:
    """Make this process one of the stack's, with a session that the faults spare."""
    os.environ.update(stack.environment, LOG_LEVEL="ERROR", PGAPPNAME=APPLICATION_NAME)
    import django

    django.setup()


def _print_rows(console: Console, rows: Sequence[Row]) -> None:
    """Print in Markdown unless a terminal shows it."""
    table = as_table(rows)
    table.box = box.SIMPLE if console.is_terminal else box.MARKDOWN
    for column in table.columns:
        column.header = str(column.header).replace("\n", "\n" if console.is_terminal else " ")
    console.print(table)
    console.print(remarks(rows))


def _table_of_plan(plan: Sequence[PlannedFault]) -> Table:
    table = Table(box=box.SIMPLE)
    for heading in ("fault", "begins after", "lasts", "blows at", "what happens"):
        table.add_column(heading, no_wrap=True)
    for planned in plan:
        table.add_row(
            planned.name,
            f"{planned.begins_after:.2f} s",
            f"{planned.lasts:.2f} s",
            ", ".join(f"{blow:.2f} s" for blow in planned.blows),
            FAULTS[planned.name].title,
        )
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
