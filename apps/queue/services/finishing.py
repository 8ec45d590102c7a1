"""The end of a visit: into the exit log first, which never forgets, then out of the live room."""

import structlog

from apps.queue.core.room import EndReason
from apps.queue.live import live_room, store_needed
from apps.queue.models import QueueExit
from apps.queue.services.admission import admit_now
from apps.queue.services.clock import moment
from apps.queue.services.rooms import waiting_room_of
from apps.shared.models import OutboxEvent
from apps.shared.outbox import Consumer
from apps.shared.transactions import database_now

logger = structlog.get_logger(__name__)


def finish_visit(
    *, concert_id: int, customer_id: int, place: int, generation: int, reason: EndReason
) -> None:
    """End one visit for good; a later visit of the same customer goes on. Finishing twice changes nothing.

    Whoever leaves before the opening and comes back in time draws the same place (`join_queue` forgets the end).

    :raises ServiceUnavailable: the end is on record, but the store does not answer; call again.
    """
    now = database_now()
    joined_at = moment(place) if place else waiting_room_of(concert_id).opening_at
    if reason is EndReason.LEFT:
        joined_at = min(joined_at, now)  # before the opening
    visit = {"concert_id": concert_id, "customer_id": customer_id, "generation": generation}
    QueueExit.objects.bulk_create(
        [QueueExit(**visit, place=place, reason=reason, joined_at=joined_at, ended_at=now)],
        ignore_conflicts=True,
    )
    with store_needed():
        finish = live_room(concert_id).finish(
            customer_id=customer_id, place=place, generation=generation, reason=reason
        )
    # By the store's clock, as places and the ends that the room finds itself: what overlaps is then beyond doubt.
    times = {"ended_at": moment(finish.ended_at)}
    if finish.admitted_at:
        times["admitted_at"] = moment(finish.admitted_at)
    QueueExit.objects.filter(**visit, place=place, ended_at=now).update(**times)
    if finish.admitted_at:
        admit_now(concert_id)


def _finish_paid_visit(event: OutboxEvent) -> None:
    """Who has paid makes room for the next. Sales at the box office never stood in the queue."""
    payload = event.payload
    if payload.get("queue_place") is None:
        return
    finish_visit(
        concert_id=payload["concert_id"],
        customer_id=payload["customer_id"],
        place=payload["queue_place"],
        generation=payload["queue_generation"],
        reason=EndReason.COMPLETED,
    )


FINISH_PAID_VISITS = Consumer(
    name="queue",
    event_types=frozenset({"reservation.confirmed"}),
    effect=_finish_paid_visit,
)
