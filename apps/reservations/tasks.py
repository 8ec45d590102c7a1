from celery import shared_task

from apps.reservations import services
from apps.shared.outbox import deliver


@shared_task(name="reservations.sync_externally")
def sync_externally(*, event_id: str, **_future: object) -> None:
    deliver(consumer="external_sync", event_id=event_id)


@shared_task(name="reservations.expire_holds")
def expire_holds(**_future: object) -> None:
    services.expire_holds()
