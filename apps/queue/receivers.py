from django.dispatch import receiver

from apps.queue.tasks import finish_paid_visit
from apps.reservations.signals import ReservationConfirmed, reservation_confirmed
from apps.shared.draining import announce


@receiver(reservation_confirmed, dispatch_uid="queue.finish_paid_visit")
def enqueue_finish_of_paid_visit(*, event: ReservationConfirmed, **_: object) -> None:
    announce(finish_paid_visit)
