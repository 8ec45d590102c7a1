"""Test what the counter, refunds and kept-back seats do together: money of the house, and seats of its categories."""

from functools import partial

import pytest
from django.contrib.auth.models import Group

from apps.accounts.models import User
from apps.concerts.errors import SalesClosed
from apps.concerts.models import Performance, Seat, SeatAllocation
from apps.concerts.scheduling import call_off_performance
from apps.core.transactions import run_in_transaction
from apps.payments.errors import RefundExceedsPayment
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.reservations.errors import SeatAlreadyReserved
from apps.reservations.models import Reservation
from apps.reservations.refund_plans import refund_plan
from apps.reservations.selectors import with_refunds
from apps.reservations.services import cancel_seats, give_back, refund_reservation
from apps.reservations.staff_jobs import RefundReservation, refund_in_words
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import category_of, keep_back
from tests.factories.counter import give, move, sell
from tests.factories.reservations import cancel, reservation
from tests.reservations.racing import breaches, wait_until_blocked

pytestmark = pytest.mark.django_db

HALF, WHOLE = 50_000, 100_000


def balance(customer: User) -> int:
    return Wallet.objects.get(pk=customer.pk).balance


def paid_by_house() -> int:
    entries = LedgerEntry.objects.filter(account="COMPS").values_list("amount", flat=True)
    return -sum(entries)


@pytest.fixture
def other_seats(performance: Performance) -> list[Seat]:
    other = Performance.objects.of_concert(performance.concert_id).exclude(pk=performance.pk)
    return list(Seat.objects.filter(performance=other.get()).in_map_order())


@pytest.fixture
def by() -> dict[str, object]:
    return {"reason": "Fell ill", "staff_id": CustomerFactory(staff=True).pk}


class TestRefundsOfComplimentaryTickets:
    @pytest.fixture
    def given(self, seats: list[Seat], customer: User) -> Reservation:
        return give(seats[:2], customer).reservation

    def test_of_one_seat_goes_to_the_house(self, given, seats, customer, by):
        back = cancel_seats(reservation_id=given.pk, seat_ids=[seats[0].pk], **by)

        assert (back.amount, back.to_house, back.balance) == (HALF, HALF, 1_000_000)
        assert "50,000 won went back to the house" in back.in_words
        assert (balance(customer), paid_by_house()) == (1_000_000, HALF)
        assert breaches() == []

    def test_of_an_amount_goes_to_the_house(self, given, customer, by):
        back = refund_reservation(reservation_id=given.pk, amount=30_000, **by)

        assert (back.amount, back.to_house) == (30_000, 30_000)
        assert (balance(customer), paid_by_house()) == (1_000_000, 70_000)
        assert breaches() == []

    def test_of_seats_and_an_amount_is_never_more_than_was_paid(self, given, seats, customer, by):
        back = give_back(reservation_id=given.pk, seat_ids=[seats[0].pk], amount=20_000, **by)
        with pytest.raises(RefundExceedsPayment):
            refund_reservation(reservation_id=given.pk, amount=30_001, **by)

        assert (back.amount, back.to_house) == (70_000, 70_000)
        assert (balance(customer), paid_by_house()) == (1_000_000, 30_000)
        assert breaches() == []

    def test_of_what_is_left_goes_to_the_house(self, given, seats, customer, by):
        cancel_seats(reservation_id=given.pk, seat_ids=[seats[0].pk], **by)

        cancelled = cancel(given)

        assert (cancelled.refunded_amount, balance(customer)) == (0, 1_000_000)
        assert paid_by_house() == 0
        assert breaches() == []

    def test_of_a_date_that_is_called_off_goes_to_the_house(self, given, seats, customer, by):
        paid = reservation(CustomerFactory(), seats[2:4])
        call_off(given.performance_id)

        for sold in (given, paid):
            cancel_seats(reservation_id=sold.pk, **by)

        assert (balance(customer), paid_by_house()) == (1_000_000, 0)
        assert breaches() == []

    def test_is_said_before_it_is_done(self, given, seats):
        plan = refund_plan(reservation_id=given.pk).choosing(seat_ids=[seats[0].pk], extra=10_000)

        lines = dict(refund_in_words(RefundReservation.parameters(plan)))

        assert lines["back to the house, which had paid it"] == "60,000 won"

    def test_tells_the_customer_what_came_back(self, given, seats, by):
        cancel_seats(reservation_id=given.pk, seat_ids=[seats[0].pk], **by)

        [shown] = with_refunds([Reservation.objects.get(pk=given.pk)])

        assert (shown.refunded_amount, shown.refunded_to_customer) == (HALF, 0)
        assert (shown.refundable_amount, shown.refundable_to_customer) == (HALF, 0)


class TestRefundsOfAPriceThatTheHousePaidInPart:
    @pytest.fixture
    def moved(self, seats: list[Seat], customer: User) -> Reservation:
        """Two seats at 50,000 won, in place of which the customer has two at 70,000; the house waived the difference."""
        Seat.objects.filter(pk__in=[seat.pk for seat in seats[2:4]]).update(price=70_000)
        return move(reservation(customer, seats[:2]), seats[2:4], paid_by="HOUSE").sold.reservation

    def test_reach_the_house_first(self, moved, seats, customer, by):
        first = cancel_seats(reservation_id=moved.pk, seat_ids=[seats[2].pk], **by)
        second = cancel_seats(reservation_id=moved.pk, **by)

        assert (first.amount, first.to_house) == (70_000, 40_000)
        assert (second.amount, second.to_house) == (70_000, 0)
        assert (balance(customer), paid_by_house()) == (1_000_000, 0)
        assert breaches() == []


class TestSeatsOfTheHouse:
    @pytest.fixture
    def seller(self) -> User:
        """A clerk of a group that sells seats of the house, beside categories that others sell."""
        group, other = (Group.objects.create(name=name) for name in ("Guest list", "Agency"))
        category_of("HOUSE").sellers.add(group)
        category_of("SPONSOR").sellers.add(other)
        seller: User = CustomerFactory(staff=True)
        seller.groups.add(group)
        return seller

    def test_return_to_it_when_they_are_refunded(self, performance, seats, customer, seller, by):
        keep_back(seats[0])
        sold = sell(seats[:2], customer, staff_id=seller.pk).reservation

        cancel_seats(reservation_id=sold.pk, **by)

        assert [row.seat_id for row in SeatAllocation.objects.all()] == [seats[0].pk]
        assert list(performance.seats.filter(is_blocked=True)) == [seats[0]]
        assert balance(customer) == 1_000_000 + WHOLE
        assert breaches() == []

    def test_are_refused_to_who_may_not_sell_them(self, seats, customer, seller):
        keep_back(seats[0])
        keep_back(seats[1], category="SPONSOR")

        for staff_id, chosen in ((CustomerFactory(staff=True).pk, seats[:1]), (seller.pk, seats)):
            with pytest.raises(SeatAlreadyReserved):
                sell(chosen[:2], customer, staff_id=staff_id)

        assert not Reservation.objects.exists()
        assert breaches() == []

    def test_a_customer_is_moved_to_them_by_who_may_sell_them(self, seats, customer, seller):
        keep_back(seats[2])
        booked = reservation(customer, seats[:1])

        with pytest.raises(SeatAlreadyReserved):
            move(booked, seats[2:3])
        moved = move(booked, seats[2:3], staff_id=seller.pk)

        assert moved.sold.reservation.tickets.get().seat == seats[2]
        assert breaches() == []


class TestADateThatIsCalledOff:
    def test_is_not_sold_at_the_counter(self, performance, seats, other_seats, customer):
        booked = reservation(customer, other_seats[:1])
        call_off(performance.pk)

        with pytest.raises(SalesClosed):
            sell(seats[:1], customer)
        with pytest.raises(SalesClosed):
            move(booked, seats[:1])

        assert Reservation.objects.get() == booked
        assert breaches() == []


@pytest.mark.django_db(transaction=True)
class TestADateThatIsCalledOffMeanwhile:
    """It is called off after the seats were found free, and before the last lock; or it waits for what has that lock."""

    @pytest.fixture(params=["lock_performance", "lock_performances_of_move"])
    def lock(self, request):
        return request.param

    @pytest.fixture
    def use(self, lock, seats, customer, other_seats):
        staff_id = CustomerFactory(staff=True).pk
        if lock == "lock_performance":
            return partial(sell, seats[:1], customer, staff_id=staff_id)
        return partial(move, reservation(customer, other_seats[:1]), seats[:1], staff_id=staff_id)

    def test_is_not_sold(self, stopped_before, lock, use, performance):
        stopped = stopped_before(lock, use)
        call_off(performance.pk)

        assert isinstance(stopped.finish(), SalesClosed)
        assert not Reservation.objects.filter(performance=performance).exists()
        assert not LedgerTransaction.objects.filter(type__startswith="TILL").exists()
        assert breaches() == []

    def test_waits_for_what_is_sold(self, stopped_before, elsewhere, use, performance):
        stopped = stopped_before("time_and_number", use)
        calling_off = elsewhere(partial(call_off, performance.pk))
        wait_until_blocked()

        sold = stopped.finish()
        calling_off.result()

        assert not isinstance(sold, Exception)
        assert Reservation.objects.filter(performance=performance, status="CONFIRMED").count() == 1
        assert breaches() == []


def call_off(performance_id: int) -> None:
    run_in_transaction(
        partial(call_off_performance, performance_id=performance_id, reason="The singer is ill.")
    )
