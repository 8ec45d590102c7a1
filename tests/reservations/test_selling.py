"""Test sales at the counter: who buys, how it is paid, and what the rules of every sale say to it."""

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from apps.accounts.errors import StaffAccount
from apps.accounts.models import User
from apps.concerts.errors import PerformanceNotFound, SalesClosed, SalesNotOpen, SeatNotFound
from apps.concerts.models import Concert, Performance, Seat
from apps.outbox.models import OutboxEvent
from apps.payments.counter import PaidBy
from apps.payments.errors import InsufficientBalance
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.reservations.errors import (
    PriceChanged,
    SeatAlreadyHeld,
    SeatAlreadyReserved,
    SeatLimitExceeded,
)
from apps.reservations.models import Hold, Reservation
from apps.reservations.services import WalkUp
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import begin_at, block_seats
from tests.factories.counter import give, sell
from tests.factories.payments import WalletFactory
from tests.factories.reservations import cancel, hold, overdue_hold
from tests.protections import LOCKS_OF_SEATS, without, without_constraints
from tests.reservations.racing import breaches, meet_before, refusals, winners

pytestmark = pytest.mark.django_db

CROWD = 12


def movements(customer_id):
    found = LedgerTransaction.objects.filter(customer=customer_id).order_by("sequence")
    return list(found.values_list("type", "amount", "balance_after"))


def booked_on(account):
    return sum(LedgerEntry.objects.filter(account=account).values_list("amount", flat=True))


def nothing_was_sold():
    return not (
        Reservation.objects.exists()
        or Hold.objects.filter(status="CONFIRMED").exists()
        or LedgerTransaction.objects.filter(amount__lt=0).exists()
        or LogEntry.objects.exists()
    )


class TestSellAtCounter:
    def test_gives_a_walk_up_tickets_for_cash(self, seats):
        clerk = CustomerFactory(staff=True)

        sold = sell(seats[:2], WalkUp("Kim Minji", "010-1234-5678"), staff_id=clerk.pk)

        reserved = Reservation.objects.get()
        assert (reserved.pk, reserved.status) == (sold.reservation.pk, "CONFIRMED")
        assert (reserved.total_price, reserved.contact) == (100_000, "010-1234-5678")
        assert reserved.tickets.count() == len(sold.tickets) == 2
        assert (reserved.customer.name, reserved.customer.is_walk_up) == ("Kim Minji", True)
        assert not reserved.customer.has_usable_password()
        assert movements(reserved.customer_id) == [
            ("TILL_CASH", 100_000, 100_000),
            ("PAYMENT", -100_000, 0),
        ]
        till = LedgerTransaction.objects.get(type="TILL_CASH")
        assert (till.reference, till.adjusted_by_id) == (reserved.pk, clerk.pk)
        assert booked_on("TILL_CASH") == -100_000
        assert breaches() == []

    def test_is_told_like_every_sale_and_ends_no_visit(self, seats):
        sold = sell(seats[:1])

        event = OutboxEvent.objects.get()
        assert event.type == "reservation.confirmed"
        assert event.payload["reservation_id"] == str(sold.reservation.pk)
        assert event.payload["queue_slot"] is None

    def test_writes_down_who_sold_what(self, seats):
        clerk = CustomerFactory(staff=True)

        sold = sell(seats[:2], staff_id=clerk.pk, paid_by=PaidBy.CARD)

        entry = LogEntry.objects.get(object_id=str(sold.reservation.pk))
        assert entry.user_id == clerk.pk
        assert entry.change_message == (
            "Sold at the counter: 1 A-1, 1 A-2 for 100,000 won, paid by card."
        )
        assert booked_on("TILL_CARD") == -100_000

    def test_takes_the_price_from_the_wallet_of_a_caller(self, seats, customer):
        sell(seats[:1], customer, paid_by=PaidBy.WALLET)

        assert Wallet.objects.get(pk=customer.pk).balance == 950_000
        assert Reservation.objects.get().customer == customer
        assert breaches() == []

    def test_leaves_what_a_customer_has_in_the_wallet(self, seats, customer):
        sell(seats[:1], customer)

        assert Wallet.objects.get(pk=customer.pk).balance == 1_000_000

    def test_sells_for_cash_to_a_customer_whose_wallet_is_full(self, seats, customer, settings):
        settings.BALANCE_LIMIT = 1_000_000

        sell(seats[:1], customer)

        assert Wallet.objects.get(pk=customer.pk).balance == 1_000_000

    def test_sells_a_seat_of_which_a_hold_is_over(self, seats):
        stale = overdue_hold(CustomerFactory(), seats[:1])

        sell(seats[:1])

        stale.refresh_from_db()
        assert stale.status == "EXPIRED"
        assert breaches() == []

    def test_refuses_seats_that_are_not_free(self, seats):
        hold(CustomerFactory(), seats[:1])
        block_seats(seat_ids=[seats[1].pk])

        with pytest.raises(SeatAlreadyHeld):
            sell(seats[:1])
        with pytest.raises(SeatAlreadyReserved):
            sell(seats[1:2])

        assert nothing_was_sold()
        assert not User.objects.filter(email__endswith="counter.invalid").exists()

    def test_refuses_a_wallet_that_has_too_little(self, seats):
        poor = WalletFactory(balance=40_000).customer

        with pytest.raises(InsufficientBalance) as refusal:
            sell(seats[:1], poor, paid_by=PaidBy.WALLET)

        assert refusal.value.details == {"balance": 40_000, "required": 50_000}
        assert nothing_was_sold()

    def test_refuses_another_price_than_was_shown(self, seats):
        with pytest.raises(PriceChanged):
            sell(seats[:1], shown_price=40_000)

        assert nothing_was_sold()

    def test_refuses_staff_and_seats_of_another_hall(self, seats):
        other = Seat.objects.exclude(performance=seats[0].performance_id).first()

        with pytest.raises(StaffAccount):
            sell(seats[:1], CustomerFactory(staff=True))
        with pytest.raises(SeatNotFound):
            sell([seats[0], other])

        assert nothing_was_sold()

    def test_refuses_what_is_not_published(self, seats):
        Concert.objects.update(is_published=False)

        with pytest.raises(PerformanceNotFound):
            sell(seats[:1])

        assert nothing_was_sold()


class TestLimits:
    def test_are_those_of_the_concert(self, seats, customer):
        with pytest.raises(SeatLimitExceeded):
            sell(seats[:3], customer)

        assert nothing_was_sold()

    def test_are_no_obstacle_with_a_reason(self, seats, customer):
        sell(seats[:2], customer)

        sell(seats[2:4], customer, reason="A school class")

        assert Hold.objects.latest("held_at").seat_limit == 4
        assert LogEntry.objects.filter(change_message__endswith="Reason: A school class").exists()
        assert breaches() == []


class TestTimes:
    def test_not_before_the_crowd_may_buy(self, seats):
        Concert.objects.update(sales_open_at=timezone.now() + timedelta(hours=1))

        with pytest.raises(SalesNotOpen):
            sell(seats[:1])

        assert nothing_was_sold()

    def test_after_the_sale_to_the_public_until_the_performance_is_over(self, seats):
        Concert.objects.update(
            sales_open_at=timezone.now() - timedelta(days=3),
            sales_close_at=timezone.now() - timedelta(days=1),
        )
        begin_at(
            Performance.objects.filter(pk=seats[0].performance_id),
            timezone.now() - timedelta(hours=1),
        )

        sell(seats[:1])

        assert Reservation.objects.count() == 1

    def test_not_when_it_is_over(self, seats):
        begin_at(
            Performance.objects.filter(pk=seats[0].performance_id),
            timezone.now() - timedelta(hours=4),
        )

        with pytest.raises(SalesClosed):
            sell(seats[:1])

        assert nothing_was_sold()


class TestComplimentaryTickets:
    def test_are_paid_by_the_house(self, seats, customer):
        clerk = CustomerFactory(staff=True)

        given = give(seats[:2], customer, staff_id=clerk.pk)

        assert movements(customer.pk)[-2:] == [
            ("COMP", 100_000, 1_100_000),
            ("PAYMENT", -100_000, 1_000_000),
        ]
        comp = LedgerTransaction.objects.get(type="COMP")
        assert (comp.reason, comp.adjusted_by_id) == ("Press", clerk.pk)
        assert given.balance == 1_000_000
        assert booked_on("COMPS") == -100_000
        assert breaches() == []

    def test_give_no_money_when_they_are_cancelled(self, seats, customer):
        given = give(seats[:2], customer)

        cancelled = cancel(given.reservation)

        assert (cancelled.refunded_amount, cancelled.balance) == (0, 1_000_000)
        assert movements(customer.pk)[-2:] == [
            ("REFUND", 100_000, 1_100_000),
            ("COMP_BACK", -100_000, 1_000_000),
        ]
        assert booked_on("COMPS") == 0
        assert breaches() == []

    def test_need_a_reason(self, seats):
        with pytest.raises(ValueError, match="needs a reason"):
            give(seats[:1], reason=" ")

        assert nothing_was_sold()


@pytest.mark.django_db(transaction=True)
class TestTwoClerksAndOneSeat:
    @pytest.fixture
    def outcomes(self, race, seats):
        clerks = CustomerFactory.create_batch(CROWD, staff=True)
        return lambda: race([partial(sell, seats[:1], staff_id=clerk.pk) for clerk in clerks])

    def test_one_of_them_sells_it(self, outcomes):
        found = outcomes()

        assert len(winners(found)) == 1
        assert set(refusals(found)) <= {SeatAlreadyHeld, SeatAlreadyReserved}
        assert Reservation.objects.count() == 1
        assert User.objects.filter(email__endswith="counter.invalid").count() == 1
        assert breaches() == []

    @pytest.fixture
    def unlocked(self, race, seats, monkeypatch):
        clerks = CustomerFactory.create_batch(2, staff=True)
        without(monkeypatch, LOCKS_OF_SEATS)
        meet_before(monkeypatch, "hold", 2)
        return lambda: race([partial(sell, seats[:1], staff_id=clerk.pk) for clerk in clerks])

    def test_without_locks_the_constraint_keeps_it_at_one(self, unlocked):
        found = unlocked()

        assert len(winners(found)) == 1
        assert refusals(found) == [SeatAlreadyHeld]
        assert Reservation.objects.count() == 1
        assert breaches() == []

    def test_without_locks_and_constraint_it_is_sold_twice(self, unlocked):
        with without_constraints("seat_claimed_once"):
            assert len(winners(unlocked())) == 2
            assert "seat_claimed_once" in breaches()


@pytest.mark.django_db(transaction=True)
class TestClerkAndCustomer:
    def test_one_of_them_gets_the_seat(self, race, seats):
        clerk, visitor = CustomerFactory(staff=True), CustomerFactory()

        found = race(
            [partial(sell, seats[:1], staff_id=clerk.pk), partial(hold, visitor, seats[:1])]
        )

        assert len(winners(found)) == 1
        assert set(refusals(found)) <= {SeatAlreadyHeld, SeatAlreadyReserved}
        assert breaches() == []

    def test_without_locks_the_constraint_refuses_one(self, race, seats, monkeypatch):
        clerk, visitor = CustomerFactory(staff=True), CustomerFactory()
        without(monkeypatch, LOCKS_OF_SEATS)
        meet_before(monkeypatch, "hold", 2)

        found = race(
            [partial(sell, seats[:1], staff_id=clerk.pk), partial(hold, visitor, seats[:1])]
        )

        assert len(winners(found)) == 1
        assert refusals(found) == [SeatAlreadyHeld]
        assert breaches() == []
