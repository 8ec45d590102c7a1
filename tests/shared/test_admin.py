"""What staff see of the machinery: they may look, and replay what is dead."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

import apps.shared.admin_lists
from apps.shared.admin_lists import ROWS_COUNTED
from apps.shared.models import EventDelivery, IdempotencyRecord, OutboxEvent
from tests.factories.accounts import CustomerFactory

pytestmark = pytest.mark.django_db

DELIVERIES = reverse("admin:shared_eventdelivery_changelist")
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


def logged_in(**fields) -> Client:
    client = Client()
    client.force_login(CustomerFactory(**fields))
    return client


def replay(client: Client, deliveries: list[EventDelivery]):
    chosen = [one.pk for one in deliveries]
    return client.post(DELIVERIES, {"action": "replay", "_selected_action": chosen}, follow=True)


class TestReplay:
    def test_takes_up_what_is_dead_and_nothing_else(self, deliveries):
        dead, pending, done = deliveries

        response = replay(logged_in(admin=True), deliveries)

        assert "1 delivery will be tried again." in response.content.decode()
        for one in deliveries:
            one.refresh_from_db()
        assert (dead.status, dead.attempts) == (Status.PENDING, 0)
        assert (pending.status, pending.attempts) == (Status.PENDING, 15)
        assert (done.status, done.attempts) == (Status.DONE, 15)

    def test_needs_the_permission(self, deliveries):
        clerk = CustomerFactory(staff=True)
        clerk.user_permissions.add(Permission.objects.get(codename="view_eventdelivery"))
        client = Client()
        client.force_login(clerk)

        replay(client, deliveries)

        deliveries[0].refresh_from_db()
        assert deliveries[0].status == Status.DEAD

    def test_is_not_for_customers(self, deliveries):
        replay(logged_in(), deliveries)

        deliveries[0].refresh_from_db()
        assert deliveries[0].status == Status.DEAD


class TestPages:
    MODELS = ["outboxevent", "eventdelivery", "idempotencyrecord"]

    @pytest.fixture
    def pages(self, deliveries):
        record = IdempotencyRecord.objects.create(
            customer=CustomerFactory(),
            endpoint="ChargesView",
            key="k",
            fingerprint="f",
            status=201,
            body=b"a body that nobody needs to see",
        )
        objects = dict(zip(self.MODELS, [deliveries[0].event, deliveries[0], record], strict=True))
        return lambda model, page: reverse(
            f"admin:shared_{model}_{page}",
            args=[] if page in ("changelist", "add") else [objects[model].pk],
        )

    @pytest.mark.parametrize("model", MODELS)
    def test_show_and_do_not_change(self, pages, model):
        client = logged_in(admin=True)

        pages_of = {
            page: client.get(pages(model, page)).status_code
            for page in ("changelist", "change", "add", "delete")
        }

        assert pages_of == {"changelist": 200, "change": 200, "add": 403, "delete": 403}
        assert client.post(pages(model, "change"), {}).status_code == 403

    @pytest.mark.parametrize("model", MODELS)
    def test_can_be_searched(self, pages, model):
        response = logged_in(admin=True).get(pages(model, "changelist"), {"q": "no uuid at all"})

        assert response.status_code == 200

    def test_keep_stored_answers_to_themselves(self, pages):
        response = logged_in(admin=True).get(pages("idempotencyrecord", "change"))

        assert b"nobody needs to see" not in response.content


class TestLongTables:
    """Pages cost the same whatever the history."""

    def statements(self, model: str) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            page = logged_in(admin=True).get(reverse(f"admin:{model}_changelist"))
        assert page.status_code == 200
        return [one["sql"] for one in queries]

    @pytest.mark.parametrize(
        "model",
        ["shared_eventdelivery", "shared_outboxevent", "reservations_hold", "payments_wallet"],
    )
    def test_are_counted_up_to_a_bound(self, deliveries, model):
        counts = [one for one in self.statements(model) if "COUNT" in one and model in one]

        assert counts
        assert all(f"LIMIT {ROWS_COUNTED}" in one for one in counts)

    def test_show_what_lies_within_it(self, deliveries, monkeypatch):
        monkeypatch.setattr(apps.shared.admin_lists, "ROWS_COUNTED", 2)

        page = logged_in(admin=True).get(DELIVERIES)

        assert page.context["cl"].result_count == 2

    def test_are_not_asked_what_one_could_filter_by(self, deliveries):
        found = self.statements("shared_eventdelivery") + self.statements("shared_outboxevent")

        assert not [one for one in found if "DISTINCT" in one]

    def test_are_filtered_by_consumer_and_type(self, deliveries):
        client = logged_in(admin=True)

        found = client.get(DELIVERIES, {"consumer": "ranking"})
        events = client.get(reverse("admin:shared_outboxevent_changelist"), {"type": "tests.noted"})

        assert found.context["cl"].result_count == 0
        assert events.context["cl"].result_count == 1
        assert "external_sync" in found.content.decode()
