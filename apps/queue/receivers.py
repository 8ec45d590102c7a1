from django.dispatch import receiver

from apps.concerts.signals import ConcertDeleted, concert_deleted
from apps.queue.services import forget_room


@receiver(concert_deleted, dispatch_uid="queue.forget_room")
def forget_room_of_deleted_concert(*, event: ConcertDeleted, **_: object) -> None:
    forget_room(concert_id=event.concert_id)
