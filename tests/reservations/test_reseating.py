"""Test how staff move a customer to other seats: what becomes of seats, tickets, money and what is told of it."""

from functools import partial

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import IntegrityError

from apps.concerts.models import Concert, Seat, SeatAllocation
from apps.outbox.draining import drain
from apps.outbox.models import OutboxEvent
from apps.payments.counter import PaidBy
from apps.payments.errors import InsufficientBalance
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.reservations.errors import (
    AlreadyCancelled,
    MoveRefused,
    PriceChanged,
    ReservationNotFound,
    SeatAlreadyHeld,
    SeatAlreadyReserved,
)
from apps.reservations.models import Reservation, SeatClaim
from apps.reservations.services import Move, MovePrice
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import block_seats, category_of, keep_back
from tests.factories.counter import give, move, sell
from tests.factories.payments import WalletFactory
from tests.factories.reservations import cancel, hold, reservation
from tests.outbox.deliveries import make_due
from tests.protections import (
    LOCK_OF_THE_CUSTOMER,
    LOCK_OF_THE_WALLET,
    LOCKS_OF_A_HOLD,
    LOCKS_OF_A_MOVE,
    without,
    without_constraints,
    without_triggers,
)
from tests.reservations.racing import breaches, refusals, winners

pytestmark = pytest.mark.django_db

REFUNDED_ONCE = ("ledger_transaction_sequence_unique",)


@pytest.fixture
def reserved(customer, seats):
    """Two seats at 50,000 won."""
    return reservation(customer, seats[:2])


@pytest.fixture
def dearer(performance):
    """Two seats of the next day at 70,000 won."""
    return list(
        Seat.objects.filter(performance__concert=performance.concert_id, price=70_000).order_by(
            "pk"
        )
    )


def balance(customer):
    return Wallet.objects.get(pk=customer.pk).balance


def booked_on(account):
    return sum(LedgerEntry.objects.filter(account=account).values_list("amount", flat=True))


def nothing_was_moved(reserved):
    reserved.refresh_from_db()
    return (
        reserved.status == Reservation.Status.CONFIRMED
        and Reservation.objects.count() == 1
        and not LedgerTransaction.objects.filter(type="REFUND").exists()
        and not LogEntry.objects.exists()
        and breaches() == []
    )


class TestReseat:
    def test_gives_new_seats_and_tickets_in_place_of_the_old_ones(self, reserved, seats, customer):
        clerk = CustomerFactory(staff=True)
        old_codes = set(reserved.tickets.values_list("code", flat=True))

        moved = move(reserved, seats[2:4], staff_id=clerk.pk)

        reserved.refresh_from_db()
        new = moved.sold.reservation
        assert (reserved.status, reserved.moved_to_id) == ("CANCELLED", new.pk)
        assert Reservation.objects.get(pk=new.pk).customer == customer
        assert old_codes.isdisjoint(ticket.code for ticket in moved.sold.tickets)
        claimed = SeatClaim.objects.open().values_list("seat", flat=True)
        assert set(claimed) == {seat.pk for seat in seats[2:4]}
        assert (moved.difference, balance(customer)) == (0, 900_000)
        assert breaches() == []
        for obj in (reserved, new):
            entry = LogEntry.objects.get(object_id=str(obj.pk))
            assert entry.user_id == clerk.pk
            assert "1 A-1, 1 A-2 → " in entry.change_message
            assert entry.change_message.endswith("Reason: Cannot climb stairs")

    def test_frees_the_old_seats_at_once(self, reserved, seats):
        move(reserved, seats[2:4])

        assert hold(CustomerFactory(), seats[:2]).status == "HELD"

    def test_keeps_a_seat_that_stays_at_its_price(self, reserved, seats, customer):
        Seat.objects.filter(pk=seats[0].pk).update(price=90_000)

        moved = move(reserved, [seats[0], seats[2]])

        assert [ticket.price for ticket in moved.sold.tickets] == [50_000, 50_000]
        assert (moved.difference, balance(customer)) == (0, 900_000)
        assert breaches() == []

    @pytest.mark.parametrize("returns", [True, False])
    def test_a_seat_that_stays_is_kept_back_as_before_and_one_that_is_left_as_it_says(
        self, performance, seats, customer, returns
    ):
        """Seats 1 and 2 were sold from a category; 1 stays, 2 is left, and 3 is of another one."""
        keep_back(*seats[:2], returns_on_refund=returns)
        keep_back(seats[2], category="SPONSOR", returns_on_refund=False)
        for code in ("HOUSE", "SPONSOR"):
            category_of(code).sellers.set([Group.objects.get_or_create(name="Desk")[0]])
        clerk = CustomerFactory(admin=True)
        sold = sell(seats[:2], customer, staff_id=clerk.pk).reservation

        moved = move(sold, [seats[0], seats[2]], staff_id=clerk.pk)

        kept = SeatAllocation.objects.filter(performance=performance).order_by("pk")
        assert [allocation.seat_id for allocation in kept] == [
            seat.pk for seat in (seats[:3] if returns else [seats[0], seats[2]])
        ]
        performance.refresh_from_db()
        assert performance.seats_unblocked == (1 if returns else 2)
        assert breaches() == []

        cancel(Reservation.objects.get(pk=moved.sold.reservation.pk))

        performance.refresh_from_db()
        assert performance.seats_unblocked == (2 if returns else 4)
        assert breaches() == []

    def test_is_told_to_ranking_and_platform(self, reserved, dearer):
        move(reserved, dearer)

        told = OutboxEvent.objects.values_list("type", flat=True)
        assert sorted(told) == [
            "reservation.cancelled",
            "reservation.confirmed",
            "reservation.confirmed",
        ]
        assert breaches() == []
        make_due()
        drain(consumer="ranking")
        sold = dict(
            Concert.objects.get(pk=dearer[0].performance.concert_id).performances.values_list(
                "pk", "seats_sold"
            )
        )
        assert sold == {reserved.performance_id: 0, dearer[0].performance_id: 2}

    def test_of_a_walk_up_keeps_how_to_reach_them(self, seats):
        sold = sell(seats[:1])
        Reservation.objects.update(contact="010-1234-5678")

        moved = move(sold.reservation, seats[1:2])

        assert Reservation.objects.get(pk=moved.sold.reservation.pk).contact == "010-1234-5678"


class TestDifference:
    @pytest.mark.parametrize(
        ("old", "house", "new", "difference"),
        [
            (100, 0, 100, 0),
            (100, 0, 140, 40),
            (100, 0, 60, -40),
            (100, 100, 140, 40),
            (100, 100, 60, 0),
            (100, 30, 60, -10),
            (100, 80, 60, 0),
            (300, 200, 100, 0),
        ],
    )
    def test_is_reckoned_with_the_part_of_the_house(self, old, house, new, difference):
        assert MovePrice(old, house, new).difference == difference

    def test_is_paid_at_the_counter(self, reserved, dearer, customer):
        moved = move(reserved, dearer, paid_by=PaidBy.CARD)

        assert (moved.difference, balance(customer)) == (40_000, 900_000)
        assert booked_on("TILL_CARD") == -40_000
        assert breaches() == []

    def test_is_paid_from_the_wallet(self, reserved, dearer, customer):
        move(reserved, dearer, paid_by=PaidBy.WALLET)

        assert balance(customer) == 860_000
        assert breaches() == []

    def test_is_waived_at_the_cost_of_the_house(self, reserved, dearer, customer):
        move(reserved, dearer, paid_by=PaidBy.HOUSE)

        assert balance(customer) == 900_000
        assert booked_on("COMPS") == -40_000
        assert breaches() == []

    def test_goes_back_into_the_wallet(self, dearer, seats, customer):
        reserved = reservation(customer, dearer)

        moved = move(reserved, seats[:2])

        assert (moved.difference, balance(customer)) == (-40_000, 900_000)
        assert breaches() == []

    def test_that_was_waived_is_not_refunded_to_the_customer(self, reserved, dearer, customer):
        moved = move(reserved, dearer, paid_by=PaidBy.HOUSE)

        cancelled = cancel(moved.sold.reservation)

        assert (cancelled.refunded_amount, cancelled.balance) == (100_000, 1_000_000)
        assert booked_on("COMPS") == 0
        assert breaches() == []

    def test_that_was_waived_is_not_given_back_by_another_move(
        self, reserved, dearer, seats, customer
    ):
        moved = move(reserved, dearer, paid_by=PaidBy.HOUSE)

        back = move(moved.sold.reservation, seats[2:4])

        assert (back.difference, balance(customer)) == (0, 900_000)
        assert booked_on("COMPS") == 0
        assert breaches() == []

    def test_of_complimentary_tickets_stays_with_the_house(self, dearer, seats, customer):
        given = give(dearer, customer)

        moved = move(given.reservation, seats[:2])

        assert (moved.difference, balance(customer)) == (0, 1_000_000)
        assert booked_on("COMPS") == -100_000
        assert breaches() == []


class TestRefusals:
    def test_of_seats_that_are_not_free(self, reserved, seats):
        hold(CustomerFactory(), seats[2:3])
        block_seats(seat_ids=[seats[3].pk])

        with pytest.raises(SeatAlreadyHeld):
            move(reserved, [seats[0], seats[2]])
        with pytest.raises(SeatAlreadyReserved):
            move(reserved, [seats[0], seats[3]])

        assert nothing_was_moved(reserved)

    @pytest.mark.parametrize(("first", "last"), [(0, 2), (2, 3)])
    def test_of_the_same_seats_and_of_another_number(self, reserved, seats, first, last):
        with pytest.raises(MoveRefused):
            move(reserved, seats[first:last])

        assert nothing_was_moved(reserved)

    def test_of_another_concert(self, reserved):
        concert_id = reserved.performance.concert_id
        others = Seat.objects.exclude(performance__concert=concert_id).order_by("pk")[:2]

        with pytest.raises(MoveRefused) as refusal:
            move(reserved, list(others))

        assert refusal.value.details == {"reason": "OTHER_CONCERT"}
        assert nothing_was_moved(reserved)

    def test_of_what_was_cancelled_or_never_was(self, reserved, seats):
        cancel(reserved)

        with pytest.raises(AlreadyCancelled):
            move(reserved, seats[2:4])
        with pytest.raises(ReservationNotFound):
            move(Reservation(), seats[2:4])

        assert Reservation.objects.count() == 1

    def test_of_what_a_part_was_cancelled_of(self, reserved, seats):
        claim = SeatClaim.objects.get(seat=seats[0])
        SeatClaim.objects.filter(pk=claim.pk).update(ended_at=claim.hold.ended_at)

        with pytest.raises(MoveRefused) as refusal:
            move(reserved, seats[2:4])

        assert refusal.value.details == {"reason": "NOT_WHOLE"}
        assert Reservation.objects.get().status == Reservation.Status.CONFIRMED

    def test_of_another_price_than_was_shown(self, reserved, dearer):
        with pytest.raises(PriceChanged):
            move(reserved, dearer, shown_difference=0)

        assert nothing_was_moved(reserved)

    def test_of_a_wallet_that_has_too_little(self, seats, dearer):
        poor = WalletFactory(balance=110_000).customer
        reserved = reservation(poor, seats[:2])

        with pytest.raises(InsufficientBalance) as refusal:
            move(reserved, dearer, paid_by=PaidBy.WALLET)

        assert refusal.value.details == {"balance": 10_000, "required": 40_000}
        assert nothing_was_moved(reserved)


@pytest.mark.django_db(transaction=True)
class TestMoveAndCancellation:
    """The customer cancels while staff move the seats: one of the two comes first, and the money goes one way."""

    @pytest.fixture
    def both(self, race, reserved, seats):
        staff_id = CustomerFactory(staff=True).pk
        return lambda: race(
            [partial(cancel, reserved), partial(move, reserved, seats[2:4], staff_id=staff_id)]
        )

    def test_one_of_them_wins(self, both, customer):
        outcomes = both()

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [AlreadyCancelled]
        assert breaches() == []

    @pytest.fixture
    def unlocked(self, stopped_before, reserved, seats, monkeypatch):
        """Let the customer cancel while a move that has found the reservation confirmed stands still, and let that go on."""
        without(
            monkeypatch, LOCKS_OF_A_HOLD, LOCKS_OF_A_MOVE, LOCK_OF_THE_CUSTOMER, LOCK_OF_THE_WALLET
        )
        staff_id = CustomerFactory(staff=True).pk

        def meet():
            stopped = stopped_before(
                "give_up", partial(move, reserved, seats[2:4], staff_id=staff_id)
            )
            cancel(reserved)
            return stopped.finish()

        return meet

    def test_without_locks_the_constraint_keeps_it_at_one_refund(self, unlocked, customer):
        assert isinstance(unlocked(), IntegrityError)
        assert LedgerTransaction.objects.filter(type="REFUND").count() == 1
        assert balance(customer) == 1_000_000
        assert breaches() == []

    def test_without_locks_and_constraints_it_is_refunded_twice(self, unlocked):
        with without_constraints(*REFUNDED_ONCE), without_triggers():
            assert isinstance(unlocked(), Move)
            assert LedgerTransaction.objects.filter(type="REFUND").count() == 2
            assert breaches() != []


@pytest.mark.django_db(transaction=True)
class TestMoveAndAStranger:
    def test_one_of_them_gets_the_seats(self, race, reserved, seats):
        staff_id, stranger = CustomerFactory(staff=True).pk, CustomerFactory()

        outcomes = race(
            [
                partial(hold, stranger, seats[2:4]),
                partial(move, reserved, seats[2:4], staff_id=staff_id),
            ]
        )

        assert len(winners(outcomes)) == 1
        assert set(refusals(outcomes)) <= {SeatAlreadyHeld, SeatAlreadyReserved}
        assert breaches() == []
