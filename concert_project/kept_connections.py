"""A worker keeps its database connection from task to task, as Django does from request to request (`CONN_MAX_AGE`).

Celery's own fix-up for Django closes it around every task; opening one costs both sides more than most tasks do.
"""

from typing import Any

from celery import Celery
from celery.fixups.django import DjangoFixup, DjangoWorkerFixup  # type: ignore[attr-defined]
from django.db import close_old_connections


class _WorkerFixup(DjangoWorkerFixup):
    def close_database(self, **_: object) -> None:
        close_old_connections()


class _Fixup(DjangoFixup):
    _worker_fixup: Any

    @property
    def worker_fixup(self) -> Any:
        if self._worker_fixup is None:
            self._worker_fixup = _WorkerFixup(self.app)
        return self._worker_fixup


def fixup(app: Celery) -> DjangoFixup:
    found = _Fixup(app)
    found.install()
    return found
