"""`docs/performance.md`: the regions of it that come from a result. The prose around them is written by hand and kept.

<!-- bench: queue -->
... replaced ...
<!-- end of bench -->
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dev.bench.bounds import BOUNDS, Bound
from dev.bench.comparison import with_and_without
from dev.bench.markdown import PageBroken, replace_region, table
from dev.bench.plots import bars, lines, stacks

Result = Mapping[str, Any]
REGION = re.compile(r"(<!-- bench: ([\w-]+) -->\n)(.*?)(<!-- end of bench -->)", re.DOTALL)
PICTURES = "performance"  # the folder beside the page
GROUPS = ("web", "worker", "sync", "beat", "postgres", "valkey")
TOP = 5


# Calls of a waiting room, as its table names them.
TITLES = {
    "join": "join",
    "join_early": "join by lottery",
    "status": "status, WAITING",
    "status_busy": "status, no pause",
    "gate": "status, ACTIVE",
    "board": "board",
    "admit": "tick, admitting",
    "purge": "tick, purging",
    "finish": "finish",
    "restore": "restore",
    "replay": "replay",
    "close": "close",
}


def write_page(result: Result, page: Path) -> None:
    """Put a result into the page and draw its pictures.

    :raises PageBroken: the page asks for something unknown, or leaves something out.
    """
    text = page.read_text()
    found = [name for _, name, _, _ in REGION.findall(text)]
    if sorted(found) != sorted(REGIONS):
        raise PageBroken(f"{page} has the regions {found}, not {sorted(REGIONS)}.")
    pictures: dict[str, str] = {}

    def fill(match: re.Match[str]) -> str:
        body = "\n".join(REGIONS[match[2]](result, pictures))
        return f"{match[1]}\n{body}\n\n{match[4]}"

    page.write_text(REGION.sub(fill, text))
    folder = page.parent / PICTURES
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, picture in pictures.items():
        (folder / f"{name}.svg").write_text(picture)


def write_history(without: Result, history: Result, page: Path) -> None:
    """Put the figures of a run with years of history beside those of one without, and leave everything else as it is.

    :raises PageBroken: the page has no place for it.
    """
    replace_region(page, "with history", "end of history", with_and_without(without, history))


def write_rooms(result: Result, page: Path) -> None:
    """Put what waiting rooms cost into their page.

    :raises PageBroken: the page has no place for it.
    """
    replace_region(page, "costs: made by `make bench`", "end of costs", _rooms(result))


def _rooms(result: Result) -> Iterator[str]:
    machine, found = result["machine"], result["scenarios"]["room"]
    yield (
        f"Valkey {machine['versions']['valkey']}, append-only file, {machine['cores']} cores; load {_loads(result['load_before'])} "
        f"before, {_loads(result['load_after'])} after the whole run. Times in microseconds."
    )
    for room in found["rooms"]:
        yield f"\n**{room['waiting']:,} waiting, {room['bytes_per_visitor']:.0f} bytes each**\n"
        yield from table(
            "operation | per second | caller p50 | caller p99 | server p50 | server p99 | server max | server each",
            "lrrrrrrr",
            (
                f"{title} | {row['visitors_per_second']:,.0f} | {row['client_p50']:,.0f} | {row['client_p99']:,.0f} "
                f"| {row['server_p50']:,.0f} | {row['server_p99']:,.0f} | {row['server_longest']:,.0f} "
                f"| {row['server_per_visitor']:.1f}"
                for title, row in ((TITLES[name], row) for name, row in room["operations"].items())
            ),
        )
    large, small = (found["rooms"][i]["waiting"] for i in (-1, 0))
    yield f"\n**Cost of one visitor, {large:,} : {small:,} waiting**\n"
    yield from table(
        "operation | caller | server",
        "lrr",
        (
            f"{TITLES[name]} | {ratio['client']:.2f} x | {ratio['server']:.2f} x"
            for name, ratio in found["ratios"].items()
        ),
    )


# --- Regions: each yields Markdown and may add pictures -------------------------------------------

Pictures = dict[str, str]
Region = Callable[[Result, Pictures], Iterable[str]]


def _of(name: str, show: Callable[[Any, Result, Pictures], Iterable[str]]) -> Region:
    """Return a region about one scenario, made of what that scenario and the whole run have found."""

    def region(result: Result, pictures: Pictures) -> Iterable[str]:
        found = result["scenarios"].get(name)
        return show(found, result["figures"], pictures) if found else ["Not measured."]

    return region


def _conditions(result: Result, pictures: Pictures) -> Iterable[str]:
    machine = result["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items() if value)
    changed = " with uncommitted changes" if result["is_changed"] else ""
    rows = [
        f"commit | `{result['commit']}`{changed}",
        f"machine | {machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB, {machine['system']}",
        f"versions | {versions}",
        f"load before and after | {_loads(result['load_before'])}; {_loads(result['load_after'])}",
    ]
    if not machine["versions"].get("wrk"):
        rows.append(
            "generator | k6 in place of wrk, which the machine does not have: k6 is the limit of fast calls"
        )
    when = f"when | {result['taken_at'].replace('T', ' ')[:16]} UTC, a {result['form']} run"
    return table(when, "ll", rows)


def _bounds(result: Result, pictures: Pictures) -> Iterable[str]:
    figures = result["figures"]
    yield from table(
        "what | measured | required | met | next goal | met",
        "lrrcrc",
        (_bound(bound, figures.get(bound.figure)) for bound in BOUNDS),
    )
    for name, message in result["failures"].items():
        yield ""
        yield f"**{name} failed**: {message}"
    shares = {
        bound.what.replace("`", ""): figures[bound.figure]
        for bound in BOUNDS
        if bound.figure in figures
        and bound.figure.endswith(("_of_hello", "_of_pgbench"))
        and not bound.figure.startswith("queue")
    }
    if shares:
        marks = {bound.what.replace("`", ""): bound.required for bound in BOUNDS}
        marks = {name: mark for name, mark in marks.items() if name in shares}
        yield from _picture(
            pictures,
            "ratios",
            bars("Share of the floor, and what is required (the stroke)", shares, marks=marks),
            "Shares of the floors",
        )


def _bound(bound: Bound, value: float | None) -> str:
    measured = "not measured" if value is None else _with_unit(value, bound.unit)
    wanted = "" if bound.wanted is None else _limit(bound, bound.wanted)
    return (
        f"{bound.what} | {measured} | {_limit(bound, bound.required)} | {_verdict(bound, value, bound.required)} "
        f"| {wanted} | {_verdict(bound, value, bound.wanted)}"
    )


def _rates(result: Result, pictures: Pictures) -> Iterable[str]:
    rows: dict[str, Any] = {}
    for name in ("django", "livez", "join", "status", "board"):
        rows |= result["scenarios"].get(name, {}).get("rates", {})
    if not rows:
        yield "Not measured."
        return
    yield from table(
        "call | calls/s | of `hello` | of `hello` by CPU | p50 ms | p95 ms | p99 ms | CPU ms a call | of it web",
        "lrrrrrrrr",
        (
            f"{name.replace('_', ', ')} | {row['rate']:,.0f} | {row['of_hello']:.3f} | {row['cpu_of_hello']:.3f} "
            f"| {row['p50']:.1f} | {row['p95']:.1f} | {row['p99']:.1f} | {row['cpu_ms']['service']:.2f} "
            f"| {row['cpu_ms']['web']:.2f}"
            for name, row in rows.items()
        ),
    )
    hello = sorted(row["hello"] for row in rows.values())[len(rows) // 2]
    yield ""
    yield f"`hello` itself: {hello:,.0f} calls/s in the middle."


def _queue(found: Any, figures: Result, pictures: Pictures) -> Iterable[str]:
    way = " → ".join(f"{users} users in {span} s" for span, users in found["stages"])
    yield f"0 users → {way}. {figures['queue_rate']:,.0f} calls/s over all, `hello` {found['floor_rate']:,.0f}."
    yield ""
    yield from _steps({**found["steps"], "hello at the peak": found["floor_steps"]["plateau"]})
    yield ""
    yield f"Refused or failed: {_counts(found['refusals'])}. CPU a call: {_cpu(found['cpu_ms'])}."
    rows = {
        "Encore p50": found["steps"]["plateau"]["p50"],
        "Encore p95": found["steps"]["plateau"]["p95"],
        "hello p50": found["floor_steps"]["plateau"]["p50"],
        "hello p95": found["floor_steps"]["plateau"]["p95"],
    }
    title = f"How long {found['users']} users at once wait for an answer"
    yield from _picture(pictures, "queue", bars(title, rows, unit="ms"), title)


def _sales(found: Any, figures: Result, pictures: Pictures) -> Iterable[str]:
    yield f"{found['buyers']} customers at once; pgbench with {found['pgbench_clients']} clients."
    yield ""
    yield from table(
        "run | sales | sales/s, consumers included | paid/s | pgbench/s | of pgbench | p95 hold ms | p95 pay ms | consumers behind s",
        "rrrrrrrrr",
        (
            f"{number} | {row['sales']:,} | {row['sales_per_second']:,.1f} | {row['paid_per_second']:,.1f} "
            f"| {row['pgbench']:,.0f} | {row['of_pgbench']:.3f} | {row['hold_p95']:,.0f} | {row['pay_p95']:,.0f} "
            f"| {row['behind_seconds']:.1f}"
            for number, row in enumerate(found["runs"], start=1)
        ),
    )


def _cpu_of_sales(result: Result, pictures: Pictures) -> Iterable[str]:
    names = {"hold-and-pay": "hold and pay", "on-sale": "on-sale"}
    rows = {
        title: result["scenarios"][name]["cpu_ms"]
        for name, title in names.items()
        if name in result["scenarios"]
    }
    if not rows:
        yield "Not measured."
        return
    columns = (*GROUPS, "service", "receiver", "generator")
    yield from table(
        f"ms a sale | {' | '.join(GROUPS)} | all of them | receiver | generator",
        "l" + "r" * len(columns),
        (
            f"{title} | {' | '.join(f'{cpu[name]:.1f}' for name in columns)}"
            for title, cpu in rows.items()
        ),
    )
    parts = {title: {name: cpu[name] for name in GROUPS} for title, cpu in rows.items()}
    title = "CPU of a sale, by process"
    yield from _picture(pictures, "cpu", stacks(title, parts, unit="ms"), title)


def _pretix(found: Any, figures: Result, pictures: Pictures) -> Iterable[str]:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    yield (
        f"{found['buyers']} customers at once. Encore sells {figures['pretix_ratio']:,.1f} times as many, and a sale takes "
        f"{figures['pretix_cpu_ratio']:,.1f} times less CPU time. {versions}."
    )
    yield ""
    yield from table(
        "run | sales of pretix | pretix/s | Encore/s | ratio | CPU ms a sale: pretix | Encore | ratio "
        "| cores that idle Encore used | idle pretix",
        "rrrrrrrrrr",
        (
            f"{number} | {row['sales']:,} | {row['pretix']:,.1f} | {row['encore']:,.1f} | {row['ratio']:,.1f} "
            f"| {row['pretix_cpu_ms']:,.0f} | {row['encore_cpu_ms']:,.1f} | {row['cpu_ratio']:,.1f} "
            f"| {row['idle_encore']:.3f} | {row['idle_pretix']:.3f}"
            for number, row in enumerate(found["runs"], start=1)
        ),
    )
    parts = {
        name: {group: cpu[group] for group in GROUPS if group in cpu}
        for name, cpu in found["cpu_ms"].items()
    }
    title = "CPU of the same sale, by process"
    yield from _picture(pictures, "pretix", stacks(title, parts, unit="ms"), title)


def _contention(found: Any, figures: Result, pictures: Pictures) -> Iterable[str]:
    yield f"{found['rivals']} customers at once; {found['seats']:,} seats in the hall."
    yield ""
    yield from table(
        "run | winners | refusals p50 ms | refusals p99 ms | scattered holds p50 ms | p99 ms | ratio of p99",
        "rrrrrrr",
        (
            f"{number} | {row['winners']} | {row['refusal_p50']:,.0f} | {row['refusal_p99']:,.0f} "
            f"| {row['hold_p50']:,.0f} | {row['hold_p99']:,.0f} | {row['ratio']:.2f}"
            for number, row in enumerate(found["runs"], start=1)
        ),
    )


def _halls(found: Any, figures: Result, pictures: Pictures) -> Iterable[str]:
    names = {
        "map": "seat map",
        "list": "list of seats",
        "availability": "availability",
        "unchanged": "availability, 304",
        "changing": "availability while seats change",
    }
    yield f"{found['connections']} connections."
    yield ""
    yield from table(
        "seats | what | calls/s | p50 ms | p95 ms | CPU ms a call",
        "rlrrrr",
        (
            f"{int(seats):,} | {title} | {row['rate']:,.0f} | {row['p50']:.1f} | {row['p95']:.1f} "
            f"| {row['cpu_ms']['service']:.1f}"
            for seats, rows in found["halls"].items()
            for title, row in ((title, rows[name]) for name, title in names.items())
        ),
    )
    bars_of = {
        f"{int(seats):,} seats, while seats change": rows["changing"]["p95"]
        for seats, rows in found["halls"].items()
    }
    title = "Availability: p95"
    yield from _picture(pictures, "availability", bars(title, bars_of, unit="ms"), title)


def _on_sale(found: Any, figures: Result, pictures: Pictures) -> Iterable[str]:
    yield (
        f"{found['customers']:,} customers, {found['seats']:,} seats, {found['capacity']:,} admitted at once: "
        f"sold out after {figures['on_sale_seconds']:,.1f} s, {figures['on_sale_rate']:,.1f} sales/s; "
        f"consumers at most {figures['on_sale_behind_seconds']:.1f} s behind."
    )
    yield ""
    yield from _steps(found["steps"])
    yield ""
    if slots := found.get("slots"):
        yield (
            f"Of the slots {slots['taken']:.0%} were taken, each for {slots['to_hold']:.1f} s until its visitor held a seat, "
            f"{slots['to_pay']:.1f} s until it was paid, {slots['to_free']:.1f} s until the slot was free again."
        )
        yield ""
    yield (
        f"Refusals: {_counts(found['refusals'])}. Sold twice {figures['on_sale_doubles']:g}, lost {figures['on_sale_lost']:g}, "
        f"errors {figures['on_sale_errors']:g}, out of order {figures['on_sale_out_of_order']:g}, "
        f"broken invariants {figures['on_sale_breaches']:g}."
    )
    title = "Seats sold in the course of the on-sale"
    points = {"sold": [(at, sold) for at, sold, _ in found["samples"]]}
    yield from _picture(pictures, "on-sale", lines(title, points, across="s", up="seats"), title)


def _profiles(result: Result, pictures: Pictures) -> Iterable[str]:
    profiles = result.get("profiles", {})
    if not profiles:
        yield "No profile was taken in this run; `--profile NAME` takes one."
        return
    yield from table(
        f"path | process | the top {TOP} packages by own time | the top {TOP} functions",
        "llll",
        (
            f"{name} | {group} | {_top(costs['packages'])} | {_top(costs['functions'])}"
            for name, groups in profiles.items()
            for group, costs in groups.items()
        ),
    )


def _top(costs: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"`{row['name']}` {row['share']:.0%}" for row in costs[:TOP])


REGIONS: dict[str, Region] = {
    "conditions": _conditions,
    "bounds": _bounds,
    "rates": _rates,
    "queue": _of("queue", _queue),
    "sales": _of("hold-and-pay", _sales),
    "cpu": _cpu_of_sales,
    "pretix": _of("pretix", _pretix),
    "contention": _of("hot-seat", _contention),
    "halls": _of("seat-map", _halls),
    "on-sale": _of("on-sale", _on_sale),
    "profiles": _profiles,
}


# --- Parts of regions -----------------------------------------------------------------------------


def _picture(pictures: Pictures, name: str, picture: str, title: str) -> Iterable[str]:
    pictures[name] = picture
    yield ""
    yield f"![{title}]({PICTURES}/{name}.svg)"


def _steps(steps: Mapping[str, Mapping[str, float]]) -> Iterable[str]:
    return table(
        "step | calls | p50 ms | p95 ms | p99 ms | longest ms",
        "lrrrrr",
        (
            f"{'all at the peak' if name == 'plateau' else name} | {row['count']:,} | {row['p50']:,.1f} "
            f"| {row['p95']:,.1f} | {row['p99']:,.1f} | {row['max']:,.0f}"
            for name, row in steps.items()
        ),
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _cpu(cpu: Mapping[str, float]) -> str:
    shown = ", ".join(f"{name} {cpu[name]:.2f}" for name in GROUPS if cpu[name] >= 0.005)
    return f"{cpu['service']:.2f} ms ({shown})"


def _loads(averages: Sequence[float]) -> str:
    return " ".join(f"{average:.2f}" for average in averages)


def _limit(bound: Bound, limit: float) -> str:
    return f"{bound.direction} {_with_unit(limit, bound.unit)}"


def _with_unit(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def _verdict(bound: Bound, value: float | None, limit: float | None) -> str:
    if value is None or limit is None:
        return ""
    return "yes" if bound.is_met_by(value, by=limit) else "**no**"
