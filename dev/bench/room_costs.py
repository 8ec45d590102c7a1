"""Measure what waiting rooms cost at given sizes, by the caller's clock and by the server's own statistics.

All rooms are filled first and then take turns, so that whatever else the machine does meets small and large ones alike. A phase
counts as its fastest repetition; the longest script is the longest of all.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import redis

from apps.queue.core.lottery import key_blocks
from apps.queue.core.room import KEY_NAMES, SECOND, End, EndReason, Policy, Room, VisitStatus
from apps.queue.core.scripts import source
from apps.queue.core.tokens import TokenClaims
from apps.queue.services.exit_log import EXITS_BATCH
from apps.queue.services.rooms import REPLAY_BATCH

BULK = 1_000  # members that one ZADD writes
PORTION = 100  # calls that are sent together to keep the server busy
PATIENCE = 4 * 3600 * SECOND  # only those vanish who are meant to, however slow the machine
POLLING = 50 * SECOND  # a visitor who polls as advised was last seen at some moment of this span
FIRST_LOTTERY = 1_000  # rooms above this number have not opened yet
EPOCH = "benchmark"
PERCENTILES = (
    "50 99 100"  # of the time that calls of a command took; the last one is the longest call
)

# Loaded first: a script that the server does not know yet takes a second round trip.
SCRIPTS = ("configure", "join", "touch", "figures", "admit", "finish", "restore", "replay")

# What is being done, how much of it is done, how much there is to do.
OnProgress = Callable[[str, int, int], None]


class RoomFailed(Exception):
    """The server cannot be measured, or a room did not do its work. The message is for people."""


# What one kind of call has cost in one repetition. Times are microseconds: "client" is what a caller waits, "server" is spent in
# scripts. "visitors" is how many the calls served; "client_per_visitor" is the median over the calls, "server_per_visitor" the mean.
Operation = dict[str, float]


def measure(
    client: redis.Redis,
    sizes: Iterable[int],
    *,
    operations: int,
    repeats: int,
    on_progress: OnProgress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Fill rooms of these sizes on an empty server, measure them, and leave the server empty.

    Return the `rooms`, and as `ratios` what one visitor costs in the largest room, as a multiple of the smallest; none with one
    room. A phase makes `operations` calls of a kind, or as many as half of the visitors. Statistics of the server start anew.

    :raises RoomFailed: the server has keys or keeps no statistics, or a room did not do its work.
    """
    if client.dbsize():
        raise RoomFailed("The server holds keys already: name one that holds none.")
    try:
        client.config_set("latency-tracking", "yes")
        client.config_set("latency-tracking-info-percentiles", PERCENTILES)
    except redis.ResponseError as error:
        raise RoomFailed(f"The server does not let its commands be timed: {error}") from error
    for script in SCRIPTS:
        client.script_load(source(script))
    trials = [
        Trial(client, concert_id, size, operations=operations, on_progress=on_progress)
        for concert_id, size in enumerate(sorted(set(sizes)), start=1)
    ]

    def beat() -> None:
        """Stand in for the tick of every second; a room that misses it for long takes that for an outage."""
        for trial in trials:
            trial.room.admit(batch=0)

    try:
        for trial in trials:
            trial.fill()
        for trial in trials:
            trial.begin()
        for done in range(repeats):
            on_progress("measure", done, repeats)
            beat()
            # In turn, and not always the small room first: what else the machine does is to meet both alike.
            for _ in zip(
                *(trial.play() for trial in trials[:: -1 if done % 2 else 1]), strict=True
            ):
                pass
        on_progress("measure", repeats, repeats)
        for trial in trials:
            trial.lose_half(beat)
    finally:
        for trial in trials:
            trial.remove()
    return {
        "rooms": [trial.report() for trial in trials],
        "ratios": _ratios(trials[0], trials[-1]) if len(trials) > 1 else {},
    }


def room_keys(concert_id: int) -> dict[str, str]:
    return {name: f"{{queue:{concert_id}}}:{name}" for name in KEY_NAMES}


def policy_of(
    concert_id: int, *, capacity: int, generation: int = 1, opens_at: int = SECOND
) -> Policy:
    inner, outer = key_blocks(b"benchmark")
    return Policy(
        concert=concert_id,
        version=generation,
        generation=generation,
        state="OPEN",
        opens_at=opens_at,
        closes_at=0,
        capacity=capacity,
        per_minute=0,
        lease=300 * SECOND,
        patience=PATIENCE,
        lottery_window=7200 * SECOND,
        lottery_inner=inner,
        lottery_outer=outer,
    )


def fill_room(client: redis.Redis, concert_id: int, size: int, *, first_at: int) -> Iterator[int]:
    """Write what `size` joins leave behind, the first at `first_at` and one each microsecond. Yields how many are done."""
    keys = room_keys(concert_id)
    for start in range(0, size, BULK):
        customers = range(start + 1, min(start + BULK, size) + 1)
        slots = {str(customer): first_at + customer - 1 for customer in customers}
        client.zadd(keys["waiting"], slots)
        client.zadd(keys["seen"], {customer: slot + PATIENCE for customer, slot in slots.items()})
        client.hset(keys["room"], "last_slot", max(slots.values()))
        client.hsetnx(keys["room"], "ticked_at", first_at)
        yield customers[-1]


class Trial:
    """One room on its way through the benchmark. Customers are numbered from 1 on."""

    def __init__(
        self,
        client: redis.Redis,
        concert_id: int,
        size: int,
        *,
        operations: int,
        on_progress: OnProgress,
    ) -> None:
        self.room = Room(client, concert_id)
        self._lottery = Room(client, concert_id + FIRST_LOTTERY)
        self.size = size
        self._client = client
        self._keys = room_keys(concert_id)
        self._on_progress = on_progress
        self._operations = operations
        self._share = min(operations, size // 2)
        self._next_customer = size + 1
        self._touch = client.script_load(source("touch"))
        self.operations_seen: dict[str, list[Operation]] = {}
        self._key_bytes = self._admitted = self._dropped = 0
        self._has_more = True

    def fill(self) -> None:
        """Fill the room in bulk: as by joining, then as if each visitor had polled once as advised."""
        policy = policy_of(self.room.concert_id, capacity=self._share)
        self.room.configure(policy, epoch=EPOCH, was_stored=False)
        now = self._now()
        what = f"fill {self.size:,}"
        filling = fill_room(self._client, self.room.concert_id, self.size, first_at=now - self.size)
        for done in filling:
            self._on_progress(what, done // 2, self.size)
        for start in range(0, self.size, BULK):
            customers = range(start + 1, min(start + BULK, self.size) + 1)
            seen = {
                str(customer): now - random.randrange(POLLING) + PATIENCE for customer in customers
            }
            self._client.zadd(self._keys["seen"], seen)
            self._on_progress(what, (self.size + customers[-1]) // 2, self.size)
        self._key_bytes = sum(
            self._client.memory_usage(key, samples=0) or 0 for key in self._keys.values()
        )

    def begin(self) -> None:
        """Pretend that there were ticks while it was filled, so that it takes the time for no outage."""
        self._client.hset(self._keys["room"], "ticked_at", self._now())

    def play(self) -> Iterator[None]:
        """One repetition of everything that leaves the room as large as it was; yields after each kind of call."""
        ranks = [random.randrange(self.size) for _ in range(self._operations)]
        waiting = [claims for rank in ranks for claims in self._waiting(rank, rank + 1)]
        self._time(
            "status", [partial(self._poll, claims, VisitStatus.WAITING) for claims in waiting]
        )
        yield
        portions = [waiting[i : i + PORTION] for i in range(0, len(waiting), PORTION)]
        self._time("status_busy", [partial(self._poll_many, portion) for portion in portions])
        yield
        self._time("board", [self._look] * self._share)
        yield
        head = self._waiting(0, self._share)
        self._time("admit", self._steps_until_admitted(self._share))
        yield
        self._time("gate", [partial(self._poll, claims, VisitStatus.ACTIVE) for claims in head])
        yield
        self._time("finish", [partial(self._finish, claims) for claims in head])
        yield
        newcomers = range(self._next_customer, self._next_customer + self._share)
        self._next_customer = newcomers.stop
        self._time("join", [partial(self._join, self.room, newcomer) for newcomer in newcomers])
        yield
        lottery = self._lottery_room()
        self._time("join_early", [partial(self._join, lottery, newcomer) for newcomer in newcomers])
        yield

    def lose_half(self, beat: Callable[[], None]) -> None:
        """Every second visitor vanishes and is purged while others are admitted; then some come back, and the room is closed."""
        gone: list[TokenClaims] = []
        there: list[TokenClaims] = []
        for start in range(0, self.size, BULK):
            beat()
            members = self._waiting(start, min(start + BULK, self.size))
            vanished = members[::2]
            self._client.zadd(
                self._keys["seen"], {str(claims.customer_id): 1 for claims in vanished}
            )
            gone += vanished[: self._share - len(gone)]
            there += members[1::2][: self._share - len(there)]
            self._on_progress(f"vanish {self.size:,}", start + len(members), self.size)
        self._time("purge", self._steps_until_purged((self.size + 1) // 2, beat))
        self._time("restore", [partial(self._restore, claims) for claims in gone])
        batches = [there[i : i + REPLAY_BATCH] for i in range(0, len(there), REPLAY_BATCH)]
        self._time("replay", [partial(self._replay, batch) for batch in batches])
        self._time("close", [self._close])

    def remove(self) -> None:
        for room in (self.room, self._lottery):
            self._client.unlink(*room_keys(room.concert_id).values())

    def report(self) -> dict[str, Any]:
        """Return the bytes that a visitor takes in the room's keys, and the best of each call."""
        best = {name: _best(seen) for name, seen in self.operations_seen.items()}
        return {
            "waiting": self.size,
            "bytes_per_visitor": self._key_bytes / self.size,
            "operations": best,
        }

    def _time(self, name: str, calls: Iterable[Callable[[], int]]) -> None:
        """Make the calls, each of which says how many visitors it served, and keep what they cost."""
        samples: list[tuple[float, int]] = []
        self._client.config_resetstat()
        for call in calls:
            started_at = time.perf_counter()
            visitors = call()
            samples.append(((time.perf_counter() - started_at) * 1_000_000, visitors))
        info: dict[str, Any] = self._client.info("commandstats", "latencystats", "stats")
        server = info["latency_percentiles_usec_evalsha"]
        times = sorted(spent for spent, _ in samples)
        visitors = sum(served for _, served in samples)
        self.operations_seen.setdefault(name, []).append(
            {
                "calls": len(samples),
                "visitors": visitors,
                "visitors_per_second": visitors / sum(times) * 1_000_000,
                "client_p50": statistics.median(times),
                "client_p99": times[len(times) * 99 // 100],
                "client_per_visitor": statistics.median(
                    spent / served for spent, served in samples if served
                ),
                "server_p50": server["p50"],
                "server_p99": server["p99"],
                "server_longest": server["p100"],
                "server_per_visitor": info["cmdstat_evalsha"]["usec"] / visitors,
                # Reading the statistics was one more.
                "round_trips": (info["total_reads_processed"] - 1) / len(samples),
            }
        )

    # The calls: each says how many visitors it served.

    def _join(self, room: Room, customer_id: int) -> int:
        visit = room.join(customer_id)
        _require(visit.is_new, "joining made no visit")
        return 1

    def _poll(self, claims: TokenClaims, expected: VisitStatus) -> int:
        _require(self.room.touch(claims).outcome is expected, f"a visitor is not {expected}")
        return 1

    def _poll_many(self, claims_of_all: Sequence[TokenClaims]) -> int:
        """One visitor after the other without a pause between them: what the server can do at most."""
        pipeline = self._client.pipeline(transaction=False)
        keys = self._keys.values()
        for claim in claims_of_all:
            token = (
                claim.customer_id,
                random.random(),
                claim.slot,
                claim.generation,
                claim.lease_until,
            )
            pipeline.evalsha(self._touch, len(keys), *keys, "", *token)
        standings = {answer[0] for answer in pipeline.execute()}
        _require(standings == {VisitStatus.WAITING.encode()}, "a visitor is not WAITING")
        return len(claims_of_all)

    def _look(self) -> int:
        _require(self.room.figures() is not None, "the room is gone")
        return 1

    def _finish(self, claims: TokenClaims) -> int:
        finish = self.room.finish(
            customer_id=claims.customer_id,
            slot=claims.slot,
            generation=claims.generation,
            reason=EndReason.COMPLETED,
        )
        _require(finish.was_there, "a visit that was to end was not there")
        return 1

    def _restore(self, claims: TokenClaims) -> int:
        visit = self.room.restore(claims)
        _require(visit.slot == claims.slot, "a visitor did not get the place back")
        return 1

    def _replay(self, claims_of_all: Sequence[TokenClaims]) -> int:
        ends = [
            End(
                claim.customer_id,
                claim.slot,
                claim.generation,
                EndReason.COMPLETED,
                ended_at=claim.slot,
            )
            for claim in claims_of_all
        ]
        self.room.replay(ends, generation=1, is_last=True)
        return len(ends)

    def _close(self) -> int:
        policy = policy_of(self.room.concert_id, capacity=self._share, generation=2)
        self.room.configure(policy, epoch=EPOCH, was_stored=True)
        return 1

    def _step(self) -> int:
        step = self.room.admit()
        self._admitted += step.admitted
        self._dropped += step.dropped
        self._has_more = step.has_more
        return step.admitted + step.dropped + step.timed_out

    def _lottery_room(self) -> Room:
        """Make an empty room that opens in an hour."""
        policy = policy_of(
            self._lottery.concert_id,
            capacity=self._share,
            generation=self._next_customer,
            opens_at=self._now() + 3600 * SECOND,
        )
        self._lottery.configure(policy, epoch=EPOCH, was_stored=False)
        return self._lottery

    # Series of steps, with what has to happen in between.

    def _steps_until_admitted(self, share: int) -> Iterator[Callable[[], int]]:
        self._admitted, self._has_more = 0, True
        while self._admitted < share and self._has_more:
            yield self._step
        _require(self._admitted == share, f"{self._admitted:,} of {share:,} were admitted")

    def _steps_until_purged(
        self, absent: int, beat: Callable[[], None]
    ) -> Iterator[Callable[[], int]]:
        """Also moves the ends on, in portions as the exit log gets them."""
        self._dropped, self._has_more = 0, True
        while self._has_more:
            yield self._step
            if self._exits_pending() >= EXITS_BATCH or not self._has_more:
                beat()
                while ends := self.room.exits(count=EXITS_BATCH):
                    self.room.forget_exits([end.id for end in ends])
                self._on_progress(f"purge {self.size:,}", self._dropped, absent)
        _require(self._dropped == absent, f"{self._dropped:,} of {absent:,} absentees were dropped")

    def _waiting(self, first: int, end: int) -> list[TokenClaims]:
        """Return the claims of the visitors from one position up to another, counted from 0."""
        found: Any = self._client.zrange(self._keys["waiting"], first, end - 1, withscores=True)
        return [
            TokenClaims(self.room.concert_id, int(customer), int(slot), generation=1, issued_at=0)
            for customer, slot in found
        ]

    def _exits_pending(self) -> int:
        return int(self._client.xlen(self._keys["exits"]))

    def _now(self) -> int:
        seconds, micros = self._client.time()
        return int(seconds) * SECOND + int(micros)


def _best(seen: Sequence[Operation]) -> Operation:
    """Return the fastest repetition, with the longest script of all."""
    best = min(seen, key=lambda operation: operation["client_per_visitor"])
    return {**best, "server_longest": max(operation["server_longest"] for operation in seen)}


def _ratios(small: Trial, large: Trial) -> dict[str, dict[str, float]]:
    """Return the median over the repetitions, each of which measured both rooms within a moment."""
    return {
        name: {
            side: statistics.median(
                dear[f"{side}_per_visitor"] / cheap[f"{side}_per_visitor"]
                for dear, cheap in zip(large.operations_seen[name], seen, strict=True)
            )
            for side in ("client", "server")
        }
        for name, seen in small.operations_seen.items()
    }


def _require(is_so: bool, complaint: str) -> None:
    if not is_so:
        raise RoomFailed(f"The measurement is worthless: {complaint}.")
