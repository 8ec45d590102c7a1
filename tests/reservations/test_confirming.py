import pytest
from django.utils import timezone

from apps.concerts.models import Performance
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.payments.errors import InsufficientBalance
from apps.payments.models import LedgerTransaction, Wallet
from apps.reservations.errors import (
    AlreadyCancelled,
    CancellationClosed,
    HoldExpired,
    HoldNotFound,
    HoldNotLive,
    ReservationNotFound,
)
from apps.reservations.models import Hold, Reservation, SeatClaim, Ticket
from apps.reservations.services import (
    cancel_reservation,
    confirm_reservation,
    expire_holds,
    release_hold,
)
from apps.reservations.signals import (
    ReservationCancelled,
    ReservationConfirmed,
    reservation_cancelled,
    reservation_confirmed,
)
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import begin_at
from tests.factories.payments import WalletFactory
from tests.factories.reservations import cancel, confirm, hold, overdue_hold, reservation

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer():
    WalletFactory(balance=30_000)
    return WalletFactory(balance=200_000).customer


def balance(customer) -> int:
    return Wallet.objects.get(pk=customer.pk).balance


@pytest.fixture
def announced():
    """Return what the signals of this app announced."""
    events: list[object] = []

    def listen(*, event, **_):
        events.append(event)

    reservation_confirmed.connect(listen)
    reservation_cancelled.connect(listen)
    yield events
    reservation_confirmed.disconnect(listen)
    reservation_cancelled.disconnect(listen)


class TestConfirmReservation:
    def test_turns_a_hold_into_a_reservation_with_tickets(self, customer, seats):
        held = hold(customer, seats[:2])

        confirmation = confirm(held)

        reserved = Reservation.objects.get()
        held.refresh_from_db()
        assert confirmation.balance == balance(customer) == 100_000
        assert reserved.status == Reservation.Status.CONFIRMED
        assert reserved.total_price == 100_000
        assert held.status == Hold.Status.CONFIRMED
        assert held.ended_at == reserved.reserved_at < held.expires_at
        assert SeatClaim.objects.live(at=timezone.now()).count() == 2
        codes = set(Ticket.objects.values_list("code", flat=True))
        assert len(codes) == 2
        assert all(len(code) == 16 for code in codes)

    def test_books_the_payment_under_the_reservation(self, customer, seats):
        reserved = confirm(hold(customer, seats[:1])).reservation

        payment = LedgerTransaction.objects.get(reference=reserved.pk)
        assert (payment.type, payment.amount) == (LedgerTransaction.Type.PAYMENT, -50_000)

    def test_records_an_event_with_a_delivery_for_each_consumer(self, customer, seats):
        reserved = confirm(hold(customer, seats[:2])).reservation

        event = OutboxEvent.objects.get()
        assert event.type == "reservation.confirmed"
        assert event.occurred_at == reserved.reserved_at
        assert event.payload["reservation_id"] == str(reserved.pk)
        assert event.payload["total_price"] == 100_000
        assert [seat["seat_id"] for seat in event.payload["seats"]] == [
            seat.pk for seat in seats[:2]
        ]
        deliveries = EventDelivery.objects.pending().filter(event=event)
        assert set(deliveries.values_list("consumer", flat=True)) == {
            "ranking",
            "token_expiry",
            "external_sync",
        }

    def test_announces_it_after_the_commit(
        self, customer, seats, announced, django_capture_on_commit_callbacks
    ):
        held = hold(customer, seats[:1])

        with django_capture_on_commit_callbacks() as callbacks:
            reserved = confirm(held).reservation
            assert announced == []
        for callback in callbacks:
            callback()

        assert announced == [ReservationConfirmed(OutboxEvent.objects.get().pk, reserved.pk)]

    def test_a_failed_payment_leaves_no_trace(self, seats, django_capture_on_commit_callbacks):
        poor = WalletFactory(balance=49_999).customer
        held = hold(poor, seats[:1])

        with (
            django_capture_on_commit_callbacks() as callbacks,
            pytest.raises(InsufficientBalance) as refusal,
        ):
            confirm(held)

        held.refresh_from_db()
        assert refusal.value.details == {"balance": 49_999, "required": 50_000}
        assert held.status == Hold.Status.HELD
        assert balance(poor) == 49_999
        assert not Reservation.objects.exists()
        assert not OutboxEvent.objects.exists()
        assert callbacks == []

    def test_works_after_topping_up_while_the_hold_lives(self, seats):
        poor = WalletFactory(balance=1).customer
        held = hold(poor, seats[:1])
        with pytest.raises(InsufficientBalance):
            confirm(held)
        WalletFactory(customer=poor, balance=49_999)

        assert confirm(held).balance == 0

    @pytest.mark.parametrize("is_swept", [False, True])
    def test_refuses_a_hold_that_expired_swept_or_not(self, customer, seats, is_swept):
        held = overdue_hold(customer, seats[:1])
        assert not is_swept or expire_holds() == 1

        with pytest.raises(HoldExpired):
            confirm(held)

        assert balance(customer) == 200_000
        assert not Reservation.objects.exists()

    def test_refuses_a_paid_hold(self, customer, seats):
        held = hold(customer, seats[:1])
        confirm(held)

        with pytest.raises(HoldNotLive):
            confirm(held)

        assert balance(customer) == 150_000
        assert Reservation.objects.count() == 1

    def test_refuses_a_released_hold(self, customer, seats):
        held = hold(customer, seats[:1])
        release_hold(customer_id=customer.pk, hold_id=held.pk)

        with pytest.raises(HoldNotLive):
            confirm(held)

    def test_refuses_the_hold_of_another_customer(self, customer, seats):
        held = hold(CustomerFactory(), seats[:1])

        with pytest.raises(HoldNotFound):
            confirm_reservation(customer_id=customer.pk, hold_id=held.pk)

        assert balance(customer) == 200_000


class TestCancelReservation:
    def test_gives_the_full_price_back_and_frees_the_seats(self, customer, seats):
        reserved = reservation(customer, seats[:2])

        cancellation = cancel(reserved)

        reserved.refresh_from_db()
        assert cancellation.refunded_amount == 100_000
        assert cancellation.balance == balance(customer) == 200_000
        assert reserved.status == Reservation.Status.CANCELLED
        hold(CustomerFactory(), seats[:2])

    def test_records_and_announces_it(
        self, customer, seats, announced, django_capture_on_commit_callbacks
    ):
        reserved = reservation(customer, seats[:1])

        with django_capture_on_commit_callbacks(execute=True):
            cancel(reserved)

        event = OutboxEvent.objects.get(type="reservation.cancelled")
        assert announced == [ReservationCancelled(event.pk, reserved.pk)]
        assert set(event.deliveries.values_list("consumer", flat=True)) == {
            "ranking",
            "external_sync",
        }

    def test_refuses_a_second_time(self, customer, seats):
        reserved = reservation(customer, seats[:1])
        cancel(reserved)

        with pytest.raises(AlreadyCancelled):
            cancel(reserved)

        assert balance(customer) == 200_000

    def test_refuses_the_reservation_of_another_customer(self, customer, seats):
        reserved = reservation(CustomerFactory(), seats[:1])

        with pytest.raises(ReservationNotFound):
            cancel_reservation(customer_id=customer.pk, reservation_id=reserved.pk)

        reserved.refresh_from_db()
        assert reserved.status == Reservation.Status.CONFIRMED

    def test_refuses_within_the_last_24_hours(self, customer, seats, settings):
        reserved = reservation(customer, seats[:1])
        begins_at = timezone.now() + settings.CANCELLATION_WINDOW
        begin_at(Performance.objects.filter(pk=reserved.performance_id), begins_at)

        with pytest.raises(CancellationClosed):
            cancel(reserved)

        assert balance(customer) == 150_000
        assert SeatClaim.objects.live(at=timezone.now()).count() == 1

    def test_a_cancelled_seat_is_sold_again_to_the_same_customer(self, customer, seats):
        cancel(reservation(customer, seats[:1]))

        again = reservation(customer, seats[:1])

        assert again.status == Reservation.Status.CONFIRMED
        assert balance(customer) == 150_000
