"""Staff who paint a hall while it is sold: no sold or held seat changes, and no seat is both sold to the public and kept back."""

import random
from functools import partial

import pytest

from apps.accounts.models import User
from apps.concerts.inventory import Refusal, SeatChanges, allocate_seats, release_seats
from apps.concerts.models import Performance, Seat, SeatAllocation
from apps.core.errors import DomainError
from apps.reservations.errors import SeatAlreadyHeld, SeatAlreadyReserved
from apps.reservations.models import SeatClaim
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, category_of, keep_back
from tests.factories.payments import WalletFactory
from tests.factories.reservations import cancel, confirm, hold
from tests.protections import LOCKS_OF_PAINTED_SEATS, LOCKS_OF_SEATS, without
from tests.reservations.racing import breaches

pytestmark = pytest.mark.django_db(transaction=True)

CROWD = 16


def paint(performance: Performance, seats: list[Seat], code: str = "HOUSE") -> SeatChanges:
    return allocate_seats(
        performance_id=performance.pk,
        seat_ids=[seat.pk for seat in seats],
        category_id=category_of(code).pk,
        reason="For the house",
        staff_id=None,
    )


def both_ways(performance: Performance) -> int:
    """Count seats that a customer has although they were kept back."""
    claimed = SeatClaim.objects.open().filter(performance=performance).values("seat")
    return SeatAllocation.objects.filter(seat__in=claimed).count()


class TestPaintingAndAHold:
    def test_a_seat_that_is_being_claimed_is_left_alone(
        self, stopped_before, performance, customer, seats
    ):
        holding = stopped_before("hold", partial(hold, customer, seats[:1]))

        changes = paint(performance, seats)
        holding.finish()

        assert changes.refused == {seats[0].pk: Refusal.BUSY}
        assert list(changes.applied) == [seat.pk for seat in seats[1:]]
        assert both_ways(performance) == 0
        assert breaches() == []

    def test_a_hold_is_refused_seats_that_are_being_painted(
        self, stopped_before, performance, customer, seats
    ):
        painting = stopped_before("allocate", partial(paint, performance, seats))

        with pytest.raises(SeatAlreadyHeld) as refused:
            hold(customer, seats[:1])
        painting.finish()

        assert refused.value.retry_after == 1
        with pytest.raises(SeatAlreadyReserved):
            hold(customer, seats[:1])
        assert breaches() == []

    @pytest.mark.parametrize("lost", [LOCKS_OF_SEATS, LOCKS_OF_PAINTED_SEATS])
    def test_without_either_lock_a_seat_is_held_and_kept_back(
        self, stopped_before, performance, customer, seats, monkeypatch, lost
    ):
        without(monkeypatch, lost)
        if lost is LOCKS_OF_SEATS:
            first = stopped_before("hold", partial(hold, customer, seats[:1]))
            paint(performance, seats)
        else:
            first = stopped_before("allocate", partial(paint, performance, seats))
            hold(customer, seats[:1])
        first.finish()

        assert both_ways(performance) == 1


class TestPaintingWhileACrowdBuys:
    def test_each_seat_is_the_crowds_or_the_house_s(self, race):
        performance = PerformanceFactory(seats=60, concert__seats_per_customer=3)
        PerformanceFactory(seats=60)
        seats = list(performance.seats.order_by("pk"))
        chance = random.Random(7)

        def buy(customer: User) -> int:
            bought = 0
            for _ in range(6):
                try:
                    bought += len(hold(customer, [chance.choice(seats)]).claims.all())
                except DomainError:
                    continue
            return bought

        customers = [CustomerFactory() for _ in range(CROWD)]
        buyers = [partial(buy, customer) for customer in customers]
        painter = partial(paint, performance, seats)
        other = partial(paint, performance, seats, "SPONSOR")

        changes, others, *bought = race([painter, other, *buyers])

        assert both_ways(performance) == 0
        assert sum(bought) == SeatClaim.objects.open().count()
        for told in (changes, others):
            answered = set(told.applied) | set(told.refused)
            assert answered == {seat.pk for seat in seats}
        kept = set(SeatAllocation.objects.values_list("seat_id", flat=True))
        assert kept == set(changes.applied) | set(others.applied)
        assert breaches() == []


class TestRefundsUnderLoad:
    def test_no_seat_leaks(self, race):
        """Refund forty sales of the house while staff release and keep back other seats, and customers hold what comes free."""
        performance = PerformanceFactory(seats=80)
        seats = list(performance.seats.order_by("pk"))
        returning, leaving, others = seats[:20], seats[20:40], seats[40:]
        keep_back(*returning)
        keep_back(*leaving, returns_on_refund=False)
        keep_back(*others[:20])
        house = {category_of("HOUSE").pk}
        sold = [
            confirm(hold(WalletFactory(balance=50_000).customer, [seat], categories=house))
            for seat in (*returning, *leaving)
        ]

        def refund(some) -> None:
            for sale in some:
                cancel(sale.reservation)

        def swap() -> None:
            release_seats(
                performance_id=performance.pk,
                seat_ids=[seat.pk for seat in others[:20]],
                reason="x",
                staff_id=None,
            )
            paint(performance, others[20:])

        race([*(partial(refund, sold[first::8]) for first in range(8)), swap])

        kept = set(SeatAllocation.objects.values_list("seat_id", flat=True))
        assert kept == {seat.pk for seat in (*returning, *others[20:])}
        assert not SeatClaim.objects.open().exists()
        performance.refresh_from_db()
        assert performance.seats_unblocked == 40
        assert breaches() == []
