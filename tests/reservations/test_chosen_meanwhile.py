"""Seats that change hands between choosing the best and claiming them, and what a request finds of them then."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.concerts.errors import PerformanceNotFound
from apps.reservations.errors import NotEnoughSeats, SeatAlreadyHeld, SeatAlreadyReserved
from apps.reservations.models import Hold, SeatClaim
from apps.reservations.services import hold_best_available
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.reservations import hold
from tests.protections import before

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def performance():
    """Six seats in a row; beside it another date, of which some are held."""
    concert = ConcertFactory(seats_per_customer=6)
    performance, other = (PerformanceFactory(concert=concert, seats=6) for _ in range(2))
    hold(CustomerFactory(), list(other.seats.order_by("pk")[:3]))
    return performance


def claimed_by(customer, seats, state: str) -> Hold:
    """Write a hold and its claims, as another request would have done it."""
    now = timezone.now()
    is_over = state in ("OVERDUE", "EXPIRED")
    held = Hold.objects.create(
        customer=customer,
        performance=seats[0].performance,
        status="HELD" if state in ("HELD", "OVERDUE") else state,
        total_price=sum(seat.price for seat in seats),
        seat_limit=6,
        unpaid_limit=6,
        held_at=now - 9 * MINUTE,
        expires_at=now + (-MINUTE if is_over else MINUTE),
        ended_at=None if state in ("HELD", "OVERDUE") else now - 2 * MINUTE,
    )
    for seat in seats:
        SeatClaim.objects.create(
            hold=held,
            seat=seat,
            performance=seat.performance,
            price=seat.price,
            ended_at=now if state in ("RELEASED", "EXPIRED") else None,
        )
    return held


def best(performance, quantity: int) -> list[int]:
    held = hold_best_available(
        customer_id=CustomerFactory().pk,
        performance_id=performance.pk,
        quantity=quantity,
        grade=None,
        admission=None,
    )
    return [seat.number for seat in held.seats]


@pytest.mark.parametrize("step", ["lock_best_seats", "lock_free_seats"])
@pytest.mark.parametrize(
    ("state", "is_taken"),
    [
        ("HELD", True),
        ("CONFIRMED", True),
        ("OVERDUE", False),
        ("RELEASED", False),
        ("EXPIRED", False),
    ],
)
def test_the_best_are_taken_unless_others_have_them_by_then(
    performance, monkeypatch, step, state, is_taken
):
    middle = list(performance.seats.filter(number__in=(3, 4)).order_by("pk"))
    todo = [lambda: claimed_by(CustomerFactory(), middle[1:], state)]
    before(monkeypatch, step, lambda _: todo and todo.pop()())

    taken = best(performance, 2)

    assert not todo
    assert (taken == [3, 4]) == (not is_taken)
    assert is_taken == (4 not in taken)
    assert taken[1] == taken[0] + 1


def test_is_chosen_anew_when_all_choices_are_gone(performance, monkeypatch):
    """The only two that were free are taken meanwhile, and others come free."""
    seats = list(performance.seats.order_by("number"))
    first = claimed_by(CustomerFactory(), seats[:4], "HELD")

    def change_hands(_):
        if first.status == "HELD":
            first.status = "RELEASED"
            now = timezone.now()
            Hold.objects.filter(pk=first.pk).update(status="RELEASED", ended_at=now)
            SeatClaim.objects.filter(hold=first).update(ended_at=now)
            claimed_by(CustomerFactory(), seats[4:], "HELD")

    before(monkeypatch, "lock_best_seats", change_hands)

    assert best(performance, 2) == [1, 2]  # leaves two side by side


def test_none_are_left_for_who_comes_last(performance, monkeypatch):
    seats = list(performance.seats.order_by("number"))
    claimed_by(CustomerFactory(), seats[:5], "CONFIRMED")
    todo = [lambda: claimed_by(CustomerFactory(), seats[5:], "HELD")]
    before(monkeypatch, "lock_best_seats", lambda _: todo and todo.pop()())

    with pytest.raises(NotEnoughSeats):
        best(performance, 1)

    assert SeatClaim.objects.filter(performance=performance).count() == 6


class TestNamedSeats:
    """A request for two seats, of which the second has a claim."""

    @pytest.fixture
    def seats(self, performance):
        return list(performance.seats.order_by("pk")[:2])

    @pytest.mark.parametrize(
        ("state", "refusal"), [("HELD", SeatAlreadyHeld), ("CONFIRMED", SeatAlreadyReserved)]
    )
    def test_are_refused_by_the_one_that_is_taken(self, seats, state, refusal):
        theirs = claimed_by(CustomerFactory(), seats[1:], state)

        with pytest.raises(refusal) as refused:
            hold(CustomerFactory(), seats)

        assert refused.value.details == {"seat_ids": [seats[1].pk]}
        assert Hold.objects.filter(performance=theirs.performance).count() == 1

    @pytest.mark.parametrize("state", ["OVERDUE", "RELEASED", "EXPIRED"])
    def test_are_held_if_its_claim_is_over(self, seats, state):
        theirs = claimed_by(CustomerFactory(), seats[1:], state)
        others = claimed_by(
            CustomerFactory(), list(seats[0].performance.seats.filter(number__gt=4)), "OVERDUE"
        )

        made = hold(CustomerFactory(), seats)

        assert SeatClaim.objects.filter(hold=made, ended_at=None).count() == 2
        theirs.refresh_from_db()
        others.refresh_from_db()
        assert others.status == "HELD"  # overdue as well, and in nobody's way
        assert theirs.status == ("EXPIRED" if state == "OVERDUE" else state)
        if state == "OVERDUE":
            assert theirs.ended_at == theirs.expires_at
            assert {claim.ended_at for claim in theirs.claims.all()} == {theirs.expires_at}


class TestPerformance:
    """It was there when the visitor was let in, and is gone or offline under the locks."""

    @pytest.mark.parametrize("change", ["withdrawn", "another"])
    def test_that_is_not_for_sale_any_more_is_refused(self, performance, change):
        seats = list(performance.seats.order_by("pk")[:2])
        asked = performance.pk
        if change == "withdrawn":
            type(performance.concert).objects.update(is_published=False)
        else:
            asked += 1_000_000
        before_that = Hold.objects.count()

        with pytest.raises(PerformanceNotFound):
            hold(CustomerFactory(), seats, performance_id=asked)
        performance.pk = asked
        with pytest.raises(PerformanceNotFound):
            best(performance, 1)

        assert Hold.objects.count() == before_that
