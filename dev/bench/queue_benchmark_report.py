"""The figures of a benchmark of waiting rooms, and whether they are within the bounds."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of call at one size. Times are microseconds: `client` is what a caller waits, `server` is spent in scripts.

    `visitors` is how many the calls served; `client_per_visitor` is the median over the calls, `server_per_visitor` the mean.
    """

    calls: int
    visitors: int
    visitors_per_second: float
    client_p50: float
    client_p99: float
    client_per_visitor: float
    server_p50: float
    server_p99: float
    server_longest: float
    server_per_visitor: float
    round_trips: float


@dataclass(frozen=True, slots=True)
class RoomReport:
    """`bytes_per_visitor` adds up the room's keys, `used_memory_per_visitor` is how much larger the server became."""

    waiting: int
    bytes_per_visitor: float
    used_memory_per_visitor: float
    operations: dict[str, Operation]


@dataclass(frozen=True, slots=True)
class Report:
    """`ratios` is what one visitor costs in the largest room, as a multiple of the smallest; empty with one room."""

    server: str
    append_only: bool
    cores: int
    load_before: float
    load_after: float
    rooms: list[RoomReport]
    ratios: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds that must hold. `ratio` compares the largest room with the smallest."""

    ratio: float = 1.2
    bytes_per_visitor: float = 300
    longest_script_ms: float = 10
    round_trips: float = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    what: str
    measured: float
    bound: float
    unit: str
    holds: bool


def judge(report: Report, bounds: Bounds) -> list[Verdict]:
    every = [operation for room in report.rooms for operation in room.operations.values()]
    trips = [
        room.operations[name].round_trips for room in report.rooms for name in ("join", "status")
    ]
    measured = [
        *(
            (f"{what}, largest : smallest room", report.ratios[name]["client"], bounds.ratio, "x")
            for name, what in (("status", "status"), ("admit", "tick per admission"))
            if report.ratios
        ),
        (
            "memory of a waiting visitor",
            max(room.bytes_per_visitor for room in report.rooms),
            bounds.bytes_per_visitor,
            "bytes",
        ),
        (
            "longest script",
            max(one.server_longest for one in every) / 1000,
            bounds.longest_script_ms,
            "ms",
        ),
        ("round trips per join and status", max(trips), bounds.round_trips, ""),
    ]
    return [
        Verdict(what, value, bound, unit, holds=value <= bound)
        for what, value, bound, unit in measured
    ]


def as_json(report: Report, verdicts: list[Verdict]) -> dict[str, Any]:
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **asdict(report),
        "bounds": [asdict(verdict) for verdict in verdicts],
        "holds": all(verdict.holds for verdict in verdicts),
    }
