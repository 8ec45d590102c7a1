"""Calls whose outcome a customer does not know are repeated, with their keys, until it is known."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from dev.drill.customers import NOT_ADMITTED, PAUSE, Customer
from dev.drill.history import STILL_RUNNING, Call, Outcome

PATIENCE = 60.0  # seconds for all calls of a phase
TURN_SECONDS = 5.0


def settle(
    calls: Iterable[Call], customers: Mapping[int, Customer], *, sleep: Callable[[float], None]
) -> None:
    """Repeat what is unknown until it is done or refused, and what is done once more, to see the same answer.

    A call that is still unknown after `PATIENCE` stays so, which is a breach.
    """
    give_up_at = time.monotonic() + PATIENCE
    for call in calls:
        if not call.was_unknown:
            continue
        customer = customers[call.user_id]
        while call.outcome is Outcome.UNKNOWN and time.monotonic() < give_up_at:
            _repeat(call, customer)
            sleep(0 if call.outcome is not Outcome.UNKNOWN else PAUSE)
        if call.outcome is Outcome.DONE and call.key:
            customer.repeat(call)


def _repeat(call: Call, customer: Customer) -> None:
    customer.repeat(call)
    last = call.attempts[-1]
    if last.outcome is not Outcome.REFUSED or last.code == STILL_RUNNING:
        return
    if last.code in NOT_ADMITTED:
        # This says nothing about the hold: to know it the customer has to queue again.
        customer.be_admitted(_set_after(TURN_SECONDS))
    else:
        call.is_settled = True


def _set_after(seconds: float) -> threading.Event:
    event = threading.Event()
    timer = threading.Timer(seconds, event.set)
    timer.daemon = True
    timer.start()
    return event
