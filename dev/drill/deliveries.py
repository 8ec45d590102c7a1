"""Check that every event has reached every consumer, with one effect. Needs Django to be set up."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from apps.concerts.models import RankingEntry
from apps.concerts.services import ranking_drift
from apps.outbox.announcing import drain_announced
from apps.outbox.events import CONSUMERS
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.queue.models import QueueExit

REPEATED = 60  # events whose deliveries are repeated at a time
TOLD = range(200, 300)


def unfinished(*, until: float | None = None) -> int:
    """Count the deliveries that are not done, of events up to `until`, in seconds since 1970."""
    open_ones = EventDelivery.objects.exclude(status=EventDelivery.Status.DONE)
    if until is not None:
        open_ones = open_ones.filter(event__occurred_at__lte=datetime.fromtimestamp(until, UTC))
    return open_ones.count()


def deliver_again(dice: random.Random) -> None:
    """Forget that the latest events were delivered, and hand out two tasks for each delivery, in any order.

    So every effect runs once more, and most tasks meet others at work or done.
    """
    latest = OutboxEvent.objects.order_by("-occurred_at", "pk").values_list("pk", flat=True)
    done = EventDelivery.objects.filter(
        event__in=list(latest[:REPEATED]), status=EventDelivery.Status.DONE
    )
    tasks = sorted(done.values_list("consumer", flat=True)) * 2
    done.update(
        status=EventDelivery.Status.PENDING, attempts=0, done_at=None, next_attempt_at=Now()
    )
    dice.shuffle(tasks)
    for consumer in tasks:
        drain_announced.apply_async(kwargs={"consumer": consumer}, queue=CONSUMERS[consumer].queue)


@dataclass
class Told:
    """Hold what the outside platform was told of one event: the bodies it got, and how it answered each time."""

    bodies: list[Any] = field(default_factory=list)
    answers: list[int | str] = field(default_factory=list)
    is_signed: bool = True


def messages_told(log_path: Path) -> dict[str, Told]:
    """Return by event id what the development receiver has written down."""
    told: dict[str, Told] = defaultdict(Told)
    for line in log_path.read_text().splitlines():
        try:
            message = json.loads(line)
            known = told[message["id"]]
        except (ValueError, KeyError, TypeError):
            continue  # not one of its lines about a message
        known.bodies.append(message["body"])
        known.answers.append(message["answer"])
        known.is_signed &= message["signature"] == "valid"
    return told


def told_again(told: dict[str, Told]) -> set[str]:
    """Events of which the outside platform took more than one message."""
    return {event_id for event_id, known in told.items() if _successes(known) > 1}


def find_delivery_breaches(told: dict[str, Told], *, may_repeat: set[str]) -> list[str]:
    """Find what was not consumed, or more than once.

    A message that was answered with 2xx is sent again only for the events in `may_repeat`: the answer was lost with the
    process or the session that had it.
    """
    return [*_not_delivered(), *_not_ranked(), *_not_finished(), *_told_wrongly(told, may_repeat)]


def _not_delivered() -> Iterator[str]:
    wanted = {
        (consumer.name, type) for consumer in CONSUMERS.values() for type in consumer.event_types
    }
    found: Counter[tuple[Any, str]] = Counter()
    deliveries = EventDelivery.objects.order_by("pk").annotate(type=F("event__type"))
    for delivery in deliveries:
        found[delivery.event_id, delivery.consumer] += 1
        if delivery.status != EventDelivery.Status.DONE:
            yield (
                f"{delivery.status} after {delivery.attempts} attempts: {delivery.consumer} of event "
                f"{delivery.event_id} ({delivery.last_error or 'no error'})"
            )
    for event_id, type in OutboxEvent.objects.values_list("pk", "type"):
        for consumer in (name for name, wanted_type in wanted if wanted_type == type):
            if found[event_id, consumer] != 1:
                yield f"{found[event_id, consumer]} records of {consumer} for event {event_id}"


def _not_ranked() -> Iterator[str]:
    events = set(OutboxEvent.objects.values_list("pk", flat=True))
    entries = Counter(RankingEntry.objects.values_list("event_id", flat=True))
    for event_id in events | entries.keys():
        if entries[event_id] != (event_id in events):
            yield f"event {event_id} counts {entries[event_id]} times in the ranking"
    for drift in ranking_drift():
        yield f"the ranking has drifted: {drift}"


def _not_finished() -> Iterator[str]:
    """Find customers who have paid and have not left the waiting room, or more than once."""
    exits = Counter(
        QueueExit.objects.values_list("concert_id", "customer_id", "generation", "slot")
    )
    confirmed = OutboxEvent.objects.filter(type="reservation.confirmed")
    for event_id, payload in confirmed.values_list("pk", "payload"):
        if payload["queue_slot"] is None:
            continue
        visit = (
            *(payload["concert_id"], payload["customer_id"]),
            *(payload["queue_generation"], payload["queue_slot"]),
        )
        if exits[visit] != 1:
            yield f"{exits[visit]} ends of the visit that event {event_id} paid for"


def _told_wrongly(told: dict[str, Told], may_repeat: set[str]) -> Iterator[str]:
    events = {str(pk) for pk in OutboxEvent.objects.values_list("pk", flat=True)}
    for unknown in told.keys() - events:
        yield f"the outside platform was told of an event that is not there: {unknown}"
    for event_id in sorted(events):
        known = told.get(event_id, Told())
        successes = _successes(known)
        if not successes:
            yield f"the outside platform never took event {event_id}: {known.answers}"
        elif successes > 1 and event_id not in may_repeat:
            yield f"the outside platform was told {successes} times of event {event_id}"
        if not known.is_signed:
            yield f"a message about event {event_id} was not signed properly"
        if any(body["data"] != known.bodies[0]["data"] for body in known.bodies):
            yield f"the outside platform was told different things of event {event_id}"


def _successes(told: Told) -> int:
    return sum(answer in TOLD for answer in told.answers)
