"""Test what the seats of a performance are, one letter each: that it is true, how old it may be, and what a crowd of readers costs."""

import hashlib
import json
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.api.responses import success_body
from apps.concerts.models import Performance, Seat
from apps.core.caching import clear_process_caches
from apps.reservations import selectors
from apps.reservations.selectors import Availability, availability, seats_with_states
from apps.reservations.services import cancel_reservation, release_hold
from tests.clocks import CacheClock
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, keep_back
from tests.factories.reservations import hold, overdue_hold, reservation

pytestmark = pytest.mark.django_db


@pytest.fixture
def performance() -> Performance:
    """Twelve seats, and as many of another date beside them."""
    PerformanceFactory(seats=12)
    made: Performance = PerformanceFactory(
        seats=12, concert__seats_per_customer=4, starts_at=timezone.now() + timedelta(days=9)
    )
    return made


@pytest.fixture
def seats(performance) -> list[Seat]:
    return list(Seat.objects.of_performance(performance.pk).in_map_order())


def current(performance: Performance) -> str:
    clear_process_caches()
    return availability(performance.pk).statuses


class TestAvailability:
    def test_has_a_letter_for_every_state_of_a_seat(self, performance, seats):
        customers = CustomerFactory.create_batch(9)
        hold(customers[0], seats[0:2])
        overdue_hold(customers[1], seats[2:3])
        released = hold(customers[2], seats[3:4])
        release_hold(customer_id=customers[2].pk, hold_id=released.pk)
        reservation(customers[3], seats[4:6])
        cancelled = reservation(customers[4], seats[6:7])
        cancel_reservation(customer_id=customers[4].pk, reservation_id=cancelled.pk)
        hold(customers[5], seats[7:8])
        reservation(customers[6], seats[8:9])
        keep_back(*seats[7:10])
        # Given back, and taken anew.
        hold(customers[7], seats[3:4])
        overdue_hold(customers[8], seats[11:12])

        assert current(performance) == "HHAHRRARRRAA"
        assert [state.status[0] for state in seats_with_states(
            performance_id=performance.pk, customer_id=customers[0].pk
        )] == [*current(performance)]  # fmt: skip

    def test_of_other_dates_is_not_told(self, performance, seats):
        other = Performance.objects.exclude(pk=performance.pk).get()
        reservation(CustomerFactory(), list(other.seats.all())[:1])

        assert current(performance) == "A" * 12

    @pytest.mark.parametrize("seats_made", [0, 1])
    def test_of_hardly_any_seats(self, seats_made):
        assert current(PerformanceFactory(seats=seats_made)) == "A" * seats_made

    def test_of_nothing_is_empty(self):
        assert availability(123_456_789).statuses == ""

    def test_follows_the_order_of_the_map_and_not_of_the_table(self, performance, seats):
        reservation(CustomerFactory(), seats[1:2])
        # Rows that are written again move to the end of the table.
        Seat.objects.filter(pk=seats[0].pk).update(price=1)

        assert current(performance) == "AR" + "A" * 10

    def test_takes_one_query_and_none_while_it_is_kept(self, performance):
        with CaptureQueriesContext(connection) as first:
            availability(performance.pk)
        with CaptureQueriesContext(connection) as second:
            availability(performance.pk)

        assert (len(first), len(second)) == (1, 0)


class TestBytes:
    def test_are_the_answer_of_the_api_and_of_the_page(self, performance, seats):
        hold(CustomerFactory(), seats[:1])

        found = availability(performance.pk)

        assert found.text == b"H" + b"A" * 11
        assert found.version == hashlib.sha256(found.text).hexdigest()[:16]
        assert found.etag == f'"{found.version}"'
        assert json.loads(found.data) == {
            "version": found.version,
            "statuses": found.statuses,
        }
        assert b" " not in found.data

    def test_are_put_into_the_envelope_as_they_are(self):
        body = success_body('Ein "Wort" 예매', b'{"a":1}')

        assert body == '{"code":"SUCCESS","message":"Ein \\"Wort\\" 예매","data":{"a":1}}'.encode()


class TestAge:
    @pytest.fixture
    def clock(self, monkeypatch):
        return CacheClock(monkeypatch)

    def test_is_a_second_at_most(self, performance, seats, clock):
        before = availability(performance.pk)
        reservation(CustomerFactory(), seats[:1])

        kept = availability(performance.pk)
        clock.now = 0.8
        after = availability(performance.pk)

        assert kept is before
        assert after.statuses == "R" + "A" * 11
        assert after.version != before.version

    def test_is_kept_short_by_one_reader_while_the_others_do_not_wait(
        self, performance, clock, monkeypatch
    ):
        before = availability(performance.pk)
        started, release = threading.Event(), threading.Event()

        def slow(_performance_id: int) -> Availability:
            started.set()
            release.wait(10)
            return before

        monkeypatch.setattr(selectors, "_current_availability", slow)
        clock.now = 0.6
        reader = threading.Thread(target=lambda: availability(performance.pk))
        reader.start()
        assert started.wait(10)

        assert availability(performance.pk) is before

        assert reader.is_alive()
        release.set()
        reader.join(10)

    @pytest.mark.django_db(transaction=True)
    def test_is_read_once_for_a_crowd(self, performance, race, monkeypatch):
        read, times = selectors._current_availability, []

        def counted(performance_id: int) -> Availability:
            times.append(performance_id)
            return read(performance_id)

        monkeypatch.setattr(selectors, "_current_availability", counted)

        found = race([lambda: availability(performance.pk)] * 8)

        assert {kept.statuses for kept in found} == {"A" * 12}
        assert times == [performance.pk]
