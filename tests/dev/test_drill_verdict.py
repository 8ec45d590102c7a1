"""Test whether the drill finds what it looks for: each breach is planted behind an honest history."""

import json
from dataclasses import replace
from functools import partial
from uuid import uuid4

import pytest
from django.db.models import F

from apps.accounts.models import User
from apps.api.models import IdempotencyRecord
from apps.core.transactions import run_in_transaction
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.payments.services import charge_wallet
from apps.reservations.models import Hold, Reservation, SeatClaim, Ticket
from apps.reservations.services import cancel_reservation, release_hold
from dev.drill.verdict import find_breaches
from tests.factories.reservations import hold, reservation

pytestmark = pytest.mark.django_db


@pytest.fixture
def charged(shopper):
    return shopper.charge(10_000)


@pytest.fixture
def held(shopper, seats):
    return shopper.hold(seats[:2])


@pytest.fixture
def paid(shopper, held):
    return shopper.pay(held)


@pytest.fixture
def cancelled(shopper, paid):
    return shopper.cancel(paid)


def found(shopper):
    return find_breaches(shopper.history.calls, [shopper.user_id])


def tell(call, **data):
    """Make it look as if the customer had been answered something else."""
    first = call.answer
    envelope = first.envelope
    envelope["data"] |= data
    call.attempts[call.attempts.index(first)] = replace(first, body=json.dumps(envelope).encode())


def itself(shopper):
    return User.objects.get(pk=shopper.user_id)


class TestHonestHistory:
    def test_has_no_breach(self, shopper, seats, charged, cancelled):
        shopper.come_again()
        shopper.pay(shopper.hold(seats[:1], key="hold-2"), key="pay-2")
        shopper.come_again()
        shopper.release(shopper.hold(seats[1:2], key="hold-3"))
        shopper.hold(seats[2:3], key="hold-4")
        shopper.repeat(charged)
        shopper.charge(99_999_999, key="refused")

        assert len(shopper.history.calls) > 9
        assert found(shopper) == []

    def test_has_a_sale_of_the_whole_way(self, shopper, performance):
        assert shopper.buy_one(performance.pk, stop=None)

        assert Reservation.objects.count() == 1
        assert found(shopper) == []


class TestAnswersWithoutEffect:
    def test_a_sale_that_is_not_there(self, shopper, paid):
        tell(paid, reservation_id=str(uuid4()))

        assert any("there is no such reservation" in breach for breach in found(shopper))

    def test_a_sale_that_left_another_balance(self, shopper, paid):
        tell(paid, balance=1)

        [breach] = found(shopper)
        assert "the ledger has another amount or balance" in breach

    def test_a_sale_at_another_price(self, shopper, paid):
        Reservation.objects.update(total_price=1)

        [breach] = found(shopper)
        assert "the price is another one" in breach

    def test_a_sale_of_other_seats(self, shopper, paid, seats):
        Ticket.objects.filter(seat=seats[0]).update(seat=seats[3])

        [breach] = found(shopper)
        assert "the tickets are others" in breach

    def test_a_sale_of_which_nobody_is_told(self, shopper, paid):
        EventDelivery.objects.all().delete()
        OutboxEvent.objects.all().delete()

        [breach] = found(shopper)
        assert "there are 0 events of it" in breach

    def test_a_sale_whose_hold_is_free_again(self, shopper, paid):
        Hold.objects.update(status=Hold.Status.EXPIRED, ended_at=F("expires_at"))

        [breach] = found(shopper)
        assert "the hold is not confirmed" in breach

    def test_a_hold_of_other_seats(self, shopper, held, seats):
        SeatClaim.objects.filter(seat=seats[0]).update(seat=seats[3])

        [breach] = found(shopper)
        assert "the hold has other seats" in breach

    def test_a_hold_that_ends_earlier_than_promised(self, shopper, held):
        tell(held, expires_at="2040-01-01T00:00:00Z")

        [breach] = found(shopper)
        assert "the hold ends at another time" in breach

    def test_a_release_that_released_nothing(self, shopper, held):
        shopper.release(held)
        Hold.objects.update(status=Hold.Status.HELD, ended_at=None)

        [breach] = found(shopper)
        assert "the hold is not released" in breach

    def test_a_cancellation_of_what_stands(self, shopper, cancelled):
        Reservation.objects.update(status=Reservation.Status.CONFIRMED, cancelled_at=None)

        [breach] = found(shopper)
        assert "the reservation is not cancelled" in breach

    def test_a_top_up_that_is_not_booked(self, shopper, charged):
        tell(charged, transaction_id=str(uuid4()))

        assert any("it is not in the ledger" in breach for breach in found(shopper))

    def test_a_top_up_of_another_amount(self, shopper, charged):
        tell(charged, amount=20_000)

        [breach] = found(shopper)
        assert "the ledger has another amount" in breach


class TestEffectsWithoutCall:
    def test_a_sale(self, shopper, seats):
        made = reservation(itself(shopper), seats[:1])

        assert any(f"a sale that no call explains: {made.pk}" in one for one in found(shopper))

    def test_a_hold(self, shopper, seats):
        made = hold(itself(shopper), seats[:1])

        [breach] = found(shopper)
        assert f"a hold that no call explains: {made.pk}" in breach

    def test_a_top_up(self, shopper):
        run_in_transaction(partial(charge_wallet, customer_id=shopper.user_id, amount=1_000))

        [breach] = found(shopper)
        assert "a top-up of 1000 won that no call explains" in breach

    def test_a_release(self, shopper, held):
        release_hold(customer_id=shopper.user_id, hold_id=held.data["hold_id"])

        [breach] = found(shopper)
        assert "a hold was released that nobody released" in breach

    def test_a_cancellation(self, shopper, paid):
        run_in_transaction(
            partial(
                cancel_reservation,
                customer_id=shopper.user_id,
                reservation_id=paid.data["reservation_id"],
            )
        )

        assert any("a cancellation that no call explains" in breach for breach in found(shopper))

    def test_a_sale_that_was_refused_to_the_customer(self, shopper, seats, held):
        shopper.release(held)
        refused = shopper.pay(held)
        assert refused.refusal == "HOLD_NOT_LIVE"
        reservation(itself(shopper), seats[:1])

        assert any("a sale that no call explains" in breach for breach in found(shopper))


class TestKeys:
    def test_two_effects_of_one_key(self, shopper, charged):
        IdempotencyRecord.objects.all().delete()
        shopper.repeat(charged)

        breaches = found(shopper)
        assert any("two effects for one key" in breach for breach in breaches)
        assert any("a top-up of 10000 won that no call explains" in one for one in breaches)

    def test_two_answers_of_one_key(self, shopper, charged):
        shopper.repeat(charged)
        tell(charged, message="something else")

        [breach] = found(shopper)
        assert "two answers for one key" in breach

    def test_a_success_that_is_not_kept(self, shopper, charged):
        IdempotencyRecord.objects.all().delete()

        [breach] = found(shopper)
        assert "0 records of a key, expected 1" in breach

    def test_a_call_that_nobody_knows_the_outcome_of(self, shopper):
        shopper.wire.breaks = ["after"]
        shopper.charge(10_000)

        breaches = found(shopper)
        assert any("no outcome" in breach for breach in breaches)
        assert any("no call explains" in breach for breach in breaches)
