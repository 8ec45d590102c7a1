"""Start drains: after a commit by the receivers of its signal, and by the relay. One task drains for every consumer.

Under load a drain that waits to be taken up will find what others commit meanwhile, so one is enough: a flag in the broker's
store says that one waits. The task drops the flag before it claims; whatever is committed after its claim is then announced
again. A task that is lost takes its flag with it within `WAITS_AT_MOST` seconds.

A drain waits for `GATHER_SECONDS` at least. A process that knows since when the flag is up need not ask again for most of that
time: what it commits meanwhile comes before the claim. If the drain begins early after all, because the worker's clock is ahead, or
the broker has forgotten it, the next announcement or the relay makes up for it.
"""

import time
from pathlib import Path

import redis
import structlog
from celery import shared_task
from django.conf import settings

from apps.core.lean_store import Script, script_client
from apps.outbox.draining import drain
from apps.outbox.events import CONSUMERS
from apps.outbox.publishing import publish

logger = structlog.get_logger(__name__)

WAITS_AT_MOST = 5
GATHER_SECONDS = 0.25  # what is committed within it shares a drain
SURE_SECONDS = 0.2  # of that; the rest is for clocks that disagree a little
EXPIRES_SECONDS = 60.0  # bounds what piles up while no worker runs

_RAISE_FLAG = Script(Path(__file__).with_suffix(".lua"))

# By consumer, on this process's own clock.
_waits_until: dict[str, float] = {}


def announce(consumer: str) -> bool:
    """Enqueue a drain of a consumer, unless one waits already; says whether one waits now.

    A broker that is down neither fails nor delays the caller; the relay announces what is left.
    """
    asked_at = time.monotonic()
    if asked_at < _waits_until.get(consumer, 0.0):
        return True
    try:
        waited = _raise_flag(consumer)
    except (redis.RedisError, OSError):
        logger.warning("announcement_failed", consumer=consumer)
        return False
    if waited is None and not _send_drain(consumer):
        return False
    _waits_until[consumer] = asked_at + SURE_SECONDS - (waited or 0.0)
    return True


@shared_task(name="outbox.drain")
def drain_announced(*, consumer: str, **_future: object) -> None:
    """Drain a consumer, and announce another drain if there is more than one may take."""
    _may_be_announced_again(consumer)
    if drain(consumer=consumer).has_more:
        announce(consumer)


def _send_drain(consumer: str) -> bool:
    return publish(
        drain_announced,
        kwargs={"consumer": consumer},
        queue=CONSUMERS[consumer].queue,
        countdown=GATHER_SECONDS,
        expires=EXPIRES_SECONDS,
    )


def _raise_flag(consumer: str) -> float | None:
    """Return for how many seconds the flag has been up already; None if it was down."""
    left = _RAISE_FLAG.run(script_client(settings.BROKER_URL), [_flag(consumer)], WAITS_AT_MOST)
    return None if left is None else WAITS_AT_MOST - left / 1_000


def _may_be_announced_again(consumer: str) -> None:
    _waits_until.pop(consumer, None)
    try:
        script_client(settings.BROKER_URL).execute_command("DEL", _flag(consumer))
    except (redis.RedisError, OSError):
        logger.warning("announcement_kept", consumer=consumer)  # it lapses


def _flag(consumer: str) -> str:
    return f"draining:waiting:{consumer}"
