from celery import shared_task

from apps.queue import services
from apps.shared.outbox import deliver


@shared_task(name="queue.admit_visitors")
def admit_visitors(**_future: object) -> None:
    services.admit_visitors()


@shared_task(name="queue.finish_paid_visit")
def finish_paid_visit(*, event_id: str, **_future: object) -> None:
    deliver(consumer="queue", event_id=event_id)
