"""Real workers that are killed with -9 in the middle of an effect, and two beats at once: everything happens once in the end."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from apps.concerts.models import Performance, RankingEntry
from apps.concerts.services import rebuild_ranking
from apps.ops.models import JobProgress
from apps.ops.monitoring import JOB
from apps.ops.tasks import verify_invariants
from apps.outbox.announcing import drain_announced
from apps.outbox.draining import CLAIM_TIMEOUT, drain
from apps.outbox.models import EventDelivery, OutboxEvent, Receiver
from apps.outbox.tasks import relay_events
from apps.queue.selectors import admissions_above_capacity, live_figures
from apps.reservations.models import Hold
from apps.reservations.tasks import expire_holds
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import overdue_hold, reservation
from tests.factories.visitors import Visitor
from tests.outbox.deliveries import delivery, make_due
from tests.reservations import workers
from tests.reservations.hostile import OK, Server, after, single_bytes
from tests.reservations.platform import serving
from tests.reservations.racing import breaches, wait_until_blocked
from tests.reservations.workers import senders_of, started, wait_until, worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

DONE, PENDING = EventDelivery.Status.DONE, EventDelivery.Status.PENDING


@pytest.fixture
def performance():
    rebuild_ranking()
    return PerformanceFactory(seats=8, concert__seats_per_customer=4)


def seats_of(performance):
    return list(performance.seats.order_by("pk"))


def is_done(consumer):
    return lambda: delivery(consumer).status == DONE


@pytest.fixture
def platform():
    """A platform that answers nothing before it is told to."""
    with serving() as platform:
        platform.may_answer.clear()
        yield platform


def test_a_child_that_is_killed_in_the_middle_of_an_effect(elsewhere, performance):
    sell = partial(reservation, WalletFactory(balance=500_000).customer, seats_of(performance)[:2])
    with worker("default", PGOPTIONS="-c lock_timeout=60000") as process:
        with transaction.atomic():
            Performance.objects.lock().get(pk=performance.pk)  # the effect gets this far
            elsewhere(sell).result()
            wait_until_blocked()

            process.kill_pool()

            assert (delivery("ranking").status, delivery("ranking").attempts) == (PENDING, 1)
            # Or the task that comes back would leave it to the dead child, which has claimed it.
            make_due(CLAIM_TIMEOUT)
        # It is not sent again: the broker gives back what the dead child had not acknowledged.
        wait_until(is_done("ranking"), "the task that came back")
    assert delivery("ranking").attempts == 2
    assert RankingEntry.objects.get().seats == 2
    assert breaches() == []


def test_a_worker_that_is_killed_while_the_platform_hangs(performance, platform):
    seats = seats_of(performance)
    stale = overdue_hold(CustomerFactory(), seats[4:6])
    with worker("external", WEBHOOK_URL=platform.url, WEBHOOK_TIMEOUT_SECONDS="60") as sync:
        reservation(CustomerFactory(), seats[:1])
        wait_until(lambda: platform.received, "a message")

        with worker("default,external", WEBHOOK_URL=platform.url):
            expire_holds.delay()
            wait_until(is_done("ranking"), "the ranking")
            wait_until(lambda: Hold.objects.get(pk=stale.pk).status == "EXPIRED", "the sweep")
            # A platform that does not answer delayed nothing of this.
            assert len(platform.received) == 1
            assert delivery("external_sync").status == PENDING

            sync.kill_parent()
            wait_until(lambda: not sync.survivors(), "the end of its child")
            platform.may_answer.set()
            make_due()
            relay_events.delay()
            wait_until(is_done("external_sync"), "the relay")
    event_id = OutboxEvent.objects.get().pk
    assert drain(consumer="external_sync").settled == 0  # the lost task comes back
    assert platform.message_ids == [str(event_id)] * 2
    assert delivery("external_sync").attempts == 2
    assert breaches() == []


def test_a_platform_that_never_ends_an_answer_holds_up_nothing_else(performance):
    headers_without_end = after(OK, *single_bytes(b"x: y\r\n"))
    platform = Server(headers_without_end, pace=0.02, reads=True)
    for seat in seats_of(performance):
        reservation(CustomerFactory(), [seat])
    address = {"WEBHOOK_URL": platform.url, "WEBHOOK_TIMEOUT_SECONDS": "0.5"}
    try:
        with worker("default,external", **address):
            wait_until(is_unhealthy, "an unhealthy receiver")
            wait_until(is_all_done("ranking"), "the ranking")
            verify_invariants.delay()
            wait_until(JobProgress.objects.filter(pk=JOB).exists, "the check of the invariants")
            told_nothing = EventDelivery.objects.filter(consumer="external_sync", status=DONE)
            assert not told_nothing.exists()

            platform.parts = lambda: iter([OK + b"content-length: 0\r\nconnection: close\r\n\r\n"])
            Receiver.objects.update(next_probe_at=timezone.now())
            make_due(timedelta(minutes=1))
            drain_announced.apply_async(kwargs={"consumer": "external_sync"}, queue="external")
            wait_until(is_all_done("external_sync"), "the backlog")
    finally:
        platform.close()
    assert breaches() == []


def is_unhealthy() -> bool:
    return Receiver.objects.filter(unhealthy_since__isnull=False).exists()


def is_all_done(consumer):
    left = EventDelivery.objects.filter(consumer=consumer).exclude(status=DONE)
    return lambda: not left.exists()


def test_two_beats_at_once(performance):
    seats = seats_of(performance)
    WaitingRoomFactory(concert=performance.concert, capacity=3)
    for _ in range(8):
        Visitor(CustomerFactory()).join(performance.concert_id)
    for seat in seats[:3]:
        reservation(CustomerFactory(), [seat])
    stale = [overdue_hold(CustomerFactory(), [seat]) for seat in seats[3:6]]
    make_due()

    with started("beat1", "beat"), started("beat2", "beat"):
        for task in ("reservations.expire_holds", "outbox.relay_events"):
            wait_until(lambda task=task: len(senders_of(task)) == 2, f"{task} from both")
        with worker("default,admission,external", concurrency=2):
            wait_until(lambda: not EventDelivery.objects.exclude(status=DONE).exists(), "the relay")
            wait_until(lambda: not Hold.objects.filter(status="HELD").exists(), "the sweep")
            wait_until(lambda: live_figures(performance.concert_id).active, "admission")
    assert live_figures(performance.concert_id).active == 3
    assert admissions_above_capacity() == []
    ended = Hold.objects.filter(pk__in=[hold.pk for hold in stale], status="EXPIRED")
    assert ended.filter(ended_at=F("expires_at")).count() == 3
    assert set(EventDelivery.objects.values_list("attempts", flat=True)) == {1}
    assert RankingEntry.objects.count() == 3
    assert breaches() == []


def test_a_worker_keeps_its_connection_until_it_is_cut():
    name = "kept-connection"

    def sessions() -> dict[int, object]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid, query_start FROM pg_stat_activity WHERE application_name = %s", [name]
            )
            return dict(cursor.fetchall())

    def run_a_task() -> None:
        before = sessions()
        expire_holds.delay()
        wait_until(lambda: sessions() and sessions() != before, "a statement of the task")

    url = f"{workers.database_url()}?application_name={name}"
    with worker("default", DATABASE_URL=url):
        run_a_task()
        first = sessions().keys()
        run_a_task()
        assert sessions().keys() == first
        assert len(first) == 1

        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [*first])
        run_a_task()
        assert sessions().keys().isdisjoint(first)
