"""A receiver that only fails is left alone but for a probe now and then, and gets everything when it is back."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone
from structlog.testing import capture_logs

from apps.outbox import draining, receiver_health
from apps.outbox.consumers import Consumer, DeliveryPostponed, DeliveryRefused, one_by_one
from apps.outbox.draining import (
    CLAIM_TIMEOUT,
    LOST_ALONE,
    MAX_ATTEMPTS,
    WAITS_OUTSIDE,
    Drained,
    drain,
)
from apps.outbox.models import EventDelivery, OutboxEvent, Receiver
from apps.outbox.receiver_health import PROBE_LONGEST, UNHEALTHY_FAILURES
from apps.outbox.replaying import replay_dead
from tests.outbox.deliveries import TYPE, WorkerKilled, add, die, only, record
from tests.protections import CLAIM_OF_A_PROBE, before, without

pytestmark = pytest.mark.django_db

Status = EventDelivery.Status
RIVALS = 4


class Outside:
    """A receiver that is up or down; `told` are the events that it took, `asked` all that it was sent, `meanwhile` is called once."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.told: list = []
        self.asked: list = []
        self.meanwhile: Callable[[], object] | None = None

    def __call__(self, event: OutboxEvent) -> None:
        self.asked.append(event.pk)
        if meanwhile := self.meanwhile:
            self.meanwhile = None
            meanwhile()
        if self.failure:
            raise self.failure
        self.told.append(event.pk)


@pytest.fixture
def outside(monkeypatch) -> Outside:
    """Register a consumer named "outside" that tells it."""
    only(monkeypatch)
    receiver = Outside()
    effect = one_by_one(receiver, gives_up_after=UNHEALTHY_FAILURES)
    add(monkeypatch, Consumer("outside", frozenset({TYPE}), effect, is_outside=True))
    return receiver


@pytest.fixture
def down(outside) -> Outside:
    outside.failure = DeliveryPostponed("HTTP 404", retry_after=0)
    return outside


def drained() -> Drained:
    return drain(consumer="outside")


def pending() -> list[EventDelivery]:
    return list(EventDelivery.objects.pending().order_by("pk"))


def let_probe() -> None:
    """Let the time until the next probe pass."""
    Receiver.objects.update(next_probe_at=timezone.now())


class TestSchedule:
    def test_is_of_three_days_with_growing_waits(self):
        assert timedelta(seconds=sum(WAITS_OUTSIDE)) == timedelta(days=3)
        assert list(WAITS_OUTSIDE) == sorted(WAITS_OUTSIDE)
        assert len(WAITS_OUTSIDE) == len(draining.WAITS_INSIDE) == MAX_ATTEMPTS - 1

    @pytest.mark.parametrize("attempt", [1, 2, 7, 14])
    def test_is_kept_to_by_each_delivery(self, down, attempt):
        record()
        EventDelivery.objects.update(attempts=attempt - 1)

        drained()

        [failed] = pending()
        wait = (failed.next_attempt_at - timezone.now()).total_seconds()
        nominal = WAITS_OUTSIDE[attempt - 1]
        assert nominal * 0.8 - 2 <= wait <= nominal * 1.2

    def test_ends_with_the_last_attempt(self, down):
        record()
        EventDelivery.objects.update(attempts=MAX_ATTEMPTS - 1)

        drained()

        [dead] = EventDelivery.objects.dead()
        assert (dead.attempts, dead.last_error) == (MAX_ATTEMPTS, "DeliveryPostponed: HTTP 404")


class TestUnhealthy:
    def test_is_a_receiver_that_has_failed_some_times_in_a_row(self, down):
        for _ in range(UNHEALTHY_FAILURES):
            assert not Receiver.objects.filter(unhealthy_since__isnull=False)
            record()
            drained()

        [receiver] = Receiver.objects.all()
        assert receiver.failures == UNHEALTHY_FAILURES
        assert receiver.failing_since < receiver.unhealthy_since < receiver.next_probe_at
        assert receiver.last_error == "DeliveryPostponed: HTTP 404"

    def test_is_no_receiver_that_takes_something_in_between(self, outside):
        for _ in range(3):
            outside.failure = DeliveryPostponed("HTTP 500", retry_after=0)
            for _ in range(UNHEALTHY_FAILURES - 1):
                record()
                drained()
            outside.failure = None
            record()
            drained()

        [receiver] = Receiver.objects.all()
        assert (receiver.failures, receiver.failing_since, receiver.recovered_at) == (0, None, None)

    def test_is_a_receiver_that_says_that_it_is_gone(self, outside):
        outside.failure = DeliveryRefused("HTTP 410")
        for _ in range(20):
            record()

        drained()

        assert len(outside.asked) == UNHEALTHY_FAILURES
        assert EventDelivery.objects.dead().count() == UNHEALTHY_FAILURES
        assert len(pending()) == 20 - UNHEALTHY_FAILURES

    def test_is_left_alone_with_the_backlog_and_what_comes(self, down):
        for _ in range(20):
            record()
        drained()
        record()

        assert [drained() for _ in range(5)] == [Drained(0, has_more=False)] * 5

        assert len(down.asked) == UNHEALTHY_FAILURES
        waiting = pending()[UNHEALTHY_FAILURES:]
        assert {(delivery.attempts, delivery.last_error) for delivery in waiting} == {(0, "")}
        assert all(delivery.next_attempt_at <= timezone.now() for delivery in waiting)

    def test_is_told_in_one_line_of_log(self, down):
        for _ in range(20):
            record()

        with capture_logs() as lines:
            drained()
            for _ in range(3):
                let_probe()
                drained()

        assert lines == [
            {
                "event": "receiver_unhealthy",
                "log_level": "warning",
                "consumer": "outside",
                "failures": UNHEALTHY_FAILURES,
                "error": "DeliveryPostponed: HTTP 404",
            }
        ]

    def test_holds_up_no_other_consumer(self, down, monkeypatch):
        inside = Outside()
        add(monkeypatch, Consumer("inside", frozenset({TYPE}), one_by_one(inside)))
        for _ in range(20):
            record()
        drained()

        assert drain(consumer="inside") == Drained(20, has_more=False)

    def test_is_no_consumer_inside(self, monkeypatch):
        only(monkeypatch)
        inside = Outside()
        inside.failure = ValueError("the store is down")
        add(monkeypatch, Consumer("inside", frozenset({TYPE}), one_by_one(inside)))
        for _ in range(2 * UNHEALTHY_FAILURES):
            record()

        drain(consumer="inside")

        assert len(inside.asked) == 2 * UNHEALTHY_FAILURES
        assert not Receiver.objects.exists()


@pytest.fixture
def unhealthy(down) -> Outside:
    """A receiver that was just found unhealthy, and twenty deliveries that it has not been sent."""
    for _ in range(UNHEALTHY_FAILURES + 20):
        record()
    drained()
    down.asked.clear()
    return down


class TestProbe:
    def test_is_one_delivery_the_oldest_that_is_due(self, unhealthy):
        first = pending()[UNHEALTHY_FAILURES]
        let_probe()

        assert drained() == Drained(0, has_more=False)

        assert unhealthy.asked == [first.event_id]

    def test_is_none_of_what_was_given_up(self, unhealthy):
        [given_up, *_] = pending()[-1:]
        EventDelivery.objects.filter(pk=given_up.pk).update(
            status=EventDelivery.Status.DEAD, next_attempt_at=timezone.now(), attempts=0
        )
        let_probe()

        drained()

        assert len(unhealthy.asked) == 1
        assert given_up.event_id not in unhealthy.asked

    def test_is_not_repeated_before_its_time(self, unhealthy):
        let_probe()

        for _ in range(5):
            drained()

        assert len(unhealthy.asked) == 1
        [receiver] = Receiver.objects.all()
        assert receiver.failures == UNHEALTHY_FAILURES + 1

    @pytest.mark.parametrize(
        ("failing", "seconds"),
        [
            (timedelta(seconds=1), 5),
            (timedelta(minutes=2), 30),
            (timedelta(days=2), PROBE_LONGEST),
        ],
    )
    def test_comes_the_later_the_longer_everything_failed(self, unhealthy, failing, seconds):
        Receiver.objects.update(failing_since=timezone.now() - failing)
        let_probe()

        drained()

        [receiver] = Receiver.objects.all()
        wait = (receiver.next_probe_at - timezone.now()).total_seconds()
        assert seconds * 0.8 - 2 <= wait <= seconds * 1.2 + 2

    def test_comes_when_the_receiver_wants_it(self, unhealthy):
        unhealthy.failure = DeliveryPostponed("HTTP 503", retry_after=1_800)
        let_probe()

        drained()

        [receiver] = Receiver.objects.all()
        assert receiver.next_probe_at > timezone.now() + timedelta(minutes=29)

    def test_that_kills_its_worker_holds_the_next_one_up_for_a_claim(self, unhealthy):
        unhealthy.failure = WorkerKilled()
        let_probe()
        with suppress(WorkerKilled):
            drained()
        unhealthy.failure = None
        make_outage_long()

        drained()
        assert unhealthy.told == []
        Receiver.objects.update(next_probe_at=F("next_probe_at") - CLAIM_TIMEOUT)
        assert drained().settled == 20 + UNHEALTHY_FAILURES - 1

    @pytest.mark.django_db(transaction=True)
    def test_is_one_for_all_drains(self, race, unhealthy):
        let_probe()

        race([drained] * RIVALS)

        assert len(unhealthy.asked) == 1

    def test_is_taken_before_the_receiver_is_asked(self, unhealthy):
        let_probe()
        unhealthy.meanwhile = drained

        drained()

        assert len(unhealthy.asked) == 1

    def test_would_be_two_if_it_were_only_looked_up(self, unhealthy, monkeypatch):
        """The twin: each drain reads that a probe is due, and does not take it."""
        let_probe()
        without(monkeypatch, CLAIM_OF_A_PROBE)
        unhealthy.meanwhile = drained

        drained()

        assert len(unhealthy.asked) == 2

    def test_is_not_used_up_when_nothing_is_due(self, unhealthy):
        EventDelivery.objects.update(next_attempt_at=timezone.now() + timedelta(hours=1))
        let_probe()

        drained()
        record()
        drained()

        assert len(unhealthy.asked) == 1

    def test_is_due_at_once_after_a_replay(self, unhealthy):
        EventDelivery.objects.update(status=Status.DEAD)
        unhealthy.failure = None

        replay_dead()

        assert drained() == Drained(UNHEALTHY_FAILURES + 20, has_more=False)


def make_outage_long() -> None:
    """Put the beginning of all failures two minutes back."""
    Receiver.objects.update(failing_since=F("failing_since") - timedelta(minutes=2))


class TestRecovery:
    def test_delivers_everything_in_the_order_of_the_events(self, unhealthy):
        event_ids = [delivery.event_id for delivery in pending()]
        make_failed_wait()
        make_outage_long()
        unhealthy.failure = None
        let_probe()

        assert drained() == Drained(len(event_ids), has_more=False)

        [probe, *others] = unhealthy.told
        assert probe == event_ids[UNHEALTHY_FAILURES]
        assert others == [event_id for event_id in event_ids if event_id != probe]

    def test_keeps_to_the_order_of_the_events_though_they_were_recorded_in_another(self, unhealthy):
        make_failed_wait()
        make_outage_long()
        event_ids = [delivery.event_id for delivery in pending()]
        for number, event_id in enumerate(event_ids):
            at = timezone.now() - timedelta(seconds=10 + number)
            OutboxEvent.objects.filter(pk=event_id).update(occurred_at=at)
        unhealthy.failure = None
        let_probe()

        drained()

        failed = set(event_ids[:UNHEALTHY_FAILURES])
        told = [event_id for event_id in unhealthy.told[1:] if event_id in failed]
        assert told == event_ids[:UNHEALTHY_FAILURES][::-1]

    def test_is_complete(self, unhealthy):
        unhealthy.failure = None
        let_probe()

        drained()

        [receiver] = Receiver.objects.all()
        assert (receiver.failures, receiver.failing_since) == (0, None)
        assert (receiver.unhealthy_since, receiver.next_probe_at) == (None, None)
        assert receiver.recovered_at is not None
        assert receiver.last_error == "DeliveryPostponed: HTTP 404"

    def test_is_told_in_one_line_of_log(self, unhealthy):
        make_failed_wait()
        make_outage_long()
        unhealthy.failure = None
        let_probe()

        with capture_logs() as lines:
            drained()

        [line] = lines
        assert line.pop("seconds") >= 120
        assert line == {
            "event": "receiver_recovered",
            "log_level": "info",
            "consumer": "outside",
            "released": UNHEALTHY_FAILURES,
        }

    def test_makes_due_what_has_failed_however_much(self, unhealthy, monkeypatch):
        monkeypatch.setattr(receiver_health, "RELEASED_AT_ONCE", 2)
        make_failed_wait()
        make_outage_long()

        assert receiver_health.note_success(consumer="outside", lost_alone=LOST_ALONE)

        assert all(delivery.next_attempt_at <= timezone.now() for delivery in pending())
        assert {delivery.attempts for delivery in pending()} == {0}

    @pytest.mark.django_db(transaction=True)
    def test_is_left_to_the_next_success_by_a_worker_that_dies_on_the_way(
        self, unhealthy, monkeypatch
    ):
        make_failed_wait()
        make_outage_long()
        with monkeypatch.context() as patch:
            before(patch, "release_waiting", die)
            with pytest.raises(WorkerKilled):
                receiver_health.note_success(consumer="outside", lost_alone=LOST_ALONE)

        assert Receiver.objects.get().unhealthy_since is not None
        assert receiver_health.note_success(consumer="outside", lost_alone=LOST_ALONE)
        assert all(delivery.next_attempt_at <= timezone.now() for delivery in pending())

    @pytest.mark.parametrize("error", ["", LOST_ALONE])
    def test_leaves_what_is_being_tried(self, unhealthy, error):
        later = timezone.now() + CLAIM_TIMEOUT
        make_outage_long()
        EventDelivery.objects.update(next_attempt_at=later, attempts=3, last_error=error)

        receiver_health.note_success(consumer="outside", lost_alone=LOST_ALONE)

        assert {(delivery.next_attempt_at, delivery.attempts) for delivery in pending()} == {
            (later, 3)
        }

    def test_that_does_not_last_costs_no_delivery_its_attempts(self, unhealthy):
        """A receiver that breaks down under the backlog, again and again."""
        for _ in range(2 * MAX_ATTEMPTS):
            make_failed_wait()
            make_outage_long()
            let_probe()
            receiver_health.note_success(consumer="outside", lost_alone=LOST_ALONE)
            drained()

        assert not EventDelivery.objects.dead().exists()
        assert max(delivery.attempts for delivery in pending()) <= 1

    def test_of_a_short_outage_leaves_waits_as_they_are(self, unhealthy):
        make_failed_wait()
        unhealthy.failure = None
        let_probe()

        assert drained().settled == 20

        assert {(delivery.attempts, delivery.last_error) for delivery in pending()} == {
            (1, "DeliveryPostponed: HTTP 404")
        }


class TestMessagesThatAreNeverTaken:
    """The receiver takes others, but these it refuses, and they come first."""

    @pytest.fixture
    def refused(self, monkeypatch) -> list:
        only(monkeypatch)
        refused: list = []

        def tell(event: OutboxEvent) -> None:
            if event.pk in refused:
                raise DeliveryPostponed("HTTP 422", retry_after=0)

        effect = one_by_one(tell, gives_up_after=UNHEALTHY_FAILURES)
        add(monkeypatch, Consumer("outside", frozenset({TYPE}), effect, is_outside=True))
        refused += [record().pk for _ in range(2 * UNHEALTHY_FAILURES)]
        return refused

    def test_hold_the_others_up_for_some_probes_only(self, refused):
        for _ in range(30):
            record()

        for _ in range(UNHEALTHY_FAILURES + 3):
            drained()
            let_probe()

        assert {delivery.event_id for delivery in pending()} == set(refused)

    def test_come_after_those_that_were_not_tried(self, refused):
        EventDelivery.objects.update(attempts=1, last_error="DeliveryPostponed: HTTP 422")
        record()

        drained()

        assert not Receiver.objects.exists()
        assert {delivery.event_id for delivery in pending()} == set(refused)

    def test_are_given_up_in_the_end_while_sales_go_on(self, refused):
        for _ in range(4 * MAX_ATTEMPTS):
            record()
            make_due_what_failed()
            let_probe()
            drained()

        assert {delivery.event_id for delivery in EventDelivery.objects.dead()} == set(refused)


def make_due_what_failed() -> None:
    """Let the wait after each failure pass."""
    failed = EventDelivery.objects.pending().exclude(last_error="")
    failed.update(next_attempt_at=timezone.now() - timedelta(minutes=1))


class TestCost:
    def test_of_a_healthy_receiver_is_that_of_any_consumer(
        self, outside, django_assert_num_queries
    ):
        for _ in range(30):
            record()

        with django_assert_num_queries(2):
            drained()

        assert len(outside.told) == 30

    def test_does_not_grow_with_what_waits(self, unhealthy, django_assert_num_queries):
        with django_assert_num_queries(2):  # the claim, and whether a probe is due
            drained()


class TestGivesUpAfter:
    def run(self, outcomes: list[bool]) -> list[int]:
        """Return the numbers of the events that were tried, where the outcomes say which succeed."""
        tried: list[int] = []
        events = [OutboxEvent(type=TYPE, payload={"n": n}) for n in range(len(outcomes))]

        def effect(event: OutboxEvent) -> None:
            tried.append(event.payload["n"])
            if not outcomes[event.payload["n"]]:
                raise ValueError

        one_by_one(effect, gives_up_after=3)(events)
        return tried

    def test_leaves_the_rest_when_none_has_succeeded(self):
        assert self.run([False] * 10) == [0, 1, 2]

    def test_goes_on_after_any_success(self):
        assert self.run([False, True, *[False] * 8]) == list(range(10))


def make_failed_wait() -> None:
    """Put what has failed an hour off."""
    EventDelivery.objects.pending().exclude(last_error="").update(
        next_attempt_at=timezone.now() + timedelta(hours=1)
    )
