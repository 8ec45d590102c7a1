"""Tell whether a Celery worker takes up the tasks that wait for it."""

import time
from typing import Any

import structlog
from celery import Celery
from celery.worker import state

from concert_project.heartbeat import WORK_SECONDS

logger = structlog.get_logger(__name__)


class Consuming:
    """Return False when called by a worker that does no work.

    A worker that has taken none for `WORK_SECONDS`, while its queues are not empty, does none. With empty queues, or a broker
    that does not answer, there is none to do.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._taken = 0
        self._since = time.monotonic()

    def __call__(self) -> bool:
        taken, now = sum(state.total_count.values()), time.monotonic()
        if taken != self._taken:
            self._taken, self._since = taken, now
        if now - self._since < WORK_SECONDS:
            return True
        if not self._is_anything_waiting():
            self._since = now
            return True
        return False

    def _is_anything_waiting(self) -> bool:
        try:
            with self._app.connection_for_read() as connection:
                # The way to count that every broker has: declaring a queue as it is changes nothing.
                declared: list[Any] = [
                    queue(connection.default_channel).queue_declare()
                    for queue in self._app.amqp.queues.consume_from.values()
                ]
                return any(queue.message_count for queue in declared)
        except Exception as error:  # as many kinds as there are brokers
            logger.warning("broker_unavailable", error=str(error))
            return False
