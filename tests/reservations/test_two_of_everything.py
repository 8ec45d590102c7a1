"""Customers with holds on several dates of several concerts: each step concerns its own hold, and the dates of one concert together."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.concerts.errors import SeatNotFound
from apps.concerts.models import Performance, Seat
from apps.outbox.models import OutboxEvent
from apps.queue.services import Admission
from apps.reservations.errors import HoldNotFound
from apps.reservations.models import Hold, Reservation, SeatClaim
from apps.reservations.services import cancel_reservation, confirm_reservation, release_hold
from apps.reservations.services.locking import hold_locks
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, hold_best, reservation
from tests.factories.visitors import admitted_visitor
from tests.protections import stop_clock

pytestmark = pytest.mark.django_db

SEATS = 6


@pytest.fixture
def dates():
    """Two of one concert, then one of another."""
    first, second = (ConcertFactory(seats_per_customer=4) for _ in range(2))
    return [PerformanceFactory(concert=concert, seats=SEATS) for concert in (first, first, second)]


@pytest.fixture
def customers():
    return [WalletFactory(balance=1_000_000).customer for _ in range(2)]


def seat(date: Performance, number: int) -> Seat:
    return date.seats.get(number=number)


def last_until(held: Hold, **from_now: int):
    """Let a hold end then."""
    until = timezone.now() + timedelta(**from_now)
    Hold.objects.filter(pk=held.pk).update(expires_at=until)
    return until


@pytest.mark.django_db(transaction=True)
class TestLeaseAfterARelease:
    """A visit has one lease for all dates of the concert; what is held lasts longer than the lease would."""

    @pytest.fixture
    def visitor(self, dates):
        return admitted_visitor(dates[0].concert_id)

    @pytest.fixture
    def release(self, visitor, dates):
        """Hold a seat of the first date, do something, give it back; returns how long the lease is then."""
        body = {"performance_id": dates[0].pk, "seat_ids": [seat(dates[0], 1).pk]}
        made = visitor.post("/holds", body).json()["data"]

        def release():
            assert visitor.delete(f"/holds/{made['hold_id']}").status_code == 200
            return parse_datetime(visitor.get("/queue/tokens/me").json()["data"]["expires_at"])

        return release

    def test_lasts_as_long_as_a_hold_on_another_date_needs(self, visitor, dates, release):
        until = last_until(hold(visitor.customer, [seat(dates[1], 1)]), minutes=20)

        assert release() == until + timedelta(minutes=1)

    def test_lasts_as_long_as_the_last_of_several_needs(self, visitor, dates, release):
        first, second, third = (
            hold(visitor.customer, [seat(date, number)])
            for date, number in ((dates[1], 1), (dates[0], 2), (dates[1], 3))
        )
        last_until(first, minutes=15)
        until = last_until(second, minutes=30)
        last_until(third, minutes=10)

        assert release() == until + timedelta(minutes=1)

    def test_is_not_for_other_concerts_or_customers_or_what_is_paid(
        self, visitor, dates, customers, release
    ):
        last_until(hold(visitor.customer, [seat(dates[2], 1)]), minutes=20)
        for date in dates:
            last_until(hold(customers[0], [seat(date, 3)]), minutes=20)
        sold = reservation(visitor.customer, [seat(dates[1], 2)])
        last_until(sold.hold, minutes=20)

        assert release() < timezone.now() + timedelta(minutes=6)


class TestOneOfSeveral:
    """Two customers have a hold on each date."""

    @pytest.fixture
    def holds(self, customers, dates):
        return [
            hold(customer, [seat(date, 2 * place + 1), seat(date, 2 * place + 2)])
            for place, customer in enumerate(customers)
            for date in dates
        ]

    @staticmethod
    def states() -> dict:
        return dict(Hold.objects.values_list("pk", "status"))

    @staticmethod
    def open_claims() -> set:
        return set(SeatClaim.objects.filter(ended_at=None).values_list("hold", flat=True))

    @pytest.mark.parametrize("place", [1, 4])
    def test_is_released_and_no_other(self, holds, place):
        mine = holds[place]

        released = release_hold(customer_id=mine.customer_id, hold_id=mine.pk)

        assert released.hold.pk == mine.pk
        assert released.concert_id == mine.performance.concert_id
        assert self.states() == {held.pk: "RELEASED" if held == mine else "HELD" for held in holds}
        assert self.open_claims() == {held.pk for held in holds if held != mine}
        ended = SeatClaim.objects.exclude(ended_at=None).values_list("ended_at", flat=True)
        mine.refresh_from_db()
        assert set(ended) == {mine.ended_at}
        assert mine.ended_at > mine.held_at

    @pytest.mark.parametrize("place", [1, 4])
    def test_is_paid_and_no_other(self, holds, place):
        mine = holds[place]

        paid = confirm_reservation(customer_id=mine.customer_id, hold_id=mine.pk)

        sold = Reservation.objects.get()
        assert (sold.pk, sold.hold_id) == (paid.reservation.pk, mine.pk)
        assert (sold.customer_id, sold.performance_id) == (mine.customer_id, mine.performance_id)
        assert {ticket.seat_id for ticket in sold.tickets.all()} == {
            claim.seat_id for claim in mine.claims.all()
        }
        assert self.states() == {held.pk: "CONFIRMED" if held == mine else "HELD" for held in holds}
        assert self.open_claims() == {held.pk for held in holds}

    @pytest.mark.parametrize("place", [1, 4])
    def test_is_cancelled_and_no_other(self, holds, place):
        sold = [
            confirm_reservation(customer_id=held.customer_id, hold_id=held.pk).reservation
            for held in holds
        ]
        mine = sold[place]

        cancel_reservation(customer_id=mine.customer_id, reservation_id=mine.pk)

        states = dict(Reservation.objects.values_list("pk", "status"))
        assert states == {other.pk: "CANCELLED" if other == mine else "CONFIRMED" for other in sold}
        assert self.open_claims() == {other.hold_id for other in sold if other != mine}
        mine.refresh_from_db()
        ended = SeatClaim.objects.exclude(ended_at=None).values_list("ended_at", flat=True)
        assert set(ended) == {mine.cancelled_at}


class TestWhatIsTold:
    """Of two customers with a sale each; whatever could be mixed up differs."""

    @pytest.fixture
    def holds(self, customers, dates):
        now = timezone.now()
        return [
            hold(
                customer,
                [seat(date, place + 1), seat(date, place + 3)],
                admission=Admission(
                    concert_id=date.concert_id,
                    customer_id=customer.pk,
                    generation=70 + place,
                    slot=90_000 + place,
                    admitted_at=now,
                    lease_until=now + timedelta(minutes=5),
                    new_holds_until=now + timedelta(minutes=10),
                    seen_at=now,
                ),
            )
            for place, (customer, date) in enumerate(zip(customers, dates[1:], strict=True))
        ]

    @pytest.mark.parametrize("place", [0, 1])
    def test_is_the_sale_and_then_its_cancellation(self, holds, place):
        mine = holds[place]
        sold = confirm_reservation(customer_id=mine.customer_id, hold_id=mine.pk)
        cancelled = cancel_reservation(
            customer_id=mine.customer_id, reservation_id=sold.reservation.pk
        ).reservation

        first, second = OutboxEvent.objects.order_by("pk")
        payload = {
            "reservation_id": str(sold.reservation.pk),
            "concert_id": mine.performance.concert_id,
            "performance_id": mine.performance_id,
            "customer_id": mine.customer_id,
            "seats": [
                {
                    "seat_id": ticket_seat.pk,
                    "section": "1",
                    "row": "A",
                    "number": ticket_seat.number,
                    "grade": "R",
                    "price": 50_000,
                }
                for ticket_seat in (
                    seat(mine.performance, place + 1),
                    seat(mine.performance, place + 3),
                )
            ],
            "seat_count": 2,
            "total_price": 100_000,
            "queue_slot": 90_000 + place,
            "queue_generation": 70 + place,
            "request_id": None,
        }
        for event, type, at in (
            (first, "reservation.confirmed", sold.reservation.reserved_at),
            (second, "reservation.cancelled", cancelled.cancelled_at),
        ):
            assert (event.type, event.occurred_at) == (type, at)
            said_at = parse_datetime(event.payload.pop("occurred_at"))
            assert said_at == at
            assert event.payload == payload

    def test_is_the_performance_and_the_reservation_as_they_are(self, holds):
        mine = holds[1]
        performance = mine.performance

        sold = confirm_reservation(customer_id=mine.customer_id, hold_id=mine.pk)
        cancelled = cancel_reservation(
            customer_id=mine.customer_id, reservation_id=sold.reservation.pk
        )

        found = sold.hold
        assert (found.concert_id, found.title, found.venue) == (
            performance.concert_id,
            performance.concert.title,
            performance.concert.venue,
        )
        assert (found.starts_at, found.ends_at) == (performance.starts_at, performance.ends_at)
        assert (found.hold.held_at, found.hold.expires_at) == (mine.held_at, mine.expires_at)
        assert found.hold.seat_limit == 4
        stored = Reservation.objects.get()
        for name in ("hold_id", "customer_id", "performance_id", "total_price", "reserved_at"):
            assert getattr(sold.reservation, name) == getattr(stored, name)
            assert getattr(cancelled.reservation, name) == getattr(stored, name)
        assert (cancelled.reservation.status, cancelled.reservation.cancelled_at) == (
            stored.status,
            stored.cancelled_at,
        )
        assert (cancelled.refunded_amount, cancelled.balance) == (100_000, 1_000_000)


@pytest.mark.parametrize("way", ["named", "best", "at its last instant"])
def test_a_hold_that_has_ended_is_in_nobodys_way(dates, customers, monkeypatch, way):
    """It was live when the transaction began, which is the one of the test."""
    seats = list(dates[0].seats.order_by("pk"))
    for place, customer in enumerate([*customers, CustomerFactory()]):
        hold(customer, seats[2 * place : 2 * place + 2])
    until = timezone.now()
    Hold.objects.update(expires_at=until)
    if way == "at its last instant":
        stop_clock(monkeypatch, until, "count_seats_of_customer", "read_seats")

    made = (
        hold_best(customers[0], dates[0], 4).hold
        if way == "best"
        else hold(customers[0], seats[:4])
    )

    assert made.claims.filter(ended_at=None).count() == 4


@pytest.mark.django_db(transaction=True)
class TestLocks:
    @pytest.mark.parametrize("way", ["named", "with those of other dates", "best", "release"])
    def test_are_of_the_chosen_seats_only(self, dates, customers, rival, way):
        customer = customers[0]
        _, *chosen = dates[1].seats.order_by("pk")[:3]
        if way == "release":
            made = hold(customer, chosen)
            hold(customer, [seat(dates[1], 6)])

        with transaction.atomic():
            if way == "named":
                hold(customer, chosen)
            elif way == "best":
                found = hold_best(customer, dates[1], 2)
                chosen = Seat.objects.filter(pk__in=[seat.seat_id for seat in found.seats])
            elif way == "release":
                release_hold(customer_id=customer.pk, hold_id=made.pk)
            else:
                mixed = [seat(dates[0], 1), *chosen, seat(dates[2], 1)]
                with pytest.raises(SeatNotFound):
                    hold(customer, mixed, performance_id=dates[1].pk)
            with rival.cursor() as cursor:
                cursor.execute("SELECT id FROM concerts_seat FOR NO KEY UPDATE SKIP LOCKED")
                left = {pk for [pk] in cursor.fetchall()}

        assert left == {one.pk for one in Seat.objects.all()} - {one.pk for one in chosen}

    def test_of_a_strangers_hold_are_not_waited_for(self, dates, customers, rival):
        mine = hold(customers[0], [seat(dates[0], 1)])
        release = partial(release_hold, customer_id=customers[1].pk, hold_id=mine.pk)
        rival.set_autocommit(False)
        with rival.cursor() as theirs, connection.cursor() as cursor:
            for statement, parameters in hold_locks(customer_id=mine.customer_id, hold_id=mine.pk):
                theirs.execute(str(statement), parameters)
            cursor.execute("SET lock_timeout = '2s'")

            with pytest.raises(HoldNotFound):
                release()

            cursor.execute("RESET lock_timeout")
            rival.rollback()
