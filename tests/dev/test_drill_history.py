"""Test what a customer knows of a call, and how calls without an answer settle, at the real API."""

import pytest

from apps.payments.models import LedgerTransaction
from apps.reservations.models import Hold, Reservation
from dev import api
from dev.drill.history import Attempt, Call, Outcome
from dev.drill.settle import settle
from dev.drill.verdict import find_breaches

pytestmark = pytest.mark.django_db


def settle_all(shopper):
    settle(shopper.history.calls, {shopper.user_id: shopper}, sleep=lambda seconds: None)


def breaches(shopper):
    return find_breaches(shopper.history.calls)


def attempt(status, code="SUCCESS", **changes):
    body = f'{{"code": "{code}", "data": {{}}}}'.encode() if code else b"<html>"
    return Attempt(sent_at=0.0, seconds=0.1, status=status, body=body, **changes)


LOST = Attempt(sent_at=0.0, seconds=0.1, status=None, error="ReadError")
NOT_SENT = Attempt(sent_at=0.0, seconds=0.1, status=None, was_sent=False)


class TestOutcome:
    @pytest.mark.parametrize(
        ("attempts", "outcome"),
        [
            ([attempt(201)], Outcome.DONE),
            ([attempt(409, "HOLD_EXPIRED")], Outcome.REFUSED),
            ([LOST], Outcome.UNKNOWN),
            ([attempt(503, "SERVICE_UNAVAILABLE")], Outcome.UNKNOWN),
            ([attempt(500, "INTERNAL_ERROR")], Outcome.UNKNOWN),
            ([attempt(200, "")], Outcome.UNKNOWN),
            ([NOT_SENT], Outcome.NOT_SENT),
            ([LOST, attempt(201)], Outcome.DONE),
            # The refusal may be of the second attempt alone.
            ([LOST, attempt(409, "IDEMPOTENCY_KEY_IN_USE")], Outcome.UNKNOWN),
            ([LOST, attempt(409, "HOLD_NOT_LIVE")], Outcome.UNKNOWN),
            ([NOT_SENT, attempt(409, "HOLD_NOT_LIVE")], Outcome.REFUSED),
        ],
    )
    def test_is_what_the_customer_knows(self, attempts, outcome):
        call = Call(phase="x", user_id=1, request=api.pay("a-hold"), attempts=attempts)

        assert call.outcome is outcome


class TestSettle:
    @pytest.mark.parametrize(
        ("breaks", "first", "settled", "had_happened"),
        [
            (["after"], Outcome.UNKNOWN, Outcome.DONE, True),
            (["before", "before"], Outcome.UNKNOWN, Outcome.DONE, False),
            # What was never sent is left alone.
            (["refused"], Outcome.NOT_SENT, Outcome.NOT_SENT, None),
        ],
    )
    def test_finds_out_what_became_of_a_call(self, shopper, breaks, first, settled, had_happened):
        shopper.wire.breaks = breaks
        call = shopper.charge(7_000)
        assert call.outcome is first

        settle_all(shopper)

        assert call.outcome is settled
        assert had_happened is None or call.had_happened is had_happened
        charged = LedgerTransaction.objects.filter(amount=7_000).count()
        assert charged == (settled is Outcome.DONE)
        assert breaches(shopper) == []

    @pytest.mark.parametrize("breaks", ["before", "after"])
    def test_settles_everything_a_customer_does(self, shopper, seats, breaks):
        hold = shopper.hold(seats[:2])
        other = shopper.hold(seats[2:], key="hold-2")
        shopper.wire.breaks = [breaks]
        paid = shopper.pay(hold)
        settle_all(shopper)
        shopper.wire.breaks = [breaks]
        cancelled = shopper.cancel(paid)
        shopper.wire.breaks = [breaks]
        released = shopper.release(other)

        settle_all(shopper)

        for call in (paid, cancelled, released):
            assert call.had_happened is (breaks == "after")
        assert Reservation.objects.get().status == Reservation.Status.CANCELLED
        assert sorted(Hold.objects.values_list("status", flat=True)) == ["CONFIRMED", "RELEASED"]
        assert breaches(shopper) == []

    @pytest.mark.parametrize("breaks", ["before", "after"])
    def test_learns_of_a_hold_whose_visit_has_ended_meanwhile(self, shopper, seats, breaks):
        shopper.wire.breaks = [breaks]
        call = shopper.hold(seats[:1])
        shopper.leave()
        assert call.outcome is Outcome.UNKNOWN
        if breaks == "before":  # then the customer has to queue again
            shopper.repeat(call)
            assert call.refusal == "QUEUE_TOKEN_EXPIRED"
            shopper.come_in()

        settle_all(shopper)

        assert (call.outcome, call.had_happened) == (Outcome.DONE, breaks == "after")
        assert Hold.objects.count() == 1
        assert breaches(shopper) == []

    def test_takes_a_refusal_for_an_answer(self, shopper, seats):
        hold = shopper.hold(seats[:1])
        shopper.wire.breaks = ["before"]
        call = shopper.pay(hold)
        shopper.release(hold)

        settle_all(shopper)

        assert (call.outcome, call.had_happened) == (Outcome.REFUSED, False)
        assert breaches(shopper) == []
