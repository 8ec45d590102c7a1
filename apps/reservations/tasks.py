from celery import shared_task

from apps.reservations import monitoring, services
from apps.shared.outbox import deliver


@shared_task(name="reservations.sync_externally")
def sync_externally(*, event_id: str, **_future: object) -> None:
    deliver(consumer="external_sync", event_id=event_id)


@shared_task(name="reservations.expire_holds")
def expire_holds(**_future: object) -> None:
    services.expire_holds()


@shared_task(name="reservations.verify_invariants", soft_time_limit=260, time_limit=280)
def verify_invariants(**_future: object) -> None:
    monitoring.watch_invariants()
