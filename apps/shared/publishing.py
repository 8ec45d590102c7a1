"""Handing a task to the broker from a request that has already committed.

This is the fast path only: what is not published is picked up by the relay (`outbox.py`), so a broker that is down
must neither fail nor slow down the caller.
"""

import redis
import structlog
from celery import Task
from kombu.exceptions import OperationalError

from apps.shared.store import Breaker

logger = structlog.get_logger(__name__)

_breaker = Breaker()


def publish(task: "Task[..., None]", **kwargs: object) -> bool:
    """Enqueue `task`; after one failure the next second of calls gives up at once. Says whether it was sent."""
    if _breaker.is_open:
        return False
    try:
        task.delay(**kwargs)
    except (OperationalError, redis.RedisError, OSError):
        _breaker.trip()
        logger.warning("publish_failed", task=task.name)
        return False
    return True
