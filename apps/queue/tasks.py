from celery import shared_task

from apps.queue import services
from apps.shared.draining import drain_announced


@shared_task(name="queue.admit_visitors")
def admit_visitors(**_future: object) -> None:
    services.admit_visitors()


@shared_task(name="queue.finish_paid_visit")
def finish_paid_visit(**_future: object) -> None:
    drain_announced(finish_paid_visit, consumer="queue")
