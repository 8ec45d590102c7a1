"""Test which concerts have hardly a seat left."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.concerts.models import Concert, Performance, Seat
from apps.core.caching import clear_process_caches
from apps.reservations.selectors import FEW_SEATS, nearly_sold_out
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory, begin_at, keep_back
from tests.factories.reservations import hold, overdue_hold, reservation

pytestmark = pytest.mark.django_db


@pytest.fixture
def performance() -> Performance:
    """One seat more than few."""
    return PerformanceFactory(seats=FEW_SEATS + 1)


def is_nearly_sold_out(concert: Concert) -> bool:
    clear_process_caches()
    return concert.pk in nearly_sold_out([concert.pk])


class TestNearlySoldOut:
    def test_is_none_that_has_one_seat_more_than_few(self, performance):
        assert not is_nearly_sold_out(performance.concert)

    @pytest.mark.parametrize("take", [hold, reservation])
    def test_counts_seats_that_are_held_or_sold(self, take, performance):
        take(CustomerFactory(), list(Seat.objects.of_performance(performance.pk)[:1]))

        assert is_nearly_sold_out(performance.concert)

    def test_counts_seats_that_are_blocked(self, performance):
        keep_back(Seat.objects.get(performance=performance, number=1))

        assert is_nearly_sold_out(performance.concert)

    def test_counts_no_hold_whose_time_is_over(self, performance):
        overdue_hold(CustomerFactory(), list(Seat.objects.of_performance(performance.pk)[:1]))

        assert not is_nearly_sold_out(performance.concert)

    def test_counts_no_date_that_has_begun(self, performance):
        PerformanceFactory(concert=performance.concert, seats=1)
        a_minute_ago = timezone.now() - timedelta(minutes=1)
        begin_at(Performance.objects.filter(pk=performance.pk), a_minute_ago)

        assert is_nearly_sold_out(performance.concert)

    def test_adds_up_the_dates(self, performance):
        concert = ConcertFactory()
        for _ in range(2):
            PerformanceFactory(concert=concert, seats=FEW_SEATS // 2 + 1)

        assert not is_nearly_sold_out(concert)

    def test_is_no_concert_without_seats(self):
        assert not is_nearly_sold_out(PerformanceFactory().concert)

    def test_answers_for_many_with_one_query_and_keeps_the_answer(self, performance):
        few = PerformanceFactory(seats=FEW_SEATS).concert_id
        asked = [performance.concert_id, few]
        clear_process_caches()

        with CaptureQueriesContext(connection) as captured:
            answers = [nearly_sold_out(asked) for _ in range(2)]

        assert answers == [frozenset({few})] * 2
        assert len(captured) == 1
