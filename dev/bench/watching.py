"""Watch sales from outside: the rows that they left, how far consumers are behind, and the invariants."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from apps.ops.invariants import check_invariants
from dev.bench.bench import Bench, ScenarioFailed

Values = Sequence[Any] | Mapping[str, Any] | None

SAMPLE_SECONDS = 1.0
CATCH_UP_TIMEOUT = 120.0
CATCH_UP_POLL = 0.1
BEHIND = """
    SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(event.occurred_at)), 0)
    FROM outbox_eventdelivery delivery
    JOIN outbox_outboxevent event ON event.id = delivery.event_id
    WHERE delivery.status = 'PENDING'
"""
DEAD = "SELECT count(*) FROM outbox_eventdelivery WHERE status = 'DEAD'"
SOLD = """
    SELECT count(*) FROM reservations_reservation sold
    JOIN concerts_performance performance ON performance.id = sold.performance_id
    WHERE performance.concert_id = %s AND sold.status = 'CONFIRMED'
"""
# Tickets of confirmed reservations, and the different seats that they are for.
TICKETS = """
    SELECT count(*), count(DISTINCT ticket.seat_id), max(sold.reserved_at)
    FROM reservations_ticket ticket
    JOIN reservations_reservation sold ON sold.id = ticket.reservation_id
    JOIN concerts_performance performance ON performance.id = sold.performance_id
    WHERE performance.concert_id = %s AND sold.status = 'CONFIRMED'
"""
# From the first hold since then to the last consequence, by one clock.
ELAPSED = """
    SELECT extract(epoch FROM (
        SELECT max(delivery.done_at)
        FROM outbox_outboxevent event
        JOIN outbox_eventdelivery delivery ON delivery.event_id = event.id
        WHERE event.occurred_at >= %(since)s
    ) - (SELECT min(held_at) FROM reservations_hold WHERE held_at >= %(since)s))
"""
FIRST_JOIN = "SELECT min(joined_at) FROM queue_queueexit WHERE concert_id = %s"
# Visits that ended, what they took of the slots, and the parts of those in which a seat was bought.
VISITS = """
    SELECT count(*),
        coalesce(sum(extract(epoch FROM least(visit.ended_at, %(until)s) - visit.admitted_at)), 0),
        coalesce(avg(extract(epoch FROM hold.held_at - visit.admitted_at)), 0),
        coalesce(avg(extract(epoch FROM sold.reserved_at - hold.held_at)), 0),
        coalesce(avg(extract(epoch FROM visit.ended_at - sold.reserved_at)), 0)
    FROM queue_queueexit visit
    LEFT JOIN reservations_hold hold ON hold.customer_id = visit.customer_id
        AND hold.queue_slot = visit.slot AND hold.queue_generation = visit.generation
    LEFT JOIN reservations_reservation sold ON sold.hold_id = hold.id
    WHERE visit.concert_id = %(concert)s AND visit.admitted_at < %(until)s
"""
# Visits that were admitted although a visitor with an earlier slot, who was waiting by then, was admitted later.
OUT_OF_ORDER = """
    SELECT count(*) FROM (
        SELECT admitted_at, min(admitted_at) OVER (
            ORDER BY slot ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
        ) AS earliest_behind
        FROM queue_queueexit
        WHERE concert_id = %s AND admitted_at IS NOT NULL
    ) visits
    WHERE earliest_behind < admitted_at
"""


@dataclass(slots=True)
class Watch:
    """`samples` are (seconds since the start, sold so far, seconds that the oldest pending event is old), once a second.

    `elapsed` is how many seconds passed from the first hold until every consumer had caught up.
    """

    started_at: float
    samples: list[tuple[float, int, float]] = field(default_factory=list)
    elapsed: float = 0.0
    sold: int = 0

    @property
    def behind_most(self) -> float:
        return max((behind for _, _, behind in self.samples), default=0.0)


@contextmanager
def watching(database_url: str, concert_id: int) -> Iterator[Watch]:
    """Sample once a second until the block ends, then until every consumer has caught up.

    :raises ScenarioFailed: consumers do not catch up, or have given an event up.
    """
    watch, since = Watch(time.monotonic()), datetime.now(UTC)
    is_over = threading.Event()
    sampler = threading.Thread(
        target=_sample, args=(database_url, concert_id, watch, is_over), daemon=True
    )
    sampler.start()
    try:
        yield watch
        _await_consumers(database_url)
        watch.elapsed = float(_find(database_url, ELAPSED, {"since": since})[0] or 0)
    finally:
        is_over.set()
        sampler.join()


def _sample(database_url: str, concert_id: int, watch: Watch, is_over: threading.Event) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        while not is_over.is_set():
            behind = _row(connection, BEHIND)[1]
            watch.sold = _row(connection, SOLD, [concert_id])[0]
            passed = time.monotonic() - watch.started_at
            watch.samples.append((round(passed, 1), watch.sold, round(float(behind), 2)))
            is_over.wait(SAMPLE_SECONDS)


def _await_consumers(database_url: str) -> None:
    until = time.monotonic() + CATCH_UP_TIMEOUT
    with psycopg.connect(database_url, autocommit=True) as connection:
        while (pending := _row(connection, BEHIND)[0]) > 0:
            if time.monotonic() > until:
                raise ScenarioFailed(f"{pending:,} deliveries are pending after two minutes.")
            time.sleep(CATCH_UP_POLL)
        if dead := _row(connection, DEAD)[0]:
            raise ScenarioFailed(f"{dead:,} deliveries were given up.")


def tickets_sold(database_url: str, concert_id: int) -> tuple[int, int, Any]:
    """Return tickets, the different seats that they are for, and when the last one was sold."""
    tickets, seats, last_at = _find(database_url, TICKETS, [concert_id])
    return tickets, seats, last_at


def slots_of(
    database_url: str, concert_id: int, *, capacity: int, since: datetime, until: datetime
) -> dict[str, Any]:
    """Return where the time of a room's slots went: their share that was taken, and the parts of a visit in seconds.

    A slot that is taken waits for its visitor to come and to choose (`to_hold`), to pay (`to_pay`), and to be freed (`to_free`).
    """
    values = {"concert": concert_id, "until": until}
    visits, taken, *parts = _find(database_url, VISITS, values)
    names = ("to_hold", "to_pay", "to_free")
    return {
        "visits": visits,
        "taken": round(float(taken) / (capacity * (until - since).total_seconds()), 3),
        **{name: round(float(part), 3) for name, part in zip(names, parts, strict=True)},
    }


def first_join_at(database_url: str, concert_id: int) -> datetime:
    """Return when the first of those who had a turn came."""
    joined_at: datetime = _find(database_url, FIRST_JOIN, [concert_id])[0]
    return joined_at


def admissions_out_of_order(database_url: str, concert_id: int) -> int:
    return int(_find(database_url, OUT_OF_ORDER, [concert_id])[0])


def breaches(bench: Bench) -> int:
    """Check every invariant; return how many breaches there are, which should be none.

    With years of history, look at what has changed since the stack was started: reading all of it takes minutes.

    :raises ScenarioFailed: there are some; the message names the first of each.
    """
    since = bench.started_at if bench.stack.history else None
    broken = [invariant for invariant in check_invariants(since=since) if invariant.breaches]
    if broken:
        named = "; ".join(
            f"{check.name}: {check.breaches} ({check.examples[:1]})" for check in broken
        )
        raise ScenarioFailed(f"Invariants are broken: {named}")
    return 0


def _find(database_url: str, query: str, values: Values) -> Any:
    with psycopg.connect(database_url) as connection:
        return _row(connection, query, values)


def _row(connection: psycopg.Connection[Any], query: str, values: Values = None) -> Any:
    return connection.execute(query, values).fetchone()
