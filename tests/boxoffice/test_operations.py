"""Test what staff see of the machinery: they may look, and replay what is dead."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

import apps.boxoffice.base.lists
from apps.api.models import IdempotencyRecord
from apps.boxoffice.admin import deliveries as pages
from apps.boxoffice.base.lists import ROWS_COUNTED
from apps.outbox import replaying
from apps.outbox.models import DeliveryReplay, EventDelivery, OutboxEvent, Receiver
from tests.boxoffice.sending import act
from tests.boxoffice.staff import administrator, clerk, list_of, logged_in, page_of
from tests.factories.accounts import CustomerFactory

pytestmark = pytest.mark.django_db

DELIVERIES = list_of(EventDelivery)
Status = EventDelivery.Status


@pytest.fixture
def deliveries() -> list[EventDelivery]:
    event = OutboxEvent.objects.create(type="tests.noted", payload={}, occurred_at=timezone.now())
    states = [(Status.DEAD, None), (Status.PENDING, None), (Status.DONE, timezone.now())]
    return [
        EventDelivery.objects.create(
            event=event,
            consumer=f"consumer-{status}",
            status=status,
            attempts=15,
            next_attempt_at=timezone.now(),
            done_at=done_at,
        )
        for status, done_at in states
    ]


def replay(client: Client, deliveries: list[EventDelivery]):
    return act(client, "replay", *deliveries, follow=True)


class TestReplay:
    def test_takes_up_what_is_dead_and_nothing_else(self, deliveries):
        dead, pending, done = deliveries

        response = replay(administrator(), deliveries)

        assert "1 delivery will be tried again." in response.content.decode()
        for delivery in deliveries:
            delivery.refresh_from_db()
        assert (dead.status, dead.attempts) == (Status.PENDING, 0)
        assert (pending.status, pending.attempts) == (Status.PENDING, 15)
        assert (done.status, done.attempts) == (Status.DONE, 15)

    def test_is_recorded_with_who_did_it(self, staff, boss, deliveries):
        replay(staff, deliveries)

        [record] = DeliveryReplay.objects.all()
        assert (record.replayed_by, record.deliveries, record.chosen) == (boss, 1, "selected")

    def test_of_more_than_a_request_can_do_says_so(self, deliveries, monkeypatch):
        event = deliveries[0].event
        for n in range(4):
            EventDelivery.objects.create(
                event=event, consumer=str(n), status=Status.DEAD, next_attempt_at=timezone.now()
            )
        monkeypatch.setattr(replaying, "BATCH", 2)
        clock = iter(range(100))
        monkeypatch.setattr(replaying.time, "monotonic", lambda: next(clock) * 3.0)

        page = replay(administrator(), list(EventDelivery.objects.dead()))

        assert "2 deliveries will be tried again." in page.content.decode()
        assert "More dead deliveries remain." in page.content.decode()
        assert EventDelivery.objects.dead().count() == 3

    def test_of_many_writes_no_entry_for_each(self, deliveries, monkeypatch):
        monkeypatch.setattr(pages, "NOTED_EACH", 0)

        replay(administrator(), deliveries)

        assert DeliveryReplay.objects.get().deliveries == 1
        assert not LogEntry.objects.exists()

    @pytest.mark.parametrize(
        "make", [lambda: clerk("view_eventdelivery"), lambda: logged_in(CustomerFactory())]
    )
    def test_needs_the_permission(self, deliveries, make):
        replay(make(), deliveries)

        deliveries[0].refresh_from_db()
        assert deliveries[0].status == Status.DEAD


class TestReceivers:
    LIST = list_of(Receiver)

    def test_are_shown_before_anything_has_failed(self):
        page = administrator().get(self.LIST).content.decode()

        assert "external_sync" in page
        assert "healthy" in page
        assert "unhealthy" not in page

    def test_tell_how_they_are(self, deliveries):
        now = timezone.now()
        EventDelivery.objects.update(consumer=Concat(F("status"), Value("")))
        for name, fields in {
            "DEAD": {"unhealthy_since": now, "failing_since": now, "last_error": "HTTP 404"},
            "PENDING": {"failing_since": now},
            "DONE": {},
        }.items():
            Receiver.objects.create(consumer=name, **fields)

        page = administrator().get(self.LIST)

        shown = {
            receiver.pk: [page.context["cl"].model_admin.health(receiver)[0]]
            for receiver in page.context["cl"].result_list
        }
        counted = page.context["cl"].model_admin
        by_name = Receiver.objects.in_bulk()
        assert shown == {
            "DEAD": ["UNHEALTHY"],
            "DONE": ["HEALTHY"],
            "PENDING": ["FAILING"],
            "external_sync": ["HEALTHY"],
        }
        assert "HTTP 404" in page.content.decode()
        assert [counted.dead(by_name[name]) for name in shown] == [1, 0, 0, 0]
        assert [counted.pending(by_name[name]) for name in shown] == [0, 0, 1, 0]

    def test_show_on_their_page_what_waits_for_them(self, deliveries):
        EventDelivery.objects.update(consumer=Concat(Value("tests-"), F("status")))
        Receiver.objects.create(consumer="tests-DEAD", last_error="HTTP 404")
        url = reverse("admin:outbox_receiver_change", args=["tests-DEAD"])

        page = administrator().get(url)

        fields = page.context["adminform"].readonly_fields
        assert {"pending", "dead", "last_error", "next_probe_at"} <= set(fields)
        assert "HTTP 404" in page.content.decode()

    def test_get_everything_that_is_dead_replayed(self, deliveries):
        other = deliveries[0]
        EventDelivery.objects.exclude(pk=other.pk).update(
            consumer=Concat(F("status"), Value("-external")), status=Status.DEAD, done_at=None
        )
        EventDelivery.objects.exclude(pk=other.pk).update(attempts=15)
        receiver = Receiver.objects.create(consumer="PENDING-external")

        page = act(administrator(), "replay_all", receiver, follow=True)

        assert "1 delivery will be tried again." in page.content.decode()
        [replayed] = EventDelivery.objects.pending()
        assert (replayed.consumer, replayed.attempts) == ("PENDING-external", 0)
        assert DeliveryReplay.objects.get().chosen == "consumer PENDING-external"

    def test_are_not_replayed_without_the_permission(self, deliveries):
        receiver = Receiver.objects.create(consumer="consumer-DEAD")

        act(clerk("view_receiver"), "replay_all", receiver)

        assert EventDelivery.objects.dead().count() == 1
        assert not DeliveryReplay.objects.exists()


def test_keeps_stored_answers_to_itself():
    record = IdempotencyRecord.objects.create(
        customer=CustomerFactory(),
        operation="payments.charge",
        key="k",
        fingerprint="f",
        status=201,
        body=b"a body for the customer only",
    )

    page = administrator().get(page_of(record))

    assert page.status_code == 200
    assert b"a body for the customer only" not in page.content


class TestLongTables:
    """Pages cost the same whatever the history."""

    def statements(self, model: str) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            page = administrator().get(reverse(f"admin:{model}_changelist"))
        assert page.status_code == 200
        return [query["sql"] for query in queries]

    @pytest.mark.parametrize(
        "model",
        ["outbox_eventdelivery", "outbox_outboxevent", "reservations_hold", "payments_wallet"],
    )
    def test_are_counted_up_to_a_bound(self, deliveries, model):
        counts = [
            statement
            for statement in self.statements(model)
            if "COUNT" in statement and model in statement
        ]

        assert counts
        assert all(f"LIMIT {ROWS_COUNTED}" in count for count in counts)

    def test_show_what_lies_within_it(self, deliveries, monkeypatch):
        monkeypatch.setattr(apps.boxoffice.base.lists, "ROWS_COUNTED", 2)

        page = administrator().get(DELIVERIES)

        assert page.context["cl"].result_count == 2

    def test_are_not_asked_what_one_could_filter_by(self, deliveries):
        found = self.statements("outbox_eventdelivery") + self.statements("outbox_outboxevent")

        assert not [statement for statement in found if "DISTINCT" in statement]

    def test_are_filtered_by_consumer_and_type(self, deliveries):
        client = administrator()

        found = client.get(DELIVERIES, {"consumer": "ranking"})
        events = client.get(list_of(OutboxEvent), {"type": "tests.noted"})

        assert found.context["cl"].result_count == 0
        assert events.context["cl"].result_count == 1
        assert "external_sync" in found.content.decode()
