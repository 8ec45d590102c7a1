"""Test what a performance that is moved means for those who have tickets, and for the outside platform."""

import json
from datetime import timedelta
from functools import partial

import pytest
from django.test import TestCase
from django.utils import timezone

from apps.concerts.models import Performance
from apps.concerts.scheduling import reschedule_performance
from apps.core.transactions import run_in_transaction
from apps.outbox.draining import drain
from apps.outbox.models import OutboxEvent
from apps.payments.selectors import wallet_balance
from apps.reservations import receivers
from apps.reservations.errors import CancellationClosed
from apps.reservations.models import Hold, Reservation
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import begin_at
from tests.factories.payments import WalletFactory
from tests.factories.reservations import cancel, confirm, hold, reservation
from tests.reservations.racing import breaches

pytestmark = pytest.mark.django_db

SOON = timedelta(hours=5)  # well within the last 24 hours


@pytest.fixture
def customer():
    return WalletFactory(balance=200_000).customer


def seat(performance, number):
    return list(performance.seats.filter(number=number))


def move(performance, to):
    run_in_transaction(partial(reschedule_performance, performance_id=performance.pk, starts_at=to))


def shown(reserved):
    return Reservation.objects.with_details().get(pk=reserved.pk)


class TestCancelling:
    def test_is_free_for_a_customer_who_booked_before_the_move(self, customer, performance):
        booked = reservation(customer, seat(performance, 1))
        move(performance, timezone.now() + SOON)

        assert shown(booked).is_cancellable(timezone.now())
        assert cancel(booked).reservation.status == Reservation.Status.CANCELLED
        assert wallet_balance(customer_id=customer.pk) == 200_000

    def test_is_too_late_for_a_customer_who_booked_after_it(self, customer, performance):
        move(performance, timezone.now() + SOON)
        booked = reservation(customer, seat(performance, 1))

        assert not shown(booked).is_cancellable(timezone.now())
        assert not shown(booked).is_rescheduled
        with pytest.raises(CancellationClosed):
            cancel(booked)
        assert wallet_balance(customer_id=customer.pk) == 150_000

    def test_is_free_for_a_customer_who_had_chosen_and_paid_after_it(self, customer, performance):
        held = hold(customer, seat(performance, 1))
        move(performance, timezone.now() + SOON)
        booked = confirm(held).reservation

        assert cancel(booked).reservation.status == Reservation.Status.CANCELLED

    def test_ends_when_the_performance_begins(self, customer, performance):
        booked = reservation(customer, seat(performance, 1))
        move(performance, timezone.now() + SOON)
        begin_at(
            Performance.objects.filter(pk=performance.pk), timezone.now() - timedelta(seconds=1)
        )

        assert not shown(booked).is_cancellable(timezone.now())
        with pytest.raises(CancellationClosed):
            cancel(booked)

    def test_counts_the_last_of_several_moves(self, customer, performance):
        first = reservation(customer, seat(performance, 1))
        move(performance, timezone.now() + timedelta(days=9))
        between = reservation(CustomerFactory(), seat(performance, 2))
        move(performance, timezone.now() + SOON)
        after = reservation(CustomerFactory(), seat(performance, 3))

        rights = [shown(booked).is_rescheduled for booked in (first, between, after)]

        assert rights == [True, True, False]

    def test_without_a_move_ends_as_ever(self, customer, performance, settings):
        booked = shown(reservation(customer, seat(performance, 1)))

        assert booked.cancellable_until == performance.starts_at - settings.CANCELLATION_WINDOW


class TestRaces:
    @pytest.mark.django_db(transaction=True)
    def test_a_cancellation_beside_the_move_is_refused_or_done_and_the_books_are_right(
        self, customer, performance, race
    ):
        begin_at(Performance.objects.filter(pk=performance.pk), timezone.now() + SOON)
        booked = reservation(customer, seat(performance, 1))
        to = timezone.now() + 2 * SOON

        def try_to_cancel():
            try:
                cancel(booked)
            except CancellationClosed:
                return False
            return True

        _, is_cancelled = race([partial(move, performance, to), try_to_cancel])

        balance = wallet_balance(customer_id=customer.pk)
        assert balance == (200_000 if is_cancelled else 150_000)
        assert breaches() == []


class TestUpcoming:
    @pytest.mark.parametrize(
        ("begun", "is_upcoming"),
        [
            (timedelta(minutes=5), True),
            (timedelta(hours=2, minutes=59), True),
            (timedelta(hours=3, seconds=1), False),
        ],
    )
    def test_lasts_until_it_is_surely_over(self, customer, performance, begun, is_upcoming):
        booked = reservation(customer, seat(performance, 1))
        begin_at(Performance.objects.filter(pk=performance.pk), timezone.now() - begun)
        mine, now = Reservation.objects.of_customer(customer.pk), timezone.now()

        assert list(mine.upcoming(at=now)) == [booked] * is_upcoming
        assert list(mine.past(at=now)) == [booked] * (not is_upcoming)


class TestTelling:
    def test_an_outside_platform_gets_one_signed_message(self, performance, settings, monkeypatch):
        announced = []
        monkeypatch.setattr(receivers, "announce", announced.append)
        with TestCase.captureOnCommitCallbacks(execute=True):
            move(performance, timezone.now() + SOON)

        assert announced == ["external_sync"]
        settings.WEBHOOK_URL = ""
        assert drain(consumer="external_sync").settled == 1
        assert drain(consumer="ranking").settled == 0
        [event] = OutboxEvent.objects.all()
        assert "customer_id" not in json.dumps(event.payload)

    def test_breaks_no_invariant(self, customer, performance):
        reservation(customer, seat(performance, 1))
        move(performance, timezone.now() + SOON)

        assert breaches() == []
        assert Hold.objects.count() == 1
