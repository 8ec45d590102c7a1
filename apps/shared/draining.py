"""Starting drains: after a commit by the receivers of its signal, and by the relay.

Under load a drain that waits to be taken up will find what others commit meanwhile, so one is enough: a flag in the broker's
store says that one waits. The task drops the flag before it claims; whatever is committed after its claim is then announced
again. A task that is lost takes its flag with it within `WAITS_AT_MOST` seconds.
"""

import redis
import structlog
from celery import Task
from django.conf import settings

from apps.shared.lean_store import script_client
from apps.shared.outbox import drain
from apps.shared.publishing import publish

logger = structlog.get_logger(__name__)

WAITS_AT_MOST = 5
GATHER_SECONDS = 0.25  # what is committed within it shares a drain
EXPIRES_SECONDS = 60.0  # bounds what piles up while no worker runs


def announce(task: "Task[..., None]") -> bool:
    """Enqueue the task that drains a consumer, unless it waits already; says whether one waits now.

    A broker that is down neither fails nor delays the caller; the relay announces what is left.
    """
    try:
        flag = ("SET", _flag(task), 1, "NX", "EX", WAITS_AT_MOST)
        is_first = script_client(settings.BROKER_URL).execute_command(*flag)
    except (redis.RedisError, OSError):
        logger.warning("announcement_failed", task=task.name)
        return False
    return not is_first or publish(task, countdown=GATHER_SECONDS, expires=EXPIRES_SECONDS)


def drain_announced(task: "Task[..., None]", *, consumer: str) -> None:
    """Drain `consumer` as the work of `task`, and announce another drain if there is more than one may take."""
    _may_be_announced_again(task)
    if drain(consumer=consumer).has_more:
        announce(task)


def _may_be_announced_again(task: "Task[..., None]") -> None:
    try:
        script_client(settings.BROKER_URL).execute_command("DEL", _flag(task))
    except (redis.RedisError, OSError):
        logger.warning("announcement_kept", task=task.name)  # it lapses


def _flag(task: "Task[..., None]") -> str:
    return f"draining:waiting:{task.name}"
