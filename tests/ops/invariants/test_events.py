"""Events, their deliveries and the ranking: a breach of each that was planted is found."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.concerts.models import RankingEntry, venue_day
from apps.concerts.services import rebuild_ranking
from apps.core.transactions import run_in_transaction
from apps.outbox.draining import MAX_ATTEMPTS
from apps.outbox.events import RESERVATION_CANCELLED, SEATS_CANCELLED
from apps.outbox.models import EventDelivery, OutboxEvent, Receiver
from apps.outbox.recording import record_event
from apps.reservations.models import Reservation
from apps.reservations.services import cancel_seats
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.ops.invariants import planting
from tests.ops.invariants.planting import (
    NOWHERE,
    breaches,
    broken,
    cancel,
    checked,
    consume_events,
    expect_broken,
    unprotected,
)

pytestmark = pytest.mark.django_db


def told_of(reserved: Reservation, type: str = "reservation.confirmed") -> OutboxEvent:
    return OutboxEvent.objects.get(payload__reservation_id=str(reserved.pk), type=type)


def tell(type: str, payload: dict[str, Any]) -> None:
    now = timezone.now()
    run_in_transaction(partial(record_event, type=type, payload=payload, occurred_at=now))


def lose(event: OutboxEvent) -> None:
    event.deliveries.all().delete()
    event.delete()


def lose_the_cancellation(reserved: Reservation) -> None:
    cancel(reserved)
    lose(told_of(reserved, RESERVATION_CANCELLED))


class TestReservationAnnounced:
    def test_a_lost_event_is_found(self, untold: Reservation) -> None:
        lose(told_of(untold))

        expect_broken(
            "reservation_announced",
            f"reservation {untold.pk} (CONFIRMED): reservation.confirmed told 0 times",
        )

    @pytest.mark.parametrize(
        "plant",
        [
            lambda untold: tell("reservation.confirmed", told_of(untold).payload),
            lose_the_cancellation,
            lambda untold: tell(RESERVATION_CANCELLED, {}),
        ],
        ids=["told twice", "a cancellation that was not told", "of nothing"],
    )
    def test_events_too_many_or_too_few_are_found(
        self, untold: Reservation, plant: Callable[[Reservation], object]
    ) -> None:
        plant(untold)

        assert breaches() == {"reservation_announced": 1}

    @pytest.mark.parametrize(
        ("change", "another"),
        [
            ({"customer_id": 0}, "customer"),
            ({"performance_id": 0}, "performance"),
            ({"total_price": 1}, "price"),
            ({"total_price": "cheap"}, "price"),
            ({"seats": []}, "choice of seats"),
            ({"seats": [{"seat_id": 0}]}, "choice of seats"),
            ({"seats": None}, "choice of seats"),
            ({"seat_count": 2}, "choice of seats"),
        ],
    )
    def test_an_event_of_something_else_is_found(
        self, untold: Reservation, change: dict[str, object], another: str
    ) -> None:
        event = told_of(untold)
        OutboxEvent.objects.filter(pk=event.pk).update(payload=event.payload | change)

        expect_broken(
            "reservation_announced",
            f"reservation {untold.pk} (CONFIRMED): reservation.confirmed told 1 times,"
            f" with another {another}",
        )

    def test_a_cancellation_of_something_else_is_found(self, untold: Reservation) -> None:
        cancel(untold)
        event = told_of(untold, RESERVATION_CANCELLED)
        OutboxEvent.objects.filter(pk=event.pk).update(payload=event.payload | {"customer_id": 0})

        assert breaches() == {"reservation_announced": 1}


class TestCancellationOfSeatsAnnounced:
    """Of two seats one is given up, then the other one with the reservation."""

    @pytest.fixture
    def in_parts(self, sold: Reservation) -> Reservation:
        staff_id = CustomerFactory(staff=True).pk
        for ticket in sold.tickets.order_by("seat_id"):
            cancel_seats(
                reservation_id=sold.pk, seat_ids=[ticket.seat_id], reason="x", staff_id=staff_id
            )
        return sold

    def test_each_part_is_told_for_itself(self, in_parts: Reservation) -> None:
        assert breaches() == {}
        assert told_of(in_parts, SEATS_CANCELLED).payload["seat_count"] == 1
        assert told_of(in_parts, RESERVATION_CANCELLED).payload["seat_count"] == 1

    @pytest.mark.parametrize("type", [SEATS_CANCELLED, RESERVATION_CANCELLED])
    def test_a_part_that_was_not_told_is_found(self, in_parts: Reservation, type: str) -> None:
        lose(told_of(in_parts, type))

        expect_broken(
            "reservation_announced", f"reservation {in_parts.pk} (CANCELLED): {type} told 0 times"
        )

    @pytest.mark.parametrize("type", [SEATS_CANCELLED, RESERVATION_CANCELLED])
    @pytest.mark.parametrize("change", [{"total_price": 100_000}, {"seats": []}, {"seat_count": 2}])
    def test_a_part_that_tells_of_more_or_less_is_found(
        self, in_parts: Reservation, type: str, change: dict[str, object]
    ) -> None:
        event = told_of(in_parts, type)
        OutboxEvent.objects.filter(pk=event.pk).update(payload=event.payload | change)

        assert breaches() == {"reservation_announced": 1}

    def test_a_part_that_did_not_happen_is_found(self, in_parts: Reservation) -> None:
        tell(SEATS_CANCELLED, told_of(in_parts, SEATS_CANCELLED).payload)

        assert breaches() == {"reservation_announced": 1}

    @pytest.mark.parametrize("changes", [{"reservations": -1}, {"seats": -2}])
    def test_a_ranking_that_counted_something_else_is_found(
        self, in_parts: Reservation, changes: dict[str, int]
    ) -> None:
        consume_events()
        assert breaches() == {}
        event = told_of(in_parts, SEATS_CANCELLED)
        RankingEntry.objects.filter(pk=event.pk).update(**changes)

        assert "ranking_recounted" in breaches()


class TestEventDelivered:
    def test_a_consumer_that_was_forgotten_is_found(self, sold: Reservation) -> None:
        [forgotten] = EventDelivery.objects.filter(consumer="external_sync")
        forgotten.delete()

        expect_broken(
            "event_delivered", f"event {forgotten.event_id}: no delivery to external_sync"
        )

    def test_a_second_delivery_is_found(self, sold: Reservation) -> None:
        with unprotected((EventDelivery, "event_delivered_once")):
            [delivery] = EventDelivery.objects.filter(consumer="token_expiry")
            delivery.pk = None
            delivery.save()

        assert breaches() == {"event_delivered": 1}

    def test_pending_and_dead_ones_are_counted_and_no_breach(self, untold: Reservation) -> None:
        given_up = EventDelivery.objects.pending().filter(consumer="token_expiry")
        given_up.update(status="DEAD", attempts=MAX_ATTEMPTS)

        assert breaches() == {}
        assert checked("event_delivered").counts == {"pending": 2, "dead": 1}


@pytest.mark.usefixtures("untold")
class TestDeliveriesTried:
    def make_due(self, consumer: str, **ago: float) -> EventDelivery:
        delivery = EventDelivery.objects.pending().get(consumer=consumer)
        delivery.next_attempt_at = timezone.now() - timedelta(**ago)
        delivery.save()
        return delivery

    def give_up(self, attempts: int, error: str) -> None:
        delivery = EventDelivery.objects.pending().filter(consumer="external_sync")
        delivery.update(status="DEAD", attempts=attempts, last_error=error)

    def test_one_that_is_not_tried_is_found_after_an_hour(self) -> None:
        self.make_due("token_expiry", minutes=59)
        assert breaches() == {}

        stuck = self.make_due("token_expiry", minutes=61)

        [[example]] = broken().values()
        assert breaches() == {"deliveries_tried": 1}
        assert f"token_expiry: event {stuck.event_id} has been due since" in example

    def test_what_waits_for_an_unhealthy_receiver_is_none(self) -> None:
        now = timezone.now()
        self.make_due("external_sync", days=2)
        Receiver.objects.create(
            consumer="external_sync",
            failures=99,
            failing_since=now - timedelta(days=2),
            unhealthy_since=now - timedelta(days=2),
            next_probe_at=now + timedelta(minutes=5),
        )

        assert breaches() == {}

    def test_an_unhealthy_receiver_that_is_not_probed_is_found(self) -> None:
        ago = timezone.now() - timedelta(minutes=61)
        self.make_due("external_sync", days=2)
        Receiver.objects.create(
            consumer="external_sync", failing_since=ago, unhealthy_since=ago, next_probe_at=ago
        )

        assert breaches() == {"deliveries_tried": 1}

    @pytest.mark.parametrize(("minutes", "breach"), [(59, {}), (61, {"deliveries_tried": 1})])
    def test_the_backlog_of_one_that_is_back_has_its_time(
        self, minutes: int, breach: dict[str, int]
    ) -> None:
        self.make_due("external_sync", days=2)
        recovered_at = timezone.now() - timedelta(minutes=minutes)
        Receiver.objects.create(consumer="external_sync", recovered_at=recovered_at)

        assert breaches() == breach

    @pytest.mark.parametrize("attempts", [0, MAX_ATTEMPTS - 1])
    def test_one_given_up_before_the_last_attempt_is_found(self, attempts: int) -> None:
        self.give_up(attempts, "DeliveryPostponed: HTTP 404: not found")

        [dead] = EventDelivery.objects.dead()
        expect_broken(
            "deliveries_tried",
            f"event {dead.event_id}: given up by external_sync after {attempts} attempts,"
            " though it was never refused",
        )

    @pytest.mark.parametrize(
        ("attempts", "error"),
        [(1, "DeliveryRefused: HTTP 410: gone"), (MAX_ATTEMPTS, "DeliveryPostponed: HTTP 404: ")],
    )
    def test_one_that_was_given_up_rightly_is_none(self, attempts: int, error: str) -> None:
        self.give_up(attempts, error)

        assert breaches() == {}


class TestRankingRecounted:
    def test_another_figure_in_the_store_is_found(self, sold: Reservation, store) -> None:
        today = venue_day(timezone.now()).isoformat()
        # Sums of all time take all of the table, so they are left to the check of everything.
        is_all = planting.span is None
        window, key_end = ("all", "all") if is_all else (today, f"day:{today}")
        [key] = store.keys(f"*ranking*:{key_end}")
        concert_id = sold.performance.concert_id
        store.zincrby(key, 5, concert_id)

        expect_broken("ranking_recounted", f"concert {concert_id}, {window}: shows 6, recorded 1")

    def test_a_sale_that_was_not_recorded_is_found(self, sold: Reservation) -> None:
        RankingEntry.objects.all().delete()
        rebuild_ranking()

        found, event = broken(), told_of(sold)
        assert len(found.pop("seats_counted")) == 1
        assert found == {
            "ranking_recounted": [f"event {event.pk}: delivered, but not in the ranking"]
        }

    def test_a_sale_that_never_happened_is_found(self, sold: Reservation) -> None:
        [entry] = RankingEntry.objects.all()
        entry.pk = uuid4()
        entry.save(force_insert=True)
        rebuild_ranking()

        found = broken()
        assert len(found.pop("seats_counted")) == 1
        assert found == {
            "ranking_recounted": [f"event {entry.pk}: in the ranking, but never happened"]
        }

    @pytest.mark.parametrize(
        ("change", "performances"),
        [("performance", 2), ("concert", 0), ("seats", 1), ("sign", 1), ("time", 0)],
    )
    def test_a_sale_of_something_else_is_found(
        self, sold: Reservation, change: str, performances: int
    ) -> None:
        other = PerformanceFactory()
        RankingEntry.objects.update(
            **{
                "performance": {"performance": other},
                "concert": {"concert": other.concert},
                "seats": {"seats": 3},
                "sign": {"seats": -2, "reservations": -1},
                "time": {"occurred_at": timezone.now() + timedelta(days=1)},
            }[change]
        )
        rebuild_ranking()

        found, event = broken(), told_of(sold)
        assert len(found.pop("seats_counted", [])) == performances
        assert found == {
            "ranking_recounted": [f"event {event.pk}: the ranking counted something else"]
        }

    def test_is_not_checked_while_the_store_is_unavailable(
        self, sold: Reservation, settings
    ) -> None:
        settings.QUEUE_URL = NOWHERE
        RankingEntry.objects.all().delete()

        result = checked("ranking_recounted")

        assert result.not_checked == "store unavailable"
        assert result.breaches == 1  # the part that needs no store

    def test_is_not_checked_while_it_is_lost(self, sold: Reservation, store) -> None:
        store.flushall()

        result = checked("ranking_recounted")

        assert (result.not_checked, result.breaches) == ("not built", 0)
