"""An on-sale from the door to the last seat."""

import json
import time

from dev.bench.bench import Bench, Outcome, ScenarioFailed
from dev.bench.cpu import cpu_between
from dev.bench.crowd import new_concert
from dev.bench.scenarios.selling import refuse_unless_sold
from dev.bench.watching import (
    admissions_out_of_order,
    breaches,
    first_join_at,
    slots_of,
    tickets_sold,
    watching,
)

STEPS = ("join", "rejoin", "status", "map", "availability", "hold", "pay", "leave")
SEAT_LIMIT = 10
AFTERWARDS = 2.0  # seconds that answers have to arrive once the last seat is sold
# What a customer may be told on such a day. Anything else is an error.
REFUSALS = {
    "SEAT_ALREADY_HELD",
    "SEAT_ALREADY_RESERVED",
    "QUEUE_TOKEN_NOT_ACTIVE",
    "QUEUE_TOKEN_EXPIRED",
    "RATE_LIMITED",
}


def on_sale(bench: Bench) -> Outcome:
    form = bench.form
    concert = new_concert(
        bench,
        seats=form.on_sale_seats,
        capacity=form.on_sale_capacity,
        seats_per_customer=SEAT_LIMIT,
    )
    customers = bench.customers[: form.on_sale_customers]
    logins, seats = bench.folder / "logins.json", bench.folder / "seats.json"
    logins.write_text(json.dumps([customer.access_token for customer in customers]))
    seats.write_text(json.dumps(concert.seat_ids))
    plan = {
        "steps": STEPS,
        "logins": str(logins),
        "seats": str(seats),
        "concert": concert.concert_id,
        "performance": concert.performance_id,
        "limit": SEAT_LIMIT,
        "longest": f"{form.on_sale_seconds_max}s",
    }
    bench.begin("on-sale", steps=form.on_sale_seats)
    shown, sold_out_since = 0, 0.0
    database_url = bench.stack.environment["DATABASE_URL"]
    before = bench.cpu()
    with watching(database_url, concert.concert_id) as watch:

        def is_over() -> bool:
            nonlocal shown, sold_out_since
            bench.advance(watch.sold - shown)
            shown = watch.sold
            if watch.sold == form.on_sale_seats and not sold_out_since:
                sold_out_since = time.monotonic()
            return bool(sold_out_since) and time.monotonic() - sold_out_since > AFTERWARDS

        crowd = bench.crowd("on_sale.js", plan, timeout=form.on_sale_seconds_max, is_over=is_over)
    after = bench.cpu()
    tickets, different, last_at = tickets_sold(database_url, concert.concert_id)
    if tickets < form.on_sale_seats:
        raise ScenarioFailed(
            f"{tickets:,} of {form.on_sale_seats:,} seats were sold within {form.on_sale_seconds_max} s; "
            f"refusals: {crowd.refusals}"
        )
    refuse_unless_sold(bench, concert.concert_id, form.on_sale_seats)
    # The door opens with the first customer: a generator of thousands of users takes seconds to get ready.
    began_at = first_join_at(database_url, concert.concert_id)
    seconds = (last_at - began_at).total_seconds()
    errors = {code: n for code, n in crowd.refusals.items() if code not in REFUSALS}
    figures = {
        "on_sale_seconds": round(seconds, 1),
        "on_sale_rate": round(tickets / seconds, 1),
        "on_sale_doubles": tickets - different,
        "on_sale_lost": max(crowd.done("pay") - tickets, 0),
        "on_sale_errors": sum(errors.values()),
        "on_sale_out_of_order": admissions_out_of_order(database_url, concert.concert_id),
        "on_sale_behind_seconds": watch.behind_most,
        "on_sale_breaches": breaches(bench),
    }
    details = {
        "customers": len(customers),
        "seats": form.on_sale_seats,
        "capacity": form.on_sale_capacity,
        "steps": {step: crowd.steps[step] for step in STEPS if step in crowd.steps},
        "refusals": crowd.refusals,
        "counters": crowd.counters,
        "slots": slots_of(
            database_url,
            concert.concert_id,
            capacity=form.on_sale_capacity,
            since=began_at,
            until=last_at,
        ),
        "cpu_ms": cpu_between(before, after, units=tickets),
        "samples": watch.samples,
    }
    return Outcome(figures, details)
