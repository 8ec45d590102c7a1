"""Reads of a performance that the planner has never heard of: they take each row once, however few it expects."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance, Seat
from apps.reservations import selectors
from apps.reservations.models import Hold, SeatClaim
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import hold
from tests.protections import READING_A_HALL, replace

pytestmark = pytest.mark.django_db

SEATS = 300
READS: dict[str, Callable[[Performance, User], object]] = {
    "availability": lambda performance, _: selectors._current_availability(performance.pk),
    "adjacent free seats": lambda performance, _: selectors.adjacent_free_seats(
        performance_id=performance.pk, quantity=2, grade=None, at=timezone.now(), limit=1
    ),
    "seats with states": lambda performance, customer: selectors.seats_with_states(
        performance_id=performance.pk, customer_id=customer.pk
    ),
    "dates": lambda performance, _: selectors.performances_with_availability(
        performance.concert_id
    ),
}


@pytest.fixture
def customer() -> User:
    return CustomerFactory()


@pytest.fixture
def performance(customer) -> Performance:
    """Came after the statistics were taken, and has sold all of its seats but one since."""
    _sell_out(PerformanceFactory(seats=SEATS + 1), customer)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE concerts_seat, reservations_hold, reservations_seatclaim")
    made: Performance = PerformanceFactory(seats=SEATS + 1)
    _sell_out(made, customer)
    return made


def _sell_out(performance: Performance, customer: User) -> None:
    now = timezone.now()
    seats = list(Seat.objects.of_performance(performance.pk).in_map_order()[:SEATS])
    holds = Hold.objects.bulk_create(
        Hold(
            customer=customer,
            performance=performance,
            status=Hold.Status.CONFIRMED,
            total_price=seat.price,
            seat_limit=SEATS,
            held_at=now,
            ended_at=now,
            expires_at=now + timedelta(minutes=5),
        )
        for seat in seats
    )
    SeatClaim.objects.bulk_create(
        SeatClaim(hold=hold, performance=performance, seat=seat, price=seat.price)
        for hold, seat in zip(holds, seats, strict=True)
    )


def _rows_read() -> int:
    """Rows of seats, holds and claims that this transaction has read, by index or not."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables
            WHERE relname IN ('concerts_seat', 'reservations_hold', 'reservations_seatclaim')
            """
        )
        return int(cursor.fetchone()[0])


def _rows_read_by(read: Callable[[], object]) -> int:
    before = _rows_read()
    read()
    return _rows_read() - before


@pytest.mark.parametrize("name", READS)
def test_reading_takes_each_row_once(name, performance, customer):
    # There are two performances; a seat has a hold and a claim.
    assert _rows_read_by(lambda: READS[name](performance, customer)) <= 6 * (SEATS + 1)


def test_would_take_rows_again_and_again_with_nested_loops(performance, customer, monkeypatch):
    def read_plainly(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    replace(monkeypatch, READING_A_HALL, by=read_plainly)

    assert _rows_read_by(lambda: READS["availability"](performance, customer)) > 20 * SEATS


def test_holding_a_seat_reads_no_others(performance):
    buyer = CustomerFactory()
    free = Seat.objects.of_performance(performance.pk).in_map_order().last()
    assert free is not None

    # Planning looks at the ends of indexes, too.
    assert _rows_read_by(lambda: hold(buyer, [free])) < 30


def test_holding_where_no_single_seat_may_be_left_reads_one_row_of_seats(
    performance,
):
    seats = list(Seat.objects.in_map_order())
    for number, seat in enumerate(seats):
        seat.row = str(number // 10)
    Seat.objects.bulk_update(seats, ["row"])
    Concert.objects.update(single_seats="REFUSE", seats_per_customer=2)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE concerts_seat, reservations_hold, reservations_seatclaim")
    free = Seat.objects.of_performance(performance.pk).in_map_order().last()
    assert free is not None
    buyer = CustomerFactory()

    # Ten seats, and the claims and holds on nine of them.
    assert _rows_read_by(lambda: hold(buyer, [free])) < 60
