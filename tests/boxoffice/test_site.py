"""Test what holds for every page of the administration, whichever app it belongs to."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.api.models import IdempotencyRecord
from apps.boxoffice.models import StaffJob, StaffJobRow
from apps.concerts.models import RankingEntry
from apps.outbox.draining import drain
from apps.outbox.models import DeliveryReplay, EventDelivery, OutboxEvent, Receiver
from apps.queue.models import QueueExit
from apps.reservations.models import Hold, Reservation, SeatClaim, Ticket
from tests.boxoffice.staff import list_of, logged_in, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.jobs import job_of_staff
from tests.factories.reservations import hold, reservation
from tests.factories.visitors import admitted_visitor

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

MODELS = sorted(
    (model for model in admin.site._registry if model.__module__.startswith("apps.")),
    key=lambda model: model._meta.label,
)
NEVER_EDITED = [
    DeliveryReplay,
    EventDelivery,
    Hold,
    IdempotencyRecord,
    OutboxEvent,
    QueueExit,
    RankingEntry,
    Receiver,
    Reservation,
    SeatClaim,
    StaffJob,
    StaffJobRow,
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
    Receiver.objects.create(consumer="external_sync")
    DeliveryReplay.objects.create(chosen="all", actor="root")
    job_of_staff(CustomerFactory(staff=True))


def test_every_model_is_registered():
    from django.apps import apps

    ours = {model for model in apps.get_models() if model.__module__.startswith("apps.")}

    assert ours == set(MODELS)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
class TestEveryModel:
    def test_is_listed_and_shown(self, staff, sales, model):
        shown = model._default_manager.order_by("pk").first()

        listing = staff.get(list_of(model))

        assert listing.status_code == 200
        if shown is not None:
            assert staff.get(page_of(shown)).status_code == 200

    def test_is_listed_with_the_same_queries_for_any_number(self, staff, sales, model):
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert staff.get(list_of(model)).status_code == 200
            return len(captured)

        queries()
        before = queries()
        a_sale_and_a_cancellation()

        assert queries() == before

    @pytest.mark.parametrize("query", ["kim", "12", "4f2c", "%00", "' OR 1=1 --", "한국"])
    def test_is_searched_with_whatever_staff_type(self, staff, sales, model, query):
        assert staff.get(f"{list_of(model)}?q={query}").status_code == 200


@pytest.mark.parametrize("model", NEVER_EDITED, ids=lambda model: model.__name__)
def test_what_happened_is_never_edited(staff, sales, model):
    row = model._default_manager.order_by("pk").first()

    assert row is not None
    assert staff.get(page_of(row)).status_code == 200
    assert staff.post(page_of(row), {}).status_code == 403
    assert staff.post(page_of(row, "delete")).status_code == 403
    assert staff.get(list_of(model, "add")).status_code == 403


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
    client = logged_in(CustomerFactory(admin=True), raise_request_exception=False)
    model_admin = admin.site._registry[model]
    listed = list_of(model)

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
