"""The same work by Encore and by pretix in one run: a customer's sale from holding to the last consequence of the payment."""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any

from dev.bench.bench import Bench, Outcome
from dev.bench.cpu import cpu_seconds
from dev.bench.figures import medians, of_neighbours
from dev.bench.pretix.installation import Installation
from dev.bench.pretix.shop import Shop, running_shop
from dev.bench.scenarios.selling import CALIBRATION, sell

SPAN = 2  # times that of a measurement of Encore: there are fewer sales to count
# Used by both, or no part of the service.
NEVER_IDLE = ("postgres", "floors", "receiver")

Row = dict[str, Any]


def pretix(bench: Bench) -> Outcome:
    """Sell in turn, Encore first and last, with both of them running: each measurement of pretix lies between two of Encore."""
    form = bench.form
    installation = Installation()
    installation.complete(bench)
    with running_shop(bench, installation) as shop:
        bench.begin("pretix", steps=2 * form.repeats + 3)
        seconds = {"encore": form.sale_seconds, "pretix": form.sale_seconds * SPAN}
        sellers: dict[str, Callable[[int], Row]] = {
            "encore": lambda sales: _sell_at_encore(bench, shop, sales),
            "pretix": lambda sales: _sell_at_pretix(bench, shop, sales),
        }
        rates = {}
        for name, sold_by in sellers.items():
            rates[name] = sold_by(form.buyers * CALIBRATION)["sales_per_second"]
            bench.advance()

        def measured(name: str) -> Row:
            sales = min(max(int(rates[name] * seconds[name]), form.buyers), form.sales_max)
            row = sellers[name](sales)
            rates[name] = row["sales_per_second"]
            bench.advance()
            return row

        ours, theirs = [measured("encore")], []
        for _ in range(form.repeats):
            theirs.append(measured("pretix"))
            ours.append(measured("encore"))
    figures, rows = compared(ours, theirs)
    details = {
        "buyers": form.buyers,
        "versions": installation.versions(),
        "cpu_ms": {
            "Encore": medians([row["cpu_ms"] for row in ours]),
            "pretix": medians([row["cpu_ms"] for row in theirs]),
        },
        "runs": rows,
    }
    return Outcome(figures, details)


def compared(ours: Sequence[Row], theirs: Sequence[Row]) -> tuple[dict[str, float], list[Row]]:
    """Return the figures and a row for each measurement of pretix, with those of Encore right before and right after it.

    `ours` has one measurement more than `theirs`. A ratio says how many times as much Encore sells, or as little CPU time a sale
    takes; "idle" is how many cores the one has used while the other one sold.
    """
    rows = []
    for i, row in enumerate(theirs):
        neighbours = ours[i], ours[i + 1]
        before, after = (neighbour["sales_per_second"] for neighbour in neighbours)
        own_cpu_ms = mean(neighbour["cpu_ms"]["service"] for neighbour in neighbours)
        rows.append(
            {
                "sales": row["sales"],
                "pretix": row["sales_per_second"],
                "encore": round(mean((before, after)), 2),
                "ratio": round(1 / of_neighbours(row["sales_per_second"], before, after), 2),
                "pretix_cpu_ms": row["cpu_ms"]["service"],
                "encore_cpu_ms": round(own_cpu_ms, 4),
                "cpu_ratio": round(row["cpu_ms"]["service"] / own_cpu_ms, 2),
                "pretix_behind_seconds": row["behind_seconds"],
                "idle_pretix": round(mean(neighbour["idle"] for neighbour in neighbours), 4),
                "idle_encore": row["idle"],
            }
        )
    middle = medians(rows)
    figures = {
        "pretix_ratio": middle["ratio"],
        "pretix_cpu_ratio": middle["cpu_ratio"],
        "pretix_rate": middle["pretix"],
        "pretix_cpu_ms": middle["pretix_cpu_ms"],
        "beside_pretix_rate": middle["encore"],
        "beside_pretix_cpu_ms": middle["encore_cpu_ms"],
    }
    return figures, rows


def _sell_at_encore(bench: Bench, shop: Shop, sales: int) -> Row:
    idle = {name: roots for name, roots in shop.groups.items() if name not in NEVER_IDLE}
    return _with_idle(idle, lambda: sell(bench, sales))


def _sell_at_pretix(bench: Bench, shop: Shop, sales: int) -> Row:
    idle = {name: roots for name, roots in bench.stack.groups.items() if name not in NEVER_IDLE}
    return _with_idle(idle, lambda: shop.sell(sales, users=bench.form.buyers))


def _with_idle(idle: Mapping[str, Sequence[int]], work: Callable[[], Row]) -> Row:
    """Add how many cores the idle processes have used meanwhile."""
    started_at, before = time.monotonic(), cpu_seconds(idle)
    row = work()
    after, elapsed = cpu_seconds(idle), time.monotonic() - started_at
    used = sum(after[name] - before[name] for name in idle)
    return {**row, "idle": round(used / elapsed, 4)}
