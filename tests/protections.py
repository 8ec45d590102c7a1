"""Every protection of the product that a test may take away, and every step at which a test may come in between.

    without(monkeypatch, LOCK_OF_THE_KEY)
    before(monkeypatch, "book", barrier.wait)
    after(monkeypatch, CLAIMING_DELIVERIES, sell)

A test of a race has a twin that takes the protection away and shows that the race is real. Names that are private to the product
stand here and in no test. What is named here and not found is an error, and so is a change that changes nothing.

A string names a statement of a `.sql` file; a name stands for one statement in the whole project.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pgtrigger
import pytest
from django.db import connection

from apps.accounts import guesses, login_copies
from apps.accounts import services as accounts
from apps.accounts.models import User
from apps.concerts import corrections, ranking_store, seat_changes
from apps.core import database, transactions
from apps.core.database import Parameters, Statement
from apps.core.lean_store import Script
from apps.outbox import announcing, draining
from apps.queue.models import RoomNotice, WaitingRoomQuerySet
from apps.queue.services import admission, rooms, visits
from apps.reservations import selectors, staff_jobs
from apps.reservations.models import HoldQuerySet
from apps.reservations.services import expiring, selling

CLOCK = "clock_timestamp()"

_ROW_LOCK = re.compile(r"FOR (NO KEY )?UPDATE( OF \w+)?( NOWAIT| SKIP LOCKED)?")
_ADVISORY_LOCK = re.compile(
    r"pg_(try_)?advisory_xact_lock\(\s*hashtextextended\(.*, 0\)\s*\)", re.DOTALL
)

Change = tuple[str | re.Pattern[str], str]


# --- Changes for the time of a test -----------------------------------------------------------------------------------


def statements() -> Iterator[tuple[dict[str, Statement], str]]:
    """Yield every statement of the project: the dictionary that it is in, and its name there."""
    for name, module in sorted(sys.modules.items()):
        found = getattr(module, "SQL", None) if name.startswith("apps.") else None
        if isinstance(found, dict):
            yield from ((found, key) for key in found)


def change(monkeypatch: pytest.MonkeyPatch, name: str, *changes: Change) -> None:
    """Replace parts of a statement for this test; each must be there."""
    home = _home_of(name)
    monkeypatch.setitem(home, name, Statement(name, _changed(name, home[name], *changes)))


def unlock(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let statements find the same rows without locking anything."""
    for name in names:
        is_advisory = _ADVISORY_LOCK.search(_home_of(name)[name])
        change(monkeypatch, name, (_ADVISORY_LOCK, "true") if is_advisory else (_ROW_LOCK, ""))


def stop_clock(monkeypatch: pytest.MonkeyPatch, at: datetime, *names: str) -> None:
    """Let statements take another moment for the present one."""
    for name in names:
        change(monkeypatch, name, (CLOCK, f"'{at.isoformat()}'::timestamptz"))


def _home_of(name: str) -> dict[str, Statement]:
    homes = [home for home, key in statements() if key == name]
    assert len(homes) == 1, f"{len(homes)} statements have the name {name}"
    return homes[0]


def _changed(name: str, text: str, *changes: Change) -> str:
    for old, new in changes:
        pattern = old if isinstance(old, re.Pattern) else re.compile(re.escape(old))
        changed = pattern.sub(lambda _match, new=new: new, text)  # type: ignore[misc]
        assert changed != text, f"{old} is not in {name}"
        text = changed
    return text


# --- Protections ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Protection:
    """Keeps a race from doing harm, until `take_away` is called for a test."""

    take_away: Callable[[pytest.MonkeyPatch], None]


def without(monkeypatch: pytest.MonkeyPatch, *protections: Protection) -> None:
    """Take protections away until the end of the test."""
    for protection in protections:
        protection.take_away(monkeypatch)


def _locks(*names: str) -> Protection:
    return Protection(lambda patch: unlock(patch, *names))


def _part(name: str, *changes: Change) -> Protection:
    return Protection(lambda patch: change(patch, name, *changes))


def _value(owner: object, name: str, replace: Callable[[Any], object]) -> Protection:
    def take_away(patch: pytest.MonkeyPatch) -> None:
        value = replace(getattr(owner, name))
        assert value != getattr(owner, name), f"{name} is the same already"
        patch.setattr(owner, name, value)

    return Protection(take_away)


def _script(script: Script, *changes: Change) -> Protection:
    def take_away(patch: pytest.MonkeyPatch) -> None:
        text = _changed("the script", script._text, *changes)
        patch.setattr(script, "_text", text)
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        patch.setattr(script, "_digest", digest)

    return Protection(take_away)


LOCK_OF_THE_KEY = _locks("lock_key")  # one call of an idempotency key at a time
LOCK_OF_THE_CUSTOMER = _locks("lock_customer")
LOCK_OF_THE_CUSTOMER_FOR_ALL_DATES = _part(
    "lock_customer", ("'hold ' ||", "'hold ' || %(performance_id)s::text ||")
)
LOCKS_OF_SEATS = _locks("lock_seats")
LOCKS_OF_UNCLAIMED_SEATS_ONLY = _part("lock_seats", ("NOT EXISTS", "true OR NOT EXISTS"))
LOCK_OF_THE_BEST_SEATS = _locks("lock_best_seats")
LOCKS_OF_THE_FREE_SEATS = _locks("lock_free_seats")
LOCKS_OF_A_HOLD = _locks("lock_customer_of_hold", "lock_seats_of_hold", "lock_hold")
LOCKS_OF_A_MOVE = _locks("lock_holds_of_move")
LOCKS_OF_OVERDUE_HOLDS = _locks("lock_overdue_holds")
LOCKS_OF_PAINTED_SEATS = _locks("lock_seats_without_claims")
LOCKS_OF_HALLS = _locks("lock_halls")
LOCKS_OF_CHANGED_SEATS = _locks("lock_chosen_seats")
LOCK_OF_THE_WALLET = _locks("lock_wallet")
LOCK_OF_THE_GIVER = _locks("lock_giver")
LOCK_OF_A_ROOM = _value(WaitingRoomQuerySet, "lock", lambda _: lambda rooms: rooms)
PATIENCE_OF_A_PAYMENT = _part("lock_seats_of_hold", ("OF seat", "OF seat NOWAIT"))
LOCKS_OF_A_SWEEP = _value(HoldQuerySet, "select_for_update", lambda _: lambda holds, **_how: holds)
CONDITION_OF_A_SWEEP = _part(
    "end_overdue_holds", ("AND status = 'HELD' AND expires_at <= %(at)s", "")
)
ORDER_OF_THE_SEATS_OF_A_HOLD = _part(
    "lock_seats_of_hold", ("ORDER BY seat.id", "ORDER BY seat.id DESC")
)
CLAIM_OF_A_DELIVERY = _part(
    "claim",
    ("FOR NO KEY UPDATE SKIP LOCKED", ""),
    (
        "next_attempt_at = statement_timestamp() + make_interval(secs => %(claim_seconds)s)",
        "next_attempt_at = delivery.next_attempt_at",
    ),
)
CLAIM_OF_A_PROBE = _part(
    "take_probe",
    ("SET next_probe_at = statement_timestamp() + make_interval(secs => %(claim_seconds)s)",
     "SET next_probe_at = next_probe_at"),
)  # fmt: skip
RETRY_OF_A_DEADLOCK = _value(transactions, "ATTEMPTS", lambda _: 1)
COMMIT_ALONG_WITH_THE_WRITES = _value(transactions, "_may_commit", lambda _: lambda: False)
MEMORY_OF_THE_RANKING = _script(ranking_store._COUNT, ("ARGV[i]) == 0", "ARGV[i]) < 0"))
COUNTING_WHILE_THE_RANKING_IS_REBUILT = _script(
    ranking_store._COUNT, ("if rebuilding then count(rebuilding", "if false then count(rebuilding")
)
# A visit is restored only when the exit log has all that the store knew of.
WAIT_FOR_THE_EXIT_LOG = _value(rooms, "EXITS_BATCH", lambda _: -1)


def _drop_the_flag_last(patch: pytest.MonkeyPatch) -> None:
    drain, drop = draining.drain, announcing._may_be_announced_again

    def drain_then_drop(*, consumer: str) -> draining.Drained:
        drained = drain(consumer=consumer)
        drop(consumer)
        return drained

    patch.setattr(announcing, "_may_be_announced_again", lambda _consumer: None)
    patch.setattr(announcing, "drain", drain_then_drop)


FLAG_DROPPED_BEFORE_THE_CLAIM = Protection(_drop_the_flag_last)
# A date that is called off waits for those who pay at that moment by ending what is held.
END_OF_THE_HOLDS_OF_A_DATE = Protection(
    lambda patch: patch.setattr(staff_jobs.release_holds_of, "step", lambda **_: 0)
)


@contextmanager
def without_constraints(*names: str) -> Generator[None]:
    """Drop constraints or unique indexes by name. All data is gone afterwards: it may be in breach of them."""
    removed = [_removed(name) for name in names]
    try:
        yield
    finally:
        with pgtrigger.ignore(), connection.cursor() as cursor:
            cursor.execute("TRUNCATE accounts_user, concerts_concert, outbox_outboxevent CASCADE")
            for restore in removed:
                cursor.execute(restore)


def _removed(name: str) -> str:
    """Drop it, and return the statement that brings it back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conname = %s",
            [name],
        )
        if found := cursor.fetchone():
            table, definition = found
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
            return f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}'
        cursor.execute("SELECT pg_get_indexdef(%s::regclass)", [name])
        [definition] = cursor.fetchone()
        cursor.execute(f'DROP INDEX "{name}"')
        return str(definition)


@contextmanager
def without_triggers() -> Generator[None]:
    """Drop the checks of written money. pgtrigger's own `ignore` rewrites statements, which prepared ones do not bear."""
    tables = ("payments_wallet", "payments_ledgertransaction", "payments_ledgerentry")
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        try:
            yield
        finally:
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


# --- Steps ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A part of a use case, under the name by which the use case comes to it."""

    owner: object
    name: str


SETTING_A_PASSWORD = Step(User, "set_password")
COMPARING_A_PASSWORD = Step(accounts, "authenticate")
READING_A_LOGIN = Step(login_copies, "live_customer")
ENDING_COPIES_OF_LOGINS = Step(accounts, "end_login_copies")
COUNTING_A_GUESS = Step(guesses, "_SCRIPT")
LOCKING_A_HALL_TO_DELETE_IT = Step(corrections, "fetch_all")
DELETING_LOCKED_ROWS = Step(corrections, "delete_rows")
PRICING_LOCKED_SEATS = Step(corrections, "_set_prices")
REPLACING_SEATS = Step(seat_changes, "_replace")
READING_A_HALL = Step(selectors, "_read_hall")
CLAIMING_DELIVERIES = Step(draining, "_claim")
ASKING_THE_EXIT_LOG = Step(rooms, "recorded_end")
UPDATING_THE_LIVE_ROOM = Step(admission, "bring_up_to_date")
PUTTING_A_ROOM_TO_REST = Step(admission, "_postpone")
WAKING_A_ROOM = Step(visits, "schedule_tick_now")
SAVING_A_NOTICE = Step(RoomNotice, "save")
TIME_OF_A_SWEEP = Step(expiring, "database_now")
CALLING_OFF_A_DATE = Step(staff_jobs, "call_off_performance")
SELLING_AT_THE_COUNTER = Step(selling.sell_at_counter, "step")
GIVING_BACK_FOR_A_JOB = Step(staff_jobs, "cancelled")


def before(
    monkeypatch: pytest.MonkeyPatch, where: str | Step, action: Callable[..., object]
) -> None:
    """Run `action` in every thread that has come to a step; or to a statement, with what it has sent before done.

    For a statement `action` is given the parameters.
    """
    if isinstance(where, Step):
        original = getattr(where.owner, where.name)

        def act_first(*args: Any, **kwargs: Any) -> Any:
            action()
            return original(*args, **kwargs)

        monkeypatch.setattr(where.owner, where.name, act_first)
        return
    assert where in {name for _, name in statements()} | {transactions.COMMIT.name}, where
    send = database._execute

    def execute(cursor: Any, statement: Statement, parameters: Parameters) -> None:
        if statement.name == where:
            with connection.connection.pipeline() as pipeline:
                pipeline.sync()
            action(parameters)
        send(cursor, statement, parameters)

    monkeypatch.setattr(database, "_execute", execute)


def after(monkeypatch: pytest.MonkeyPatch, step: Step, action: Callable[[], object]) -> None:
    """Run `action` when a step was taken for the first time, before its caller goes on."""
    original = getattr(step.owner, step.name)
    actions = [action]

    def act_afterwards(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if actions:
            actions.pop()()
        return result

    monkeypatch.setattr(step.owner, step.name, act_afterwards)


def replace(monkeypatch: pytest.MonkeyPatch, step: Step, by: object) -> None:
    """Let a use case do something else in place of a step."""
    monkeypatch.setattr(step.owner, step.name, by)
