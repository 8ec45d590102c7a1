"""Measure what runs by itself, however much there is in the database: ticks that admit, and the watch of the invariants."""

import statistics
import time
from datetime import timedelta

from django.utils import timezone

from apps.ops.invariants import check_invariants
from apps.queue.services import join_queue, leave_queue
from dev.bench.bench import Bench, Outcome, ScenarioFailed
from dev.bench.crowd import new_concert
from dev.stack.visitors import await_turn

VISITORS = 5  # one after the other, in each repeat
LATELY = timedelta(minutes=20)  # a watch every five minutes looks back as far
POLL_SECONDS = 0.02


def clock(bench: Bench) -> Outcome:
    """Time how soon the only visitor of an empty room is admitted, and the check of what has changed lately."""
    visitors = VISITORS * bench.form.repeats
    bench.begin("clock", steps=visitors + bench.form.repeats)
    waits = []
    for customer in bench.customers[:visitors]:
        concert = new_concert(bench, seats=1, capacity=1)
        waits.append(_seconds_alone(concert.concert_id, customer.user_id))
        bench.advance()
    watches = []
    for _ in range(bench.form.repeats):
        begun_at = time.monotonic()
        broken = [
            invariant.name
            for invariant in check_invariants(since=timezone.now() - LATELY)
            if invariant.breaches
        ]
        watches.append(time.monotonic() - begun_at)
        if broken:
            raise ScenarioFailed(f"Invariants are broken: {broken}")
        bench.advance()
    figures = {
        "alone_seconds": round(statistics.median(waits), 2),
        "alone_longest_seconds": round(max(waits), 2),
        "watch_seconds": round(statistics.median(watches), 3),
    }
    return Outcome(
        figures,
        {
            "waits": [round(wait, 2) for wait in waits],
            "watches": [round(watch, 3) for watch in watches],
        },
    )


def _seconds_alone(concert_id: int, customer_id: int) -> float:
    """
    :raises TimeoutError: the visitor was not admitted in time.
    """
    joined_at = time.monotonic()
    token = join_queue(customer_id=customer_id, concert_id=concert_id).token
    [token] = await_turn([token], poll_seconds=POLL_SECONDS)
    waited = time.monotonic() - joined_at
    leave_queue(token=token)
    return waited
