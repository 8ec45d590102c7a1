"""Sales made by hand, whose figures are known."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models import F

from apps.accounts.models import User
from apps.concerts.models import Concert, Grade, Performance, Seat
from apps.core.shared_readings import Data
from apps.payments.models import LedgerTransaction
from apps.reservations.models import Hold, Reservation
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, SeatFactory
from tests.factories.reservations import cancel, hold, reservation

VIP_PRICE, R_PRICE = 90_000, 50_000


class Sale(NamedTuple):
    """Two concerts of six VIP and four R seats each, the second with another date of three R seats."""

    first: Concert
    second: Concert
    date: Performance
    other_date: Performance
    third_date: Performance
    vip: list[Seat]
    other_vip: list[Seat]
    r: list[Seat]
    other_r: list[Seat]


def two_concerts() -> Sale:
    dates = [
        PerformanceFactory(seats=4, concert__seats_per_customer=4, concert__title=title)
        for title in ("Night Garden", "Glass Harbour")
    ]
    for date in dates:
        for number in range(1, 7):
            SeatFactory(
                performance=date,
                section="2",
                row="B",
                number=number,
                grade=Grade.VIP,
                price=VIP_PRICE,
            )
    third = PerformanceFactory(concert=dates[1].concert, seats=3)
    vip, other_vip, r, other_r = [
        list(date.seats.filter(grade=grade).order_by("pk"))
        for grade in (Grade.VIP, Grade.R)
        for date in dates
    ]
    first, second = dates
    return Sale(first.concert, second.concert, first, second, third, vip, other_vip, r, other_r)


def sold(*seats: Seat, customer: User | None = None) -> Reservation:
    return reservation(customer or CustomerFactory(), seats)


def given_back(*seats: Seat) -> Reservation:
    reserved = sold(*seats)
    cancel(reserved)
    return reserved


def held(*seats: Seat) -> Hold:
    return hold(CustomerFactory(), seats)


def move(by: timedelta, *reservations: Reservation) -> None:
    """Let sales have been so much earlier, with what was given back of them."""
    found = Reservation.objects.filter(pk__in=[reserved.pk for reserved in reservations])
    found.filter(cancelled_at=None).update(reserved_at=F("reserved_at") - by)
    found.exclude(cancelled_at=None).update(
        reserved_at=F("reserved_at") - by, cancelled_at=F("cancelled_at") - by
    )
    # Nothing may change the ledger; the test does, to have a past.
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        LedgerTransaction.objects.filter(reference__in=[row.pk for row in reservations]).update(
            created_at=F("created_at") - by
        )
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def begin_at(at: datetime, *reservations: Reservation) -> None:
    """Let sales have been at that moment."""
    for reserved in reservations:
        reserved.refresh_from_db()
        move(reserved.reserved_at - at, reserved)


def seats_by_grade(data: Data) -> dict[tuple[str, str], list[int]]:
    """Return free, held, sold and won by grade and category, as a reading has them."""
    return {(grade, kind): numbers for grade, kind, *numbers in data["seats"]["by_grade"]}
