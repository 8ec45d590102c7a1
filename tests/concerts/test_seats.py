"""Dates, seats and the seat map."""

import json
import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.concerts import services
from apps.concerts.errors import (
    ConcertNotFound,
    LayoutRefused,
    PerformanceAlreadyScheduled,
    PerformanceNotFound,
)
from apps.concerts.layouts import SectionLayout, build_seats
from apps.concerts.models import Grade, Performance, PerformanceQuerySet, Seat
from apps.concerts.selectors import dates_of, seat_map, seats_of
from apps.concerts.services import create_performance, generate_seats
from tests.factories.concerts import ConcertFactory, PerformanceFactory, block_seats, unblock_seats

pytestmark = pytest.mark.django_db

STADIUM = [
    SectionLayout(name=f"{grade}{block}", rows=25, seats_per_row=50, grade=grade, price=price)
    for grade, price in ((Grade.VIP, 165_000), (Grade.A, 55_000))
    for block in (1, 2)
]


def section(**changes):
    return SectionLayout(
        **{"name": "1", "rows": 1, "seats_per_row": 2, "grade": Grade.R, "price": 1_000, **changes}
    )


class TestGenerateSeats:
    def test_makes_seats_1_to_50_by_default(self, performance):

        made = generate_seats(performance_id=performance.pk)

        assert made == 50
        seats = seats_of(performance.pk)
        assert [seat.number for seat in seats] == list(range(1, 51))
        assert {(seat.section, seat.row, seat.grade) for seat in seats} == {("1", "A", "R")}

    @pytest.mark.parametrize("layout", [[section()], STADIUM], ids=["2 seats", "5,000 seats"])
    def test_takes_six_queries_for_any_number_of_seats(
        self, performance, layout, django_assert_num_queries
    ):

        # Savepoint, lock, "has it seats", insert, version, release.
        with django_assert_num_queries(6):
            made = generate_seats(performance_id=performance.pk, layout=layout)

        assert Seat.objects.of_performance(performance.pk).count() == made
        assert made == sum(section.rows * section.seats_per_row for section in layout)

    def test_gives_every_seat_a_place_of_its_own(self, performance):

        generate_seats(performance_id=performance.pk, layout=STADIUM)

        places = Seat.objects.of_performance(performance.pk).values_list("x", "y")
        assert len(set(places)) == len(places) == 5_000

    def test_raises_the_version_of_the_seat_map(self, performance):

        generate_seats(performance_id=performance.pk)

        before = performance.seat_map_version
        performance.refresh_from_db()
        assert performance.seat_map_version == before + 1

    def test_refuses_a_performance_that_has_seats(self):
        performance = PerformanceFactory(seats=1)

        with pytest.raises(LayoutRefused):
            generate_seats(performance_id=performance.pk)

        assert Seat.objects.count() == 1

    def test_refuses_an_unknown_performance(self):
        with pytest.raises(PerformanceNotFound):
            generate_seats(performance_id=1)

    @pytest.mark.parametrize(
        "layout",
        [
            [],
            [section(name="1"), section(name="2"), section(name="1")],
            [section(), section(first_row="A")],
            [section(first_row="?")],
            [section(first_row="ZZZZZZ")],
            [section(first_row="99999", rows=2)],
            [section(aisles=(2,))],
            [section(aisles=(0,))],
            [section(seats_per_row=4, aisles=(2, 2))],
            [section(numbering="SPIRAL")],
            [section(first_number=0)],
            [section(name="")],
            [section(name="x" * 21)],
            [section(rows=0)],
            [section(rows=201)],
            [section(seats_per_row=0)],
            [section(seats_per_row=501)],
            [section(price=-1)],
            [section(price=10_000_001)],
            [section(grade="B")],
            [section(name="1"), section(name="2", price=2_000)],
            [section(name="1", rows=121, seats_per_row=500)],
        ],
    )
    def test_refuses_a_hall_that_cannot_be(self, performance, layout):

        with pytest.raises(LayoutRefused):
            generate_seats(performance_id=performance.pk, layout=layout)

        assert not Seat.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestGenerateSeatsAtOnce:
    def test_one_of_two_generators_wins(self, performance, race):

        outcomes = race([lambda: generate_seats(performance_id=performance.pk)] * 2)

        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LayoutRefused", "int"]
        assert Seat.objects.count() == 50

    def test_without_the_lock_the_constraint_holds(self, performance, race, monkeypatch):
        monkeypatch.setattr(PerformanceQuerySet, "lock", lambda self: self.order_by("pk"))
        both = threading.Barrier(2)

        def laid_out_together(layout):
            both.wait(10)
            return build_seats(layout)

        monkeypatch.setattr(services, "build_seats", laid_out_together)
        outcomes = race([lambda: generate_seats(performance_id=performance.pk)] * 2)

        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["IntegrityError", "int"]
        assert Seat.objects.count() == 50


class TestCreatePerformance:
    def test_adds_a_date_with_seats(self):
        concert = ConcertFactory()
        starts_at = timezone.now() + timedelta(days=3)

        performance = create_performance(
            concert_id=concert.pk, starts_at=starts_at, layout=[section()]
        )

        assert performance.starts_at == starts_at
        [found] = dates_of(concert.pk)
        assert (found, found.seats_total) == (performance, 2)

    def test_refuses_an_unknown_concert(self):
        with pytest.raises(ConcertNotFound):
            create_performance(concert_id=1, starts_at=timezone.now())

    def test_refuses_a_second_performance_at_the_same_time(self, performance):

        with pytest.raises(PerformanceAlreadyScheduled):
            create_performance(concert_id=performance.concert_id, starts_at=performance.starts_at)

        assert Performance.objects.count() == 1

    def test_a_hall_that_cannot_be_leaves_no_date(self):
        concert = ConcertFactory()

        with pytest.raises(LayoutRefused):
            create_performance(concert_id=concert.pk, starts_at=timezone.now(), layout=[])

        assert not Performance.objects.exists()


class TestBlockSeats:
    def test_counts_what_it_changed(self):
        performance = PerformanceFactory(seats=3)
        ids = list(seats_of(performance.pk).values_list("pk", flat=True))

        assert block_seats(seat_ids=ids[:2]) == 2
        assert block_seats(seat_ids=ids) == 1
        assert unblock_seats(seat_ids=ids[:1]) == 1

        [found] = dates_of(performance.concert_id)
        assert (found.seats_total, found.seats_unblocked) == (3, 1)

    def test_counts_for_each_performance_its_own(self):
        first, second = PerformanceFactory(seats=2), PerformanceFactory(seats=4)
        ids = [
            *first.seats.values_list("pk", flat=True),
            *second.seats.values_list("pk", flat=True),
        ]

        block_seats(seat_ids=ids[1:4])

        counts = Performance.objects.order_by("pk").values_list("seats_total", "seats_unblocked")
        assert list(counts) == [(2, 1), (4, 2)]


class TestSeatMap:
    def test_describes_sections_grades_and_seats(self, performance):
        generate_seats(
            performance_id=performance.pk,
            layout=[
                section(name="Floor", grade=Grade.A, price=1),
                section(name="Balcony", grade=Grade.VIP, price=2, seats_per_row=1),
            ],
        )
        first, second, third = seats_of(performance.pk)

        drawn = seat_map(performance.pk)

        assert json.loads(drawn.data) == {
            "performance_id": performance.pk,
            "sections": [{"name": "Floor", "x": 0, "y": 2}, {"name": "Balcony", "x": 4, "y": 2}],
            "grades": [{"grade": "VIP", "price": 2}, {"grade": "A", "price": 1}],
            "seats": [
                [first.pk, "Floor", "A", 1, 0, 2, "A"],
                [second.pk, "Floor", "A", 2, 1, 2, "A"],
                [third.pk, "Balcony", "A", 1, 4, 2, "VIP"],
            ],
            "kinds": [],
        }
        assert drawn.seat_ids == (first.pk, second.pk, third.pk)

    def test_is_drawn_once_for_each_version(self, performance, django_assert_num_queries):
        empty = seat_map(performance.pk)

        generate_seats(performance_id=performance.pk)
        with django_assert_num_queries(2):
            drawn = seat_map(performance.pk)
        with django_assert_num_queries(1):
            again = seat_map(performance.pk)

        assert again is drawn
        assert drawn.etag != empty.etag
        assert len(drawn.seat_ids) == 50

    def test_does_not_change_when_seats_are_blocked(self):
        performance = PerformanceFactory(seats=2)
        before = seat_map(performance.pk)

        block_seats(seat_ids=before.seat_ids)

        assert seat_map(performance.pk).etag == before.etag

    def test_hides_what_is_not_published(self):
        performance = PerformanceFactory(concert__is_published=False)

        with pytest.raises(PerformanceNotFound):
            seat_map(performance.pk)

    def test_seats_of_one_section(self, performance):
        generate_seats(performance_id=performance.pk, layout=[section(name="1"), section(name="2")])

        assert {seat.section for seat in seats_of(performance.pk, section="2")} == {"2"}
        assert not seats_of(performance.pk, section="3").exists()
