"""Test what staff see of a delivery and of the order that it is about, and one that is replayed from its page."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.outbox.draining import drain
from apps.outbox.models import DeliveryReplay, EventDelivery, OutboxEvent
from apps.reservations.models import Reservation
from tests.boxoffice.sending import send, shown_by
from tests.boxoffice.staff import clerk, list_of, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import cancel, reservation

pytestmark = pytest.mark.django_db

Status = EventDelivery.Status


def sold() -> Reservation:
    return reservation(CustomerFactory(), list(PerformanceFactory(seats=1).seats.all()))


@pytest.fixture
def order() -> Reservation:
    return sold()


@pytest.fixture
def dead(order) -> EventDelivery:
    sold()
    EventDelivery.objects.filter(consumer="external_sync").update(
        status=Status.DEAD, attempts=15, last_error="HTTP 500: down"
    )
    return EventDelivery.objects.get(
        consumer="external_sync", event__payload__reservation_id=str(order.pk)
    )


def replay_page(delivery: EventDelivery) -> str:
    return reverse("admin:outbox_eventdelivery_replay", args=[delivery.pk])


class TestList:
    def test_says_which_order_it_is_about(self, staff, order, dead):
        page = staff.get(list_of(EventDelivery)).content.decode()

        assert page_of(order) in page
        assert order.order_number in page
        assert "HTTP 500: down" in page

    def test_takes_the_same_queries_for_any_number(self, staff, dead):
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert staff.get(list_of(EventDelivery)).status_code == 200
            return len(captured)

        queries()
        before = queries()
        for _ in range(3):
            sold()

        assert queries() == before

    def test_shows_deliveries_of_what_names_no_order(self, staff):
        for payload in ({}, {"reservation_id": "x"}, {"reservation_id": 5}, ["x"], "x"):
            event = OutboxEvent.objects.create(
                type="tests.noted", payload=payload, occurred_at="2026-01-01T00:00Z"
            )
            EventDelivery.objects.create(
                event=event, consumer="ranking", next_attempt_at="2026-01-01T00:00Z"
            )

        assert staff.get(list_of(EventDelivery)).status_code == 200

    @pytest.mark.parametrize("model", [EventDelivery, OutboxEvent])
    def test_is_searched_by_the_number_of_an_order(self, staff, order, dead, model):
        cancel(order)

        for text in (order.order_number, order.order_number.lower(), str(order.pk)):
            found = staff.get(list_of(model), {"q": text}).context["cl"].queryset
            events = {row.event if model is EventDelivery else row for row in found}
            assert {event.payload["reservation_id"] for event in events} == {str(order.pk)}
            assert {event.type for event in events} == {
                "reservation.confirmed",
                "reservation.cancelled",
            }

    def test_filters_what_is_dead(self, staff, dead):
        found = staff.get(list_of(EventDelivery), {"status__exact": "DEAD"}).context["cl"]

        assert found.result_count == 2


class TestReplayOfOne:
    def test_is_offered_while_it_is_dead(self, staff, dead):
        link = reverse("admin:outbox_eventdelivery_replay_this", args=[dead.pk])

        assert link in staff.get(page_of(dead)).content.decode()
        drain(consumer="ranking")
        done = EventDelivery.objects.filter(status=Status.DONE).first()
        link = reverse("admin:outbox_eventdelivery_replay_this", args=[done.pk])
        assert link not in staff.get(page_of(done)).content.decode()

    def test_gives_it_another_set_of_attempts_and_says_who_did_it(self, staff, boss, dead):
        answer = send(staff, replay_page(dead), {"reason": "Receiver is up again"}, follow=True)

        dead.refresh_from_db()
        assert (dead.status, dead.attempts) == (Status.PENDING, 0)
        assert EventDelivery.objects.dead().count() == 1
        [record] = DeliveryReplay.objects.all()
        assert (record.replayed_by, record.deliveries) == (boss, 1)
        assert record.chosen == f"delivery {dead.pk}"
        page = answer.content.decode()
        assert "The delivery will be tried again." in page
        assert "Replayed: Receiver is up again" in page
        assert boss.email in page

    def test_sent_twice_happens_once(self, staff, dead):
        form = {"_shown": shown_by(staff, replay_page(dead)), "reason": "Mended"}

        for _ in range(2):
            staff.post(replay_page(dead), form)

        assert DeliveryReplay.objects.count() == 1

    def test_of_what_is_not_dead_changes_nothing(self, staff, dead):
        EventDelivery.objects.update(status=Status.PENDING, attempts=3)

        page = send(staff, replay_page(dead), {"reason": "Mended"}, follow=True).content.decode()

        assert "The delivery is not dead" in page
        dead.refresh_from_db()
        assert dead.attempts == 3
        assert not DeliveryReplay.objects.exists()

    def test_needs_a_reason(self, staff, dead):
        page = send(staff, replay_page(dead), {"reason": " "})

        assert page.context["form"].errors
        dead.refresh_from_db()
        assert dead.status == Status.DEAD

    def test_needs_the_permission(self, dead):
        onlooker: Client = clerk("view_eventdelivery")

        assert onlooker.get(replay_page(dead)).status_code == 403
        assert onlooker.post(replay_page(dead), {"reason": "x"}).status_code == 403
        link = reverse("admin:outbox_eventdelivery_replay_this", args=[dead.pk])
        assert link not in onlooker.get(page_of(dead)).content.decode()
        assert onlooker.get(link).status_code == 403

    def test_of_nothing_is_not_found(self, staff):
        page = reverse("admin:outbox_eventdelivery_replay", args=[999_999])

        assert staff.get(page).status_code == 404
