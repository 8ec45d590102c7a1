"""Waits to the second: with clocks that stand still, and with a jitter that is known."""

import json
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from apps.outbox import draining, receiver_health
from apps.outbox.announcing import announce
from apps.outbox.consumers import Consumer, DeliveryPostponed, one_by_one
from apps.outbox.draining import drain
from apps.outbox.models import EventDelivery, Receiver
from tests.outbox.deliveries import TYPE, add, only, record
from tests.protections import change

pytestmark = pytest.mark.django_db

MINUTE, HOUR = 60, 3_600
INSIDE = [7.5, 15, 30, 60, 120, 240, 480, 960, 1_920, HOUR, HOUR, HOUR, HOUR, HOUR]
OUTSIDE = [
    *(5, 15, 40, MINUTE, 3 * MINUTE, 10 * MINUTE, 45 * MINUTE),
    *(HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 12 * HOUR, 20 * HOUR, 24 * HOUR),
]
JITTER = 1.25
NOW = "statement_timestamp()"


@pytest.fixture
def now(monkeypatch) -> datetime:
    """The moment at which failures are noted; the jitter is known."""
    now = timezone.now()
    for name in ("fail", "note_failures"):
        change(monkeypatch, name, (NOW, f"'{now.isoformat()}'::timestamptz"))
    for module in (draining, receiver_health):
        monkeypatch.setattr(module, "JITTER", (JITTER, JITTER))
    return now


def fail_with(monkeypatch, error: Exception, *, is_outside: bool) -> None:
    def effect(event):
        raise error

    only(monkeypatch)
    consumer = Consumer("first", frozenset({TYPE}), one_by_one(effect), is_outside=is_outside)
    add(monkeypatch, consumer)


def waits_after_each_attempt(now) -> list[float]:
    """Let one batch fail in which each delivery is at another attempt."""
    for attempts in range(len(OUTSIDE)):
        event = record()
        EventDelivery.objects.filter(event=event).update(attempts=attempts, last_error="again")
    drain(consumer="first")
    found = EventDelivery.objects.order_by("attempts").values_list("next_attempt_at", flat=True)
    return [(at - now).total_seconds() for at in found]


@pytest.mark.parametrize(("is_outside", "schedule"), [(False, INSIDE), (True, OUTSIDE)])
def test_are_those_of_the_schedule(monkeypatch, now, is_outside, schedule):
    fail_with(monkeypatch, DeliveryPostponed("busy", retry_after=0), is_outside=is_outside)

    assert waits_after_each_attempt(now) == [JITTER * wait for wait in schedule]


@pytest.mark.parametrize(("is_outside", "schedule"), [(False, INSIDE), (True, OUTSIDE)])
def test_are_no_shorter_than_what_the_other_side_asks_for(monkeypatch, now, is_outside, schedule):
    fail_with(monkeypatch, DeliveryPostponed("busy", retry_after=100), is_outside=is_outside)

    assert waits_after_each_attempt(now) == [max(100, JITTER * wait) for wait in schedule]


@pytest.mark.parametrize(
    ("failing", "asked", "wait"),
    [
        *((0, 0, 6.25), (16, 0, 6.25), (24, 0, 7.5), (400, 0, 125), (1_196, 0, 373.75)),
        *((5_000, 0, 375), (24, 70, 70), (5_000, 70, 375), (5_000, 400, 400)),
    ],
)
def test_of_the_next_probe(monkeypatch, now, failing, asked, wait):
    fail_with(monkeypatch, DeliveryPostponed("busy", retry_after=asked), is_outside=True)
    since = now - timedelta(seconds=failing)
    if failing:
        Receiver.objects.create(consumer="first", failures=1, failing_since=since)
    record()

    drain(consumer="first")

    receiver = Receiver.objects.get()
    assert (receiver.next_probe_at - now).total_seconds() == pytest.approx(wait)
    assert (receiver.failing_since, receiver.failures) == (since, 2 if failing else 1)
    assert receiver.last_error == "DeliveryPostponed: busy"


@pytest.mark.parametrize("failures", [4, 5])
def test_begin_with_five_failures_in_a_row(monkeypatch, now, failures):
    fail_with(monkeypatch, DeliveryPostponed("busy", retry_after=0), is_outside=True)

    for _ in range(failures):
        record()
        drain(consumer="first")

    receiver = Receiver.objects.get()
    assert (receiver.failures, receiver.unhealthy_since) == (
        failures,
        now if failures == 5 else None,
    )


def test_of_a_claim_that_is_a_probe(monkeypatch, now):
    """Neither is tried again, nor another one, before the claim has lapsed."""
    claimed: list[timedelta] = []

    def look(events):
        [delivery] = EventDelivery.objects.filter(event__in=events)
        claimed.extend([delivery.next_attempt_at - now, Receiver.objects.get().next_probe_at - now])
        return {}

    only(monkeypatch)
    add(monkeypatch, Consumer("first", frozenset({TYPE}), look, is_outside=True))
    for name in ("take_probe", "claim_probe"):
        change(monkeypatch, name, (f"{NOW} +", f"'{now.isoformat()}'::timestamptz +"))
    past = now - timedelta(minutes=5)
    Receiver.objects.create(
        consumer="first", failures=9, failing_since=past, unhealthy_since=past, next_probe_at=past
    )
    record()

    assert drain(consumer="first").settled == 1

    assert claimed == [timedelta(seconds=20)] * 2


def test_of_a_drain_that_is_announced(broker_store, consumer):
    consumer("ranking")

    announce("ranking")

    [message] = broker_store.lrange("celery:default", 0, -1)
    headers = json.loads(message)["headers"]
    eta, expires = (datetime.fromisoformat(headers[name]) for name in ("eta", "expires"))
    assert (expires - eta).total_seconds() == pytest.approx(59.75, abs=0.05)
    assert broker_store.pttl("draining:waiting:ranking") > 4_000
    assert broker_store.ttl("draining:waiting:ranking") <= 5
