"""Every delivery five times and out of order: ranking, queue and outside platform end up as if each had come once."""

from functools import partial
from itertools import permutations

import pytest

from apps.concerts import ranking_store
from apps.concerts.models import RankingEntry
from apps.concerts.selectors import RankingWindow, popular_answers, popular_concerts
from apps.concerts.services import ranking_drift, rebuild_ranking
from apps.outbox.draining import drain
from apps.outbox.events import CONSUMERS
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.queue.models import QueueExit
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, block_seats, keep_back, unblock_seats
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import cancel, confirm, hold, reservation
from tests.factories.visitors import admitted_visitor
from tests.outbox.deliveries import deliver, make_due
from tests.protections import MEMORY_OF_THE_RANKING, without
from tests.reservations.platform import serving
from tests.reservations.racing import breaches

TIMES = 5


@pytest.fixture
def platform(settings):
    with serving() as platform:
        settings.WEBHOOK_URL = platform.url
        yield platform


@pytest.fixture
def visitor():
    """Held two seats and one, bought the two, cancelled them, and bought the one; no consumer has been told yet."""
    performance = PerformanceFactory(seats=3, concert__seats_per_customer=3)
    WaitingRoomFactory(concert=performance.concert, capacity=1)
    rebuild_ranking()
    visitor = admitted_visitor(performance.concert_id)
    visitor.get("/queue/tokens/me")
    pair, single = (best(visitor, performance, quantity) for quantity in (2, 1))
    sold = buy(visitor, pair)
    answer = visitor.post(f"/reservations/{sold['reservation_id']}/cancel", key="cancel")
    assert answer.status_code == 200, answer.content
    buy(visitor, single)
    return visitor


def best(visitor, performance, quantity):
    body = {"performance_id": performance.pk, "quantity": quantity}
    answer = visitor.post("/holds/best-available", body)
    assert answer.status_code == 201, answer.content
    return answer.json()["data"]["hold_id"]


def buy(visitor, hold_id):
    answer = visitor.post("/reservations", {"hold_id": hold_id}, key=f"pay-{hold_id}")
    assert answer.status_code == 201, answer.content
    return answer.json()["data"]


def events() -> list[OutboxEvent]:
    """Sale, cancellation, sale."""
    return list(OutboxEvent.objects.order_by("occurred_at"))


def ranking() -> list[int]:
    popular_answers.clear()
    return [item.reservations for item in popular_concerts(window=RankingWindow.ALL, limit=9)]


def as_if_each_had_come_once(visitor):
    assert sorted(RankingEntry.objects.values_list("reservations", "seats")) == [
        (-1, -2),
        (1, 1),
        (1, 2),
    ]
    sums = ranking_store.read()
    assert sums
    assert list(sums.reservations.values()) == ranking() == [1]
    assert ranking_drift() == []
    assert QueueExit.objects.get().reason == "COMPLETED"
    assert visitor.get("/queue/tokens/me").json()["data"]["expired_reason"] == "COMPLETED"
    assert breaches() == []
    return True


@pytest.mark.django_db
@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
class TestFiveTimesInAnyOrder:
    def test_delivered(self, visitor, platform, order):
        for event in [events()[slot] for slot in order] * TIMES:
            for consumer in CONSUMERS.values():
                deliver(consumer=consumer.name, event_id=event.pk)

        assert set(EventDelivery.objects.values_list("status", "attempts")) == {("DONE", 1)}
        assert sorted(platform.message_ids) == sorted(str(event.pk) for event in events())
        assert as_if_each_had_come_once(visitor)

    def test_with_effects_that_run_each_time(self, visitor, platform, order):
        """As if every claim had lapsed just after its effect: what is guaranteed is at least once."""
        for _ in range(TIMES):
            for consumer in CONSUMERS.values():
                for event in [events()[slot] for slot in order]:
                    if event.type in consumer.event_types:
                        assert consumer.run([event]) == {}
        for consumer in CONSUMERS.values():
            make_due()
            drain(consumer=consumer.name)

        # The platform recognizes a repetition by its id.
        assert len(platform.received) == 3 * (TIMES + 1)
        assert set(platform.message_ids) == {str(event.pk) for event in events()}
        assert as_if_each_had_come_once(visitor)


@pytest.mark.django_db
def test_a_ranking_that_forgot_its_events_would_count_them_all(visitor, monkeypatch):
    """The twin: the same script without its memory."""
    without(monkeypatch, MEMORY_OF_THE_RANKING)
    [ranked] = [consumer for consumer in CONSUMERS.values() if consumer.name == "ranking"]

    for event in events() * TIMES:
        ranked.run([event])

    assert ranking() == [TIMES]
    assert "ranking_recounted" in breaches()


@pytest.mark.django_db(transaction=True)
def test_many_drains_at_once(visitor, platform, race):
    calls = [partial(drain, consumer=consumer.name) for consumer in CONSUMERS.values()] * 4

    drained = race(calls)

    assert sum(outcome.settled for outcome in drained) == EventDelivery.objects.count() == 8
    assert len(platform.received) == 3
    assert as_if_each_had_come_once(visitor)


@pytest.mark.django_db
class TestSoldOut:
    @pytest.fixture
    def performance(self):
        return PerformanceFactory(seats=2)

    def sell(self, seat):
        sold = reservation(CustomerFactory(), [seat])
        make_due()
        drain(consumer="ranking")
        return sold

    def is_sold_out(self, performance):
        performance.refresh_from_db()
        return performance.sold_out_at is not None

    @pytest.mark.parametrize("is_blocked_first", [False, True])
    def test_a_seat_that_is_sold_and_blocked_counts_once(self, performance, is_blocked_first):
        first, second = performance.seats.order_by("pk")
        held = hold(WalletFactory(balance=50_000).customer, [first])
        if is_blocked_first:
            keep_back(first)
        confirm(held)
        make_due()
        drain(consumer="ranking")
        if not is_blocked_first:
            keep_back(first)

        assert not self.is_sold_out(performance)
        self.sell(second)
        assert self.is_sold_out(performance)

    def test_a_cancelled_seat_that_is_blocked_is_not_for_sale(self, performance):
        first, second = performance.seats.order_by("pk")
        sold = self.sell(first)
        self.sell(second)
        cancel(sold)
        make_due()
        drain(consumer="ranking")
        assert not self.is_sold_out(performance)

        block_seats(seat_ids=[first.pk])
        assert self.is_sold_out(performance)
        unblock_seats(seat_ids=[first.pk])
        assert not self.is_sold_out(performance)
