"""The ranking: counted once per event, answered whatever happens to the store, and the same from store and table."""

import threading
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.concerts import ranking_store, services
from apps.concerts.models import (
    USUAL_LENGTH,
    Concert,
    Performance,
    PerformanceQuerySet,
    RankingEntry,
    venue_day,
)
from apps.concerts.selectors import (
    PopularConcert,
    RankingWindow,
    concerts_not_over,
    fastest_sold_out,
    popular_concerts,
    rankings,
    seats_of,
    sold_out_answers,
)
from apps.concerts.services import ranking_drift, rebuild_ranking
from apps.core.store import StoreUnavailable
from apps.outbox.announcing import drain_announced
from apps.outbox.consumers import DeliveryRefused
from apps.outbox.models import EventDelivery
from tests.concerts.sales import (
    ALL,
    DAY,
    WEEK,
    cancellation_of,
    event_of,
    projected,
    ranked,
    sell,
    update_ranking,
)
from tests.factories.concerts import (
    ConcertFactory,
    PerformanceFactory,
    alike,
    begin_at,
    block_seats,
    unblock_seats,
)

pytestmark = pytest.mark.django_db

WINDOWS = list(RankingWindow)


@pytest.fixture(params=["projection", "table"])
def answered_by(request, settings):
    """Every reading must be the same whether the store answers or PostgreSQL has to."""
    rebuild_ranking()

    def switch():
        if request.param == "table":
            ranking_store._execute("DEL", f"{ranking_store.ROOT}:built")

    return switch


class TestUpdateRanking:
    def test_counts_an_event_once_however_often_it_comes(self, performance):
        rebuild_ranking()
        event = event_of(performance, seats=3)

        for _ in range(3):
            update_ranking(event)

        assert ranked(DAY) == ranked(WEEK) == ranked(ALL) == [(performance.concert_id, 1)]
        entry = RankingEntry.objects.get()
        assert (entry.event_id, entry.reservations, entry.seats) == (event.pk, 1, 3)
        assert ranking_drift() == []

    def test_takes_a_cancellation_back(self, performance):
        sell(performance, times=2)

        cancelled = cancellation_of(performance)
        update_ranking(cancelled)
        update_ranking(cancelled)

        assert ranked() == [(performance.concert_id, 1)]

    def test_does_not_care_which_of_sale_and_cancellation_comes_first(self, performance):
        sale, cancelled = event_of(performance), cancellation_of(performance)

        update_ranking(cancelled)
        assert ranked() == []
        update_ranking(sale)

        assert ranked() == []
        assert ranking_drift() == []

    def test_counts_in_the_projection_what_only_the_table_had(self, performance, settings):
        # A worker that dies between the two, or a store that did not answer.
        rebuild_ranking()
        event = event_of(performance)
        store_url = settings.QUEUE_URL
        settings.QUEUE_URL = "redis://127.0.0.1:1/0"
        with pytest.raises(StoreUnavailable):
            update_ranking(event)
        settings.QUEUE_URL = store_url
        assert RankingEntry.objects.count() == 1
        assert ranked() == []

        update_ranking(event)

        assert RankingEntry.objects.count() == 1
        assert ranked() == [(performance.concert_id, 1)]

    def test_rebuilds_a_projection_that_is_lost(self, performance, store):
        sell(performance, times=2)
        store.flushall()

        sell(performance)

        assert projected() == {performance.concert_id: 3}

    @pytest.mark.parametrize(
        "change",
        [
            {"type": "reservation.moved"},
            {"payload": {}},
            {"payload": {"concert_id": 1, "performance_id": None, "seat_count": 1}},
            {"payload": {"concert_id": 1, "performance_id": 1, "seat_count": 0}},
            {"payload": {"concert_id": 1, "performance_id": 1, "seat_count": 1}},
        ],
    )
    def test_refuses_for_good_what_it_cannot_count(self, change):
        event = event_of(PerformanceFactory())
        for name, value in change.items():
            setattr(event, name, value)

        with pytest.raises(DeliveryRefused):
            update_ranking(event)

        assert not RankingEntry.objects.exists()

    def test_a_batch_counts_as_its_events_do_one_by_one(self, store):
        performances = [PerformanceFactory(seats=2), PerformanceFactory(seats=3)]
        events = [
            event_of(performances[n % 2], occurred_at=timezone.now() - timedelta(days=n))
            for n in range(9)
        ]
        events += [cancellation_of(performances[0]), event_of(performances[1], seats=2)]

        def figures():
            days = [venue_day(timezone.now() - timedelta(days=n)) for n in range(9)]
            for performance in performances:
                performance.refresh_from_db()
            return (
                [(date.seats_sold, date.sold_out_at) for date in performances],
                [projected([day]) for day in days],
                projected(),
                list(RankingEntry.objects.order_by("pk").values_list("pk", "seats", "day")),
            )

        def forget():
            RankingEntry.objects.all().delete()
            Performance.objects.update(seats_sold=0, sold_out_at=None)
            rebuild_ranking()

        rebuild_ranking()
        for event in events:
            update_ranking(event)
        one_by_one = figures()
        forget()
        services.update_ranking(events)

        assert figures() == one_by_one
        assert ranking_drift() == []

    def test_a_batch_takes_a_handful_of_statements(self, django_assert_max_num_queries):
        performance = PerformanceFactory(seats=2)
        rebuild_ranking()
        events = [event_of(performance) for _ in range(40)]

        with django_assert_max_num_queries(8):
            services.update_ranking(events)

        assert projected() == {performance.concert_id: 40}

    def test_names_those_of_a_batch_that_cannot_be_counted(self, performance):
        fine, broken, lost = (event_of(performance) for _ in range(3))
        broken.payload = {}
        lost.payload["performance_id"] = 1

        failures = services.update_ranking([fine, broken, lost])

        assert set(failures) == {broken.pk, lost.pk}
        assert all(isinstance(error, DeliveryRefused) for error in failures.values())
        assert RankingEntry.objects.get().event_id == fine.pk

    @pytest.mark.parametrize("asks_only_what_is_remembered", [True, False])
    def test_of_an_old_entry_counts_nothing_and_needs_no_memory(
        self, performance, store, monkeypatch, asks_only_what_is_remembered
    ):
        """The twin asks the projection about an event that it has forgotten, which counts it again."""
        if not asks_only_what_is_remembered:
            long_ago = datetime(2020, 1, 1, tzinfo=UTC)
            monkeypatch.setattr(ranking_store, "remembered_since", lambda: long_ago)
        rebuild_ranking()
        event = event_of(performance)
        update_ranking(event)
        RankingEntry.objects.update(recorded_at=timezone.now() - timedelta(days=3))
        for key in store.scan_iter("*:events:*"):
            store.delete(key)  # as time does

        update_ranking(event)

        assert projected() == {performance.concert_id: 1 if asks_only_what_is_remembered else 2}
        assert (ranking_drift() == []) is asks_only_what_is_remembered

    def test_the_task_settles_the_delivery(self):
        event = event_of(PerformanceFactory())
        delivery = EventDelivery.objects.create(
            event=event, consumer="ranking", next_attempt_at=event.occurred_at
        )

        drain_announced(consumer="ranking", sent_by_a_newer_version=True)

        delivery.refresh_from_db()
        assert delivery.status == EventDelivery.Status.DONE
        assert RankingEntry.objects.get().event_id == event.pk


@pytest.mark.django_db(transaction=True)
class TestUpdateRankingAtOnce:
    def test_many_deliveries_of_one_event_count_once(self, race):
        performance = PerformanceFactory(seats=1)
        rebuild_ranking()
        event = event_of(performance)

        outcomes = race([lambda: update_ranking(event)] * 8)

        assert outcomes == [None] * 8
        assert RankingEntry.objects.count() == 1
        assert projected() == {performance.concert_id: 1}

    def test_a_plain_increment_would_count_them_all(self, race, store):
        # The twin: without the set of event ids, the script is an increment.
        outcomes = race([lambda: store.zincrby("plain", 1, "concert")] * 8)

        assert sorted(outcomes) == [1, 2, 3, 4, 5, 6, 7, 8]

    @pytest.fixture
    def last_two(self):
        """The sales of the last two seats, and how both are counted at once."""
        performance = PerformanceFactory(seats=2)
        rebuild_ranking()
        events = [event_of(performance), event_of(performance)]
        return performance, events, [partial(update_ranking, event) for event in events]

    def test_the_last_two_seats_sold_at_once_are_seen_as_sold_out(self, race, last_two):
        performance, events, counting = last_two

        race(counting)

        assert sold_out_at(performance) == max(event.occurred_at for event in events)

    def test_without_the_lock_neither_would_see_the_other(self, race, last_two, monkeypatch):
        performance, _events, counting = last_two
        monkeypatch.setattr(PerformanceQuerySet, "lock", lambda self: self.order_by("pk"))
        both, insert = threading.Barrier(2), services._insert

        def insert_together(entries):
            both.wait(10)
            return insert(entries)

        monkeypatch.setattr(services, "_insert", insert_together)

        assert race(counting) == [None, None]
        assert sold_out_at(performance) is None


class TestPopularConcerts:
    def test_ranks_by_reservations_and_breaks_ties_by_id(self, answered_by):
        first, second, third = (PerformanceFactory() for _ in range(3))
        sell(third, times=2)
        sell(second)
        sell(first)
        answered_by()

        ranking = popular_concerts(window=ALL, limit=2)

        assert ranking == [
            PopularConcert(1, third.concert_id, third.concert.title, third.concert.venue, 2),
            PopularConcert(2, first.concert_id, first.concert.title, first.concert.venue, 1),
        ]

    def test_breaks_ties_by_number_and_not_by_text(self, answered_by):
        small = PerformanceFactory(concert=ConcertFactory(pk=900_000_009))
        large = PerformanceFactory(concert=ConcertFactory(pk=900_000_010))
        sell(large)
        sell(small)
        answered_by()

        assert ranked() == [(900_000_009, 1), (900_000_010, 1)]

    def test_counts_days_of_seoul(self, answered_by, time_machine):
        performance = PerformanceFactory(starts_at=datetime(2027, 1, 1, tzinfo=UTC))
        # 23:59 and 00:00 in Seoul.
        time_machine.move_to(datetime(2026, 12, 1, 16, tzinfo=UTC), tick=True)
        for at in ("2026-12-01T14:59Z", "2026-12-01T15:00Z"):
            sell(performance, occurred_at=datetime.fromisoformat(at))
        answered_by()

        assert ranked(DAY) == [(performance.concert_id, 1)]
        assert ranked(WEEK) == [(performance.concert_id, 2)]

    def test_a_week_is_today_and_the_six_days_before(self, performance, answered_by):
        now = timezone.now()
        sell(performance, occurred_at=now)
        sell(performance, occurred_at=now - timedelta(days=6))
        sell(performance, occurred_at=now - timedelta(days=7))
        sell(performance, occurred_at=now - timedelta(days=400))
        answered_by()

        assert [ranked(window) for window in WINDOWS] == [
            [(performance.concert_id, 1)],
            [(performance.concert_id, 2)],
            [(performance.concert_id, 4)],
        ]

    def test_leaves_out_what_is_not_published_or_not_sold_on_balance(self, answered_by):
        hidden = PerformanceFactory(concert__is_published=False)
        returned = PerformanceFactory()
        sold = PerformanceFactory()
        sell(hidden, times=3)
        sell(returned, occurred_at=timezone.now() - timedelta(days=2))
        update_ranking(cancellation_of(returned))
        sell(sold)
        answered_by()

        assert [ranked(window) for window in WINDOWS] == [[(sold.concert_id, 1)]] * 3

    @pytest.mark.parametrize("window", WINDOWS)
    def test_of_many_reads_as_few_as_it_can(self, window, answered_by, monkeypatch):
        """Rank with two places and a row of concerts that are alike but for their numbers, some of them withdrawn."""
        monkeypatch.setattr(rankings, "RANKING_LIMIT_MAX", 2)
        concerts = [ConcertFactory(pk=900_000_000 + number) for number in range(6, 12)]
        best, *others = [PerformanceFactory(concert=concert) for concert in concerts]
        for performance in others:
            sell(performance)
        sell(best, times=2)
        answered_by()
        assert ranked(window) == [(900_000_006, 2), (900_000_007, 1)]

        Concert.objects.filter(pk__lt=900_000_010).update(is_published=False)

        assert ranked(window)[0] == (900_000_010, 1)

    def test_leaves_most_of_all_time_in_the_store(self):
        performances = [PerformanceFactory() for _ in range(5)]
        for times, performance in enumerate(performances, start=1):
            sell(performance, times=times)
        sell(performances[0], times=3)

        sums = ranking_store.read(best=2)

        assert sums is not None
        most, *alike = performances[4], performances[3], performances[0]
        assert sums.reservations == {
            most.concert_id: 5,
            **{performance.concert_id: 4 for performance in alike},
        }

    @pytest.mark.parametrize("window", WINDOWS)
    def test_is_empty_when_nothing_was_sold(self, answered_by, window):
        answered_by()

        assert ranked(window) == []

    def test_answers_from_the_table_while_the_store_is_down(self, performance, settings):
        sell(performance)
        settings.QUEUE_URL = "redis://127.0.0.1:1/0"

        assert ranked(DAY) == ranked(WEEK) == ranked(ALL) == [(performance.concert_id, 1)]

    def test_answers_from_the_table_while_the_store_is_frozen(
        self, performance, settings, valkey_server
    ):
        server = valkey_server()
        settings.QUEUE_URL = server.url
        sell(performance)
        server.pause()

        answer = ranked()

        server.resume()
        assert answer == [(performance.concert_id, 1)]


def sold_out_at(performance):
    performance.refresh_from_db()
    return performance.sold_out_at


class TestSoldOut:
    def test_is_the_moment_of_the_last_sale(self):
        performance = PerformanceFactory(seats=3)
        opened = performance.concert.sales_open_at
        sell(performance, seats=2, occurred_at=opened + timedelta(seconds=90))
        assert sold_out_at(performance) is None

        sell(performance, occurred_at=opened + timedelta(seconds=61))

        assert sold_out_at(performance) == opened + timedelta(seconds=90)

    def test_ends_with_a_cancellation_and_comes_back_with_the_next_sale(self):
        performance = PerformanceFactory(seats=1)
        sell(performance)
        update_ranking(cancellation_of(performance))
        assert sold_out_at(performance) is None

        again = event_of(performance)
        update_ranking(again)

        assert sold_out_at(performance) == again.occurred_at

    def test_blocked_seats_are_not_waited_for(self):
        performance = PerformanceFactory(seats=2)
        seat_ids = list(seats_of(performance.pk).values_list("pk", flat=True))
        sell(performance)

        block_seats(seat_ids=seat_ids[1:])
        assert sold_out_at(performance) is not None
        unblock_seats(seat_ids=seat_ids[1:])

        assert sold_out_at(performance) is None

    def test_nothing_sold_is_not_sold_out(self):
        performance = PerformanceFactory(seats=1)

        block_seats(seat_ids=list(seats_of(performance.pk).values_list("pk", flat=True)))

        assert sold_out_at(performance) is None

    @pytest.mark.parametrize("is_sold_first", [True, False])
    def test_a_seat_that_is_sold_and_blocked_is_not_counted_twice(self, is_sold_first):
        performance = PerformanceFactory(seats=3)
        first, second, third = seats_of(performance.pk).values_list("pk", flat=True)

        def sell_seat(seat_id):
            event = event_of(performance)
            event.payload["seats"] = [{"seat_id": seat_id}]
            update_ranking(event)
            performance.refresh_from_db()

        if is_sold_first:
            sell_seat(first)
            block_seats(seat_ids=[first])
        else:
            block_seats(seat_ids=[first])
            sell_seat(first)
        sell_seat(second)
        assert performance.sold_out_at is None  # two sold, two for sale, one of them still free
        assert (performance.seats_sold, performance.seats_unblocked) == (2, 2)

        sell_seat(third)
        assert performance.sold_out_at is not None

    def test_is_decided_once_for_a_batch_that_sells_and_returns(self):
        performance = PerformanceFactory(seats=2)
        first, second = event_of(performance), event_of(performance)

        services.update_ranking([second, cancellation_of(performance), first])

        performance.refresh_from_db()
        assert (performance.seats_sold, performance.sold_out_at) == (1, None)

    def test_a_cancellation_that_overtakes_its_sale_is_made_up_for(self):
        performance = PerformanceFactory(seats=1)
        update_ranking(cancellation_of(performance))
        performance.refresh_from_db()
        assert performance.seats_sold == -1

        sell(performance)

        performance.refresh_from_db()
        assert (performance.seats_sold, performance.sold_out_at) == (0, None)

    def test_ranks_by_the_time_since_sales_opened(self):
        slow, fast, hidden, early, unsold = (
            PerformanceFactory(seats=1, concert__is_published=published)
            for published in (True, True, False, True, True)
        )
        for performance, seconds in ((slow, 500.9), (fast, 20), (hidden, 1), (early, -60)):
            opened = performance.concert.sales_open_at
            sell(performance, occurred_at=opened + timedelta(seconds=seconds))

        items = fastest_sold_out(limit=10)

        assert [
            (item.rank, item.concert_id, item.performance_id, item.title, item.sold_out_in_seconds)
            for item in items
        ] == [
            (1, fast.concert_id, fast.pk, fast.concert.title, 20),
            (2, slow.concert_id, slow.pk, slow.concert.title, 500),
        ]
        assert unsold.sold_out_at is None

    def test_ranks_what_is_over_beside_what_is_ahead(self, time_machine):
        over, ahead, withdrawn = (PerformanceFactory(seats=1) for _ in range(3))
        for performance, seconds in ((over, 30), (ahead, 40), (withdrawn, 20)):
            opened = performance.concert.sales_open_at
            sell(performance, occurred_at=opened + timedelta(seconds=seconds))
        began_at = timezone.now() - timedelta(hours=1)
        begin_at(Performance.objects.filter(pk__in=[over.pk, withdrawn.pk]), began_at)
        assert [item.performance_id for item in fastest_sold_out(limit=3)] == [
            withdrawn.pk,
            over.pk,
            ahead.pk,
        ]

        sold_out_answers.clear()
        Concert.objects.filter(pk=withdrawn.concert_id).update(is_published=False)
        begin_at(Performance.objects.filter(pk=ahead.pk), timezone.now())

        assert [item.performance_id for item in fastest_sold_out(limit=3)] == [over.pk, ahead.pk]


class TestWithManyPastConcerts:
    """Every visitor asks for the lists, and most concerts are over."""

    PAST = 2_000

    @pytest.fixture(autouse=True)
    def history(self):
        began_at = timezone.now() - timedelta(days=1)
        concerts = Concert.objects.bulk_create(alike(ConcertFactory.build(), [{}] * self.PAST))
        Performance.objects.bulk_create(
            Performance(
                concert=concert,
                starts_at=began_at,
                ends_at=began_at + USUAL_LENGTH,
                sold_out_at=concert.sales_open_at + timedelta(seconds=number),
            )
            for number, concert in enumerate(concerts)
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE concerts_concert, concerts_performance")

    def most_read(self, queries):
        """Return the most rows that a node of a plan of one of them reads."""
        plans = []
        with connection.cursor() as cursor:
            for query in queries:
                cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query['sql']}")
                plans += [plan["Plan"] for plan in cursor.fetchone()[0]]
        return max(_rows(node) for plan in plans for node in _nodes(plan))

    def test_a_list_reads_what_is_ahead(self):
        ahead = [PerformanceFactory().concert for _ in range(3)]
        list(concerts_not_over(at=timezone.now()))

        with CaptureQueriesContext(connection) as queries:
            assert list(concerts_not_over(at=timezone.now())) == ahead

        assert self.most_read(queries) <= len(ahead)

    def test_it_would_read_all_of_them_without_knowing_those_that_have_no_date(self):
        with CaptureQueriesContext(connection) as queries:
            assert not list(Concert.objects.not_over(at=timezone.now()))

        assert self.most_read(queries) >= self.PAST

    def test_the_fastest_are_looked_up_by_name(self, monkeypatch):
        monkeypatch.setattr(rankings, "RANKING_LIMIT_MAX", 2)
        fastest_sold_out(limit=2)
        sold_out_answers.clear()

        with CaptureQueriesContext(connection) as queries:
            assert len(fastest_sold_out(limit=2)) == 2

        assert self.most_read(queries) <= 2 * 2 * 2  # four rows, in two tables


def _nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _rows(node):
    removed = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
    return node["Actual Rows"] + removed


class TestAnswersAreShared:
    def test_a_crowd_costs_one_computation(self, performance, django_assert_num_queries):
        sell(performance)

        with django_assert_num_queries(1):
            answers = [popular_concerts(window=ALL, limit=limit) for limit in (1, 10, 100)]

        assert answers[0] == answers[1] == answers[2]
