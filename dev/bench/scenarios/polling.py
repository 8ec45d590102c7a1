"""Calls that a crowd repeats: one kind at a time, as fast as they are answered, each beside `hello`."""

import json
from collections.abc import Sequence

import redis

from apps.queue.services import join_queue
from dev import api
from dev.bench.bench import Bench, Outcome, Target
from dev.bench.crowd import new_concert, waiting_room
from dev.bench.figures import median_of
from dev.bench.generators import Call

TOKENS = 1_000


def livez(bench: Bench) -> Outcome:
    return _rates(bench, {"livez": Target(bench.stack.base_url, lambda: [Call("/livez")])})


def django(bench: Bench) -> Outcome:
    return _rates(bench, {"django": Target(bench.stack.floors["django"], lambda: [Call("/")])})


def join(bench: Bench) -> Outcome:
    """Let customers join a queue for the first time: a new concert for each repeat, each of them once at most."""

    def calls() -> Sequence[Call]:
        request = api.join(new_concert(bench, seats=1, capacity=50).concert_id)
        body = json.dumps(request.body)
        return [
            Call(request.url, "POST", login=customer.access_token, body=body)
            for customer in bench.customers
        ]

    target = Target(bench.stack.base_url, calls, expected=201, counts=True, once=True)
    return _rates(bench, {"join": target})


def status(bench: Bench) -> Outcome:
    """Let visitors ask for their place, in a small room and in a large one."""
    targets = {}
    for name, size in zip(("status_small", "status_large"), bench.form.rooms, strict=True):
        _, tokens = filled_room(bench, size)
        calls = [Call(api.STATUS.url, visit=token) for token in tokens]
        targets[name] = Target(bench.stack.base_url, lambda calls=calls: calls)  # type: ignore[misc]
    return _rates(bench, targets)


def board(bench: Bench) -> Outcome:
    """Read the public board, of a small room and of a large one."""
    targets = {}
    for name, size in zip(("board_small", "board_large"), bench.form.rooms, strict=True):
        concert_id, _ = filled_room(bench, size)
        calls = [Call(api.read(f"/queue/concerts/{concert_id}").url)]
        targets[name] = Target(bench.stack.base_url, lambda calls=calls: calls)  # type: ignore[misc]
    return _rates(bench, targets)


def filled_room(bench: Bench, size: int) -> tuple[int, list[str]]:
    """Return the concert of a room with `size` visitors, and the tokens of some; each room is made once."""
    if size not in bench.rooms:
        concert = new_concert(bench, seats=1, capacity=1, customers=1)
        join_queue(customer_id=concert.customers[0].user_id, concert_id=concert.concert_id)
        bench.begin(f"Fill {size:,}", steps=size)
        with redis.Redis.from_url(bench.stack.valkey.url) as client:
            tokens = waiting_room(
                client, concert.concert_id, size, tokens=TOKENS, progress=bench.advance
            )
        bench.rooms[size] = concert.concert_id, tokens
    return bench.rooms[size]


def _rates(bench: Bench, targets: dict[str, Target]) -> Outcome:
    bench.begin(", ".join(targets), steps=len(targets) * bench.form.repeats)
    found = bench.rates(targets)
    figures = {}
    for name, row in found.items():
        figures[f"{name}_of_hello"] = row["of_hello"]
        figures[f"{name}_rate"] = row["rate"]
        figures[f"{name}_cpu_ms"] = row["cpu_ms"]["service"]
        figures[f"{name}_cpu_of_hello"] = row["cpu_of_hello"]
        figures["hello_rate"] = row["hello"]
    kind = next(iter(targets)).partition("_")[0]
    if f"{kind}_large" in found:
        figures[f"{kind}_of_hello"] = found[f"{kind}_small"]["of_hello"]
        pairs = zip(found[f"{kind}_small"]["runs"], found[f"{kind}_large"]["runs"], strict=True)
        figures[f"{kind}_large_of_small"] = median_of(
            small["rate"] / large["rate"] for small, large in pairs
        )
    return Outcome(figures, {"rates": found})
