"""Two platforms outside that are told of the same events: how one is says nothing of the other."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from apps.outbox import receiver_health
from apps.outbox.consumers import Consumer, DeliveryPostponed, one_by_one
from apps.outbox.draining import LOST_ALONE, drain
from apps.outbox.models import EventDelivery, Receiver
from apps.outbox.receiver_health import SQL, note_success, take_probe
from tests.outbox.deliveries import TYPE, add, only, record
from tests.reservations.racing import wait_until_blocked, with_own_connection

pytestmark = pytest.mark.django_db


@pytest.fixture
def failures(monkeypatch) -> dict[str, Exception | None]:
    """Return the answers of each; both are down, and known to be, with a backlog that waits."""
    failures: dict[str, Exception | None] = dict.fromkeys(
        ("first", "second"), DeliveryPostponed("busy", retry_after=0)
    )

    def teller(name):
        def effect(event):
            if (failure := failures[name]) is not None:
                raise failure

        return one_by_one(effect)

    only(monkeypatch)
    for name in failures:
        add(monkeypatch, Consumer(name, frozenset({TYPE}), teller(name), is_outside=True))
    for _ in range(6):
        record()
    for name in failures:
        drain(consumer=name)
    past = timedelta(hours=1)
    Receiver.objects.update(
        failing_since=F("failing_since") - past, unhealthy_since=F("unhealthy_since") - past
    )
    assert Receiver.objects.filter(unhealthy_since__isnull=False).count() == 2
    return failures


def everything_of(name: str) -> tuple[list, list]:
    deliveries = EventDelivery.objects.filter(consumer=name).order_by("pk")
    return list(Receiver.objects.filter(pk=name).values()), list(deliveries.values())


def let_probe(name: str) -> None:
    Receiver.objects.filter(pk=name).update(next_probe_at=timezone.now())


def test_one_that_is_back_gets_its_backlog_and_the_other_none(failures):
    record()
    second = everything_of("second")
    failures["first"] = None
    let_probe("first")

    assert drain(consumer="first").settled == 7

    [receiver] = Receiver.objects.filter(pk="first")
    assert (receiver.failures, receiver.failing_since, receiver.unhealthy_since) == (
        0,
        None,
        None,
    )
    assert receiver.next_probe_at is None
    assert receiver.recovered_at is not None
    assert everything_of("second") == second


def test_a_probe_that_fails_counts_for_its_receiver(failures):
    record()
    second = everything_of("second")
    let_probe("first")

    drain(consumer="first")

    assert Receiver.objects.get(pk="first").failures == 7
    assert everything_of("second") == second


def test_no_probe_is_taken_for_what_is_due_to_the_other(failures):
    EventDelivery.objects.filter(consumer="second").update(next_attempt_at=timezone.now())
    let_probe("first")
    first = everything_of("first")

    assert drain(consumer="first").settled == 0

    assert everything_of("first") == first


def test_no_probe_is_taken_when_all_that_is_due_is_done(failures):
    EventDelivery.objects.filter(consumer="first").update(
        status="DONE", done_at=timezone.now(), next_attempt_at=timezone.now()
    )
    let_probe("first")
    first = everything_of("first")

    assert drain(consumer="first").settled == 0

    assert everything_of("first") == first


def test_a_probe_is_what_is_due_though_others_were_tried_less(failures):
    due = record()
    EventDelivery.objects.filter(event=due).update(attempts=3, last_error="HTTP 500")
    failures["first"] = None
    let_probe("first")

    assert drain(consumer="first").settled == 7


def test_no_probe_is_taken_of_one_that_is_not_unhealthy(failures):
    """Others may be at work on all that is due."""
    record()
    let_probe("first")
    Receiver.objects.filter(pk="first").update(unhealthy_since=None)

    assert take_probe(consumer="first", seconds=20) is False


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE outbox_eventdelivery SET status = 'DEAD' WHERE id = %s",
        "UPDATE outbox_eventdelivery SET next_attempt_at = now() + interval '1 hour' WHERE id = %s",
    ],
)
@pytest.mark.django_db(transaction=True)
def test_a_probe_is_nothing_that_others_are_done_with_meanwhile(failures, rival, change):
    due = EventDelivery.objects.filter(event=record(), consumer="first")
    let_probe("first")
    rival.set_autocommit(False)
    with rival.cursor() as cursor, ThreadPoolExecutor() as pool:
        cursor.execute(change, [due.get().pk])
        drained = pool.submit(with_own_connection(lambda: drain(consumer="first")))
        wait_until_blocked()
        rival.commit()
        drained.result()

    assert due.get().attempts == 0


@pytest.mark.django_db(transaction=True)
def test_of_two_successes_at_once_one_ends_it(rival):
    past = timezone.now() - timedelta(hours=1)
    for name in ("first", "second"):
        Receiver.objects.create(
            consumer=name, failures=9, failing_since=past, unhealthy_since=past, next_probe_at=past
        )
    rival.set_autocommit(False)
    with rival.cursor() as cursor, ThreadPoolExecutor() as pool:
        cursor.execute(str(SQL["note_success"]), {"consumer": "first"})
        assert cursor.fetchone()[0] > 3_000

        late = partial(note_success, consumer="first", lost_alone=LOST_ALONE)
        second = pool.submit(with_own_connection(late))
        wait_until_blocked()
        rival.commit()

        assert second.result() is False
    assert Receiver.objects.get(pk="second").unhealthy_since == past


@pytest.mark.django_db(transaction=True)
def test_what_one_drain_releases_another_leaves_alone(failures, rival):
    """So that no delivery gets two attempts back for one."""
    EventDelivery.objects.update(attempts=3)
    waiting = {"consumer": "first", "limit": 4, "lost_alone": LOST_ALONE}
    rival.set_autocommit(False)
    with rival.cursor() as theirs, connection.cursor() as cursor:
        theirs.execute(str(SQL["release_waiting"]), waiting)
        assert len(theirs.fetchall()) == 4
        cursor.execute("SET lock_timeout = '5s'")  # nobody is waited for

        assert receiver_health._release("first", LOST_ALONE) == 2

        cursor.execute("RESET lock_timeout")
        rival.commit()
    assert set(EventDelivery.objects.values_list("consumer", "attempts")) == {
        ("first", 2),
        ("second", 3),
    }
