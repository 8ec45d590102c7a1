"""`docs/performance.md`: the regions of it that come from a result. The prose around them is written by hand and kept.

<!-- bench: queue -->
... replaced ...
<!-- end of bench -->
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dev.bench.bounds import BOUNDS, Bound
from dev.bench.comparison import with_and_without
from dev.bench.plots import bars, lines, stacks

Result = Mapping[str, Any]
REGION = re.compile(r"(<!-- bench: ([\w-]+) -->\n)(.*?)(<!-- end of bench -->)", re.DOTALL)
HISTORY = re.compile(r"(<!-- with history -->\n).*?(<!-- end of history -->)", re.DOTALL)
PICTURES = "performance"  # the folder beside the page
GROUPS = ("web", "worker", "sync", "beat", "postgres", "valkey")
TOP = 5


class PageBroken(Exception):
    """The page has no such region, or a region has no content. The message is for people."""


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
    text = page.read_text()
    if not HISTORY.search(text):
        raise PageBroken(f"{page} has no place for a comparison with history.")
    body = "\n".join(with_and_without(without, history))
    page.write_text(HISTORY.sub(lambda match: f"{match[1]}\n{body}\n\n{match[2]}", text))


# --- Regions: each yields Markdown and may add pictures -------------------------------------------

Pictures = dict[str, str]


def _conditions(result: Result, pictures: Pictures) -> Iterable[str]:
    machine = result["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items() if value)
    changed = " with uncommitted changes" if result["is_changed"] else ""
    yield f"| when | {result['taken_at'].replace('T', ' ')[:16]} UTC, a {result['form']} run |"
    yield "|---|---|"
    yield f"| commit | `{result['commit']}`{changed} |"
    yield f"| machine | {machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB, {machine['system']} |"
    yield f"| versions | {versions} |"
    yield f"| load before and after | {_loads(result['load_before'])}; {_loads(result['load_after'])} |"
    if not machine["versions"].get("wrk"):
        yield "| generator | k6 in place of wrk, which the machine does not have: k6 is the limit of fast calls |"


def _bounds(result: Result, pictures: Pictures) -> Iterable[str]:
    figures = result["figures"]
    yield "| what | measured | required | met | next goal | met |"
    yield "|---|--:|--:|:-:|--:|:-:|"
    for bound in BOUNDS:
        value = figures.get(bound.figure)
        wanted = "" if bound.wanted is None else _limit(bound, bound.wanted)
        yield (
            f"| {bound.what} | {'not measured' if value is None else _with_unit(value, bound.unit)} "
            f"| {_limit(bound, bound.required)} | {_verdict(bound, value, bound.required)} "
            f"| {wanted} | {_verdict(bound, value, bound.wanted)} |"
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


def _rates(result: Result, pictures: Pictures) -> Iterable[str]:
    rows: dict[str, Any] = {}
    for name in ("django", "livez", "join", "status", "board"):
        rows |= result["scenarios"].get(name, {}).get("rates", {})
    if not rows:
        yield "Not measured."
        return
    yield "| call | calls/s | of `hello` | of `hello` by CPU | p50 ms | p95 ms | p99 ms | CPU ms a call | of it web |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for name, row in rows.items():
        cpu = row["cpu_ms"]
        yield (
            f"| {name.replace('_', ', ')} | {row['rate']:,.0f} | {row['of_hello']:.3f} | {row['cpu_of_hello']:.3f} | {row['p50']:.1f} "
            f"| {row['p95']:.1f} | {row['p99']:.1f} | {cpu['service']:.2f} | {cpu['web']:.2f} |"
        )
    hello = sorted(row["hello"] for row in rows.values())[len(rows) // 2]
    yield ""
    yield f"`hello` itself: {hello:,.0f} calls/s in the middle."


def _queue(result: Result, pictures: Pictures) -> Iterable[str]:
    found = result["scenarios"].get("queue")
    if not found:
        yield "Not measured."
        return
    way = " → ".join(f"{users} users in {span} s" for span, users in found["stages"])
    figures = result["figures"]
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


def _sales(result: Result, pictures: Pictures) -> Iterable[str]:
    found = result["scenarios"].get("hold-and-pay")
    if not found:
        yield "Not measured."
        return
    yield f"{found['buyers']} customers at once; pgbench with {found['pgbench_clients']} clients."
    yield ""
    yield "| run | sales | sales/s, consumers included | paid/s | pgbench/s | of pgbench | p95 hold ms | p95 pay ms | consumers behind s |"
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for number, row in enumerate(found["runs"], start=1):
        yield (
            f"| {number} | {row['sales']:,} | {row['sales_per_second']:,.1f} | {row['paid_per_second']:,.1f} "
            f"| {row['pgbench']:,.0f} | {row['of_pgbench']:.3f} | {row['hold_p95']:,.0f} | {row['pay_p95']:,.0f} "
            f"| {row['behind_seconds']:.1f} |"
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
    yield f"| ms a sale | {' | '.join(GROUPS)} | all of them | receiver | generator |"
    yield f"|---|{'--:|' * (len(GROUPS) + 3)}"
    for title, cpu in rows.items():
        shown = " | ".join(
            f"{cpu[name]:.1f}" for name in (*GROUPS, "service", "receiver", "generator")
        )
        yield f"| {title} | {shown} |"
    parts = {title: {name: cpu[name] for name in GROUPS} for title, cpu in rows.items()}
    title = "CPU of a sale, by process"
    yield from _picture(pictures, "cpu", stacks(title, parts, unit="ms"), title)


def _pretix(result: Result, pictures: Pictures) -> Iterable[str]:
    found = result["scenarios"].get("pretix")
    if not found:
        yield "Not measured."
        return
    figures = result["figures"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    yield (
        f"{found['buyers']} customers at once. Encore sells {figures['pretix_ratio']:,.1f} times as many, and a sale takes "
        f"{figures['pretix_cpu_ratio']:,.1f} times less CPU time. {versions}."
    )
    yield ""
    yield (
        "| run | sales of pretix | pretix/s | Encore/s | ratio | CPU ms a sale: pretix | Encore | ratio "
        "| cores that idle Encore used | idle pretix |"
    )
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for number, row in enumerate(found["runs"], start=1):
        yield (
            f"| {number} | {row['sales']:,} | {row['pretix']:,.1f} | {row['encore']:,.1f} | {row['ratio']:,.1f} "
            f"| {row['pretix_cpu_ms']:,.0f} | {row['encore_cpu_ms']:,.1f} | {row['cpu_ratio']:,.1f} "
            f"| {row['idle_encore']:.3f} | {row['idle_pretix']:.3f} |"
        )
    parts = {
        name: {group: cpu[group] for group in GROUPS if group in cpu}
        for name, cpu in found["cpu_ms"].items()
    }
    title = "CPU of the same sale, by process"
    yield from _picture(pictures, "pretix", stacks(title, parts, unit="ms"), title)


def _contention(result: Result, pictures: Pictures) -> Iterable[str]:
    found = result["scenarios"].get("hot-seat")
    if not found:
        yield "Not measured."
        return
    yield f"{found['rivals']} customers at once; {found['seats']:,} seats in the hall."
    yield ""
    yield "| run | winners | refusals p50 ms | refusals p99 ms | scattered holds p50 ms | p99 ms | ratio of p99 |"
    yield "|--:|--:|--:|--:|--:|--:|--:|"
    for number, row in enumerate(found["runs"], start=1):
        yield (
            f"| {number} | {row['winners']} | {row['refusal_p50']:,.0f} | {row['refusal_p99']:,.0f} "
            f"| {row['hold_p50']:,.0f} | {row['hold_p99']:,.0f} | {row['ratio']:.2f} |"
        )


def _halls(result: Result, pictures: Pictures) -> Iterable[str]:
    found = result["scenarios"].get("seat-map")
    if not found:
        yield "Not measured."
        return
    names = {
        "map": "seat map",
        "list": "list of seats",
        "availability": "availability",
        "unchanged": "availability, 304",
        "changing": "availability while seats change",
    }
    yield f"{found['connections']} connections."
    yield ""
    yield "| seats | what | calls/s | p50 ms | p95 ms | CPU ms a call |"
    yield "|--:|---|--:|--:|--:|--:|"
    bars_of: dict[str, float] = {}
    for seats, rows in found["halls"].items():
        for name, title in names.items():
            row = rows[name]
            yield (
                f"| {int(seats):,} | {title} | {row['rate']:,.0f} | {row['p50']:.1f} | {row['p95']:.1f} "
                f"| {row['cpu_ms']['service']:.1f} |"
            )
        bars_of[f"{int(seats):,} seats, while seats change"] = rows["changing"]["p95"]
    title = "Availability: p95"
    yield from _picture(pictures, "availability", bars(title, bars_of, unit="ms"), title)


def _on_sale(result: Result, pictures: Pictures) -> Iterable[str]:
    found = result["scenarios"].get("on-sale")
    if not found:
        yield "Not measured."
        return
    figures = result["figures"]
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
    yield f"| path | process | the top {TOP} packages by own time | the top {TOP} functions |"
    yield "|---|---|---|---|"
    for name, groups in profiles.items():
        for group, costs in groups.items():
            tops = (
                "; ".join(f"`{row['name']}` {row['share']:.0%}" for row in costs[kind][:TOP])
                for kind in ("packages", "functions")
            )
            yield f"| {name} | {group} | {' | '.join(tops)} |"


REGIONS: dict[str, Callable[[Result, Pictures], Iterable[str]]] = {
    "conditions": _conditions,
    "bounds": _bounds,
    "rates": _rates,
    "queue": _queue,
    "sales": _sales,
    "cpu": _cpu_of_sales,
    "pretix": _pretix,
    "contention": _contention,
    "halls": _halls,
    "on-sale": _on_sale,
    "profiles": _profiles,
}


# --- Parts of regions -----------------------------------------------------------------------------


def _picture(pictures: Pictures, name: str, picture: str, title: str) -> Iterable[str]:
    pictures[name] = picture
    yield ""
    yield f"![{title}]({PICTURES}/{name}.svg)"


def _steps(steps: Mapping[str, Mapping[str, float]]) -> Iterable[str]:
    yield "| step | calls | p50 ms | p95 ms | p99 ms | longest ms |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, row in steps.items():
        title = "all at the peak" if name == "plateau" else name
        yield (
            f"| {title} | {row['count']:,} | {row['p50']:,.1f} | {row['p95']:,.1f} | {row['p99']:,.1f} "
            f"| {row['max']:,.0f} |"
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
