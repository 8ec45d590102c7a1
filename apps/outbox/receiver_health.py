"""The health of the receivers outside: those that some consumers tell of events.

A receiver that only fails is unhealthy, and is tried gently: its deliveries wait, untouched, and one of them at a time is a
probe. The first success ends that: all of the backlog is drained, and what has failed in a long outage is due at once. The state is one
row for each such consumer. A drain learns of it from the claim (`draining.sql`) and writes it only when something has failed, or has
succeeded after a failure.
"""

import random
from pathlib import Path

import structlog

from apps.core.database import fetch_all, fetch_one, load_statements
from apps.core.transactions import run_in_transaction

logger = structlog.get_logger(__name__)

SQL = load_statements(Path(__file__).with_suffix(".sql"))

UNHEALTHY_FAILURES = 5  # in a row, of whichever deliveries
# Between two probes: a quarter of the time for which everything has failed, within these bounds, or what the receiver asks for.
PROBE_FIRST = 5.0  # seconds
PROBE_LONGEST = 300.0
PROBE_SHARE = 0.25
JITTER = (0.8, 1.2)  # spreads the deliveries of one moment over the next attempts, too
# A shorter outage leaves no long waits behind. To cut those short, too, would let messages that this receiver never takes come first
# again after each success, fail together, and so make it unhealthy for ever.
RELEASE_AFTER = 60.0  # seconds
RELEASED_AT_ONCE = 1_000


def take_probe(*, consumer: str, seconds: float) -> bool:
    """Say whether the receiver of `consumer` is unhealthy and this caller may try it now; no other one may for `seconds`."""
    return (
        fetch_one(SQL["take_probe"], {"consumer": consumer, "claim_seconds": seconds}) is not None
    )


def note_failures(*, consumer: str, failures: int, error: str, retry_after: float) -> None:
    """Record that so many attempts of a batch failed and none succeeded.

    `retry_after` is how many seconds the receiver asked for; the next probe waits for them.
    """
    [(in_a_row, is_new)] = fetch_all(
        SQL["note_failures"],
        {
            "consumer": consumer,
            "failures": failures,
            "unhealthy_failures": UNHEALTHY_FAILURES,
            "retry_after": retry_after,
            "error": error,
            "first": PROBE_FIRST,
            "longest": PROBE_LONGEST,
            "share": PROBE_SHARE,
            "jitter": random.uniform(*JITTER),
        },
    )
    if is_new:
        logger.warning("receiver_unhealthy", consumer=consumer, failures=in_a_row, error=error)


def note_success(*, consumer: str, lost_alone: str) -> bool:
    """Record that the receiver of `consumer` took something after a failure; says whether it was unhealthy until now.

    If so, and for `RELEASE_AFTER` seconds, whatever waits for another attempt is due at once. Deliveries whose last error is
    `lost_alone` have not failed there. A worker that dies on the way leaves all of it to the next success.
    """

    def recover() -> tuple[float, int] | None:
        found = fetch_one(SQL["note_success"], {"consumer": consumer})
        if found is None or found[0] is None:
            return None
        [seconds] = found
        return seconds, _release(consumer, lost_alone) if seconds >= RELEASE_AFTER else 0

    recovery = run_in_transaction(recover)
    if recovery is None:
        return False
    seconds, released = recovery
    logger.info(
        "receiver_recovered", consumer=consumer, seconds=round(seconds, 1), released=released
    )
    return True


def _release(consumer: str, lost_alone: str) -> int:
    released = 0
    while True:
        batch = fetch_all(
            SQL["release_waiting"],
            {"consumer": consumer, "limit": RELEASED_AT_ONCE, "lost_alone": lost_alone},
        )
        released += len(batch)
        if len(batch) < RELEASED_AT_ONCE:
            return released
