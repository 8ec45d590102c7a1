"""Test what one customer may hold without having paid, and that no hold costs more than a wallet can have."""

from uuid import uuid4

import pytest

from apps.concerts.models import Concert, Performance, Seat
from apps.payments.models import LedgerTransaction, Wallet
from apps.reservations.errors import (
    HoldExpired,
    HoldNotFound,
    HoldNotLive,
    PriceLimitExceeded,
    SeatLimitExceeded,
    TopUpNotNeeded,
    UnpaidLimitExceeded,
)
from apps.reservations.models import Hold
from apps.reservations.services import release_hold, top_up_for_hold
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import confirm, hold, hold_best, overdue_hold, reservation
from tests.factories.visitors import admitted_visitor

pytestmark = pytest.mark.django_db


class TestUnpaidSeats:
    @pytest.fixture
    def concert(self) -> Concert:
        return ConcertFactory(seats_per_customer=2)

    @pytest.fixture
    def dates(self, concert) -> list[list[Seat]]:
        """The seats of three dates."""
        made = [PerformanceFactory(concert=concert, seats=3) for _ in range(3)]
        return [list(date.seats.order_by("pk")) for date in made]

    def test_of_all_dates_together_are_as_many_as_of_one(self, dates):
        customer = CustomerFactory()
        hold(customer, dates[0][:1])
        hold(customer, dates[1][:1])

        with pytest.raises(UnpaidLimitExceeded) as refusal:
            hold(customer, dates[2][:1])

        assert refusal.value.details == {"limit": 2, "unpaid": 2}
        assert Hold.objects.count() == 2

    def test_limit_is_in_force_for_the_best_as_well(self, dates):
        customer = CustomerFactory()
        hold(customer, dates[0][:2])

        with pytest.raises(UnpaidLimitExceeded):
            hold_best(customer, dates[1][0].performance, 1)

    def test_do_not_include_what_is_paid_given_back_or_over(self, dates):
        customer = WalletFactory(balance=1_000_000).customer
        reservation(customer, dates[0][:2])
        let_go = hold(customer, dates[1][:2])
        release_hold(customer_id=customer.pk, hold_id=let_go.pk)
        overdue_hold(customer, dates[1][:2])

        assert hold(customer, dates[2][:2]).unpaid_limit == 2

    def test_do_not_include_what_is_paid_of_the_same_date(self, concert, dates):
        concert.seats_per_customer = concert.unpaid_seats_max = 3
        concert.save()
        customer = WalletFactory(balance=1_000_000).customer
        reservation(customer, dates[0][:1])
        hold(customer, dates[1][:2])

        hold(customer, dates[0][1:2])

        assert Hold.objects.filter(status="HELD").count() == 2

    def test_of_other_concerts_and_other_customers_do_not_count(self, dates):
        customer = CustomerFactory()
        hold(customer, list(PerformanceFactory(seats=1).seats.all()))
        hold(CustomerFactory(), dates[1][:2])

        assert hold(customer, dates[0][:2])

    def test_may_be_more_where_staff_say_so(self, concert, dates):
        Concert.objects.filter(pk=concert.pk).update(unpaid_seats_max=5)
        customer = CustomerFactory()
        hold(customer, dates[0][:2])
        hold(customer, dates[1][:2])

        with pytest.raises(UnpaidLimitExceeded) as refusal:
            hold(customer, dates[2][:2])

        assert refusal.value.details == {"limit": 5, "unpaid": 4}
        assert hold(customer, dates[2][:1]).unpaid_limit == 5

    def test_are_mentioned_after_the_limit_of_the_performance(self, dates):
        customer = CustomerFactory()
        hold(customer, dates[0][:2])

        with pytest.raises(SeatLimitExceeded):
            hold(customer, dates[0][2:])

    def test_over_the_api_the_refusal_has_the_numbers(self, concert, dates):
        visitor = admitted_visitor(concert.pk)
        bodies = [
            {"performance_id": seats[0].performance_id, "seat_ids": [seats[0].pk]}
            for seats in dates
        ]

        answers = [visitor.post("/holds", body) for body in bodies]

        assert [answer.status_code for answer in answers] == [201, 201, 409]
        refused = answers[2].json()
        assert refused["code"] == "UNPAID_LIMIT_EXCEEDED"
        assert (refused["data"]["limit"], refused["data"]["unpaid"]) == (2, 2)


class TestPriceLimit:
    @pytest.fixture
    def performance(self) -> Performance:
        performance: Performance = PerformanceFactory(
            seats=8, seats__price=1_500_000, concert__seats_per_customer=8
        )
        return performance

    def test_a_hold_that_no_customer_can_pay_is_refused(self, performance):
        with pytest.raises(PriceLimitExceeded) as refusal:
            hold(CustomerFactory(), list(performance.seats.all()))

        assert refusal.value.details == {"total_price": 12_000_000, "limit": 10_000_000}
        assert not Hold.objects.exists()

    def test_so_are_the_best(self, performance):
        with pytest.raises(PriceLimitExceeded):
            hold_best(CustomerFactory(), performance, 8)

        assert not Hold.objects.exists()

    def test_what_fits_a_wallet_exactly_is_held(self, performance):
        Seat.objects.update(price=1_250_000)

        assert hold(CustomerFactory(), list(performance.seats.all())).total_price == 10_000_000

    def test_over_the_api_the_refusal_has_the_amounts(self, performance):
        visitor = admitted_visitor(performance.concert_id)
        seats = list(performance.seats.values_list("pk", flat=True))

        answer = visitor.post("/holds", {"performance_id": performance.pk, "seat_ids": seats})

        refused = answer.json()
        assert (answer.status_code, refused["code"]) == (409, "PRICE_LIMIT_EXCEEDED")
        assert refused["data"]["total_price"] == 12_000_000
        assert refused["data"]["limit"] == 10_000_000


class TestTopUpForHold:
    def top_up(self, held: Hold, amount: int):
        return top_up_for_hold(customer_id=held.customer_id, hold_id=held.pk, amount=amount)

    def test_books_what_is_missing(self, seats):
        held = hold(CustomerFactory(), seats[:2])

        assert self.top_up(held, 60_000).balance_after == 60_000
        assert self.top_up(held, 40_000).balance_after == 100_000

    def test_refuses_more_than_that(self, seats):
        held = hold(WalletFactory(balance=60_000).customer, seats[:2])

        with pytest.raises(TopUpNotNeeded):
            self.top_up(held, 40_001)

        assert Wallet.objects.get().balance == 60_000

    @pytest.mark.parametrize("end", ["pay", "release", "over"])
    def test_refuses_what_is_over(self, seats, end):
        customer = WalletFactory(balance=100_000).customer
        held = overdue_hold(customer, seats[:2]) if end == "over" else hold(customer, seats[:2])
        if end == "pay":
            confirm(held)
        elif end == "release":
            release_hold(customer_id=customer.pk, hold_id=held.pk)
        before = LedgerTransaction.objects.count()

        with pytest.raises(HoldExpired if end == "over" else HoldNotLive):
            self.top_up(held, 100_000)

        assert LedgerTransaction.objects.count() == before

    def test_refuses_the_hold_of_another_customer(self, seats):
        held = hold(CustomerFactory(), seats[:2])

        for hold_id in (held.pk, uuid4()):
            with pytest.raises(HoldNotFound):
                top_up_for_hold(customer_id=CustomerFactory().pk, hold_id=hold_id, amount=1)

        assert not Wallet.objects.exists()
