from celery import shared_task

from apps.concerts import services
from apps.shared.outbox import deliver
from apps.shared.store import StoreUnavailable


@shared_task(name="concerts.update_ranking")
def update_ranking(*, event_id: str, **_future: object) -> None:
    deliver(consumer="ranking", event_id=event_id)


@shared_task(name="concerts.rebuild_lost_ranking", throws=(StoreUnavailable,))
def rebuild_lost_ranking(**_future: object) -> None:
    services.rebuild_ranking_if_needed()
