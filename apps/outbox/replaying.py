"""Give dead deliveries another set of attempts, in batches, with a record of who did it."""

import time
from collections.abc import Callable

from django.db.models import Q
from django.db.models.functions import Now

from apps.outbox.models import DeliveryReplay, EventDelivery, EventDeliveryQuerySet, Receiver

BATCH = 1_000


def replay_dead(
    *,
    deliveries: EventDeliveryQuerySet | None = None,
    chosen: str = "",
    staff_id: int | None = None,
    actor: str = "",
    seconds: float | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Make those of `deliveries` that are dead due as if they had never been tried, or all there are; returns how many.

    No more than are dead at the beginning, and none after `seconds`. Each batch is a statement of its own, whose number
    `on_progress` gets; what is done stays done when a later one fails. A receiver that is unhealthy is probed at once, because
    staff who replay have mended something. `chosen` says in words which they are, for the record.
    """
    stop_at = None if seconds is None else time.monotonic() + seconds
    dead = (EventDelivery.objects.all() if deliveries is None else deliveries).dead().order_by()
    left = dead.count()
    replay = DeliveryReplay(chosen=chosen or "all", replayed_by_id=staff_id, actor=actor)
    while left > 0 and (stop_at is None or time.monotonic() < stop_at):
        ids = list(dead.values_list("pk", flat=True)[: min(BATCH, left)])
        if not ids:
            break
        # Oldest first, as they would have been: only what is due at the same moment is ordered by its id.
        replayed = (
            EventDelivery.objects.dead()
            .filter(pk__in=ids)
            .update(
                status=EventDelivery.Status.PENDING, attempts=0, next_attempt_at=Now(), done_at=None
            )
        )
        left -= len(ids)
        replay.deliveries += replayed
        replay.save()
        on_progress(replayed)
    if replay.deliveries:
        _probe_now()
    return replay.deliveries


def _probe_now() -> None:
    later = Q(unhealthy_since__isnull=False, next_probe_at__gt=Now())
    Receiver.objects.filter(later).update(next_probe_at=Now())
