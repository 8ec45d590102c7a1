"""Calls that may be repeated without a second effect.

The stored answer is written in the transaction of the effect, so a crash leaves both or neither. Semantics follow the IETF
draft "The Idempotency-Key HTTP Header Field": same key and same request replays, same key and another request is refused.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from apps.core.database import Call, Row, fetch_all, fetch_pipelined, load_statements
from apps.core.errors import DomainError, IdempotencyKeyInUse, IdempotencyKeyReused
from apps.core.transactions import (
    Decision,
    Steps,
    run_in_transaction,
    run_steps,
    unless_refused,
)

T = TypeVar("T")

SQL = load_statements(Path(__file__).with_suffix(".sql"))
WAIT_STEP = 0.1  # seconds

_USABLE_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")


def usable_key(key: str) -> bool:
    return _USABLE_KEY.fullmatch(key) is not None


def fingerprint_of(method: str, path: str, body: Any) -> str:
    """Return what is the same for equal requests only, whatever the order of the fields; `body` is JSON that was read."""
    asked = json.dumps([method, path, body], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    status: int
    body: bytes
    is_replay: bool = False


def idempotent(
    *,
    customer_id: int,
    operation: str,
    key: str | None,
    fingerprint: str,
    decide: Callable[[], Steps[T]] | None = None,
    effect: Callable[[], T] | None = None,
    render: Callable[[T], tuple[int, bytes]],
    admit: Callable[[], object] = lambda: None,
    wait_seconds: float = 0.0,
) -> StoredAnswer:
    """Have one effect and keep its rendered answer under (customer, operation, key), in one durable transaction.

    `decide` is the first step of a use case in two steps (`decide_then_write`): the key is asked for in its first round trip, and
    what it decides is written together with the answer. `effect` is any other function; it does everything itself. Without a key
    there is nothing to keep. Refusals are not stored.

    `admit` may refuse; it is called before anything is said of another call with this key. While another one is under way, this one
    waits for its answer, for `wait_seconds` at most.

    :raises IdempotencyKeyInUse: a call with this key is still under way.
    :raises IdempotencyKeyReused: the key was used with another fingerprint.
    """
    call = _KeyedCall(customer_id, operation, key, fingerprint) if key is not None else None

    def work() -> StoredAnswer | DomainError:
        steps = decide() if decide else None
        rows = None
        try:
            if call is not None:
                kept, rows = call.lock(next(steps) if steps else (), admit)
                if kept is not None:
                    return kept
            decision = run_steps(steps, rows) if steps else None
        except DomainError as refusal:
            return refusal  # which has written nothing: see `decide_then_write`
        if decision is None:
            assert effect is not None
            decision = Decision(effect(), writes=())
        status, body = render(decision.result)
        decision.carry_out(*([call.keep(status, body)] if call is not None else []), is_last=True)
        return StoredAnswer(status, body)

    give_up_at = time.monotonic() + wait_seconds
    while True:
        try:
            return unless_refused(run_in_transaction(work))
        except IdempotencyKeyInUse:
            if time.monotonic() >= give_up_at:
                raise
        time.sleep(WAIT_STEP)


def stored_answer(
    *, customer_id: int, operation: str, key: str, fingerprint: str
) -> StoredAnswer | None:
    """Return what the first call with this key was answered; None if there was none, or it is under way.

    :raises IdempotencyKeyReused: the key was used with another fingerprint.
    """
    return _KeyedCall(customer_id, operation, key, fingerprint).stored_answer()


@dataclass(frozen=True, slots=True)
class _KeyedCall:
    customer_id: int
    operation: str
    key: str
    fingerprint: str

    def lock(
        self, first: Sequence[Call], admit: Callable[[], object]
    ) -> tuple[StoredAnswer | None, list[list[Row]]]:
        """Keep other calls with this key away until the transaction ends; return what the first one was answered.

        The statements of `first` go along; their rows count only if there is no answer yet.
        """
        name = f"{self.customer_id}\n{self.operation}\n{self.key}"
        [[(is_locked,)], kept, *rows] = fetch_pipelined(
            [(SQL["lock_key"], {"name": name}), self._kept(), *first]
        )
        if kept or not is_locked:
            admit()
        answer = self._answer_in(kept)
        if answer is None and not is_locked:
            # Those statements may have waited until the other call was done.
            answer = self.stored_answer()
            if answer is None:
                raise IdempotencyKeyInUse
        return answer, rows

    def stored_answer(self) -> StoredAnswer | None:
        return self._answer_in(fetch_all(*self._kept()))

    def keep(self, status: int, body: bytes) -> Call:
        """Return the statement that stores an answer."""
        answer = {"fingerprint": self.fingerprint, "status": status, "body": body}
        return SQL["keep_answer"], self._name() | answer

    def _kept(self) -> Call:
        return SQL["kept_answer"], self._name()

    def _name(self) -> dict[str, object]:
        return {"customer_id": self.customer_id, "operation": str(self.operation), "key": self.key}

    def _answer_in(self, rows: list[Row]) -> StoredAnswer | None:
        if not rows:
            return None
        fingerprint, status, body = rows[0]
        if fingerprint != self.fingerprint:
            raise IdempotencyKeyReused
        return StoredAnswer(status, body, is_replay=True)
