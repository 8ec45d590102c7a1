"""Faults that the drill inflicts on the stack. Each returns when its cause is gone; nothing is mended by hand."""

import dbm
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from dev.api import Kind
from dev.drill.acts import Act
from dev.drill.history import Call, History
from dev.drill.stack import APPLICATION_NAME, DrillStack
from dev.stack.environment import remove

T = TypeVar("T")

AIM_SECONDS = 30.0  # a blow that has found no target by then is given up
# Below the service's own lock timeout, so that what waits is cut off, not refused.
LOCK_SECONDS = 2.0
POLL_SECONDS = 0.005
MINUTE = 60.0
# What a platform that only refuses may be sent within a minute: what is under way when it begins, and a probe now and then.
GENTLE_MESSAGES = 60
FROZEN_SECONDS = 60.0  # after which the watchdog of a worker must have noticed
GRACE_SECONDS = 0.5  # for what was under way when a concert went offline
REFUNDS = 1_000  # of seats that were kept back
SLOW_SECONDS = 2  # an outside platform that is slow, but not slower than we are ready to wait
WALLETS_SQL = """
    SELECT ctid::text, customer_id FROM payments_wallet WHERE customer_id = ANY(%s)
    ORDER BY customer_id FOR NO KEY UPDATE
"""
PERFORMANCES_SQL = """
    SELECT ctid::text, id FROM concerts_performance WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
# A session that waits for a row holds its heavyweight lock, which says where the row lies.
WAITING_SQL = """
    SELECT format('(%%s,%%s)', page, tuple), client_port
    FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE locktype = 'tuple' AND %s = ANY(pg_blocking_pids(pid)) ORDER BY pid
"""
COMMITTED_SQL = """
    SELECT hold_id::text FROM reservations_reservation WHERE hold_id = ANY(%s::uuid[]) ORDER BY 1
"""
OTHERS_SQL = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name <> %s
"""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One phase of the drill; times in seconds.

    Customers shop for `load_seconds`. The fault begins `begins_after` their start and ends `lasts` later; `blows` are the
    moments, after its beginning, of what is done several times. `seed` is that of the customers' choices.
    """

    name: str
    load_seconds: float
    begins_after: float
    lasts: float
    blows: tuple[float, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A payment whose process was killed at a moment that was aimed at: before its commit, or after it."""

    call: Call
    is_committed: bool

    @property
    def is_contradicted(self) -> bool:
        """Return whether it had happened though it was cut off before, or the other way round.

        Of a call that was cut off more than once it is not known which attempt it was.
        """
        if self.call.unknown_attempts != 1 and not self.is_committed:
            return False
        return self.call.was_unknown and self.call.had_happened != self.is_committed


@dataclass(kw_only=True)
class Scene:
    """Hold what a fault may touch. `frozen` notes from when to when the broker did not answer, in seconds since 1970.

    `breaches` are what a fault itself has seen go wrong, `figures` what else it has to tell.
    """

    stack: DrillStack
    history: History
    customer_ids: Sequence[int]
    performance_ids: Sequence[int]
    deliver_again: Callable[[], None]
    set_published: Callable[[bool], None]
    holds_between: Callable[[float, float], int]
    paint: Callable[[], list[str]]
    sell_and_refund: Callable[[int], list[str]]
    hits: list[Hit] = field(default_factory=list)
    frozen: tuple[float, float] | None = None
    missed: str = ""
    breaches: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)


Inject = Callable[[Scene, PlannedFault], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """`may_repeat_messages`: what was told may be lost with the process or the session that told it, so it is told again.

    `lasts_min`: the least it lasts, in seconds, however short the drill.
    """

    title: str
    inject: Inject
    blows: int = 0
    may_repeat_messages: bool = False
    lasts_min: float = 0.0


class AimMissed(Exception):
    """No target came up within `AIM_SECONDS`. The message is for people."""


def each_blow(strike: Callable[[Scene], None]) -> Inject:
    """Return a fault that strikes at each of its moments. Blows that take long put off the next ones."""

    def inject(scene: Scene, planned: PlannedFault) -> None:
        started_at = time.monotonic()
        for moment in planned.blows:
            scene.stack.sleep(max(started_at + moment - time.monotonic(), 0.0))
            strike(scene)

    return inject


# --- Web ------------------------------------------------------------------------------------------


def kill_web(scene: Scene) -> None:
    scene.stack.kill("web")
    scene.stack.revive("web")


def kill_web_before_commit(scene: Scene) -> None:
    with _payment_held_back(scene) as (call, client_port):
        _kill(scene, "web", client_port)
    scene.hits.append(Hit(call, is_committed=False))


def kill_web_after_commit(scene: Scene) -> None:
    """Freeze the broker, which keeps a request between its commit and its answer."""
    scene.stack.broker.pause()
    try:
        while True:
            call = _committed_but_unanswered(scene)
            kill_web(scene)
            while call in scene.history.under_way(Kind.CONFIRM):
                scene.stack.sleep(POLL_SECONDS)
            if call.unknown_attempts:  # else the answer was faster
                break
    finally:
        scene.stack.broker.resume()
    scene.hits.append(Hit(call, is_committed=True))


# --- Workers and beat -----------------------------------------------------------------------------


def kill_worker(scene: Scene) -> None:
    with _ranking_held_back(scene):
        scene.stack.crash("worker")
    scene.stack.revive("worker")


def kill_worker_child(scene: Scene) -> None:
    with _ranking_held_back(scene) as client_port:
        _kill(scene, "worker", client_port)


def freeze_worker(scene: Scene, planned: PlannedFault) -> None:
    """Stop the main process of the worker as a debugger would, and leave it to its watchdog."""
    process = scene.stack.process_showing_life("worker", "worker")
    process.suspend()
    replaced = scene.stack.revived["worker"] + 1
    give_up_at = time.monotonic() + FROZEN_SECONDS
    while scene.stack.revived["worker"] < replaced:
        if time.monotonic() > give_up_at:
            scene.breaches.append(f"a frozen worker was still there after {FROZEN_SECONDS:.0f} s")
            process.resume()
            return
        scene.stack.sleep(POLL_SECONDS)


def damage_schedule(scene: Scene, planned: PlannedFault) -> None:
    """Leave a record without content, as after a loss of power while beat wrote its file."""
    scene.stack.crash("beat")
    remove(scene.stack.schedule_path)
    with dbm.open(str(scene.stack.schedule_path), "n") as records:
        records[b"entries"] = b""
    scene.stack.sleep(planned.lasts)
    scene.stack.revive("beat")


def kill_beat(scene: Scene, planned: PlannedFault) -> None:
    scene.stack.crash("beat")
    scene.stack.sleep(planned.lasts)
    scene.stack.revive("beat")


# --- Valkey ---------------------------------------------------------------------------------------


def kill_broker(scene: Scene, planned: PlannedFault) -> None:
    """Kill the broker while a payment waits for its wallet, so that it commits without one."""
    with _payment_held_back(scene):
        scene.stack.broker.kill()
    scene.stack.sleep(planned.lasts)
    scene.stack.broker.start()


def freeze_broker(scene: Scene, planned: PlannedFault) -> None:
    scene.stack.broker.pause()
    frozen_at = time.time()
    scene.stack.sleep(planned.lasts)
    scene.stack.broker.resume()
    scene.frozen = (frozen_at, time.time())


def lose_queue_store(scene: Scene, planned: PlannedFault) -> None:
    scene.stack.queue_store.kill()
    scene.stack.sleep(planned.lasts)
    scene.stack.forget_queue()
    scene.stack.queue_store.start()


# --- PostgreSQL -----------------------------------------------------------------------------------


def restart_database(scene: Scene) -> None:
    scene.stack.postgres.stop()
    scene.stack.postgres.start()


def crash_database(scene: Scene) -> None:
    scene.stack.postgres.child.kill()
    scene.stack.postgres.start()


def terminate_sessions(scene: Scene) -> None:
    with scene.stack.session() as session:
        session.execute(OTHERS_SQL, [APPLICATION_NAME])


# --- The outside platform -------------------------------------------------------------------------


def outside(**behaviour: object) -> Inject:
    def inject(scene: Scene, planned: PlannedFault) -> None:
        scene.stack.behave(**behaviour)
        scene.stack.sleep(planned.lasts)
        scene.stack.behave()

    return inject


def refuse_messages(scene: Scene, planned: PlannedFault) -> None:
    before = scene.stack.messages_received()
    outside(status=404)(scene, planned)
    received = scene.stack.messages_received() - before
    if received > GENTLE_MESSAGES:
        scene.breaches.append(f"{received} messages to a platform that refused every one of them")


# --- Staff ----------------------------------------------------------------------------------------


def paint_halls(scene: Scene) -> None:
    scene.breaches += scene.paint()


def refund_kept_seats(scene: Scene, planned: PlannedFault) -> None:
    """Sell seats that are kept back, and give them back one by one; the verdict finds those that have not returned to their category."""
    scene.figures += scene.sell_and_refund(REFUNDS)


def withdraw_concert(scene: Scene, planned: PlannedFault) -> None:
    """Take the concert offline in the middle of its sale, and publish it again."""
    scene.set_published(False)
    withdrawn_at = time.time()
    scene.stack.sleep(planned.lasts)
    published_at = time.time()
    scene.set_published(True)
    holds = scene.holds_between(withdrawn_at + GRACE_SECONDS, published_at)
    if holds:
        scene.breaches.append(f"{holds} holds of a concert that was offline")


FAULTS = {
    "web-killed": Fault("web killed, twice", each_blow(kill_web), blows=2),
    "web-before-commit": Fault(
        "web process killed while a payment waits for its wallet, 3 times",
        each_blow(kill_web_before_commit),
        blows=3,
    ),
    "web-after-commit": Fault(
        "web killed between a payment's commit and its answer, twice",
        each_blow(kill_web_after_commit),
        blows=2,
    ),
    "worker-killed": Fault("worker killed within an effect", each_blow(kill_worker), blows=1),
    "worker-child-killed": Fault(
        "process of the worker killed within an effect", each_blow(kill_worker_child), blows=1
    ),
    "worker-frozen": Fault("worker frozen until it is replaced", freeze_worker),
    "schedule-damaged": Fault("beat finds an empty record in its file", damage_schedule),
    "halls-painted": Fault(
        "staff keep every free seat back and release it, ten times",
        each_blow(paint_halls),
        blows=10,
    ),
    "refunds-under-load": Fault(
        f"{REFUNDS:,} seats that were kept back sold and refunded", refund_kept_seats
    ),
    "concert-withdrawn": Fault("concert taken offline and published again", withdraw_concert),
    "beat-killed": Fault("beat killed and away", kill_beat),
    "broker-down": Fault("broker killed at a commit, comes back empty", kill_broker),
    "broker-frozen": Fault("broker frozen", freeze_broker),
    "queue-store-lost": Fault("Valkey of the waiting room killed and emptied", lose_queue_store),
    "database-restarted": Fault(
        "PostgreSQL restarted", each_blow(restart_database), blows=1, may_repeat_messages=True
    ),
    "database-crashed": Fault(
        "PostgreSQL killed", each_blow(crash_database), blows=1, may_repeat_messages=True
    ),
    "sessions-terminated": Fault(
        "all sessions of PostgreSQL terminated, 5 times",
        each_blow(terminate_sessions),
        blows=5,
        may_repeat_messages=True,
    ),
    "outside-slow": Fault("outside platform slow", outside(delay_seconds=SLOW_SECONDS)),
    "outside-failing": Fault("outside platform answers 500", outside(status=500)),
    "outside-limiting": Fault("outside platform answers 429", outside(status=429, retry_after=2)),
    "outside-hanging": Fault("outside platform hangs", outside(mode="hang")),
    "outside-dropping": Fault(
        "outside platform takes messages and cuts the connection", outside(mode="drop")
    ),
    "outside-nonsense": Fault("outside platform answers nonsense", outside(mode="nonsense")),
    "outside-dripping": Fault(
        "outside platform answers 200, and its body a byte every 3 s",
        outside(mode="drip", status=200),
    ),
    "outside-missing": Fault(
        "outside platform answers 404 for a minute", refuse_messages, lasts_min=MINUTE
    ),
    "deliveries-repeated": Fault(
        "every delivery repeated five times, out of order",
        each_blow(lambda scene: scene.deliver_again()),
        blows=5,
        may_repeat_messages=True,
    ),
}


# --- Aiming ---------------------------------------------------------------------------------------


def _kill(scene: Scene, name: str, client_port: int) -> None:
    """Kill the one process that waits; its parent has to notice."""
    process = scene.stack.process_of_session(client_port, name=name)
    if process is None:
        raise AimMissed(f"no process of {name} has the session that waits")
    process.kill()


def _payment_held_back(scene: Scene) -> AbstractContextManager[tuple[Call, int]]:
    """Lock all wallets until a payment waits for one, which is before its commit."""

    def aim(user_id: int, client_port: int) -> tuple[Call, int] | None:
        # No customer makes two calls at once, so it is this one that waits, unless staff are at work on the same wallet.
        acts = [call.request for call in scene.history.under_way(Kind.STAFF)]
        if any(isinstance(act, Act) and act.customer_id == user_id for act in acts):
            return None
        payments = scene.history.first_under_way(Kind.CONFIRM)
        calls = [payment for payment in payments if payment.user_id == user_id]
        return (calls[0], client_port) if calls else None

    return _holding(scene, WALLETS_SQL, scene.customer_ids, aim)


def _ranking_held_back(scene: Scene) -> AbstractContextManager[int]:
    """Lock performances until the worker waits for one, which is in the middle of an effect."""

    def aim(performance_id: int, client_port: int) -> int | None:
        process = scene.stack.process_of_session(client_port, name="worker")
        return client_port if process else None

    return _holding(scene, PERFORMANCES_SQL, scene.performance_ids, aim)


@contextmanager
def _holding(
    scene: Scene, lock_sql: str, ids: Sequence[int], aim: Callable[[int, int], T | None]
) -> Generator[T]:
    """Lock rows until `aim` accepts a row and the port of a session that waits for it; they stay locked inside.

    :raises AimMissed: it did not accept any.
    """
    give_up_at = time.monotonic() + AIM_SECONDS
    with scene.stack.session() as watcher:
        while time.monotonic() < give_up_at:
            with scene.stack.session(autocommit=False) as holder:
                locked = dict(holder.execute(lock_sql, [list(ids)]).fetchall())
                let_go_at = time.monotonic() + LOCK_SECONDS
                while time.monotonic() < let_go_at:
                    waiting = watcher.execute(WAITING_SQL, [holder.info.backend_pid]).fetchall()
                    for place, client_port in waiting:
                        target = aim(locked[place], client_port) if place in locked else None
                        if target is not None:
                            yield target
                            return
                    scene.stack.sleep(POLL_SECONDS)
    raise AimMissed("no session came to wait for a lock that was held")


def _committed_but_unanswered(scene: Scene) -> Call:
    """Return a payment that others can see already, though its customer has no answer.

    :raises AimMissed: there was none.
    """
    give_up_at = time.monotonic() + AIM_SECONDS
    with scene.stack.session() as session:
        while time.monotonic() < give_up_at:
            calls = {
                call.request.body["hold_id"]: call
                for call in scene.history.first_under_way(Kind.CONFIRM)
                if call.request.body
            }
            for [hold_id] in session.execute(COMMITTED_SQL, [list(calls)]).fetchall():
                if calls[hold_id] in scene.history.under_way(Kind.CONFIRM):
                    return calls[hold_id]
            scene.stack.sleep(POLL_SECONDS)
    raise AimMissed("no payment was held up between its commit and its answer")
