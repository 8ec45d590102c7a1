"""Bounds to reach, and goals after that. The page shows each bound beside its figure."""

from collections.abc import Mapping
from dataclasses import dataclass

AT_LEAST, AT_MOST = "at least", "at most"


@dataclass(frozen=True, slots=True)
class Bound:
    """`required` has to be reached, `wanted` comes next, None where there is nothing beyond."""

    figure: str
    what: str
    direction: str
    required: float
    wanted: float | None = None
    unit: str = ""

    def is_met_by(self, value: float, *, by: float | None = None) -> bool:
        limit = self.required if by is None else by
        return value >= limit if self.direction == AT_LEAST else value <= limit


BOUNDS = (
    Bound("join_of_hello", "joining, of `hello`", AT_LEAST, 0.08, 0.11),
    Bound("status_of_hello", "asking for the place, of `hello`", AT_LEAST, 0.10, 0.15),
    Bound("board_of_hello", "the board, of `hello`", AT_LEAST, 0.6, 0.7),
    Bound("livez_of_hello", "`/livez` behind all middleware, of `hello`", AT_LEAST, 0.06, 0.08),
    Bound("queue_p95_of_hello", "queue profile: p95 at the peak, of `hello`", AT_MOST, 2.2, 1.8),
    Bound("queue_p95_ms", "queue profile: p95 at the peak", AT_MOST, 500, unit="ms"),
    Bound("queue_failures", "queue profile: failures", AT_MOST, 0),
    Bound("sale_of_pgbench", "hold and pay, of the reference sale", AT_LEAST, 0.25, 0.35),
    Bound("pay_p95_ms", "hold and pay: p95 of paying", AT_MOST, 400, 250, "ms"),
    Bound("consumers_behind_seconds", "hold and pay: consumers behind", AT_MOST, 5, unit="s"),
    Bound("sale_cpu_ms", "CPU per sale, all processes of the service", AT_MOST, 16, 10, "ms"),
    Bound("sale_cpu_web_ms", "CPU per sale: web", AT_MOST, 6, unit="ms"),
    Bound("sale_cpu_consumers_ms", "CPU per sale: consumers", AT_MOST, 3, unit="ms"),
    Bound("sale_cpu_postgres_ms", "CPU per sale: PostgreSQL", AT_MOST, 6, unit="ms"),
    Bound("pretix_ratio", "the same sale side by side, of pretix", AT_LEAST, 15, 25, "times"),
    Bound("cockpit_sales_of_without", "sales with 50 viewers of the cockpit", AT_LEAST, 0.98),
    Bound("cockpit_p95_ms", "cockpit: p95 of 50 viewers", AT_MOST, 100, unit="ms"),
    Bound("cockpit_reads_per_second", "cockpit: readings a second for 50", AT_MOST, 1),
    Bound("cockpit_cores", "cockpit: cores that 50 viewers take", AT_MOST, 0.04),
    Bound("hot_seat_winners", "hot seat: winners", AT_MOST, 1),
    Bound("hot_seat_of_scattered", "hot seat: p99 of refusals, of scattered holds", AT_MOST, 1.5),
    Bound("status_large_of_small", "status in the large room, cost of the small", AT_MOST, 1.1),
    Bound("board_large_of_small", "board of the large room, cost of the small", AT_MOST, 1.1),
    Bound("room_status_large_of_small", "script of a status, large room of small", AT_MOST, 1.2),
    Bound("room_admit_large_of_small", "tick per admission, large room of small", AT_MOST, 1.2),
    Bound("room_visitor_bytes", "memory of a waiting visitor", AT_MOST, 300, unit="bytes"),
    Bound("room_longest_script_ms", "longest script of a waiting room", AT_MOST, 10, unit="ms"),
    Bound("room_round_trips", "round trips of a join and of a status", AT_MOST, 1),
    Bound("availability_p95_ms", "availability of the largest hall: p95", AT_MOST, 20, unit="ms"),
    Bound("on_sale_seconds", "on-sale: until sold out", AT_MOST, 60, 40, "s"),
    Bound("on_sale_doubles", "on-sale: seats sold twice", AT_MOST, 0),
    Bound("on_sale_lost", "on-sale: paid but not there", AT_MOST, 0),
    Bound("on_sale_errors", "on-sale: errors other than refusals", AT_MOST, 0),
    Bound("on_sale_out_of_order", "on-sale: admitted out of order", AT_MOST, 0),
    Bound("on_sale_breaches", "on-sale: broken invariants", AT_MOST, 0),
    Bound(
        "alone_seconds", "the only visitor of an empty room: admitted after", AT_MOST, 1.5, unit="s"
    ),
    Bound("watch_seconds", "watch of the invariants", AT_MOST, 5, unit="s"),
)


def missed(figures: Mapping[str, float]) -> list[Bound]:
    """Return the bounds whose figure was measured and does not reach what is required."""
    return [
        bound
        for bound in BOUNDS
        if bound.figure in figures and not bound.is_met_by(figures[bound.figure])
    ]
