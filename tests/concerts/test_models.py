"""Constraints of concerts, dates, seats and ranking entries; windows of sale; days at the venue."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from apps.concerts.errors import SalesClosed, SalesNotOpen
from apps.concerts.models import Concert, Performance, SalesWindow, Seat, venue_day
from tests.factories.concerts import (
    ConcertFactory,
    PerformanceFactory,
    RankingEntryFactory,
    SeatFactory,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


class TestConstraints:
    @pytest.mark.parametrize(
        ("constraint", "make"),
        [
            ("concert_is_named", lambda: ConcertFactory(title="")),
            ("concert_is_named", lambda: ConcertFactory(artist="")),
            ("concert_is_named", lambda: ConcertFactory(venue="")),
            (
                "concert_sales_close_after_they_open",
                lambda: ConcertFactory(sales_open_at=NOON, sales_close_at=NOON),
            ),
            # As many as of one performance, which are 4 here, to 100.
            ("concert_unpaid_seats_max", lambda: ConcertFactory(unpaid_seats_max=0)),
            (
                "concert_unpaid_seats_max",
                lambda: ConcertFactory(seats_per_customer=4, unpaid_seats_max=3),
            ),
            ("concert_unpaid_seats_max", lambda: ConcertFactory(unpaid_seats_max=101)),
            ("concert_single_seats_is_known", lambda: ConcertFactory(single_seats="MAYBE")),
            ("concert_seats_per_customer_1_to_10", lambda: ConcertFactory(seats_per_customer=0)),
            ("concert_seats_per_customer_1_to_10", lambda: ConcertFactory(seats_per_customer=11)),
            ("seat_is_named", lambda: SeatFactory(section="")),
            ("seat_is_named", lambda: SeatFactory(row="")),
            ("seat_is_named", lambda: SeatFactory(number=0, x=0)),
            ("seat_price_check", lambda: SeatFactory(price=-1)),
            ("seat_grade_is_known", lambda: SeatFactory(grade="B")),
            ("ranking_entry_counts", lambda: RankingEntryFactory(reservations=1, seats=0)),
            ("ranking_entry_counts", lambda: RankingEntryFactory(reservations=1, seats=-1)),
            ("ranking_entry_counts", lambda: RankingEntryFactory(reservations=-1, seats=1)),
            ("ranking_entry_counts", lambda: RankingEntryFactory(reservations=0, seats=0)),
            ("ranking_entry_counts", lambda: RankingEntryFactory(reservations=2, seats=2)),
            ("ranking_entry_counts", lambda: RankingEntryFactory(reservations=0, seats=1)),
            (
                "performance_free_cancellation",
                lambda: PerformanceFactory(free_cancellation_until=NOON),
            ),
            ("performance_called_off_explained", lambda: PerformanceFactory(called_off_at=NOON)),
            (
                "performance_called_off_explained",
                lambda: PerformanceFactory(called_off_reason="x"),
            ),
        ],
    )
    def test_are_kept_by_the_database(self, constraint, make):
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            make()

    @pytest.mark.parametrize(
        ("constraint", "make", "same"),
        [
            ("performance_once_per_concert_and_time", PerformanceFactory, ("concert", "starts_at")),
            ("seat_once_per_performance", SeatFactory, ("performance", "section", "row", "number")),
            ("rankingentry_pkey", RankingEntryFactory, ("event_id",)),
        ],
    )
    def test_let_it_exist_once(self, constraint, make, same):
        first = make()

        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            make(**{name: getattr(first, name) for name in same})
        assert make(**{name: getattr(first, name) for name in same[1:]}) != first

    def test_unpaid_seats_are_as_many_as_of_one_performance_unless_staff_say_otherwise(self):
        limits = [
            ConcertFactory(seats_per_customer=4, unpaid_seats_max=unpaid).unpaid_seat_limit
            for unpaid in (None, 4, 100)
        ]

        assert limits == [4, 4, 100]

    def test_single_seats_are_warned_of_unless_staff_say_otherwise(self):
        assert ConcertFactory().single_seats == "WARN"

    def test_what_was_sold_cannot_be_deleted(self):
        performance = RankingEntryFactory().performance

        with pytest.raises(ProtectedError):
            performance.delete()
        with pytest.raises(ProtectedError):
            performance.concert.delete()

    def test_a_date_that_was_never_sold_is_deleted_with_its_seats(self):
        performance = PerformanceFactory(seats=3)

        performance.delete()

        assert not Seat.objects.exists()


class TestSalesWindow:
    @pytest.mark.parametrize(
        ("opens_in", "closes_in", "is_published", "on_sale"),
        [
            (0, None, True, True),
            (0, 1, True, True),
            (-5, 0, True, False),
            (1, None, True, False),
            (0, 1, False, False),
        ],
    )
    def test_a_concert_is_on_sale_from_opening_until_just_before_closing(
        self, opens_in, closes_in, is_published, on_sale
    ):
        concert = Concert(
            sales_open_at=NOON + timedelta(seconds=opens_in),
            sales_close_at=closes_in if closes_in is None else NOON + timedelta(seconds=closes_in),
            is_published=is_published,
        )

        assert concert.is_on_sale(NOON) is on_sale

    def test_a_performance_is_on_sale_until_it_begins(self):
        performance = Performance(
            concert=Concert(sales_open_at=NOON, is_published=True),
            starts_at=NOON + timedelta(hours=1),
        )

        assert performance.is_on_sale(NOON)
        assert not performance.is_on_sale(performance.starts_at)

    def test_refuses_before_opening_and_says_how_long(self):
        window = SalesWindow(opens_at=NOON, closes_at=None, starts_at=NOON + timedelta(days=1))

        with pytest.raises(SalesNotOpen) as refusal:
            window.refuse_unless_open(NOON - timedelta(seconds=90, milliseconds=1))

        assert refusal.value.retry_after == 91

    def test_refuses_after_closing_and_after_the_beginning(self):
        closes_at = NOON + timedelta(hours=1)
        window = SalesWindow(NOON, closes_at, starts_at=NOON + timedelta(minutes=30))

        window.refuse_unless_open(NOON)
        for at in (window.starts_at, closes_at):
            with pytest.raises(SalesClosed):
                window.refuse_unless_open(at)

    def test_refuses_after_closing_before_the_beginning(self):
        window = SalesWindow(NOON, NOON + timedelta(hours=1), starts_at=NOON + timedelta(days=1))

        with pytest.raises(SalesClosed):
            window.refuse_unless_open(NOON + timedelta(hours=1))


class TestConcertQuerySet:
    def test_leaves_out_what_is_over(self):
        now = timezone.now()
        over = PerformanceFactory(starts_at=now - timedelta(hours=1)).concert
        half_over = PerformanceFactory(starts_at=now - timedelta(hours=1)).concert
        PerformanceFactory(concert=half_over)
        undated = ConcertFactory()

        found = set(Concert.objects.not_over(at=now))

        assert found == {half_over, undated}
        assert over not in found

    def test_believes_who_knows_which_have_no_date(self):
        known, unknown = ConcertFactory(), ConcertFactory()
        ahead = PerformanceFactory().concert

        found = Concert.objects.not_over(
            at=timezone.now(), undated=Concert.objects.filter(pk=known.pk)
        )

        assert set(found) == {known, ahead}
        assert unknown not in found


class TestVenueDay:
    def test_a_day_ends_at_midnight_in_seoul(self):
        assert venue_day(datetime(2026, 12, 1, 14, 59, tzinfo=UTC)) == date(2026, 12, 1)
        assert venue_day(datetime(2026, 12, 1, 15, 0, tzinfo=UTC)) == date(2026, 12, 2)
