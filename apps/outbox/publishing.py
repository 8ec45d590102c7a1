"""Hand a task to the broker from a request that has already committed.

What is not published the relay makes up for (`announcing.py`), so a broker that is down must neither fail nor slow down the caller.
"""

from functools import cache
from typing import Any

import redis
import structlog
from celery import Celery, Task
from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.pools import producers

from apps.core.store import Breaker

logger = structlog.get_logger(__name__)

_breaker = Breaker()


def publish(task: "Task[..., None]", **options: Any) -> bool:
    """Enqueue `task`; after one failure the next second of calls gives up at once. Says whether it was sent.

    `options` are those of `apply_async`.
    """
    if _breaker.is_open:
        return False
    try:
        with producers[_impatient_connection(task.app)].acquire(block=True) as producer:
            task.apply_async(producer=producer, **options)
    except (OperationalError, redis.RedisError, OSError):
        _breaker.trip()
        logger.warning("publish_failed", task=task.name)
        return False
    return True


@cache
def _impatient_connection(app: Celery) -> Connection:
    """Return a connection to the same broker that gives up sooner: a worker may wait longer for its next task than a customer for the answer."""
    timeouts = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), settings.STORE_TIMEOUT)
    return app.connection_for_write(transport_options=timeouts)
