"""How long a claim keeps others away from a delivery."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.outbox.consumers import Consumer
from apps.outbox.draining import drain
from apps.outbox.models import EventDelivery
from tests.outbox.deliveries import TYPE, add, only, record
from tests.protections import change

pytestmark = pytest.mark.django_db

A_CLAIM = timedelta(seconds=20)


def test_is_twenty_seconds(monkeypatch):
    only(monkeypatch)
    now, until = timezone.now(), set()

    def look(events):
        until.update(EventDelivery.objects.values_list("next_attempt_at", flat=True))
        return {}

    add(monkeypatch, Consumer("first", frozenset({TYPE}), look))
    change(monkeypatch, "claim", ("statement_timestamp() +", f"'{now.isoformat()}'::timestamptz +"))
    for _ in range(2):
        record()

    assert drain(consumer="first").settled == 2
    assert until == {now + A_CLAIM}
