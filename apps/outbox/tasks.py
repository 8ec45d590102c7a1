from celery import shared_task

from apps.outbox.announcing import announce, drain_announced
from apps.outbox.draining import consumers_with_due_deliveries

__all__ = ["drain_announced", "relay_events"]


@shared_task(name="outbox.relay_events")
def relay_events(**_future: object) -> None:
    """Announce a drain for every consumer that has something due."""
    for consumer in consumers_with_due_deliveries():
        announce(consumer.name)
