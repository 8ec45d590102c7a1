from celery import shared_task

from apps.shared import outbox, retention


@shared_task(name="shared.relay_events")
def relay_events(**_future: object) -> None:
    """Start a drain for every consumer that has something due. Drains share the work, so a late one does no harm."""
    for consumer in outbox.consumers_with_due_deliveries():
        drain_consumer.apply_async(
            kwargs={"consumer": consumer.name}, queue=consumer.queue, expires=10
        )


@shared_task(name="shared.drain_consumer")
def drain_consumer(*, consumer: str, **_future: object) -> None:
    outbox.drain(consumer=consumer)


@shared_task(name="shared.purge")
def purge(**_future: object) -> None:
    retention.purge_all()
