"""A crowd that comes, stays and goes, and the same crowd before an application that answers with nothing."""

import json
from typing import Any

from dev.bench.bench import Bench, Outcome, ScenarioFailed
from dev.bench.cpu import cpu_between
from dev.bench.crowd import new_concert
from dev.bench.generators import Crowd

POLLS = 2  # after each joining
ROOMS = 15  # which the crowd fills one after the other


def queue(bench: Bench) -> Outcome:
    logins = bench.folder / "logins.json"
    logins.write_text(json.dumps([customer.access_token for customer in bench.customers]))
    plan = {
        "logins": str(logins),
        "concerts": [new_concert(bench, seats=1, capacity=50).concert_id for _ in range(ROOMS)],
        "polls": POLLS,
        "stages": [{"duration": f"{span}s", "target": users} for span, users in bench.form.stages],
        "plateau": _plateau(bench),
    }
    seconds = sum(span for span, _ in bench.form.stages)
    bench.begin("queue", steps=2)
    floor = _play(bench, {**plan, "base": _hello(bench), "is_floor": True}, ["hello"], seconds)
    bench.advance()
    before = bench.cpu()
    crowd = _play(bench, plan, ["join", "status"], seconds)
    after = bench.cpu()
    bench.advance()
    calls = crowd.done("join") + crowd.done("status")
    plateau, floor_plateau = crowd.steps["plateau"], floor.steps["plateau"]
    figures = {
        "queue_p95_ms": plateau["p95"],
        "queue_p95_of_hello": round(plateau["p95"] / floor_plateau["p95"], 3),
        "queue_rate": round(calls / crowd.seconds, 1),
        "queue_failures": sum(crowd.refusals.values()),
        "queue_hello_p95_ms": floor_plateau["p95"],
    }
    details = {
        "steps": {step: crowd.steps[step] for step in ("join", "status", "plateau")},
        "floor_steps": floor.steps,
        "floor_rate": round(floor.done("hello") / floor.seconds, 1),
        "refusals": crowd.refusals,
        "users": max(users for _, users in bench.form.stages),
        "stages": bench.form.stages,
        "cpu_ms": cpu_between(before, after, units=calls),
    }
    return Outcome(figures, details)


def _play(bench: Bench, plan: dict[str, Any], steps: list[str], seconds: float) -> Crowd:
    crowd = bench.crowd("queue.js", {**plan, "steps": [*steps, "plateau"]}, timeout=seconds)
    missing = [step for step in (*steps, "plateau") if not crowd.done(step)]
    if missing:
        raise ScenarioFailed(f"No user did {', '.join(missing)}; refusals: {crowd.refusals}")
    return crowd


def _plateau(bench: Bench) -> list[int]:
    """Return from when until when, in milliseconds, the most users are there."""
    peak = max(users for _, users in bench.form.stages)
    begins = ends = passed = 0
    for span, users in bench.form.stages:
        passed += span
        if users == peak:
            begins, ends = begins or passed, passed
    return [begins * 1_000, ends * 1_000]


def _hello(bench: Bench) -> str:
    return bench.stack.floors["hello"].rstrip("/")
