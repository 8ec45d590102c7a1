"""Calls and forms whose outcome is not known are repeated, with their keys, until it is known."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from dev.drill.customers import NOT_ADMITTED, PAUSE, Customer
from dev.drill.history import STILL_RUNNING, Call, Outcome

PATIENCE = 60.0  # seconds for all calls of a phase
TURN_SECONDS = 5.0


class Repeater(Protocol):
    """A customer or a member of staff."""

    def repeat(self, call: Call) -> None: ...


def settle(
    calls: Iterable[Call], people: Mapping[int, Repeater], *, sleep: Callable[[float], None]
) -> None:
    """Repeat what is unknown until it is done or refused, and what is done once more, to see the same answer.

    A call that is still unknown after `PATIENCE` stays so, which is a breach.
    """
    give_up_at = time.monotonic() + PATIENCE
    for call in calls:
        if not call.was_unknown:
            continue
        person = people[call.user_id]
        while call.outcome is Outcome.UNKNOWN and time.monotonic() < give_up_at:
            _repeat(call, person)
            sleep(0 if call.outcome is not Outcome.UNKNOWN else PAUSE)
        if call.outcome is Outcome.DONE and call.key:
            person.repeat(call)


def _repeat(call: Call, person: Repeater) -> None:
    person.repeat(call)
    last = call.attempts[-1]
    if last.outcome is not Outcome.REFUSED or last.code == STILL_RUNNING:
        return
    if last.code in NOT_ADMITTED and isinstance(person, Customer):
        # This says nothing about the hold: to know it the customer has to queue again.
        person.be_admitted(_set_after(TURN_SECONDS))
    else:
        call.is_settled = True


def _set_after(seconds: float) -> threading.Event:
    event = threading.Event()
    timer = threading.Timer(seconds, event.set)
    timer.daemon = True
    timer.start()
    return event
