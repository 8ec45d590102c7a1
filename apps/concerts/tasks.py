from celery import shared_task

from apps.concerts import inventory, services
from apps.core.store import StoreUnavailable


@shared_task(name="concerts.rebuild_lost_ranking", throws=(StoreUnavailable,))
def rebuild_lost_ranking(**_future: object) -> None:
    services.rebuild_ranking_if_needed()


@shared_task(name="concerts.verify_ranking", throws=(StoreUnavailable,))
def verify_ranking(**_future: object) -> None:
    services.rebuild_ranking_if_needed(all_time=True)


@shared_task(name="concerts.release_due_allocations")
def release_due_allocations(**_future: object) -> None:
    inventory.release_due_allocations()
