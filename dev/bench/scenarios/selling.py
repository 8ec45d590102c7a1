"""Seats that are sold: to many customers who have been admitted, and to many who want the same one."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from dev.bench.bench import Bench, Outcome, ScenarioFailed
from dev.bench.cpu import cpu_between
from dev.bench.crowd import HIGHEST_CAPACITY, Visit, admitted, new_concert
from dev.bench.figures import medians, of_neighbours
from dev.bench.generators import Crowd
from dev.bench.reference import CLIENTS, ReferenceSale
from dev.bench.watching import breaches, tickets_sold, watching
from dev.demo.loadtest import LoadTest

CALIBRATION = 2  # sales of each buyer that tell how many a measurement needs
LONGEST = "120s"
SEAT_LIMIT = 10

# Gets the id of the concert that is sold.
Beside = Callable[[int], AbstractContextManager[None]]


def hold_and_pay(bench: Bench) -> Outcome:
    """Sell in each repeat for about as long as the form says, between two runs of the reference sale."""
    form = bench.form
    reference = ReferenceSale(bench.stack.postgres)
    bench.begin("hold-and-pay", steps=form.repeats)
    floor_seconds = max(form.duration, 1)
    rate = sell(bench, form.buyers * CALIBRATION)["sales_per_second"]
    before = reference.sales_per_second(seconds=floor_seconds)
    rows = []
    for _ in range(form.repeats):
        sales = min(max(int(rate * form.sale_seconds), form.buyers), form.sales_max)
        row = sell(bench, sales)
        after = reference.sales_per_second(seconds=floor_seconds)
        row["pgbench"] = round((before + after) / 2, 1)
        row["of_pgbench"] = round(of_neighbours(row["sales_per_second"], before, after), 4)
        rows.append(row)
        before, rate = after, row["sales_per_second"]
        bench.advance()
    middle = medians([{key: row[key] for key in row if key not in _PARTS} for row in rows])
    cpu_ms = medians([row["cpu_ms"] for row in rows])
    figures = {
        "sale_of_pgbench": middle["of_pgbench"],
        "sale_rate": middle["sales_per_second"],
        "pgbench_rate": middle["pgbench"],
        "hold_p95_ms": middle["hold_p95"],
        "pay_p95_ms": middle["pay_p95"],
        "consumers_behind_seconds": max(row["behind_seconds"] for row in rows),
        "sale_cpu_ms": cpu_ms["service"],
        "sale_cpu_web_ms": cpu_ms["web"],
        "sale_cpu_consumers_ms": round(cpu_ms["worker"] + cpu_ms["sync"], 4),
        "sale_cpu_postgres_ms": cpu_ms["postgres"],
        "sale_breaches": breaches(bench),
    }
    details = {
        "buyers": form.buyers,
        "pgbench_clients": CLIENTS,
        "cpu_ms": cpu_ms,
        "runs": rows,
    }
    return Outcome(figures, details)


_PARTS = ("cpu_ms", "steps", "samples")


def sell(bench: Bench, sales: int, *, beside: Beside | None = None) -> dict[str, Any]:
    """Sell so many seats, one to a visit, and wait until every consumer has done its part; `beside` goes on meanwhile."""
    concert = new_concert(
        bench, seats=sales, capacity=HIGHEST_CAPACITY, seats_per_customer=SEAT_LIMIT
    )
    buyers = _admit(bench, concert, sales)
    plan = {
        "steps": ["hold", "pay"],
        "visits": _written(bench, buyers, concert.seat_ids),
        "users": bench.form.buyers,
        "performance": concert.performance_id,
        "run": concert.concert_id,
        "longest": LONGEST,
    }
    with beside(concert.concert_id) if beside else nullcontext():
        before = bench.cpu()
        with watching(bench.stack.environment["DATABASE_URL"], concert.concert_id) as watch:
            crowd = bench.crowd("hold_and_pay.js", plan, timeout=120)
        after = bench.cpu()
    if crowd.done("pay") != sales:
        raise ScenarioFailed(f"{crowd.done('pay'):,} of {sales:,} were sold: {crowd.refusals}")
    refuse_unless_sold(bench, concert.concert_id, sales)
    return {
        "sales": sales,
        "sales_per_second": round(sales / watch.elapsed, 2),
        "paid_per_second": round(sales / crowd.seconds, 2),
        "behind_seconds": watch.behind_most,
        **{
            f"{step}_{p}": crowd.steps[step][p]
            for step in ("hold", "pay")
            for p in ("p50", "p95", "p99")
        },
        "cpu_ms": cpu_between(before, after, units=sales),
        "samples": watch.samples,
    }


def hot_seat(bench: Bench) -> Outcome:
    """Let rivals ask for one seat, then as many customers who want a seat each; the same customers every time."""
    form = bench.form
    concert = new_concert(
        bench, seats=form.scattered_seats, capacity=HIGHEST_CAPACITY, seats_per_customer=SEAT_LIMIT
    )
    rivals = _admit(bench, concert, form.rivals)
    rounds = min(form.repeats, SEAT_LIMIT // 2)
    bench.begin("hot-seat", steps=rounds * 2)
    rows: list[dict[str, float]] = []
    seats = iter(concert.seat_ids)
    for _ in range(rounds):
        hot = next(seats)
        contest = _rush(bench, concert, rivals, [hot] * form.rivals)
        bench.advance()
        spread = _rush(bench, concert, rivals, [next(seats) for _ in rivals])
        bench.advance()
        if contest.done("won") != 1 or contest.done("lost") != form.rivals - 1:
            raise ScenarioFailed(f"Of {form.rivals}: {contest.steps}, {contest.refusals}")
        if spread.done("won") != form.rivals:
            raise ScenarioFailed(f"Of {form.rivals}: {spread.steps}, {spread.refusals}")
        rows.append(
            {
                "winners": contest.done("won"),
                "refusal_p50": contest.steps["lost"]["p50"],
                "refusal_p99": contest.steps["lost"]["p99"],
                "hold_p50": spread.steps["won"]["p50"],
                "hold_p99": spread.steps["won"]["p99"],
                "ratio": contest.steps["lost"]["p99"] / spread.steps["won"]["p99"],
            }
        )
    middle = medians(rows)
    figures = {
        "hot_seat_winners": max(row["winners"] for row in rows),
        "hot_seat_refusal_p99_ms": middle["refusal_p99"],
        "scattered_hold_p99_ms": middle["hold_p99"],
        "hot_seat_of_scattered": middle["ratio"],
        "hot_seat_breaches": breaches(bench),
    }
    return Outcome(figures, {"rivals": form.rivals, "seats": form.scattered_seats, "runs": rows})


def _rush(bench: Bench, concert: LoadTest, rivals: list[Visit], seats: list[int]) -> Crowd:
    plan = {
        "steps": ["connect", "hold", "won", "lost", "odd"],
        "visits": _written(bench, rivals, seats),
        "performance": concert.performance_id,
        "start_after": bench.form.rush_after * 1_000,
        "longest": LONGEST,
    }
    return bench.crowd("hot_seat.js", plan, timeout=120)


def _admit(bench: Bench, concert: LoadTest, number: int) -> list[Visit]:
    """Admit so many customers: those who have not bought for the longest time, as a wallet does not last for ever."""
    if number > len(bench.customers):
        raise ScenarioFailed(f"There are {len(bench.customers):,} customers, not {number:,}.")
    chosen = bench.customers[:number]
    bench.customers = bench.customers[number:] + chosen
    return admitted(concert.concert_id, chosen)


def _written(bench: Bench, visits: list[Visit], seats: list[int]) -> str:
    file = bench.folder / "visits.json"
    pairs = zip(visits, seats, strict=True)
    file.write_text(
        json.dumps(
            [{"login": visit.login, "visit": visit.token, "seat": seat} for visit, seat in pairs]
        )
    )
    return str(file)


def refuse_unless_sold(bench: Bench, concert_id: int, expected: int) -> None:
    """:raises ScenarioFailed: a seat was sold twice, or what was paid for is not there."""
    tickets, seats, _ = tickets_sold(bench.stack.environment["DATABASE_URL"], concert_id)
    if tickets != expected or seats != expected:
        raise ScenarioFailed(f"{expected:,} paid, {tickets:,} tickets for {seats:,} seats.")
