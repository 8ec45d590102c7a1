"""Test what holds for every page of the administration, whichever app it belongs to."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.api.models import IdempotencyRecord
from apps.concerts.models import RankingEntry
from apps.outbox.draining import drain
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.queue.models import QueueExit
from apps.reservations.models import Hold, Reservation, SeatClaim, Ticket
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import hold, reservation
from tests.factories.visitors import admitted_visitor

pytestmark = pytest.mark.django_db

MODELS = sorted(
    (model for model in admin.site._registry if model.__module__.startswith("apps.")),
    key=lambda model: model._meta.label,
)
NEVER_EDITED = [
    EventDelivery,
    Hold,
    IdempotencyRecord,
    OutboxEvent,
    QueueExit,
    RankingEntry,
    Reservation,
    SeatClaim,
    Ticket,
]


def a_sale_and_a_cancellation() -> None:
    performance = PerformanceFactory(seats=3, concert__seats_per_customer=2)
    first, second, third = performance.seats.order_by("pk")
    visitor = admitted_visitor(performance.concert_id)
    hold(CustomerFactory(), [third])
    reservation(visitor.customer, [first])
    cancelled = reservation(visitor.customer, [second])
    visitor.post(f"/reservations/{cancelled.pk}/cancel", key="c")
    drain(consumer="ranking")
    visitor.delete("/queue/tokens/me")


@pytest.fixture
def sales():
    a_sale_and_a_cancellation()


@pytest.fixture
def browser():
    browser = Client()
    browser.force_login(CustomerFactory(admin=True))
    return browser


def changelist(model) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_of(model, pk) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])


def test_every_model_is_registered():
    from django.apps import apps

    ours = {model for model in apps.get_models() if model.__module__.startswith("apps.")}

    assert ours == set(MODELS)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
class TestEveryModel:
    def test_is_listed_and_shown(self, browser, sales, model):
        shown = model._default_manager.order_by("pk").first()

        listing = browser.get(changelist(model))

        assert listing.status_code == 200
        if shown is not None:
            assert browser.get(page_of(model, shown.pk)).status_code == 200

    def test_is_listed_with_the_same_queries_for_any_number(self, browser, sales, model):
        def queries() -> int:
            with CaptureQueriesContext(
                connection,
            ) as captured:
                assert browser.get(changelist(model)).status_code == 200
            return len(captured)

        queries()
        before = queries()
        a_sale_and_a_cancellation()

        assert queries() == before

    @pytest.mark.parametrize("query", ["kim", "12", "4f2c", "%00", "' OR 1=1 --", "한국"])
    def test_is_searched_with_whatever_staff_type(self, browser, sales, model, query):
        assert browser.get(f"{changelist(model)}?q={query}").status_code == 200


@pytest.mark.parametrize("model", NEVER_EDITED, ids=lambda model: model.__name__)
def test_what_happened_is_never_edited(browser, sales, model):
    row = model._default_manager.order_by("pk").first()

    if row is not None:
        assert browser.post(page_of(model, row.pk), {}).status_code == 403
    assert browser.get(changelist(model) + "add/").status_code == 403


def test_staff_replay_dead_deliveries(browser, sales):
    EventDelivery.objects.filter(consumer="token_expiry").update(
        status="DEAD", last_error="HTTP 410"
    )
    dead = EventDelivery.objects.dead()
    selected = {"action": "replay", "_selected_action": [row.pk for row in dead]}

    browser.post(changelist(EventDelivery), selected, follow=True)

    assert not EventDelivery.objects.dead().exists()
    assert set(EventDelivery.objects.filter(consumer="token_expiry").values_list("status")) == {
        ("PENDING",)
    }


def test_a_clerk_without_the_right_cannot_replay(sales):
    EventDelivery.objects.filter(consumer="token_expiry").update(status="DEAD")
    browser = Client()
    browser.force_login(CustomerFactory(staff=True))

    selected = {"action": "replay", "_selected_action": [1]}

    assert browser.post(changelist(EventDelivery), selected).status_code == 403
    assert EventDelivery.objects.dead().exists()


def inputs_of(form) -> int:
    """Return how many values a form may send."""
    return sum(len(getattr(field.widget, "widgets", [None])) for field in form.fields.values())


def test_no_form_grows_beyond_what_is_read(rf, settings):
    request = rf.get("/")
    request.user = CustomerFactory(admin=True)
    settled = 50  # what the page itself sends beside the rows, choices of several values left out
    grows = {}
    for model, model_admin in admin.site._registry.items():
        for inline in model_admin.get_inline_instances(request, model()):
            if inline.has_change_permission(request) or inline.has_add_permission(request, None):
                formset = inline.get_formset(request)()
                fields = inputs_of(formset.empty_form)
                grows[inline.model.__name__] = fields * inline.max_num + settled

    assert grows.keys() == {"Performance"}
    assert max(grows.values()) < settings.DATA_UPLOAD_MAX_NUMBER_FIELDS


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("object_id", ["abc", "2/x", "9" * 30, "-1", "%00", "1 OR 1=1"])
def test_no_address_of_an_object_is_an_error(model, object_id) -> None:
    """People edit addresses, and links get cut off."""
    client = Client(raise_request_exception=False)
    client.force_login(CustomerFactory(admin=True))
    model_admin = admin.site._registry[model]
    opts = model._meta
    listed = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")

    statuses = {
        page: client.get(f"{listed}{object_id}/{page}/").status_code
        for page in (
            "change",
            "delete",
            "history",
            *vars(type(model_admin)).get("actions_detail", ()),
        )
    }

    assert set(statuses.values()) <= {302, 403, 404, 405}, statuses
