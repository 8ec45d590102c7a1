from django.dispatch import receiver

from apps.queue.tasks import finish_paid_visit
from apps.reservations.signals import ReservationConfirmed, reservation_confirmed
from apps.shared.publishing import publish


@receiver(reservation_confirmed, dispatch_uid="queue.finish_paid_visit")
def enqueue_finish_of_paid_visit(*, event: ReservationConfirmed, **_: object) -> None:
    publish(finish_paid_visit, event_id=str(event.event_id))
