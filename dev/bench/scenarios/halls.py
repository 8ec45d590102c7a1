"""Measure what a visitor whose turn it is reads of halls of several sizes: the map, the list of seats, the availability."""

import json
import math
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

from dev.bench.bench import Bench, Outcome, ScenarioFailed, Target
from dev.bench.crowd import Visit, admitted, new_concert
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
        visits = admitted(bench.stack.base_url, hall.concert_id, hall.customers)
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
    path = f"/api/v1/performances/{hall.performance_id}/{what}"
    started_at = time.monotonic()
    etag = _etag(bench.stack.base_url + path, visits[0])
    took = time.monotonic() - started_at
    calls = [
        Call(path, login=visit.login, place=visit.place, etag=etag if is_known else "")
        for visit in visits
    ]
    return Target(
        bench.stack.base_url,
        lambda: calls,
        expected=304 if is_known else 200,
        counts=True,
        connections=CONNECTIONS,
        seconds=min(max(SECONDS, math.ceil(took * CALLS_IN_A_ROW)), SECONDS_MAX),
    )


def _etag(url: str, visit: Visit) -> str:
    with urllib.request.urlopen(_request(url, visit), timeout=60) as answer:  # noqa: S310
        answer.read()
        return str(answer.headers["ETag"])


def _request(url: str, visit: Visit, body: str | None = None) -> urllib.request.Request:
    headers = {"Authorization": f"Bearer {visit.login}", "Queue-Token": visit.place}
    if body is not None:
        headers["Content-Type"] = "application/json"
    data = None if body is None else body.encode()
    return urllib.request.Request(url, data=data, headers=headers)  # noqa: S310


@contextmanager
def seats_changing(base_url: str, hall: LoadTest, visits: list[Visit]) -> Iterator[None]:
    """Meanwhile customers hold a seat and give it back, in turn, so that what was read gets old.

    :raises ScenarioFailed: one of them was refused.
    """
    is_over = threading.Event()
    problems: list[str] = []

    def change() -> None:
        try:
            for visit in cycle(visits):
                hold_id = _hold(base_url, hall, visit)
                is_over.wait(CHANGE_EVERY)
                _release(base_url, hold_id, visit)
                if is_over.wait(CHANGE_EVERY):
                    return
        except OSError as error:
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


def _hold(base_url: str, hall: LoadTest, visit: Visit) -> str:
    body = {"performance_id": hall.performance_id, "seat_ids": hall.seat_ids[:1]}
    request = _request(f"{base_url}/api/v1/holds", visit, json.dumps(body))
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return str(json.load(answer)["data"]["hold_id"])


def _release(base_url: str, hold_id: str, visit: Visit) -> None:
    request = _request(f"{base_url}/api/v1/holds/{hold_id}", visit)
    request.method = "DELETE"
    urllib.request.urlopen(request, timeout=60).close()  # noqa: S310
