"""Everything that customers and staff of the drill asked for, and what they were told."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from itertools import islice, takewhile
from typing import Any, Protocol

import httpx

from dev.api import Kind, Request


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    NOT_SENT = "not sent"


# A first attempt may be under way: this says nothing about what becomes of it.
STILL_RUNNING = "IDEMPOTENCY_KEY_IN_USE"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One time that a call was sent. `sent_at` is in seconds since 1970; without an answer `status` is None."""

    sent_at: float
    seconds: float
    status: int | None
    body: bytes = b""
    is_replay: bool = False
    error: str = ""
    was_sent: bool = True

    @property
    def envelope(self) -> dict[str, Any]:
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def code(self) -> str:
        return str(self.envelope.get("code", ""))

    @property
    def outcome(self) -> Outcome:
        """Take 5xx for no answer: a server that breaks down may have committed before."""
        if not self.was_sent:
            return Outcome.NOT_SENT
        if self.status is None or self.status >= 500 or not self.code:
            return Outcome.UNKNOWN
        return Outcome.DONE if self.status < 300 else Outcome.REFUSED


@dataclass(kw_only=True, eq=False)
class Call:
    """One thing a customer wanted, or a member of staff. All attempts carry the same key and the same body."""

    phase: str
    user_id: int
    request: Request
    key: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    is_settled: bool = False

    @property
    def kind(self) -> Kind:
        return self.request.kind

    @property
    def outcome(self) -> Outcome:
        """Return what the customer knows by now."""
        found = [attempt.outcome for attempt in self.attempts]
        if Outcome.DONE in found:
            return Outcome.DONE
        if Outcome.UNKNOWN in found and not self.is_settled:
            return Outcome.UNKNOWN
        return Outcome.REFUSED if Outcome.REFUSED in found else Outcome.NOT_SENT

    @property
    def unknown_attempts(self) -> int:
        return sum(attempt.outcome is Outcome.UNKNOWN for attempt in self.attempts)

    @property
    def was_unknown(self) -> bool:
        """Return whether there was a moment at which the customer did not know if it had happened."""
        return self.kind.is_durable and self.unknown_attempts > 0

    @property
    def had_happened(self) -> bool:
        """Return of a settled call whether an attempt without an answer had its effect nevertheless."""
        unknown = next(
            i for i, attempt in enumerate(self.attempts) if attempt.outcome is Outcome.UNKNOWN
        )
        later = [
            attempt for attempt in self.attempts[unknown:] if attempt.outcome is not Outcome.UNKNOWN
        ]
        if self.kind is Kind.RELEASE:
            return any(attempt.code == "HOLD_NOT_LIVE" for attempt in later)
        done = (attempt.is_replay for attempt in later if attempt.outcome is Outcome.DONE)
        return next(done, False)

    @property
    def answer(self) -> Attempt:
        """Return the first attempt that succeeded."""
        return next(attempt for attempt in self.attempts if attempt.outcome is Outcome.DONE)

    @property
    def data(self) -> dict[str, Any]:
        """Return what the customer was promised."""
        found: dict[str, Any] = self.answer.envelope["data"]
        return found

    def forget_data(self) -> None:
        """Keep only that it was answered: a hall is much to remember."""
        self.attempts = [
            replace(attempt, body=json.dumps({"code": attempt.code}).encode())
            for attempt in self.attempts
        ]

    @property
    def refusal(self) -> str:
        """Return the code of the last answer; empty when there was none, or no refusal."""
        last = self.attempts[-1]
        return last.code if last.outcome is Outcome.REFUSED else ""

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.key or self.request.path} of account {self.user_id} ({self.phase})"
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "phase": self.phase,
            "user_id": self.user_id,
            **asdict(self.request),
            "key": self.key,
            "outcome": self.outcome,
            "attempts": [
                {
                    "sent_at": round(attempt.sent_at, 3),
                    "seconds": round(attempt.seconds, 3),
                    "status": attempt.status,
                    "error": attempt.error,
                    "replayed": attempt.is_replay,
                    "body": attempt.envelope,
                }
                for attempt in self.attempts
            ],
        }


class Caller(Protocol):
    """Something that sends calls: the API of a customer, or the browser of staff."""

    def send(self, request: Request, *, key: str | None = None) -> httpx.Response: ...


class History:
    """Calls in the order in which they were first sent; customers write to it from their threads."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self._under_way: set[Call] = set()

    def of_phase(self, phase: str) -> list[Call]:
        with self._lock:
            return [call for call in self.calls if call.phase == phase]

    def note(self, call: Call) -> None:
        """Write down a call that was made in another way, and has its answer."""
        with self._lock:
            self.calls.append(call)

    def latest(self, kind: Kind, phase: str, count: int) -> list[Call]:
        """Return the last calls of a kind, in the order in which they were first sent."""
        with self._lock:
            found = (call for call in reversed(self.calls) if call.kind is kind)
            last = takewhile(lambda call: call.phase == phase, found)
            return list(islice(last, count))[::-1]

    def under_way(self, kind: Kind) -> list[Call]:
        """Return the calls that were sent and have no answer at this moment."""
        with self._lock:
            return [call for call in self._under_way if call.kind is kind]

    def first_under_way(self, kind: Kind) -> list[Call]:
        """Return those of them that were sent for the first time: the effect of another may have been had long ago."""
        return [call for call in self.under_way(kind) if not call.attempts]

    def send(self, call: Call, caller: Caller) -> Attempt:
        """Send a call once more, or for the first time, and write down what came of it."""
        with self._sending(call):
            attempt = _send(call, caller)
        call.attempts.append(attempt)
        return attempt

    @contextmanager
    def _sending(self, call: Call) -> Iterator[None]:
        with self._lock:
            if not call.attempts:
                self.calls.append(call)
            self._under_way.add(call)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(call)


def _send(call: Call, caller: Caller) -> Attempt:
    sent_at, started_at = time.time(), time.perf_counter()
    try:
        response = caller.send(call.request, key=call.key)
    except httpx.TransportError as error:
        return Attempt(
            sent_at,
            time.perf_counter() - started_at,
            None,
            error=f"{type(error).__name__}: {error}",
            was_sent=not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)),
        )
    return Attempt(
        sent_at,
        time.perf_counter() - started_at,
        response.status_code,
        body=response.content,
        is_replay=response.headers.get("Idempotent-Replayed") == "true",
    )
