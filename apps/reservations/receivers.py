from django.dispatch import receiver

from apps.reservations.signals import (
    ReservationCancelled,
    ReservationConfirmed,
    reservation_cancelled,
    reservation_confirmed,
)
from apps.reservations.tasks import sync_externally
from apps.shared.draining import announce


@receiver([reservation_confirmed, reservation_cancelled], dispatch_uid="reservations.sync")
def enqueue_external_sync(
    *, event: ReservationConfirmed | ReservationCancelled, **_: object
) -> None:
    announce(sync_externally)
