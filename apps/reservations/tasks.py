from celery import shared_task

from apps.reservations import services


@shared_task(name="reservations.expire_holds")
def expire_holds(**_future: object) -> None:
    services.expire_holds()
