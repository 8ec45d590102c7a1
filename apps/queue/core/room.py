"""One waiting room, live in Valkey. Each method is one atomic script and one round trip.

    {queue:<concert>}:room     hash    policy copy, epoch, last place, counters
    {queue:<concert>}:waiting  zset    customer -> place
    {queue:<concert>}:seen     zset    customer -> the moment the room's patience with them ends
    {queue:<concert>}:active   zset    customer -> end of the lease
    {queue:<concert>}:visits   hash    customer -> place, admission and whether they have shown up, of the ACTIVE
    {queue:<concert>}:ended    zset    customer:place -> when and how it ended, for ten minutes
    {queue:<concert>}:exits    stream  ends on their way to the exit log
    {queue:<concert>}:pace     hash    second -> admissions, of the last minute

A place is the server's clock at arrival, made strictly increasing (a hybrid logical clock of one node: Kulkarni et al., "Logical
physical clocks", 2014). So order needs no counter that could be lost: whatever was lost, newcomers stand behind everybody who
came before, and a signed token is enough to put a visitor back. Admission is a lease (Gray and Cheriton, "Leases", 1989): a slot
comes free by the clock, whatever becomes of the visitor. Waits are foretold by Little's law ("A proof for the queuing formula
L = λW", 1961).
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, Protocol

from apps.queue.core.scripts import SERVER_CLOCK, ScriptClient, run, source
from apps.queue.core.tokens import TokenClaims

SECOND = 1_000_000
# Visitors that one step of admission touches; it takes a few milliseconds.
BATCH = 100
# The time that those at the head have to come back after a loss, before the first visitor is admitted.
HOLD_OFF = 10 * SECOND
# The state of a room whose concert is offline for the time being.
WITHDRAWN = "WITHDRAWN"

KEY_NAMES = ("room", "waiting", "seen", "active", "visits", "ended", "exits", "pace")
_EXITS = KEY_NAMES.index("exits")


@lru_cache(1_000)
def room_keys(concert_id: int) -> list[str]:
    return [f"{{queue:{concert_id}}}:{name}" for name in KEY_NAMES]


class VisitStatus(StrEnum):
    WAITING = "WAITING"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"


class JoinRefusal(StrEnum):
    """Say why a visitor was not taken in."""

    QUEUE_CLOSED = "QUEUE_CLOSED"
    SALES_CLOSED = "SALES_CLOSED"
    SALES_NOT_OPEN = "SALES_NOT_OPEN"
    OVER_LIMIT = "OVER_LIMIT"
    WITHDRAWN = "WITHDRAWN"


class RoomFault(StrEnum):
    """Say why a room cannot answer: it is gone, does not know the visitor, or what it knows may be stale."""

    LOST = "LOST"
    UNKNOWN = "UNKNOWN"
    UNCERTAIN = "UNCERTAIN"


Outcome = VisitStatus | JoinRefusal | RoomFault
_OUTCOMES: dict[bytes, Outcome] = {
    outcome.value.encode(): outcome for outcome in (*VisitStatus, *JoinRefusal, *RoomFault)
}


class EndReason(StrEnum):
    COMPLETED = "COMPLETED"
    TIMED_OUT = "TIMED_OUT"
    LEFT = "LEFT"
    REMOVED = "REMOVED"
    CLOSED = "CLOSED"
    MERGED = "MERGED"  # the second place of one customer, after a loss of the store


@dataclass(frozen=True, slots=True)
class Policy:
    """The room's copy of what staff decided; a copy with a lower `version` than the room's is ignored.

    Times and spans are microseconds; 0 stands for "never" in `closes_at` and `resumed_at`, and for "no limit" in `per_minute`. A
    room in state WITHDRAWN admits no visitor and takes in no newcomers, and the turns of those inside stand still: they begin anew at
    `resumed_at`.
    """

    concert: int
    version: int
    generation: int
    state: str
    opens_at: int
    closes_at: int
    capacity: int
    per_minute: int
    lease: int
    patience: int
    lottery_window: int
    lottery_inner: bytes
    lottery_outer: bytes
    resumed_at: int = 0


class CallToCount(Protocol):
    """A call that counts against a limit of the caller's: at most `most` in any `span` seconds.

    `lua` defines `count(key, most, span, now)`, which returns a list: first whether the call is allowed, 1 or 0. It is put into
    `counted`. The key is on the server of the room, which is no cluster.
    """

    @property
    def lua(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def most(self) -> int: ...
    @property
    def span(self) -> int: ...

    counted: Sequence[int] | None


class Visit(NamedTuple):
    """Hold what the room says about one visitor.

    Times are microseconds by the store's clock, 0 where there is none: only the ACTIVE were admitted, the EXPIRED expire no
    more.
    """

    outcome: Outcome
    at: int
    generation: int
    slot: int
    position: int | None
    wait_seconds: int | None
    poll_after_seconds: int | None
    expires_at: int
    admitted_at: int
    new_holds_until: int
    ended_reason: EndReason | None
    is_new: bool

    @property
    def needs_healing(self) -> bool:
        return isinstance(self.outcome, RoomFault)


@dataclass(frozen=True, slots=True)
class Step:
    """Hold what one step of admission did. `is_done` is False when the room has to be healed first."""

    is_done: bool
    admitted: int
    dropped: int
    timed_out: int
    has_more: bool
    present: int


@dataclass(frozen=True, slots=True)
class End:
    """The end of one visit; `id` is its entry in the room's stream, if it came from there."""

    customer_id: int
    slot: int
    generation: int
    reason: EndReason
    ended_at: int
    joined_at: int = 0
    admitted_at: int = 0
    id: bytes = b""


@dataclass(frozen=True, slots=True)
class Finish:
    """Say if there was a visit to end; `admitted_at` is 0 if it was not ACTIVE."""

    was_there: bool
    admitted_at: int
    ended_at: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The room at a glance; `at`, `opens_at`, `longest_wait` and `mean_visit` are microseconds.

    `mean_visit` is how long a turn has lasted lately; that of a room which has seen none yet is the lease.
    """

    state: str
    at: int
    opens_at: int
    waiting: int
    active: int
    capacity: int
    admitted_total: int
    admitted_per_minute: int
    longest_wait: int
    exits_pending: int
    mean_visit: int
    is_healing: bool


class Room:
    def __init__(self, client: ScriptClient, concert_id: int, *, clock: str = SERVER_CLOCK) -> None:
        """`client` is a redis-py client that returns bytes; `clock` is Lua that defines `clock()`."""
        self.concert_id = concert_id
        self._client = client
        self._clock = clock
        self._keys = room_keys(concert_id)

    def configure(
        self, policy: Policy, *, epoch: str, was_stored: bool, hold_off: int = HOLD_OFF
    ) -> int | None:
        """Write the policy copy, making the room if it is not there; says since when ends must be replayed, if they must.

        `epoch` names this life of the room. A room that `was_stored` and is gone, or whose server has restarted, is lost: for
        `hold_off` microseconds no visitor is admitted, so that those at the head can come back.
        """
        pairs = chain.from_iterable(asdict(policy).items())
        since: int = self._run("configure", epoch, int(was_stored), hold_off, *pairs)
        return None if since < 0 else since

    def join(
        self,
        customer_id: int,
        *,
        previous: TokenClaims | None = None,
        is_checked: bool = False,
        call: CallToCount | None = None,
    ) -> Visit:
        """Take a place, or give back the one there is. `is_checked`: the exit log knows of no end of it.

        With `call` that is counted first, in the same step; over the limit nothing else is done.
        """
        slot, generation, lease_until = (
            (previous.slot, previous.generation, previous.lease_until) if previous else (-1, 0, 0)
        )
        given = (customer_id, random.random(), int(is_checked), slot, generation, lease_until)
        if call is None:
            return _visit(self._run("join", *given))
        script = source("join", self._clock, call.lua)
        keys = [*self._keys, call.key]
        *answer, call.counted = run(self._client, script, keys, call.most, call.span, *given)
        return _visit(answer)

    def touch(self, claims: TokenClaims) -> Visit:
        """Return the state of the visit; counts as being seen."""
        where = (claims.slot, claims.generation, claims.lease_until)
        return _visit(self._run("touch", claims.customer_id, random.random(), *where))

    def restore(self, claims: TokenClaims) -> Visit:
        """Put a visitor back who has no end on record, at the old place, or into the lease the token proves."""
        where = (claims.slot, claims.generation, claims.lease_until, claims.admitted_at)
        return _visit(self._run("restore", claims.customer_id, random.random(), *where))

    def admit(self, *, batch: int = BATCH) -> Step:
        """Take one bounded step of admission; call it again while it has more."""
        outcome, admitted, dropped, timed_out, more, present = self._run("admit", batch)
        return Step(outcome == b"DONE", admitted, dropped, timed_out, bool(more), present)

    def finish(self, *, customer_id: int, slot: int, generation: int, reason: EndReason) -> Finish:
        """End the visit at this place; another visit of the same customer is left alone."""
        [finish] = self.finish_all([(customer_id, slot, generation)], reason=reason)
        return finish

    def finish_all(
        self, visits: Sequence[tuple[int, int, int]], *, reason: EndReason
    ) -> list[Finish]:
        """End visits as `finish` does, each named by its customer's id, place and generation; returns theirs in order."""
        ended_at, *answers = self._run("finish", reason, *chain.from_iterable(visits))
        pairs = zip(answers[::2], answers[1::2], strict=True)
        return [Finish(bool(was_there), admitted_at, ended_at) for was_there, admitted_at in pairs]

    def visit_of(self, customer_id: int) -> tuple[int, int] | None:
        """Place and generation of the customer's visit, without counting as being seen; None if there is none."""
        found = self._run("find", customer_id)
        return (found[0], found[1]) if found else None

    def extend_lease(self, *, customer_id: int, slot: int, until: int) -> bool:
        """Let the lease last at least `until`; False when the visitor is not ACTIVE at this place."""
        return bool(self._run("lease", customer_id, slot, until, "extend"))

    def shorten_lease(self, *, customer_id: int, slot: int, until: int = 0) -> bool:
        """Take extensions back; `until` is what other holds still need."""
        return bool(self._run("lease", customer_id, slot, until, "shorten"))

    def replay(self, ends: Sequence[End], *, generation: int, is_last: bool) -> None:
        """Apply ends of a generation that the room may have forgotten; after the last ones it admits again.

        Does nothing if the room was closed meanwhile.
        """
        details = ((end.customer_id, end.slot, end.reason, end.ended_at) for end in ends)
        self._run("replay", int(is_last), generation, *chain.from_iterable(details))

    def exits(self, *, count: int) -> list[End]:
        """Return the oldest ends that the exit log does not have yet."""
        entries = self._client.xrange(self._keys[_EXITS], count=count)
        return [_end(entry_id, fields) for entry_id, fields in entries]

    def forget_exits(self, ids: Iterable[bytes]) -> None:
        self._client.xdel(self._keys[_EXITS], *ids)

    def drop_if_empty(self) -> bool:
        """Forget the room unless a visitor is in it, or an end is not in the exit log yet."""
        return bool(self._run("drop"))

    def drop(self) -> None:
        """Forget the room with everybody in it."""
        self._run("drop", "all")

    def figures(self) -> Figures | None:
        """None if the store has no such room."""
        answer = self._run("figures")
        if not answer:
            return None
        state, *numbers, is_healing = answer
        figures: list[Any] = [state.decode(), *numbers, bool(is_healing)]
        return Figures(*figures)

    def _run(self, script: str, *arguments: object) -> Any:
        return run(self._client, source(script, self._clock), self._keys, *arguments)


def _visit(answer: Sequence[Any]) -> Visit:
    outcome, at, generation, slot, position, wait, poll_after, *rest = answer
    expires_at, admitted_at, new_holds_until, reason, is_new = rest
    return Visit(
        _OUTCOMES[outcome],
        at,
        generation,
        slot,
        None if position == -1 else position,
        None if wait == -1 else wait,
        None if poll_after == -1 else poll_after,
        expires_at,
        admitted_at,
        new_holds_until,
        EndReason(reason.decode()) if reason else None,
        bool(is_new),
    )


def _end(entry_id: bytes, fields: dict[bytes, bytes]) -> End:
    customer_id, slot, generation, reason, *times = fields[b"end"].decode().split(":")
    return End(
        int(customer_id),
        int(slot),
        int(generation),
        EndReason(reason),
        id=entry_id,
        **dict(zip(("joined_at", "admitted_at", "ended_at"), map(int, times), strict=True)),
    )
