from celery import current_app, shared_task

from apps.shared import outbox, retention
from apps.shared.draining import announce


@shared_task(name="shared.relay_events")
def relay_events(**_future: object) -> None:
    """Announce a drain for every consumer that has something due."""
    for consumer in outbox.consumers_with_due_deliveries():
        announce(current_app.tasks[consumer.task])


@shared_task(name="shared.purge")
def purge(**_future: object) -> None:
    retention.purge_all()
