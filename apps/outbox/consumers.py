"""Effects that events have, and how they say that one failed."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

from django.utils.module_loading import import_string

from apps.outbox.models import OutboxEvent

EFFECTS_SECONDS = 5.0  # after which an effect that runs event by event begins no other one

Failures = Mapping[UUID, Exception]
Effect = Callable[[Sequence[OutboxEvent]], Failures]


class DeliveryRefused(Exception):
    """Raised by an effect that will never succeed: the delivery is dead at once."""


class DeliveryPostponed(Exception):
    """Raised by an effect whose other side named the time to wait, in seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = float(retry_after)


class NotBegun(Exception):
    """There was no time left for this event."""


@dataclass(frozen=True)
class Consumer:
    """Describe who wants every event of some types.

    `effect`, a function or its dotted path, takes events that are due and returns the failures by event id; what it does not name has succeeded. If it raises, it
    is run again for one event at a time, so one event that breaks it fails alone.
    `is_outside` says that the effect tells a receiver which is not ours: it is tried for days, and gently while it only fails.
    """

    name: str
    event_types: frozenset[str]
    effect: Effect | str
    is_outside: bool = False

    @property
    def queue(self) -> str:
        """Return the queue of Celery in which its drains wait: a slow receiver must delay nothing of ours."""
        return "external" if self.is_outside else "default"

    def run(self, events: Sequence[OutboxEvent]) -> Failures:
        """Have the effect on events that are due; return the failures by event id."""
        effect: Effect = import_string(self.effect) if isinstance(self.effect, str) else self.effect
        return effect(events)


def one_by_one(
    effect: Callable[[OutboxEvent], None], *, at_once: int = 1, gives_up_after: int | None = None
) -> Effect:
    """Make an effect on many events of one on a single event, which succeeds or raises for itself.

    `at_once` threads run it, for an effect that waits for an answer; they have no database connection. What has not begun after
    `EFFECTS_SECONDS` is left for later, and so is the rest when `gives_up_after` have failed and none has succeeded.
    """

    def run(events: Sequence[OutboxEvent]) -> Failures:
        stop_at = time.monotonic() + EFFECTS_SECONDS
        ended: list[Exception | None] = []

        def is_hopeless() -> bool:
            return gives_up_after is not None and len(ended) >= gives_up_after and all(ended)

        def attempt(event: OutboxEvent) -> Exception | None:
            if time.monotonic() > stop_at or is_hopeless():
                return NotBegun()
            failure: Exception | None = None
            try:
                effect(event)
            except Exception as error:
                failure = error
            ended.append(failure)
            return failure

        if min(at_once, len(events)) > 1:
            with ThreadPoolExecutor(min(at_once, len(events))) as threads:
                outcomes = list(threads.map(attempt, events))
        else:
            outcomes = [attempt(event) for event in events]
        return {
            event.pk: outcome for event, outcome in zip(events, outcomes, strict=True) if outcome
        }

    return run
