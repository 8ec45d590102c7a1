"""The ways in from outside: beat, the signal of a sale, the delivery of its event."""

from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from apps.outbox.announcing import drain_announced
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.outbox.recording import record_event
from apps.queue.live import token_signer
from apps.queue.tasks import admit_visitors
from apps.reservations.signals import ReservationConfirmed, reservation_confirmed
from tests.queue.rooms import Visitor

pytestmark = pytest.mark.django_db


def paid(visitor: Visitor) -> OutboxEvent:
    slot = token_signer().read(visitor.token)
    with transaction.atomic():
        return record_event(
            type="reservation.confirmed",
            payload={
                "concert_id": visitor.concert.pk,
                "customer_id": visitor.customer.pk,
                "queue_slot": slot.slot,
                "queue_generation": slot.generation,
            },
            occurred_at=timezone.now(),
        )


def test_beat_admits(visitors):
    admit_visitors(from_a_newer_caller=True)

    assert visitors[0].standing == "ACTIVE"


def test_a_confirmed_reservation_enqueues_the_end_of_the_visit(
    broker_store,
):
    event_id = uuid4()

    reservation_confirmed.send(
        sender=None, event=ReservationConfirmed(event_id=event_id, reservation_id=uuid4())
    )

    messages = broker_store.lrange("celery:default", 0, -1)
    assert any(b"token_expiry" in message for message in messages)  # type: ignore[union-attr]


def test_the_task_ends_the_visit_once(visitors):
    admit_visitors()
    visitors[0].poll()
    event = paid(visitors[0])

    for _ in range(2):
        drain_announced(consumer="token_expiry", from_a_newer_caller=True)

    delivery = EventDelivery.objects.get(event=event, consumer="token_expiry")
    assert (delivery.status, delivery.attempts) == ("DONE", 1)
    assert visitors[0].standing == "COMPLETED"


def test_without_a_store_the_delivery_is_tried_again_later(visitors, settings):
    admit_visitors()
    visitors[0].poll()
    event = paid(visitors[0])
    settings.QUEUE_URL = "redis://127.0.0.1:1/0"  # type: ignore[attr-defined]

    drain_announced(consumer="token_expiry")

    delivery = EventDelivery.objects.get(event=event, consumer="token_expiry")
    assert delivery.status == "PENDING"
    assert delivery.next_attempt_at > timezone.now()
