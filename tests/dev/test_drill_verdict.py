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
def released(shopper, held):
    return shopper.release(held)


@pytest.fixture
def cancelled(shopper, paid):
    return shopper.cancel(paid)


def found(shopper):
    return find_breaches(shopper.history.calls)


def tell(call, **data):
    """Make it look as if the customer had been answered something else."""
    first = call.answer
    envelope = first.envelope
    envelope["data"] |= data
    call.attempts[call.attempts.index(first)] = replace(first, body=json.dumps(envelope).encode())


def told_anew(**data):
    return lambda call, seats: tell(call, **data)


def changed(model, **values):
    return lambda call, seats: model.objects.update(**values)


def seat_changed(model):
    return lambda call, seats: model.objects.filter(seat=seats[0]).update(seat=seats[3])


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
    @pytest.mark.parametrize(
        ("act", "plant", "breach"),
        [
            ("paid", told_anew(balance=1), "the ledger has another amount or balance"),
            ("paid", changed(Reservation, total_price=1), "the price is another one"),
            ("paid", seat_changed(Ticket), "the tickets are others"),
            (
                "paid",
                changed(Hold, status=Hold.Status.EXPIRED, ended_at=F("expires_at")),
                "the hold is not confirmed",
            ),
            ("held", seat_changed(SeatClaim), "the hold has other seats"),
            (
                "held",
                told_anew(expires_at="2040-01-01T00:00:00Z"),
                "the hold ends at another time",
            ),
            (
                "released",
                changed(Hold, status=Hold.Status.HELD, ended_at=None),
                "the hold is not released",
            ),
            (
                "cancelled",
                changed(Reservation, status=Reservation.Status.CONFIRMED, cancelled_at=None),
                "the reservation is not cancelled",
            ),
            ("charged", told_anew(amount=20_000), "the ledger has another amount"),
        ],
    )
    def test_is_the_one_breach(self, request, shopper, seats, act, plant, breach):
        call = request.getfixturevalue(act)

        plant(call, seats)

        [only] = found(shopper)
        assert breach in only

    @pytest.mark.parametrize(
        ("act", "name", "breach"),
        [
            ("paid", "reservation_id", "there is no such reservation"),
            ("charged", "transaction_id", "it is not in the ledger"),
        ],
    )
    def test_is_found_when_the_effect_is_not_there(self, request, shopper, act, name, breach):
        tell(request.getfixturevalue(act), **{name: str(uuid4())})

        assert any(breach in line for line in found(shopper))

    def test_a_sale_of_which_nothing_is_told(self, shopper, paid):
        EventDelivery.objects.all().delete()
        OutboxEvent.objects.all().delete()

        [breach] = found(shopper)
        assert "there are 0 events of it" in breach


class TestEffectsWithoutCall:
    def test_a_sale(self, shopper, seats):
        made = reservation(itself(shopper), seats[:1])

        assert any(f"a sale that no call explains: {made.pk}" in line for line in found(shopper))

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
        assert "a hold that no call released" in breach

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
        assert any("a top-up of 10000 won that no call explains" in line for line in breaches)

    def test_two_answers_of_one_key(self, shopper, charged):
        shopper.repeat(charged)
        tell(charged, message="something else")

        [breach] = found(shopper)
        assert "two answers for one key" in breach

    def test_a_success_that_is_not_kept(self, shopper, charged):
        IdempotencyRecord.objects.all().delete()

        [breach] = found(shopper)
        assert "0 records of a key, expected 1" in breach

    def test_a_call_whose_outcome_is_unknown(self, shopper):
        shopper.wire.breaks = ["after"]
        shopper.charge(10_000)

        breaches = found(shopper)
        assert any("no outcome" in breach for breach in breaches)
        assert any("no call explains" in breach for breach in breaches)
