"""Waiting rooms to test with: open for an hour, with the default policy."""

from datetime import timedelta
from typing import Any

import factory
from django.utils import timezone

from apps.queue.core.lottery import key_blocks
from apps.queue.core.room import SECOND, Policy
from apps.queue.models import PolicyChange, QueueExit, WaitingRoom
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory

OPENED_AT = 1_795_000_000 * SECOND  # an arbitrary moment, the opening in tests of the core
LOTTERY_KEY = bytes(range(32))


class WaitingRoomFactory(factory.django.DjangoModelFactory[WaitingRoom]):
    class Meta:
        model = WaitingRoom

    concert = factory.SubFactory(ConcertFactory)


class QueueExitFactory(factory.django.DjangoModelFactory[QueueExit]):
    class Meta:
        model = QueueExit

    concert = factory.SubFactory(ConcertFactory)
    customer = factory.SubFactory(CustomerFactory)
    generation = 1
    slot = factory.Sequence(lambda n: OPENED_AT + n)
    reason = QueueExit.Reason.COMPLETED
    joined_at = factory.LazyFunction(lambda: timezone.now() - timedelta(minutes=5))
    ended_at = factory.LazyFunction(timezone.now)


class PolicyChangeFactory(factory.django.DjangoModelFactory[PolicyChange]):
    class Meta:
        model = PolicyChange

    room = factory.SubFactory(WaitingRoomFactory)
    field = "capacity"
    old_value = "50"
    new_value = "80"
    changed_by = factory.SubFactory(CustomerFactory, staff=True)


def policy(**changes: Any) -> Policy:
    """The policy of a live room, without any row behind it."""
    inner, outer = key_blocks(LOTTERY_KEY)
    values: dict[str, Any] = {
        "concert": 7,
        "version": 1,
        "generation": 1,
        "state": "OPEN",
        "opens_at": OPENED_AT,
        "closes_at": 0,
        "capacity": 3,
        "per_minute": 0,
        "lease": 300 * SECOND,
        "patience": 300 * SECOND,
        "lottery_window": 3600 * SECOND,
        "lottery_inner": inner,
        "lottery_outer": outer,
    }
    return Policy(**(values | changes))
