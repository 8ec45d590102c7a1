"""Concerts made of others, and many dates at once."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from apps.concerts import copying
from apps.concerts.copying import add_dates, dates_between, duplicate_concert
from apps.concerts.errors import ConcertNotFound, DatesRefused
from apps.concerts.halls import plan_of, save_template
from apps.concerts.layouts import PlannedSeat
from apps.concerts.models import Concert, Performance, Seat
from tests.boxoffice.sending import send
from tests.boxoffice.staff import clerk, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory, begin_at, block_seats
from tests.factories.reservations import reservation

pytestmark = pytest.mark.django_db

HALL = [
    PlannedSeat("1", "A", 1, "R", 1_000, 1, 2, kind="WHEELCHAIR", category=""),
    PlannedSeat("1", "A", 2, "R", 1_000, 2, 2, "STANDARD", "HOUSE", "For the house"),
    PlannedSeat("1", "A", 3, "R", 1_000, 3, 2, kind="STANDARD", category=""),
]


def duplicate(concert: Concert, **options: Any) -> Any:
    how = {"title": "Again", "days": 7, "with_dates": True, "with_halls": True, **options}
    return duplicate_concert(concert_id=concert.pk, **how)


class TestDuplicate:
    @pytest.fixture
    def concert(self) -> Concert:
        first = PerformanceFactory(seats=3, concert__seats_per_customer=4)
        PerformanceFactory(concert=first.concert, seats=2)
        PerformanceFactory(seats=1)
        block_seats(seat_ids=[first.seats.order_by("pk")[0].pk])
        reservation(CustomerFactory(), list(first.seats.order_by("pk")[1:2]))
        concert: Concert = first.concert
        return concert

    def test_makes_a_concert_like_it_that_is_offline(self, concert: Concert) -> None:
        made = duplicate(concert, with_dates=False).concert

        assert (made.title, made.is_published) == ("Again", False)
        assert (made.artist, made.venue, made.seats_per_customer) == (
            concert.artist,
            concert.venue,
            4,
        )
        assert made.sales_open_at == concert.sales_open_at + timedelta(days=7)
        assert not made.performances.exists()

    def test_moves_its_dates_and_copies_their_halls(self, concert: Concert) -> None:
        made = duplicate(concert)

        old = list(concert.performances.order_by("starts_at"))
        new = list(made.concert.performances.order_by("starts_at"))
        assert [date.starts_at for date in new] == [
            date.starts_at + timedelta(days=7) for date in old
        ]
        assert [date.ends_at - date.starts_at for date in new] == [timedelta(hours=3)] * 2
        assert [plan_of(date.pk) for date in new] == [plan_of(date.pk) for date in old]
        assert [(date.seats_total, date.seats_unblocked, date.seats_sold) for date in new] == [
            (3, 2, 0),
            (2, 2, 0),
        ]
        assert [seat.is_blocked for seat in new[0].seats.order_by("pk")] == [True, False, False]

    def test_leaves_the_halls_out(self, concert: Concert) -> None:
        before = Seat.objects.count()

        made = duplicate(concert, with_halls=False)

        assert len(made.performances) == 2
        assert Seat.objects.count() == before

    def test_passes_over_what_would_be_in_the_past(self, concert: Concert) -> None:
        first = concert.performances.order_by("starts_at")[:1]
        begin_at(
            Performance.objects.filter(pk__in=first.values("pk")),
            timezone.now() - timedelta(days=30),
        )

        made = duplicate(concert)

        assert (len(made.performances), made.passed_over) == (1, 1)

    def test_is_refused_as_a_whole_if_it_is_too_much(self, concert, monkeypatch) -> None:
        monkeypatch.setattr(copying, "SEATS_AT_ONCE", 4)

        with pytest.raises(DatesRefused) as refusal:
            duplicate(concert)

        assert "2 dates with 5 seats" in refusal.value.reason
        assert not Concert.objects.filter(title="Again").exists()
        assert len(duplicate(concert, with_halls=False).performances) == 2

    def test_beyond_the_calendar_is_refused(self, concert: Concert) -> None:
        with pytest.raises(DatesRefused):
            duplicate(concert, days=80 * 366)
        with pytest.raises(ConcertNotFound):
            duplicate(Concert(pk=0))

    def test_by_its_page(self, staff: Client, concert: Concert) -> None:
        form = {"title": "Again", "days": "14", "with_dates": "on", "with_halls": "on"}

        answer = send(staff, page_of(concert, "duplicate"), form)

        made = Concert.objects.get(title="Again")
        assert answer.url == page_of(made)
        assert LogEntry.objects.get().get_change_message() == (
            f"Made of concert {concert.title} ({concert.pk}). 2 dates with 5 seats made."
        )

    def test_seats_that_change_meanwhile_refuse_it(self, concert: Concert, monkeypatch) -> None:
        copied = copying._copy_hall

        def change_first(source: Performance, target: Performance) -> None:
            Performance.objects.filter(pk=source.pk).update(seat_map_version=9)
            copied(source, target)

        monkeypatch.setattr(copying, "_copy_hall", change_first)

        with pytest.raises(DatesRefused) as refusal:
            duplicate(concert)

        assert "changed in the meantime" in refusal.value.reason
        assert not Concert.objects.filter(title="Again").exists()


class TestDatesBetween:
    def test_has_each_time_of_each_chosen_day_at_the_venue(self) -> None:
        # 4 January 2027 is a Monday.
        found = dates_between(
            date(2027, 1, 4),
            date(2027, 1, 12),
            weekdays={0, 5},
            times=[time(19, 30), time(14), time(14)],
        )

        assert [moment.astimezone(UTC) for moment in found] == [
            datetime(2027, 1, day, hour, minute, tzinfo=UTC)
            for day in (4, 9, 11)
            for hour, minute in ((5, 0), (10, 30))
        ]


class TestAddDates:
    def at(self, days: int) -> datetime:
        return (timezone.now() + timedelta(days=days)).replace(microsecond=0)

    def test_makes_each_with_its_own_seats(self) -> None:
        concert, other = ConcertFactory(), PerformanceFactory(seats=1)

        made = add_dates(concert_id=concert.pk, starts=[self.at(3), self.at(4)], hall=HALL)

        assert [plan_of(performance.pk) for performance in made.performances] == [HALL, HALL]
        assert list(concert.performances.values_list("seats_total", "seats_unblocked")) == [
            (3, 2),
            (3, 2),
        ]
        assert other.seats.count() == 1

    def test_passes_over_what_is_there_or_in_the_past(self) -> None:
        performance = PerformanceFactory(seats=2)
        starts = [performance.starts_at, self.at(-1), self.at(5)]

        made = add_dates(concert_id=performance.concert_id, starts=starts)

        assert [len(made.performances), made.passed_over] == [1, 2]
        assert performance.seats.count() == 2

    def test_too_many_are_refused(self, monkeypatch) -> None:
        concert = ConcertFactory()
        monkeypatch.setattr(copying, "DATES_AT_ONCE", 2)

        with pytest.raises(DatesRefused):
            add_dates(concert_id=concert.pk, starts=[self.at(day) for day in (1, 2, 3)])
        with pytest.raises(ConcertNotFound):
            add_dates(concert_id=0, starts=[])

        assert not Performance.objects.exists()

    def form(self, **changes: Any) -> dict[str, Any]:
        first = timezone.localdate() + timedelta(days=10)
        return {
            "first": first.isoformat(),
            "last": (first + timedelta(days=6)).isoformat(),
            "weekdays": ["5", "6"],
            "times": "14:00, 19:30",
            "hall": "",
            **changes,
        }

    @pytest.mark.parametrize("kind", ["template", "date", ""])
    def test_by_its_page(self, staff: Client, kind: str) -> None:
        performance = PerformanceFactory(seats=3)
        template = save_template(name="N", venue="V", seats=HALL)
        hall = {"template": f"template {template.pk}", "date": f"date {performance.pk}", "": ""}

        answer = send(staff, page_of(performance.concert, "dates"), self.form(hall=hall[kind]))

        assert answer.url == page_of(performance.concert)
        made = performance.concert.performances.exclude(pk=performance.pk)
        assert [made.count(), set(made.values_list("seats_total", flat=True))] == [
            4,
            {3 if kind else 0},
        ]

    @pytest.mark.parametrize(
        "changes",
        [
            {"times": ""}, {"times": "25:00"}, {"times": "noonish"}, {"weekdays": []},
            {"weekdays": ["9"]}, {"first": "x"}, {"last": "2026-01-01"}, {"last": "9999-12-31"},
            {"hall": "template 0"}, {"hall": "date x"},
        ],
    )  # fmt: skip
    def test_explains_what_cannot_be(self, staff: Client, changes: dict[str, Any]) -> None:
        concert = ConcertFactory()

        page = send(staff, page_of(concert, "dates"), self.form(**changes))

        assert page.status_code == 200
        assert page.context["form"].errors
        assert not Performance.objects.exists()

    def test_needs_the_permissions(self) -> None:
        concert = ConcertFactory()

        for page in ("dates", "duplicate"):
            url = page_of(concert, page)
            assert clerk("add_performance", "change_concert").get(url).status_code == 403
            hand = clerk("add_concert", "add_performance", "add_seat")
            assert hand.get(url).status_code == 200
