from celery import shared_task

from apps.reservations import monitoring, services
from apps.shared.draining import drain_announced


@shared_task(name="reservations.sync_externally")
def sync_externally(**_future: object) -> None:
    drain_announced(sync_externally, consumer="external_sync")


@shared_task(name="reservations.expire_holds")
def expire_holds(**_future: object) -> None:
    services.expire_holds()


@shared_task(name="reservations.verify_invariants", soft_time_limit=260, time_limit=280)
def verify_invariants(**_future: object) -> None:
    monitoring.watch_invariants()


# Taken from the broker at once: what takes longer than the broker waits for a late acknowledgement would be run twice.
@shared_task(
    name="reservations.verify_all_invariants",
    acks_late=False,
    soft_time_limit=3_100,
    time_limit=3_200,
)
def verify_all_invariants(**_future: object) -> None:
    monitoring.watch_invariants(scope=monitoring.Scope.EVERYTHING)
