"""The Celery application: `celery -A concert_project worker` and `celery -A concert_project beat`."""

import os

from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_ready
from django_structlog.celery.steps import DjangoStructLogInitStep

from concert_project.heartbeat import show_life

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "concert_project.settings.production")

app = Celery("encore", fixups=["concert_project.kept_connections:fixup"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(
    DjangoStructLogInitStep
)  # binds the request id of the call that sent a task
app.autodiscover_tasks()


@setup_logging.connect
def keep_logging_of_django(**_: object) -> None:
    """Connect a receiver, so that Celery leaves `LOGGING` as it is; it would raise every level to WARNING."""


@worker_ready.connect
def show_life_of_worker(**_: object) -> None:
    from concert_project.consuming import Consuming  # with all of a worker, which web needs not

    show_life("worker", works=Consuming(app))


@worker_process_init.connect
def show_life_of_pool(**_: object) -> None:
    """Show life in each process that runs tasks: one that is frozen keeps the tasks that it was given."""
    show_life("pool")
