"""The Celery application: `celery -A concert_project worker` and `celery -A concert_project beat`."""

import os

from celery import Celery
from celery.signals import setup_logging
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "concert_project.settings.local")

app = Celery("encore", fixups=["concert_project.kept_connections:fixup"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(
    DjangoStructLogInitStep
)  # binds the request id of the call that sent a task
app.autodiscover_tasks()


@setup_logging.connect
def keep_logging_of_django(**_: object) -> None:
    """Because somebody listens, Celery leaves `LOGGING` as it is; it would raise every level to WARNING."""
