from django.dispatch import receiver

from apps.concerts.signals import ConcertDeleted, concert_deleted
from apps.queue.services import forget_room
from apps.queue.tasks import finish_paid_visit
from apps.reservations.signals import ReservationConfirmed, reservation_confirmed
from apps.shared.draining import announce


@receiver(reservation_confirmed, dispatch_uid="queue.finish_paid_visit")
def enqueue_finish_of_paid_visit(*, event: ReservationConfirmed, **_: object) -> None:
    announce(finish_paid_visit)


@receiver(concert_deleted, dispatch_uid="queue.forget_room")
def forget_room_of_deleted_concert(*, event: ConcertDeleted, **_: object) -> None:
    forget_room(concert_id=event.concert_id)
