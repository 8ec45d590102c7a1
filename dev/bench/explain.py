"""Explain the hot queries at 100,000 rows, with and without the index that serves each.

    make explain                  print a table of them and their plans
    make explain ARGS=--write     and put the table into docs/database.md

A throw-away PostgreSQL is filled with a history and with what `dataset.sql` adds. Each case of `hot_queries.py` calls the code of
the project; the statement that it sends is explained after the index is dropped, inside a
transaction that is rolled back, and again with the index.
"""

import argparse
import os
import platform
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management import call_command
from django.db import connection, transaction

from dev.bench.filling import History, fill
from dev.bench.markdown import replace_region, table
from dev.stack.throwaway import running_servers
from dev.tool import parser_of

if TYPE_CHECKING:
    from dev.bench.hot_queries import Case

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "database.md"
EXPLAIN = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF"
REPEATS = 5
# Every hot table has at least 100,000 rows.
HISTORY = History(concerts=20, reservations=100_000, accounts=20_000, pending=200, answers=50_000)


@dataclass(frozen=True)
class Measurement:
    """A plan in full and in one line, the rows that it reads and its median time."""

    plan: str
    outline: str
    rows: int
    milliseconds: float


Result = tuple["Case", Measurement, Measurement]


def main(*, write: bool) -> None:
    with running_servers("explain") as (postgres, _):
        _fill(postgres.url)
        results = list(_measure_all())
        lines = list(_table(postgres.version(), results))
    print(*lines, *_plans(results), sep="\n")
    if write:
        replace_region(PAGE, "table: made by `make explain`", "end of table", lines)


def _table(version: str, results: Sequence[Result]) -> Iterator[str]:
    yield (
        f"PostgreSQL {version}, default configuration, {os.cpu_count()} cores, {platform.machine()}; "
        f"median of {REPEATS} executions with a warm cache, parallel workers off.\n"
    )
    yield from table(
        "query | index | without: rows read | ms | with: plan | rows read | ms",
        "llrrlrr",
        (
            f"{number}. {case.title} | {_names(case)} | {without.rows:,} | {without.milliseconds:.2f} "
            f"| {with_index.outline} | {with_index.rows:,} | {with_index.milliseconds:.2f}"
            for number, (case, without, with_index) in enumerate(results, start=1)
        ),
    )


def _plans(results: Sequence[Result]) -> Iterator[str]:
    for number, (case, without, with_index) in enumerate(results, start=1):
        yield f"\n{number}. {case.title}\n"
        yield f"Without {_names(case)}:\n\n{without.plan}\n"
        yield f"With {_names(case)}:\n\n{with_index.plan}"


def _names(case: "Case") -> str:
    return " or ".join(f"`{index}`" for index in case.indexes)


def _measure_all() -> Iterator[Result]:
    # Imported here: Django's settings need the server's address.
    from apps.concerts.models import Performance
    from dev.bench.hot_queries import hot_queries

    hall = Performance.objects.get(pk=21)  # 2,000 live holds
    return map(measure, hot_queries(hall, customer_id=4_242, bearer="token-50000"))


def measure(case: "Case") -> Result:
    """Explain a case without its index, then with it. Nothing that it writes or drops is kept."""
    with transaction.atomic():
        sql, parameters = _statement_of(case)
        transaction.set_rollback(True)
    with transaction.atomic():
        for index in case.indexes:
            _drop(index)
        without = _measured(sql, parameters)
        transaction.set_rollback(True)
    return case, without, _measured(sql, parameters)


def _statement_of(case: "Case") -> tuple[str, Any]:
    sent: list[tuple[str, Any]] = []

    def record(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        sent.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(record):
        case.call()
    return next(
        (sql, parameters)
        for sql, parameters in sent
        if case.text in sql and sql.lstrip().startswith(("SELECT", "WITH", "SET LOCAL"))
    )


def _measured(sql: str, parameters: Any) -> Measurement:
    """Explain a statement: once in words and, after that has warmed the cache, for the figures."""
    plan = "\n".join(_explain("TEXT", sql, parameters))
    executions = [_explain("JSON", sql, parameters)[0][0] for _ in range(REPEATS)]
    root = executions[-1]["Plan"]
    times = [execution["Execution Time"] for execution in executions]
    return Measurement(plan, _outline(root), round(_rows_read(root)), statistics.median(times))


def _explain(form: str, sql: str, parameters: Any) -> list[Any]:
    settings, statement = _with_settings(sql)
    with _rolled_back() as cursor:
        cursor.execute(f"{settings}{EXPLAIN}, FORMAT {form}) {statement}", parameters)
        if settings:
            cursor.nextset()
        return [row[0] for row in cursor.fetchall()]


def _with_settings(sql: str) -> tuple[str, str]:
    """Return what is set for a statement alone, if anything, and the statement."""
    found = re.match(r"\s*SET LOCAL [^;]+; ", sql)
    return (found[0], sql[found.end() :]) if found else ("", sql)


def _outline(node: Mapping[str, Any]) -> str:
    """Return the joins and scans of a plan in one line; its other nodes read no table."""
    parts = [part for part in map(_outline, node.get("Plans", [])) if part]
    kind, inner = node["Node Type"], ", ".join(parts)
    if "Join Type" in node and len(parts) > 1:
        return f"{kind} ({inner})"
    if index := node.get("Index Name"):
        return f"{kind} `{index}`"
    if kind == "Seq Scan":
        return f"{kind} `{node['Relation Name']}`"
    return inner


def _rows_read(node: Mapping[str, Any]) -> float:
    """Return the rows that scans of tables found, with those that a filter then left out."""
    rows = sum(map(_rows_read, node.get("Plans", [])))
    if "Relation Name" in node and node["Node Type"].endswith("Scan"):
        left_out = (node.get(f"Rows Removed by {rule}", 0) for rule in ("Filter", "Index Recheck"))
        rows += (node["Actual Rows"] + sum(left_out)) * node["Actual Loops"]
    return rows


def _drop(index: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT conrelid::regclass FROM pg_constraint WHERE conname = %s", [index])
        owner = cursor.fetchone()
        if owner:
            cursor.execute(f"ALTER TABLE {owner[0]} DROP CONSTRAINT {index} CASCADE")
        else:
            cursor.execute(f"DROP INDEX {index}")


@contextmanager
def _rolled_back() -> Iterator[Any]:
    """Take back what an explained statement writes or locks."""
    with transaction.atomic(), connection.cursor() as cursor:
        yield cursor
        transaction.set_rollback(True)


def _fill(database_url: str) -> None:
    call_command("migrate", verbosity=0)
    fill(database_url, HISTORY)
    with connection.cursor() as cursor:
        cursor.execute((HERE / "dataset.sql").read_text())
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SET jit = off")


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("make explain", __doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/database.md")
    return parser


if __name__ == "__main__":
    main(write=_parser().parse_args().write)
