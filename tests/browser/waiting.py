"""Rooms of concerts and how their visitors get on, beside what their browsers do."""

import re
from typing import Any

from django.utils import timezone

from apps.accounts.models import User
from apps.concerts.models import Concert
from apps.queue.models import WaitingRoom
from apps.queue.services import admit_visitors, join_queue, set_capacity
from tests.factories.accounts import CustomerFactory
from tests.factories.queue import WaitingRoomFactory

QUEUE = re.compile(r"/concerts/\d+/queue/$")
STATUS = re.compile(r"/queue/status/$")
# A worker keeps its own time, so a test that moves time on takes it away.
NO_WORKER = "delete globalThis.Worker;"


def admit(concert: Concert) -> int:
    """Tick the waiting room now."""
    WaitingRoom.objects.filter(concert=concert).update(next_tick_at=timezone.now())
    return admit_visitors()


def queue_up(concert: Concert, visitors: int) -> list[User]:
    made: list[User] = CustomerFactory.create_batch(visitors)
    for visitor in made:
        join_queue(customer_id=visitor.pk, concert_id=concert.pk)
    return made


def full_room(**fields: Any) -> Concert:
    """Return a concert whose waiting room lets one visitor in at once, and has that one."""
    concert: Concert = WaitingRoomFactory(capacity=1, **fields).concert
    queue_up(concert, 1)
    admit(concert)
    return concert


def let_in(concert: Concert, visitors: int) -> None:
    """Let in so many more than there are."""
    capacity = WaitingRoom.objects.get(concert=concert).capacity + visitors
    set_capacity(concert_id=concert.pk, capacity=capacity, staff_id=None)
    assert admit(concert) == visitors
