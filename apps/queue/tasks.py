from celery import shared_task

from apps.queue import services


@shared_task(name="queue.admit_visitors")
def admit_visitors(**_future: object) -> None:
    services.admit_visitors()
