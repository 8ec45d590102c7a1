"""A customer who needs longer gets longer: once, as long again, and never beyond the end of sales or without a visit."""

from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.concerts.models import Concert, Performance
from apps.outbox.draining import drain
from apps.payments.models import LedgerTransaction
from apps.queue.services import close_room, remove_visitor
from apps.reservations.errors import (
    HoldExpired,
    HoldNotExtendable,
    HoldNotFound,
    HoldNotLive,
    SeatAlreadyHeld,
)
from apps.reservations.models import Hold
from apps.reservations.services import HeldSeats, expire_holds, extend_hold, release_hold
from tests.clocks import DatabaseClock
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import begin_at
from tests.factories.reservations import confirm, hold, overdue_hold
from tests.protections import (
    LOCKS_OF_A_HOLD,
    LOCKS_OF_OVERDUE_HOLDS,
    TIME_OF_A_SWEEP,
    replace,
    stop_clock,
    without,
    without_constraints,
)
from tests.reservations.racing import (
    breaches,
    meet_before,
    outcome,
    outcome_of,
    refusals,
    wait_until_blocked,
    winners,
)

pytestmark = pytest.mark.django_db

MICROSECOND = timedelta(microseconds=1)
Reason = HoldNotExtendable.Reason


def extend(held) -> HeldSeats:
    return extend_hold(customer_id=held.customer_id, hold_id=held.pk)


def is_as_it_was(held) -> bool:
    now = Hold.objects.get(pk=held.pk)
    assert (now.status, now.expires_at, now.extended_at, now.extended_from) == (
        held.status,
        held.expires_at,
        held.extended_at,
        held.extended_from,
    )
    return True


class TestExtendHold:
    def test_gives_as_much_time_again(self, held, settings):
        settings.HOLD_TIME = timedelta(hours=3)  # of holds that are made from now on

        extended = extend(held)

        stored = Hold.objects.get(pk=held.pk)
        assert stored.expires_at == extended.hold.expires_at
        assert stored.expires_at - held.expires_at == held.expires_at - held.held_at
        assert stored.extended_from == held.expires_at
        assert held.held_at < stored.extended_at < held.expires_at
        assert stored.status == Hold.Status.HELD
        assert [seat.seat_id for seat in extended.seats] == [held.claims.get().seat_id]
        assert breaches() == []

    def test_keeps_the_seats_after_the_first_end(self, held, seats):
        clock = DatabaseClock()
        extend(held)
        clock.set(held.expires_at + MICROSECOND)

        assert expire_holds() == 0
        assert isinstance(outcome(partial(hold, CustomerFactory(), seats[:1])), SeatAlreadyHeld)
        assert confirm(held).reservation.reserved_at == held.expires_at + MICROSECOND

    def test_ends_for_good_afterwards(self, held):
        clock = DatabaseClock()
        until = extend(held).hold.expires_at
        clock.set(until)

        assert isinstance(outcome(partial(confirm, held)), HoldExpired)
        assert expire_holds() == 1
        ended = Hold.objects.get(pk=held.pk)
        assert (ended.status, ended.ended_at) == (Hold.Status.EXPIRED, until)

    def test_is_done_once(self, held):
        extend(held)
        held.refresh_from_db()

        with pytest.raises(HoldNotExtendable) as refusal:
            extend(held)

        assert refusal.value.details == {"reason": Reason.ALREADY_EXTENDED}
        assert is_as_it_was(held)

    @pytest.mark.parametrize("late", [-MICROSECOND, timedelta(0), MICROSECOND])
    def test_is_possible_until_the_last_instant(self, held, late):
        clock = DatabaseClock()
        clock.set(held.expires_at + late)

        found = outcome(partial(extend, held))

        assert type(found) is (HeldSeats if late < timedelta(0) else HoldExpired)

    def test_refuses_what_is_overdue(self, customer, seats):
        over = overdue_hold(customer, seats[:1])

        with pytest.raises(HoldExpired):
            extend(over)

        assert is_as_it_was(over)

    @pytest.mark.parametrize(
        "end", [confirm, lambda held: release_hold(customer_id=held.customer_id, hold_id=held.pk)]
    )
    def test_refuses_what_was_paid_or_given_back(self, held, end):
        end(held)
        held.refresh_from_db()

        with pytest.raises(HoldNotLive):
            extend(held)

        assert is_as_it_was(held)

    def test_refuses_the_hold_of_another_customer(self, held):
        stranger = CustomerFactory()

        for hold_id in (held.pk, uuid4()):
            with pytest.raises(HoldNotFound):
                extend_hold(customer_id=stranger.pk, hold_id=hold_id)

        assert is_as_it_was(held)

    @pytest.mark.parametrize("end", ["sales_close_at", "starts_at"])
    def test_goes_no_further_than_sales(self, held, performance, end):
        until = held.expires_at + timedelta(seconds=20)
        _end_sales(performance, end, until)

        assert extend(held).hold.expires_at == until

    @pytest.mark.parametrize("end", ["sales_close_at", "starts_at"])
    @pytest.mark.parametrize("before", [timedelta(0), timedelta(minutes=1)])
    def test_refuses_when_sales_end_before_it_does(self, held, performance, end, before):
        _end_sales(performance, end, held.expires_at - before)

        with pytest.raises(HoldNotExtendable) as refusal:
            extend(held)

        assert refusal.value.details == {"reason": Reason.SALES_END}
        assert is_as_it_was(held)

    def test_refuses_when_the_concert_was_taken_down(self, held, performance):
        Concert.objects.update(is_published=False)

        with pytest.raises(HoldNotExtendable) as refusal:
            extend(held)

        assert refusal.value.details == {"reason": Reason.WITHDRAWN}
        assert is_as_it_was(held)


def _end_sales(performance, end, at):
    if end == "starts_at":
        begin_at(Performance.objects.filter(pk=performance.pk), at)
    else:
        Concert.objects.filter(pk=performance.concert_id).update(sales_close_at=at)


class TestConstraint:
    @pytest.mark.parametrize(
        "changes",
        [
            {"extended_at": timezone.now()},
            {"extended_from": timezone.now()},
            {"by": timedelta(minutes=5, microseconds=1)},
            {"by": timedelta(0)},
            {"by": timedelta(minutes=1), "late": True},
        ],
    )
    def test_keeps_a_hold_from_being_longer_than_allowed(self, held, changes):
        if by := changes.pop("by", None):
            at = held.expires_at if changes.pop("late", False) else held.held_at
            changes = {
                "extended_at": at,
                "extended_from": held.expires_at,
                "expires_at": held.expires_at + by,
            }
        elif by is not None:
            changes = {"extended_at": held.held_at, "extended_from": held.expires_at}

        with pytest.raises(IntegrityError, match="hold_extended_once"), transaction.atomic():
            Hold.objects.filter(pk=held.pk).update(**changes)

        assert is_as_it_was(held)


class TestOverTheApi:
    @pytest.fixture
    def made(self, visitor, performance, seats):
        body = {"performance_id": performance.pk, "seat_ids": [seats[0].pk]}
        answer = visitor.post("/holds", body)
        assert answer.status_code == 201, answer.content
        return answer.json()["data"]

    def extend(self, visitor, made, **key):
        return visitor.post(f"/holds/{made['hold_id']}/extend", **key)

    def reason(self, answer):
        assert (answer.status_code, answer.json()["code"]) == (409, "HOLD_NOT_EXTENDABLE")
        return answer.json()["data"]["reason"]

    def test_answers_with_the_hold_as_it_is_then(self, visitor, made):
        answer = self.extend(visitor, made)

        data = answer.json()["data"]
        assert answer.status_code == 200
        assert made["extendable"] is True
        assert data == made | {"expires_at": data["expires_at"], "extendable": False}
        assert parse_datetime(data["expires_at"]) - parse_datetime(made["expires_at"]) == timedelta(
            minutes=5
        )
        shown = visitor.get(f"/holds/{made['hold_id']}").json()["data"]
        assert shown | {"expires_at": data["expires_at"]} == data
        assert parse_datetime(shown["expires_at"]) == parse_datetime(data["expires_at"])
        assert self.reason(self.extend(visitor, made)) == "ALREADY_EXTENDED"

    def test_repeats_the_answer_byte_for_byte(self, visitor, made):
        first = self.extend(visitor, made, key="longer-1")
        again = self.extend(visitor, made, key="longer-1")

        assert again.content == first.content
        assert again["Idempotent-Replayed"] == "true"
        assert self.extend(visitor, made, key="longer-2").status_code == 409
        assert breaches() == []

    def test_needs_neither_place_nor_store(self, visitor, made, valkey_server, settings):
        del visitor.headers["Queue-Token"]
        server = valkey_server()
        settings.QUEUE_URL = server.url
        server.stop()

        assert self.extend(visitor, made).status_code == 200

    @pytest.mark.django_db(transaction=True)
    def test_the_lease_follows(self, visitor, made):
        extended = self.extend(visitor, made).json()["data"]

        lease_until = parse_datetime(visitor.get("/queue/tokens/me").json()["data"]["expires_at"])
        assert lease_until >= parse_datetime(extended["expires_at"]) + timedelta(minutes=1)

    @pytest.mark.django_db(transaction=True)
    def test_releasing_takes_the_lease_back(self, visitor, made):
        extended = self.extend(visitor, made).json()["data"]
        visitor.delete(f"/holds/{made['hold_id']}")

        lease_until = parse_datetime(visitor.get("/queue/tokens/me").json()["data"]["expires_at"])
        assert lease_until < parse_datetime(extended["expires_at"])

    @pytest.mark.parametrize("end", ["leave", "remove", "close"])
    def test_is_refused_when_the_visit_is_over(self, visitor, made, performance, end):
        concert_id = performance.concert_id
        if end == "leave":
            visitor.delete("/queue/tokens/me")
        elif end == "remove":
            remove_visitor(concert_id=concert_id, customer_id=visitor.customer.pk, staff_id=None)
        else:
            close_room(concert_id=concert_id, staff_id=None)

        assert visitor.get(f"/holds/{made['hold_id']}").json()["data"]["extendable"] is False
        assert self.reason(self.extend(visitor, made)) == "VISIT_OVER"
        stored = Hold.objects.get()
        assert stored.extended_at is None
        assert stored.expires_at == parse_datetime(made["expires_at"])
        # What is held can be paid for all the same.
        paid = visitor.post("/reservations", {"hold_id": made["hold_id"]}, key="p")
        assert paid.status_code == 201

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("is_known_to_the_room", [False, True])
    def test_is_refused_when_the_visit_ended_with_another_payment(
        self, visitor, made, performance, seats, is_known_to_the_room
    ):
        body = {"performance_id": performance.pk, "seat_ids": [seats[2].pk]}
        other = visitor.post("/holds", body).json()["data"]
        visitor.post("/reservations", {"hold_id": other["hold_id"]}, key="p")
        if is_known_to_the_room:
            drain(consumer="token_expiry")

        assert visitor.get(f"/holds/{made['hold_id']}").json()["data"]["extendable"] is False
        assert self.reason(self.extend(visitor, made)) == "VISIT_OVER"

    def test_shows_that_it_is_not_possible(self, visitor, made, performance):
        _end_sales(performance, "starts_at", parse_datetime(made["expires_at"]))

        assert visitor.get(f"/holds/{made['hold_id']}").json()["data"]["extendable"] is False


@pytest.mark.django_db(transaction=True)
class TestExtendedTwiceAtOnce:
    def test_one_is_extended(self, race, held):
        outcomes = race([partial(extend, held)] * 8)

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [HoldNotExtendable] * 7
        assert Hold.objects.get().expires_at == winners(outcomes)[0].hold.expires_at
        assert breaches() == []

    @pytest.fixture
    def unlocked(self, race, held, monkeypatch):
        without(monkeypatch, LOCKS_OF_A_HOLD)
        meet_before(monkeypatch, "extend", 2)
        return lambda: race([partial(extend, held)] * 2)

    def test_without_locks_the_constraint_keeps_it_at_one(self, unlocked, held):
        outcomes = unlocked()

        # Both had found it as it was at first. The second would have begun from the end that the first gave it.
        assert len(winners(outcomes)) == 1
        assert [kind.__name__ for kind in refusals(outcomes)] == ["IntegrityError"]
        assert Hold.objects.get().extended_from == held.expires_at
        assert breaches() == []

    def test_without_locks_and_constraint_it_is_extended_twice(self, unlocked):
        with without_constraints("hold_extended_once"):
            assert len(winners(unlocked())) == 2
            assert breaches() == ["hold_extended_once"]


@pytest.mark.django_db(transaction=True)
class TestExtensionAndPayment:
    """The second waits for the first; both may succeed in one order only."""

    def test_what_is_paid_meanwhile_is_not_extended(self, elsewhere, stopped_before, held):
        payment = stopped_before("book", partial(confirm, held))
        extension = elsewhere(partial(extend, held))
        wait_until_blocked()

        assert payment.finish().reservation
        assert isinstance(outcome_of(extension), HoldNotLive)
        assert LedgerTransaction.objects.filter(type="PAYMENT").count() == 1
        assert breaches() == []

    def test_what_is_extended_meanwhile_is_paid_after_its_first_end(
        self, elsewhere, stopped_before, held
    ):
        extension = stopped_before("extend", partial(extend, held))
        payment = elsewhere(partial(confirm, held))
        wait_until_blocked()

        assert extension.finish().hold.extended_from == held.expires_at
        assert outcome_of(payment).reservation
        assert breaches() == []

    def test_without_locks_a_paid_hold_is_extended(self, stopped_before, held, monkeypatch):
        without(monkeypatch, LOCKS_OF_A_HOLD)
        extension = stopped_before("extend", partial(extend, held))
        confirm(held)

        assert extension.finish().hold
        assert Hold.objects.get().status == Hold.Status.CONFIRMED
        assert Hold.objects.get().extended_at is not None


@pytest.mark.django_db(transaction=True)
class TestExtensionAndTheEnd:
    """The extension has read its time while the hold was live; for all who come after it, it would be over."""

    @pytest.fixture
    def extension(self, stopped_before, held, monkeypatch):
        extension = stopped_before("extend", partial(extend, held))
        stop_clock(monkeypatch, held.expires_at, "lock_seats", "read_seats")
        return extension

    def test_a_sweep_leaves_it(self, extension, held, monkeypatch):
        replace(monkeypatch, TIME_OF_A_SWEEP, by=lambda: held.expires_at)

        assert expire_holds() == 0
        assert extension.finish().hold.expires_at > held.expires_at
        assert expire_holds() == 0
        assert breaches() == []

    def test_a_stranger_does_not_get_the_seat(self, extension, held, seats):
        click = outcome(partial(hold, CustomerFactory(), seats[:1]))

        assert isinstance(click, SeatAlreadyHeld)
        assert extension.finish().hold.expires_at > held.expires_at
        assert breaches() == []

    def test_without_the_locks_a_stranger_ends_it(self, stopped_before, held, seats, monkeypatch):
        without(monkeypatch, LOCKS_OF_A_HOLD, LOCKS_OF_OVERDUE_HOLDS)
        stop_clock(monkeypatch, held.expires_at, "lock_seats", "read_seats")
        extension = stopped_before("extend", partial(extend, held))

        assert hold(CustomerFactory(), seats[:1])

        assert isinstance(extension.finish(), HeldSeats)
        assert Hold.objects.get(pk=held.pk).status == Hold.Status.EXPIRED
        assert breaches() == ["hold_extended_once"]
