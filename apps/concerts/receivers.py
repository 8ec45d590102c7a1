from django.dispatch import receiver

from apps.concerts.tasks import update_ranking
from apps.reservations.signals import (
    ReservationCancelled,
    ReservationConfirmed,
    reservation_cancelled,
    reservation_confirmed,
)
from apps.shared.draining import announce


@receiver([reservation_confirmed, reservation_cancelled], dispatch_uid="concerts.ranking")
def enqueue_ranking_update(
    *, event: ReservationConfirmed | ReservationCancelled, **_: object
) -> None:
    announce(update_ranking)
