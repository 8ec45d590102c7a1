"""Test performances that are called off: what ends at once, what is given back, and that it survives whatever comes in between."""

from datetime import timedelta
from functools import partial
from itertools import count

import pytest
from django.contrib.admin.models import LogEntry
from django.test import TestCase
from django.utils import timezone

from apps.boxoffice.base.jobs.models import StaffJobRow
from apps.boxoffice.base.jobs.services import approve_job, request_job, run_job
from apps.concerts.errors import CalledOff, SalesClosed
from apps.concerts.models import Performance
from apps.concerts.scheduling import call_off_performance, reschedule_performance
from apps.core.transactions import run_in_transaction
from apps.outbox.models import OutboxEvent
from apps.payments.selectors import wallet_balance
from apps.reservations import receivers
from apps.reservations.errors import CancellationClosed, HoldExpired
from apps.reservations.models import Hold, Reservation
from apps.reservations.selectors import performances_with_availability
from apps.reservations.services import extend_hold, release_holds_of
from apps.reservations.staff_jobs import CallOffPerformance, MovePerformance
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import cancel, confirm, hold, overdue_hold, reservation
from tests.ops.invariants.planting import consume_events
from tests.protections import (
    CALLING_OFF_A_DATE,
    END_OF_THE_HOLDS_OF_A_DATE,
    GIVING_BACK_FOR_A_JOB,
    before,
    without,
)
from tests.reservations.racing import breaches, outcome

pytestmark = pytest.mark.django_db

REASON = "The singer is ill."


@pytest.fixture
def performance():
    made = PerformanceFactory(seats=8, concert__seats_per_customer=2)
    PerformanceFactory(concert=made.concert, seats=2, starts_at=made.starts_at + timedelta(days=1))
    return made


@pytest.fixture
def clerk():
    return CustomerFactory(staff=True)


@pytest.fixture
def other_date(performance):
    other = Performance.objects.exclude(pk=performance.pk).get()
    reservation(CustomerFactory(), list(other.seats.all()[:1]))
    return other


class Killed(BaseException):
    """Stand for what no handler of errors catches."""


def call_off(performance):
    run_in_transaction(partial(call_off_performance, performance_id=performance.pk, reason=REASON))
    performance.refresh_from_db()


def requested(kind, parameters, clerk, reason=REASON):
    return run_in_transaction(
        partial(
            request_job, kind=kind.name, parameters=parameters, reason=reason, staff_id=clerk.pk
        )
    )


def approved(kind, parameters, clerk):
    job = requested(kind, parameters, clerk)
    approve_job(job_id=job.pk, staff_id=CustomerFactory(staff=True).pk)
    return job


class TestCallOffPerformance:
    def test_ends_sales_and_says_why(self, performance, seats):
        call_off(performance)

        assert performance.called_off_reason == REASON
        assert not performance.is_on_sale(timezone.now())
        with pytest.raises(SalesClosed):
            hold(CustomerFactory(), seats[:1])
        assert not Hold.objects.exists()
        called_off, other = performances_with_availability(performance.concert_id)
        assert (called_off.reservable, other.reservable) == (False, True)

    def test_leaves_the_other_date_on_sale(self, performance, other_date):
        call_off(performance)

        hold(CustomerFactory(), list(other_date.seats.all()[1:]))

    @pytest.mark.parametrize(
        "use", [confirm, lambda held: extend_hold(customer_id=held.customer_id, hold_id=held.pk)]
    )
    def test_lets_no_hold_be_paid_or_extended(self, customer, performance, seats, use):
        held = hold(customer, seats[:1])
        call_off(performance)

        with pytest.raises(HoldExpired):
            use(held)

        assert wallet_balance(customer_id=customer.pk) == 1_000_000
        assert not Reservation.objects.exists()

    def test_is_told_once(self, performance, monkeypatch):
        announced = []
        monkeypatch.setattr(receivers, "announce", announced.append)

        with TestCase.captureOnCommitCallbacks(execute=True):
            call_off(performance)

        [event] = OutboxEvent.objects.filter(type="performance.called_off")
        assert event.payload["performance_id"] == performance.pk
        assert event.payload["reason"] == REASON
        assert event.payload["occurred_at"] == event.occurred_at.isoformat()
        assert announced == ["external_sync"]

    def test_is_for_good(self, performance):
        call_off(performance)

        again = [
            partial(call_off_performance, performance_id=performance.pk, reason="x"),
            partial(
                reschedule_performance,
                performance_id=performance.pk,
                starts_at=timezone.now() + timedelta(days=99),
            ),
        ]
        for change in again:
            with pytest.raises(CalledOff):
                run_in_transaction(change)

        assert OutboxEvent.objects.count() == 1


class TestReleaseHolds:
    def test_ends_what_is_held_and_notes_what_was_over(self, performance, seats, other_date):
        held = hold(CustomerFactory(), seats[:2])
        overdue = overdue_hold(CustomerFactory(), seats[2:3])
        sold = reservation(CustomerFactory(), seats[3:4])
        elsewhere = hold(CustomerFactory(), list(other_date.seats.all()[1:]))

        assert release_holds_of(performance_id=performance.pk) == 2

        statuses = {row.pk: row.status for row in Hold.objects.all()}
        assert (statuses[held.pk], statuses[overdue.pk]) == ("RELEASED", "EXPIRED")
        assert (statuses[sold.hold_id], statuses[elsewhere.pk]) == ("CONFIRMED", "HELD")
        assert breaches() == []


class TestTheJob:
    def test_gives_everything_back_one_by_one(
        self, performance, seats, other_date, clerk, customer
    ):
        buyers = [customer, CustomerFactory()]
        sold = [reservation(buyer, seats[2 * at : 2 * at + 2]) for at, buyer in enumerate(buyers)]
        gone = reservation(CustomerFactory(), seats[4:5])
        cancel(gone)
        held = hold(CustomerFactory(), seats[5:6])
        job = approved(CallOffPerformance(), CallOffPerformance.parameters(performance), clerk)

        assert run_job(job_id=job.pk)

        performance.refresh_from_db()
        assert performance.is_called_off
        for reserved in sold:
            reserved.refresh_from_db()
            assert (reserved.status, reserved.cancel_reason) == ("CANCELLED", REASON)
            assert wallet_balance(customer_id=reserved.customer_id) == 1_000_000
        held.refresh_from_db()
        assert held.status == Hold.Status.RELEASED
        job.refresh_from_db()
        assert (job.status, job.rows_applied, job.rows_refused) == ("DONE", 4, 0)
        assert Reservation.objects.get(performance=other_date).status == "CONFIRMED"
        consume_events()
        performance.refresh_from_db()
        assert performance.seats_sold == 0
        assert breaches() == []

    def test_needs_a_second_person_always(self, performance, clerk):
        job = requested(CallOffPerformance(), CallOffPerformance.parameters(performance), clerk)

        run_job(job_id=job.pk)

        job.refresh_from_db()
        performance.refresh_from_db()
        assert (job.status, performance.is_called_off) == ("AWAITING_APPROVAL", False)

    def test_goes_on_where_it_was_killed(self, performance, seats, clerk, monkeypatch):
        for seat in seats[:4]:
            reservation(CustomerFactory(), [seat])
        job = approved(CallOffPerformance(), CallOffPerformance.parameters(performance), clerk)
        numbers = count(1)

        def die_in_the_fourth() -> None:
            if next(numbers) == 4:
                raise Killed

        before(monkeypatch, GIVING_BACK_FOR_A_JOB, die_in_the_fourth)
        with pytest.raises(Killed):
            run_job(job_id=job.pk)
        rows = StaffJobRow.objects.filter(job=job)
        assert rows.count() == 2 + 3
        assert Reservation.objects.filter(status="CONFIRMED").count() == 1

        assert run_job(job_id=job.pk)

        assert rows.count() == 2 + 4
        assert not Reservation.objects.filter(status="CONFIRMED").exists()
        assert breaches() == []

    def test_passes_over_what_a_customer_has_cancelled_meanwhile(self, performance, seats, clerk):
        first, second = (reservation(CustomerFactory(), [seat]) for seat in seats[:2])
        job = approved(CallOffPerformance(), CallOffPerformance.parameters(performance), clerk)
        cancel(first)

        assert run_job(job_id=job.pk)

        second.refresh_from_db()
        assert second.status == "CANCELLED"
        assert not StaffJobRow.objects.filter(job=job, outcome="REFUSED").exists()

    def test_gives_nothing_back_if_the_performance_was_not_called_off(
        self, performance, seats, clerk, monkeypatch
    ):
        reserved = reservation(CustomerFactory(), seats[:1])
        job = approved(CallOffPerformance(), CallOffPerformance.parameters(performance), clerk)

        def fail():
            raise RuntimeError

        before(monkeypatch, CALLING_OFF_A_DATE, fail)

        assert run_job(job_id=job.pk)

        reserved.refresh_from_db()
        job.refresh_from_db()
        assert (reserved.status, job.rows_applied, job.rows_refused) == ("CONFIRMED", 0, 3)

    def test_says_what_it_is_about(self, performance, seats, clerk):
        for seat in seats[:3]:
            reservation(CustomerFactory(), [seat])
        hold(CustomerFactory(), seats[3:4])
        kind = CallOffPerformance()
        parameters = kind.parameters(performance)

        told = dict(kind.preview(parameters))

        assert told["tickets"] == told["customers"] == "3"
        assert told["refund to customers"] == "150,000 won"
        assert told["unpaid holds that end"] == "1"
        assert told["reservations that their customers could still cancel themselves"] == "3"
        assert str(performance.concert) in kind.title(parameters)
        assert kind.total(parameters) == 5

    def test_stands_in_the_histories(self, performance, clerk):
        job = approved(CallOffPerformance(), CallOffPerformance.parameters(performance), clerk)
        run_job(job_id=job.pk)

        entries = LogEntry.objects.filter(user=clerk, change_message__contains=REASON)
        noted = set(entries.values_list("content_type__model", "object_id"))
        assert {
            ("performance", str(performance.pk)),
            ("concert", str(performance.concert_id)),
        } <= noted


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_what_is_paid_beside_it_is_given_back(self, performance, seats, clerk, race):
        """Let the payment or the end of the holds come first: nothing is sold in the end, and no money is lost."""
        buyers = [WalletFactory(balance=100_000).customer for _ in range(5)]
        holds = [hold(buyer, [seat]) for buyer, seat in zip(buyers, seats, strict=False)]
        rivals = [partial(outcome, partial(confirm, held)) for held in holds]
        job = approved(CallOffPerformance(), CallOffPerformance.parameters(performance), clerk)

        race([partial(run_job, job_id=job.pk), *rivals])

        assert not Reservation.objects.filter(status="CONFIRMED").exists()
        assert not Hold.objects.filter(status="HELD").exists()
        for buyer in buyers:
            assert wallet_balance(customer_id=buyer.pk) == 100_000
        assert breaches() == []

    def test_a_payment_that_has_begun_is_waited_for_and_given_back(
        self, performance, seats, customer, clerk, stopped_before, elsewhere
    ):
        held = hold(customer, seats[:1])
        job = approved(CallOffPerformance(), CallOffPerformance.parameters(performance), clerk)
        payment = stopped_before("book", partial(confirm, held))
        calling_off = elsewhere(partial(run_job, job_id=job.pk))

        paid = payment.finish()

        assert calling_off.result(20)
        paid.reservation.refresh_from_db()
        assert paid.reservation.status == "CANCELLED"
        assert wallet_balance(customer_id=customer.pk) == 1_000_000
        assert breaches() == []

    def test_without_ending_the_holds_a_payment_that_has_begun_is_kept(
        self, performance, seats, customer, clerk, stopped_before, monkeypatch
    ):
        """The twin: nothing waits for it, so it is not among the reservations that are found."""
        held = hold(customer, seats[:1])
        job = approved(CallOffPerformance(), CallOffPerformance.parameters(performance), clerk)
        payment = stopped_before("book", partial(confirm, held))
        without(monkeypatch, END_OF_THE_HOLDS_OF_A_DATE)

        assert run_job(job_id=job.pk)

        paid = payment.finish()
        paid.reservation.refresh_from_db()
        assert paid.reservation.status == "CONFIRMED"


class TestMoving:
    @pytest.fixture
    def booked(self, customer, seats):
        return reservation(customer, seats[:1])

    def moved(self, performance, clerk, **times):
        to = timezone.now() + timedelta(hours=30)
        parameters = MovePerformance.parameters(
            performance, {"to": to, "ends_at": None, "deadline": None} | times
        )
        job = approved(MovePerformance(), parameters, clerk)
        run_job(job_id=job.pk)
        performance.refresh_from_db()
        return StaffJobRow.objects.get(job=job)

    def test_moves_by_the_same_rules_and_keeps_the_deadline(self, performance, booked, clerk):
        to = timezone.now() + timedelta(hours=12)
        deadline = to - timedelta(hours=2)

        row = self.moved(performance, clerk, to=to, deadline=deadline)

        assert row.outcome == "APPLIED"
        assert (performance.starts_at, performance.free_cancellation_until) == (to, deadline)
        shown = Reservation.objects.with_details().get(pk=booked.pk)
        assert shown.cancellable_until == deadline
        assert shown.is_cancellable(deadline)
        assert not shown.is_cancellable(deadline + timedelta(seconds=1))
        assert breaches() == []

    def test_lets_ticket_holders_cancel_until_the_deadline_only(self, performance, booked, clerk):
        self.moved(
            performance,
            clerk,
            to=timezone.now() + timedelta(hours=12),
            deadline=timezone.now() + timedelta(hours=1),
        )
        Performance.objects.filter(pk=performance.pk).update(
            free_cancellation_until=timezone.now() - timedelta(seconds=1)
        )

        with pytest.raises(CancellationClosed):
            cancel(booked)

        booked.refresh_from_db()
        assert booked.status == "CONFIRMED"

    def test_never_shortens_the_usual_time(self, performance, booked, clerk, settings):
        to = timezone.now() + timedelta(days=9)

        self.moved(performance, clerk, to=to, deadline=timezone.now() + timedelta(hours=1))

        shown = Reservation.objects.with_details().get(pk=booked.pk)
        assert shown.cancellable_until == to - settings.CANCELLATION_WINDOW

    def test_a_later_move_without_a_deadline_has_none(self, performance, booked, clerk):
        to = timezone.now() + timedelta(hours=12)
        self.moved(performance, clerk, to=to, deadline=to - timedelta(hours=2))

        self.moved(performance, clerk, to=to + timedelta(hours=1))

        assert performance.free_cancellation_until is None

    def test_needs_a_second_person_only_if_tickets_are_sold(self, performance, clerk, seats):
        kind = MovePerformance()
        times = {"to": timezone.now() + timedelta(days=1), "ends_at": None, "deadline": None}
        parameters = kind.parameters(performance, times)
        assert not kind.needs_second_person(parameters)

        reservation(CustomerFactory(), seats[:1])

        assert kind.needs_second_person(parameters)

    def test_refuses_a_date_that_was_moved_since_it_was_asked_for(self, performance, booked, clerk):
        at = performance.starts_at
        Performance.objects.filter(pk=performance.pk).update(starts_at=at + timedelta(hours=1))

        row = self.moved(performance, clerk)

        assert (row.outcome, row.detail) == ("REFUSED", "It has been moved in the meantime.")
        assert performance.starts_at == at + timedelta(hours=1)

    def test_refuses_the_time_of_another_date(self, performance, booked, clerk, other_date):
        before = performance.starts_at

        row = self.moved(performance, clerk, to=other_date.starts_at)

        assert row.outcome == "REFUSED"
        assert "at that time already" in row.detail
        assert performance.starts_at == before
