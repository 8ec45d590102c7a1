from django.dispatch import receiver

from apps.concerts.signals import PerformanceRescheduled, performance_rescheduled
from apps.reservations.signals import (
    ReservationCancelled,
    ReservationConfirmed,
    reservation_cancelled,
    reservation_confirmed,
)
from apps.reservations.tasks import sync_externally
from apps.shared.draining import announce


@receiver(
    [reservation_confirmed, reservation_cancelled, performance_rescheduled],
    dispatch_uid="reservations.sync",
)
def enqueue_external_sync(
    *, event: ReservationConfirmed | ReservationCancelled | PerformanceRescheduled, **_: object
) -> None:
    announce(sync_externally)
