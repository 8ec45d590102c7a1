"""The first payment of a visit ends it at once: its sale says so before the waiting room has heard of it."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from apps.concerts.models import Concert
from apps.outbox.draining import drain
from apps.queue.errors import QueueTokenExpired
from apps.queue.services import Admission
from apps.queue.services.admission import admit_now
from apps.reservations.models import Hold, Reservation, SeatClaim
from apps.reservations.services import extensions_of
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import cancel, confirm, hold, hold_best
from tests.protections import LOCK_OF_THE_CUSTOMER, without
from tests.reservations.racing import breaches, outcome_of, wait_until_blocked

pytestmark = pytest.mark.django_db

COMPLETED = {"expired_reason": "COMPLETED"}


@pytest.fixture
def performance(performance):
    Concert.objects.update(seats_per_customer=4)
    return performance


@pytest.fixture
def admission(performance, customer):
    """By lottery, so that visits of the same customer to other concerts have the same place."""
    now = timezone.now()
    return Admission(
        concert_id=performance.concert_id,
        customer_id=customer.pk,
        generation=1,
        slot=0,
        admitted_at=now,
        lease_until=now + timedelta(minutes=5),
        new_holds_until=now + timedelta(minutes=10),
        seen_at=now,
    )


@pytest.fixture
def claim(customer, admission):
    return partial(hold, customer, admission=admission)


class TestNewHolds:
    def test_are_refused_after_a_payment(self, claim, customer, admission, performance, seats):
        confirm(claim(seats[:1]))
        best = partial(hold_best, customer, performance, 1, admission=admission)

        for attempt in (partial(claim, seats[1:2]), best):
            with pytest.raises(QueueTokenExpired) as refusal:
                attempt()
            assert refusal.value.details == COMPLETED

        assert Hold.objects.count() == SeatClaim.objects.count() == 1

    def test_are_refused_for_the_other_dates(self, claim, performance, seats):
        other = performance.concert.performances.exclude(pk=performance.pk).get()
        confirm(claim(seats[:1]))

        with pytest.raises(QueueTokenExpired):
            claim(other.seats.all()[:1])

        assert Hold.objects.count() == 1

    def test_are_refused_though_the_reservation_was_cancelled(self, claim, seats):
        cancel(confirm(claim(seats[:1])).reservation)

        with pytest.raises(QueueTokenExpired):
            claim(seats[:1])

        assert Hold.objects.count() == 1

    def test_are_possible_until_then(self, claim, seats):
        assert claim(seats[:1])
        assert claim(seats[1:2])

    def test_are_possible_in_the_next_visit(self, claim, admission, seats):
        confirm(claim(seats[:1]))

        for later in (replace(admission, slot=1), replace(admission, generation=2)):
            assert claim(seats[later.slot + 1 : later.slot + 2], admission=later)

    def test_are_possible_at_another_concert(self, claim, admission, seats):
        other = PerformanceFactory(seats=1)
        confirm(claim(seats[:1]))

        visit = replace(admission, concert_id=other.concert_id)
        assert claim([other.seats.get()], admission=visit)

    def test_are_possible_for_other_customers(self, claim, admission, seats):
        confirm(claim(seats[:1]))

        other = WalletFactory().customer
        assert hold(other, seats[1:2], admission=replace(admission, customer_id=other.pk))

    def test_are_possible_at_the_box_office(self, customer, seats):
        confirm(hold(customer, seats[:1]))

        assert hold(customer, seats[1:2])


class TestWhatIsHeldAlready:
    def test_can_be_paid_for(self, claim, seats):
        first, second = claim(seats[:1]), claim(seats[1:2])
        confirm(first)

        assert confirm(second)
        assert Reservation.objects.count() == 2
        assert breaches() == []

    def test_may_not_be_extended(self, claim, seats):
        first, second = claim(seats[:1]), claim(seats[1:2])
        now = timezone.now()
        assert extensions_of([first, second], at=now).keys() == {first.pk, second.pk}
        confirm(first)

        assert extensions_of([second], at=now) == {}

    def test_may_be_extended_after_a_payment_in_another_visit(self, claim, admission, seats):
        confirm(claim(seats[:1]))
        held = claim(seats[1:2], admission=replace(admission, generation=2))

        assert held.pk in extensions_of([held], at=timezone.now())

    def test_is_asked_about_once_for_each_visit(self, claim, seats, django_assert_num_queries):
        claim(seats[:1]), claim(seats[1:2]), claim(seats[2:3])
        holds = list(Hold.objects.select_related("performance__concert"))

        with django_assert_num_queries(3):  # sales, generation of the room, exit log
            assert len(extensions_of(holds, at=timezone.now())) == 3


@pytest.mark.django_db(transaction=True)
class TestOverTheApi:
    """There is no worker, so the room hears of a sale when the test says so."""

    @pytest.fixture
    def attempts(self, visitor, performance, seats):
        def attempt(seat):
            chosen = {"performance_id": performance.pk, "seat_ids": [seat.pk]}
            best = {"performance_id": performance.pk, "quantity": 1}
            return [visitor.post("/holds", chosen), visitor.post("/holds/best-available", best)]

        return attempt

    def test_the_refusal_is_that_of_a_visit_that_has_ended(self, visitor, attempts, seats):
        first, _ = attempts(seats[0])
        held = first.json()["data"]
        assert (
            visitor.post("/reservations", {"hold_id": held["hold_id"]}, key="p").status_code == 201
        )
        assert visitor.get("/queue/tokens/me").json()["data"]["status"] == "ACTIVE"
        made = Hold.objects.count()

        before = attempts(seats[3])
        drain(consumer="token_expiry")
        assert visitor.get("/queue/tokens/me").json()["data"]["status"] == "EXPIRED"
        afterwards = attempts(seats[3])

        for answer in before + afterwards:
            refusal = answer.json()
            assert (answer.status_code, refusal["code"]) == (403, "QUEUE_TOKEN_EXPIRED")
            assert refusal["data"].items() >= COMPLETED.items()
            assert refusal["data"].keys() == afterwards[0].json()["data"].keys()
        assert Hold.objects.count() == made

    def test_joining_again_leads_to_more_seats(self, visitor, attempts, performance, seats):
        first, _ = attempts(seats[0])
        visitor.post("/reservations", {"hold_id": first.json()["data"]["hold_id"]}, key="p")
        drain(consumer="token_expiry")
        visitor.join(performance.concert_id)
        admit_now(performance.concert_id)

        assert [answer.status_code for answer in attempts(seats[3])] == [201, 201]


@pytest.mark.django_db(transaction=True)
class TestPaymentAndNewHold:
    """The hold is asked for while the payment is under way, in another tab."""

    def test_a_hold_waits_for_the_payment_and_is_refused(
        self, elsewhere, stopped_before, claim, seats
    ):
        first = claim(seats[:1])
        payment = stopped_before("confirm", partial(confirm, first))
        second = elsewhere(partial(claim, seats[1:2]))
        wait_until_blocked()

        assert payment.finish().reservation
        assert isinstance(outcome_of(second), QueueTokenExpired)
        assert Hold.objects.get() == first

    def test_without_the_lock_on_the_customer_it_is_held(
        self, stopped_before, claim, seats, monkeypatch
    ):
        first = claim(seats[:1])
        without(monkeypatch, LOCK_OF_THE_CUSTOMER)
        payment = stopped_before("confirm", partial(confirm, first))
        second = claim(seats[1:2])

        assert payment.finish().reservation
        assert Hold.objects.get(pk=second.pk).status == Hold.Status.HELD
