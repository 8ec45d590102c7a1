"""The ranking in the store: built anew from the table without a gap, compared with it, and mended."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.concerts import ranking_store, services
from apps.concerts.models import RankingEntry, venue_day
from apps.concerts.services import (
    RankingDrift,
    ranking_drift,
    rebuild_ranking,
    rebuild_ranking_if_needed,
)
from apps.concerts.tasks import rebuild_lost_ranking, verify_ranking
from tests.concerts.sales import cancellation_of, event_of, projected, ranked, sell, update_ranking
from tests.factories.concerts import PerformanceFactory, RankingEntryFactory
from tests.protections import COUNTING_WHILE_THE_RANKING_IS_REBUILT, without

pytestmark = pytest.mark.django_db


def begun_rebuild():
    generation = ranking_store.begin_rebuild()
    assert generation is not None
    return generation


def falsify(store, sums, by, concert_id):
    """Change a sum behind the back of the ranking."""
    generation = store.get(f"{ranking_store.ROOT}:built").decode()
    store.zincrby(f"{ranking_store.ROOT}:{generation}:{sums}", by, concert_id)


class TestRebuildRanking:
    def test_restores_what_was_lost(self, performance, store):
        sell(performance, times=3)
        update_ranking(cancellation_of(performance))
        today = venue_day(timezone.now())
        before = ranking_store.read(), ranking_store.read(days=[today])
        store.flushall()
        assert ranking_store.read() is None

        assert rebuild_ranking()

        assert (ranking_store.read(), ranking_store.read(days=[today])) == before
        assert projected() == projected([today]) == {performance.concert_id: 2}

    def test_an_event_counted_before_is_not_counted_again_after(self, performance):
        event = event_of(performance)
        update_ranking(event)

        rebuild_ranking()
        update_ranking(event)

        assert ranked() == [(performance.concert_id, 1)]

    def test_misses_nothing_that_is_sold_meanwhile(self, performance, monkeypatch):
        sell(performance, times=4)
        monkeypatch.setattr(services, "REBUILD_BATCH", 2)
        count = ranking_store.apply
        late = [event_of(performance) for _ in range(2)]

        def count_and_sell(entries, *, filling=""):
            if filling and late:
                update_ranking(late.pop())
            return count(entries, filling=filling)

        monkeypatch.setattr(ranking_store, "apply", count_and_sell)
        assert rebuild_ranking()

        assert not late
        assert ranked() == [(performance.concert_id, 6)]
        assert ranking_drift() == []

    def test_would_miss_it_if_events_were_counted_in_the_old_generation_alone(
        self, performance, monkeypatch
    ):
        # The twin: the same sale, with the second generation hidden from the consumer.
        sell(performance, times=2)
        without(monkeypatch, COUNTING_WHILE_THE_RANKING_IS_REBUILT)
        generation = begun_rebuild()
        ranking_store.apply(list(RankingEntry.objects.all()), filling=generation)
        sell(performance)

        ranking_store.publish_rebuild(generation)

        assert ranked() == [(performance.concert_id, 2)]

    def test_readers_see_the_old_generation_until_the_new_one_is_complete(self, performance):
        sell(performance, times=2)
        generation = begun_rebuild()

        ranking_store.apply(RankingEntry.objects.all()[:1], filling=generation)

        assert ranked() == [(performance.concert_id, 2)]

    def test_sums_up_what_is_too_old_to_come_again(self, performance, store):
        for days in (0, 2, 8, 30):
            sell(performance, occurred_at=timezone.now() - timedelta(days=days))
        update_ranking(cancellation_of(performance))
        old = RankingEntry.objects.exclude(day=venue_day(timezone.now()))
        old.update(recorded_at=timezone.now() - timedelta(days=2))
        today = venue_day(timezone.now())

        rebuild_ranking()

        assert projected() == {performance.concert_id: 3}
        assert projected(ranking_store.window_days(today)) == {performance.concert_id: 1}
        assert projected([today - timedelta(days=2)]) == {performance.concert_id: 1}
        assert ranking_drift() == []
        [events] = store.scan_iter("*:events:*")
        assert store.scard(events) == 2

    def test_leaves_nothing_of_the_old_generation(self, store):
        sell(PerformanceFactory(), times=2)
        rebuild_ranking()
        keys = len(store.keys())

        rebuild_ranking()

        assert len(store.keys()) == keys

    def test_gives_way_to_a_rebuild_that_is_under_way(self):
        ranking_store.begin_rebuild()

        assert not rebuild_ranking()
        with pytest.raises(CommandError, match="under way"):
            call_command("rebuild_ranking")

    def test_gives_up_when_another_took_over(self, store):
        sell(PerformanceFactory())
        generation = begun_rebuild()
        store.set(f"{ranking_store.ROOT}:rebuilding", "another")

        assert not ranking_store.apply(list(RankingEntry.objects.all()), filling=generation)
        assert not ranking_store.publish_rebuild(generation)

    def test_what_a_dead_rebuild_left_goes_away_by_itself(self, store):
        sell(PerformanceFactory())
        generation = begun_rebuild()
        ranking_store.apply(list(RankingEntry.objects.all()), filling=generation)

        left = [
            key for key in store.scan_iter() if generation.encode() in key or b"rebuilding" in key
        ]

        assert len(left) == 5
        assert all(store.ttl(key) > 0 for key in left)

    def test_the_live_generation_stays(self, store):
        sell(PerformanceFactory())
        rebuild_ranking()

        lasting = {key.rsplit(b":", 1)[-1] for key in store.scan_iter() if store.ttl(key) == -1}
        assert lasting == {b"all", b"built", b"changes"}
        [day] = [key for key in store.scan_iter() if b":day:" in key]
        assert 7 * 86_400 < store.ttl(day) <= 9 * 86_400
        [events] = [key for key in store.scan_iter() if b":events:" in key]
        assert 86_400 < store.ttl(events) <= 3 * 86_400

    def test_every_key_has_the_hash_tag(self, store):
        sell(PerformanceFactory())
        ranking_store.begin_rebuild()
        sell(PerformanceFactory())

        assert len(store.keys()) > 6
        assert all(b"{ranking}" in key for key in store.scan_iter())

    def test_the_command_rebuilds(self, capsys):
        performance = RankingEntryFactory().performance

        call_command("rebuild_ranking")

        assert projected() == {performance.concert_id: 1}
        assert "rebuilt" in capsys.readouterr().out


class TestRankingDrift:
    def test_reports_a_sum_that_is_not_the_recount(self, performance, store):
        sell(performance)
        today = venue_day(timezone.now()).isoformat()
        falsify(store, "all", 4, performance.concert_id)
        assert ranking_drift(all_time=False) == []
        wrong = RankingDrift("all", performance.concert_id, 5, 1)
        assert ranking_drift() == [wrong]

        falsify(store, f"day:{today}", 4, performance.concert_id)

        of_the_week = [RankingDrift(today, performance.concert_id, 5, 1)]
        assert ranking_drift(all_time=False) == of_the_week
        assert set(ranking_drift()) == {wrong, *of_the_week}

    def test_reports_a_concert_that_was_never_sold(self, store):
        sell(PerformanceFactory())

        falsify(store, "all", 1, 77)

        assert ranking_drift() == [RankingDrift("all", 77, 1, 0)]

    def test_without_all_time_reads_no_sums_of_all_time(self, store, monkeypatch):
        sell(PerformanceFactory())
        read = ranking_store.read
        asked = []

        def noted(*, days=(), **options):
            asked.append(days)
            return read(days=days, **options)

        monkeypatch.setattr(ranking_store, "read", noted)

        assert ranking_drift(all_time=False) == []

        assert asked
        assert all(asked)

    def test_of_all_time_is_mended_a_few_times_a_day(self, performance, store):
        sell(performance)
        falsify(store, "all", 4, performance.concert_id)

        rebuild_lost_ranking()
        assert projected() == {performance.concert_id: 5}
        verify_ranking(from_a_newer_caller=True)

        assert projected() == {performance.concert_id: 1}

    def test_reports_a_lost_projection(self, performance, store):
        RankingEntryFactory(
            performance=performance, recorded_at=timezone.now() - timedelta(minutes=5)
        )

        assert {drift.window for drift in ranking_drift()} >= {"all"}
        assert all(drift.projected == 0 for drift in ranking_drift())

    def test_an_entry_on_its_way_is_no_drift_but_a_stranded_one_is(self, performance):
        rebuild_ranking()
        entry = RankingEntryFactory(performance=performance)

        assert ranking_drift() == []
        RankingEntry.objects.filter(pk=entry.pk).update(
            recorded_at=timezone.now() - timedelta(minutes=5)
        )

        assert RankingDrift("all", performance.concert_id, 0, 1) in ranking_drift()

    def test_what_is_sold_while_it_reads_is_no_drift(self, performance, monkeypatch):
        sell(performance)
        read = ranking_store.read

        def read_and_sell(**query):
            sums = read(**query)
            sell(performance)
            return sums

        monkeypatch.setattr(ranking_store, "read", read_and_sell)

        assert ranking_drift() == []

    def test_a_store_that_came_back_from_an_old_file_is_rebuilt(self, performance, store):
        sell(performance)
        old = {key: store.dump(key) for key in store.scan_iter()}
        sell(performance)
        RankingEntry.objects.update(recorded_at=timezone.now() - timedelta(minutes=5))
        store.flushall()
        for key, value in old.items():
            store.restore(key, 0, value)
        assert ranked() == [(performance.concert_id, 1)]

        rebuild_lost_ranking()

        assert ranked() == [(performance.concert_id, 2)]
        assert not rebuild_ranking_if_needed()
