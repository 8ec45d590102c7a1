"""Measure what a visitor whose turn it is reads of halls of several sizes: the map, the list of seats, the availability."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

import httpx

from dev.api import ApiRefused, hold, read, release
from dev.bench.bench import Bench, Outcome, ScenarioFailed, Target
from dev.bench.crowd import Visit, admitted, client_of, new_concert
from dev.bench.generators import Call
from dev.demo.loadtest import LoadTest

VISITORS = 8
CONNECTIONS = 4  # p95 is to tell of the service, not of a line before it
SECONDS, SECONDS_MAX = 2, 30  # of a measurement: longer where one call takes long
CALLS_IN_A_ROW = 6  # that a measurement has time for
CHANGE_EVERY = 0.5  # seconds


def seat_map(bench: Bench) -> Outcome:
    figures: dict[str, float] = {}
    halls = {}
    for seats in bench.form.halls:
        bench.begin(f"Hall of {seats:,}", steps=1)
        hall = new_concert(bench, seats=seats, capacity=VISITORS * 2, customers=VISITORS)
        visits = admitted(hall.concert_id, hall.customers)
        bench.begin(f"{seats:,} seats", steps=5)
        found = bench.rates(_targets(bench, hall, visits), repeats=1)
        with seats_changing(bench.stack.base_url, hall, visits):
            changing = {"changing": _target(bench, hall, visits, "availability")}
            found |= bench.rates(changing, repeats=1)
        halls[seats] = found
        for name, row in found.items():
            figures[f"{name}_{seats}_p95_ms"] = row["p95"]
    largest = max(bench.form.halls)
    figures["availability_p95_ms"] = figures[f"changing_{largest}_p95_ms"]
    return Outcome(figures, {"halls": halls, "connections": CONNECTIONS})


def _targets(bench: Bench, hall: LoadTest, visits: list[Visit]) -> dict[str, Target]:
    return {
        "map": _target(bench, hall, visits, "seat-map"),
        "list": _target(bench, hall, visits, "seats"),
        "availability": _target(bench, hall, visits, "availability"),
        "unchanged": _target(bench, hall, visits, "availability", is_known=True),
    }


def _target(
    bench: Bench, hall: LoadTest, visits: list[Visit], what: str, *, is_known: bool = False
) -> Target:
    request = read(f"/performances/{hall.performance_id}/{what}")
    with client_of(bench.stack.base_url) as http:
        answer = visits[0].api(http).send(request).raise_for_status()
    took, etag = answer.elapsed.total_seconds(), answer.headers["ETag"] if is_known else ""
    calls = [Call(request.url, login=visit.login, visit=visit.token, etag=etag) for visit in visits]
    return Target(
        bench.stack.base_url,
        lambda: calls,
        expected=304 if is_known else 200,
        counts=True,
        connections=CONNECTIONS,
        seconds=min(max(SECONDS, math.ceil(took * CALLS_IN_A_ROW)), SECONDS_MAX),
    )


@contextmanager
def seats_changing(base_url: str, hall: LoadTest, visits: list[Visit]) -> Iterator[None]:
    """Let customers hold a seat and give it back meanwhile, in turn, so that what was read gets old.

    :raises ScenarioFailed: one of them was refused.
    """
    is_over = threading.Event()
    problems: list[str] = []

    def change() -> None:
        try:
            with client_of(base_url) as http:
                for api in cycle([visit.api(http) for visit in visits]):
                    held = api.call(hold(hall.performance_id, hall.seat_ids[:1]))
                    is_over.wait(CHANGE_EVERY)
                    api.call(release(held["hold_id"]))
                    if is_over.wait(CHANGE_EVERY):
                        return
        except (httpx.HTTPError, ApiRefused) as error:
            problems.append(str(error))

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    if problems:
        raise ScenarioFailed(f"The seats did not change: {problems[0]}")
