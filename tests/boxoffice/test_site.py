"""Test what holds for every page of the administration, whichever app it belongs to."""

import re
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
from django.contrib import admin
from django.contrib.admin.utils import get_fields_from_path
from django.db import connection
from django.db.models import BooleanField, DateField, Model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.api.models import IdempotencyRecord
from apps.boxoffice.base.columns import Badge
from apps.boxoffice.models import StaffJob, StaffJobRow
from apps.concerts.models import Poster, RankingEntry, SeatAllocation, SeatMapDraft
from apps.outbox.models import DeliveryReplay, EventDelivery, OutboxEvent, Receiver
from apps.queue.models import QueueExit, RoomNotice
from apps.reservations.models import Hold, HolderNotice, Reservation, SeatClaim, Ticket
from tests.boxoffice.season import Everything, a_sale_and_a_cancellation, one_of_each
from tests.boxoffice.staff import list_of, logged_in, names_of_actions, page_of
from tests.factories.accounts import CustomerFactory

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

MODELS = sorted(
    (model for model in admin.site._registry if model.__module__.startswith("apps.")),
    key=lambda model: model._meta.label,
)
NEVER_EDITED = [
    DeliveryReplay,
    EventDelivery,
    Hold,
    HolderNotice,
    IdempotencyRecord,
    OutboxEvent,
    QueueExit,
    RankingEntry,
    Receiver,
    Reservation,
    RoomNotice,
    SeatAllocation,
    SeatClaim,
    StaffJob,
    StaffJobRow,
    Ticket,
]


# A list takes session, account, count and rows. Rights are none: an administrator's are not asked for. These take more:
USUAL_QUERIES = 4
QUERIES = {
    "concerts.Seat": 5,  # categories to filter by
    "concerts.SeatAllocation": 5,
    "outbox.EventDelivery": 5,  # the orders that they are about
    "outbox.Receiver": 7,  # makes its rows, and counts for each receiver
    "reservations.Hold": 5,  # concerts to filter by
    "reservations.Reservation": 5,
    "reservations.Ticket": 5,
}


@pytest.fixture
def made() -> Everything:
    return one_of_each()


def test_every_model_is_registered():
    from django.apps import apps

    ours = {model for model in apps.get_models() if model.__module__.startswith("apps.")}

    # Pages of concerts and performances show these.
    assert ours == {*MODELS, Poster, SeatMapDraft}


def test_every_model_is_listed_and_shown(staff, made):
    answers = {
        path: staff.get(path).status_code
        for model, obj in made.items()
        for path in (list_of(model), page_of(obj))
    }

    assert None not in made.values()
    assert set(answers.values()) == {200}, answers


def columns_of_states() -> dict[str, Callable[..., Any]]:
    """Return what the theme draws as a badge in lists: the methods of all admins that have a `label`."""
    return {
        f"{type(model_admin).__name__}.{name}": method
        for model_admin in (
            *admin.site._registry.values(),
            *(inline(model, admin.site) for model, own in admin.site._registry.items()
              for inline in own.inlines),
        )
        for name in dir(type(model_admin))
        if callable(method := getattr(type(model_admin), name, None)) and hasattr(method, "label")
    }  # fmt: skip


def test_every_state_is_words_on_the_page_of_one_object():
    columns = columns_of_states()

    assert len(columns) >= 3
    returned = {name: get_type_hints(method)["return"] for name, method in columns.items()}
    assert {name: hint for name, hint in returned.items() if hint is not Badge} == {}


def test_no_page_shows_what_python_prints(staff, made):
    """A tuple or an object that no field has put into words, on any page of one object."""
    printed = re.compile(r"\(&#x27;|&lt;[\w.]+ object at 0x|&lt;QuerySet")
    found = {
        path: printed.findall(staff.get(path).content.decode())
        for path in map(page_of, made.values())
    }

    assert {path: words for path, words in found.items() if words} == {}


def queries_of(client: Client, model: type[Model]) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(list_of(model)).status_code == 200
    return len(captured)


def test_every_list_takes_its_queries_for_any_number_of_rows(staff, made):
    for model in MODELS:
        queries_of(staff, model)  # what is asked once for each process
    before = {model._meta.label: queries_of(staff, model) for model in MODELS}
    a_sale_and_a_cancellation()
    after = {model._meta.label: queries_of(staff, model) for model in MODELS}

    assert after == before
    others = {
        label: taken for label, taken in after.items() if taken != QUERIES.get(label, USUAL_QUERIES)
    }
    assert others == {}, f"If these are right, put them into QUERIES: {others}"


def test_no_filter_lists_what_grows_with_the_shop():
    """A filter by a text or a number reads all rows, and shows a link for each value that it finds."""
    listed = {
        f"{model._meta.label}.{name}"
        for model, model_admin in admin.site._registry.items()
        for name in model_admin.list_filter
        if isinstance(name, str)
        for field in [get_fields_from_path(model, name)[-1]]
        if not (field.choices or field.is_relation or isinstance(field, BooleanField | DateField))
    }

    assert listed == set()


@pytest.mark.parametrize("query", ["kim", "12", "4f2c", "%00", "' OR 1=1 --", "한국"])
def test_every_list_is_searched_with_whatever_staff_type(staff, made, query):
    answers = {model: staff.get(f"{list_of(model)}?q={query}").status_code for model in MODELS}

    assert set(answers.values()) == {200}, answers


def test_what_happened_is_never_edited(staff, made):
    for model in NEVER_EDITED:
        row = made[model]
        assert staff.get(page_of(row)).status_code == 200, model
        assert staff.post(page_of(row), {}).status_code == 403, model
        assert staff.post(page_of(row, "delete")).status_code == 403, model
        assert staff.get(list_of(model, "add")).status_code == 403, model


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


@pytest.mark.parametrize("object_id", ["abc", "2/x", "9" * 30, "-1", "%00", "1 OR 1=1"])
def test_no_address_of_an_object_is_an_error(object_id) -> None:
    """People edit addresses, and links get cut off."""
    client = logged_in(CustomerFactory(admin=True), raise_request_exception=False)
    statuses = {
        url: client.get(url).status_code
        for model in MODELS
        for page in (
            "change",
            "delete",
            "history",
            *names_of_actions(admin.site._registry[model]),
        )
        for url in (f"{list_of(model)}{object_id}/{page}/",)
    }

    assert {url: n for url, n in statuses.items() if n not in {302, 403, 404, 405}} == {}
