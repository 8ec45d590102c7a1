"""Views that exist for these tests only: `pytestmark = pytest.mark.urls("tests.probes")`."""

from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import connection
from django.urls import include, path, re_path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.permissions import AllowAny

from apps.accounts.models import User
from apps.api.fields import StrictCharField, StrictIntegerField, StrictUUIDField
from apps.api.operations import Operation
from apps.api.pagination import page_data
from apps.api.responses import success
from apps.api.views import ApiView, IdempotentView, UnknownPathView
from apps.core.errors import Conflict, ServiceUnavailable
from apps.core.transactions import requires_transaction, use_case
from apps.outbox.models import OutboxEvent
from apps.outbox.recording import record_event
from concert_project import error_handlers

API = "/api/v1/probes"
LIMIT_NAMES = ("register", "join", "hold", "charge", "write")
LOCK = 20_261_122

handler400 = error_handlers.handler400
handler403 = error_handlers.handler403
handler404 = error_handlers.handler404
handler500 = error_handlers.handler500


class Busy(Conflict):
    code = "SEAT_ALREADY_HELD"


class BodySerializer(serializers.Serializer[Any]):
    count = StrictIntegerField(required=False)
    amount = StrictIntegerField(required=False, min_value=1, max_value=10)
    text = StrictCharField(required=False, max_length=10)
    reference = StrictUUIDField(required=False)
    seats = serializers.ListField(child=StrictIntegerField(), required=False)


class CustomerSerializer(serializers.Serializer[User]):
    user_id = serializers.IntegerField(source="pk")


class PublicView(ApiView):
    permission_classes = (AllowAny,)


class BodyView(PublicView):
    def post(self, request):
        return success(self.validated(BodySerializer), message="Read.")


class NumberView(PublicView):
    def get(self, request, number):
        return success({"number": number} | request.query_params.dict(), message="Read.")


class CustomersView(PublicView):
    def get(self, request):
        page = page_data(request, User.objects.order_by("pk"), CustomerSerializer)
        return success(page, message="Customers.")


class PersonalView(ApiView):
    def get(self, request):
        return success({"user_id": self.customer_id}, message="You.")


class FailingView(PublicView):
    """Fails in the way its url names."""

    kind = ""

    def get(self, request):
        match self.kind:
            case "crash":
                raise RuntimeError("a password in a stack trace")
            case "busy":
                raise Busy(retry_after=7, seat_ids=[1, 2])
            case "unavailable":
                raise ServiceUnavailable(retry_after=3)
            case "suspicious":
                raise SuspiciousOperation("odd")
            case "forbidden":
                raise PermissionDenied
            case "locked":
                wait_for_lock()
            case "unrenderable":
                return success({"x": object()}, message=_("There is nothing here."))
        raise AssertionError(self.kind)


@use_case
def wait_for_lock():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '50ms'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


class LimitedView(PublicView):
    def get(self, request):
        return success(None, message="Within the limit.")

    post = get


class OnceView(IdempotentView):
    """The effect is one event in the outbox; `{"fail": true}` refuses after it."""

    idempotent_as = Operation.CHARGE
    required = True

    def post(self, request):
        return self.once(
            effect=lambda: note(refuse=request.data.get("fail", False)),
            render=lambda event: (201, _("There is nothing here."), {"event_id": str(event.pk)}),
            required=self.required,
        )


@requires_transaction
def note(*, refuse: bool = False) -> OutboxEvent:
    event = record_event(type="tests.noted", payload={}, occurred_at=timezone.now())
    if refuse:
        raise Busy
    return event


def limited(name):
    return type(f"{name}View", (LimitedView,), {"rate_limits": {"POST": name, "GET": name}})


FAILURES = ("crash", "busy", "unavailable", "suspicious", "forbidden", "locked", "unrenderable")

probes = [
    path("probes/body", BodyView.as_view()),
    path("probes/numbers/<int64:number>", NumberView.as_view()),
    path("probes/customers", CustomersView.as_view()),
    path("probes/personal", PersonalView.as_view()),
    path("probes/once", OnceView.as_view()),
    path("probes/once-if-asked", OnceView.as_view(required=False)),
    *(path(f"probes/{kind}", FailingView.as_view(kind=kind)) for kind in FAILURES),
    *(path(f"probes/limited/{name}", limited(name).as_view()) for name in LIMIT_NAMES),
    re_path("", UnknownPathView.as_view()),
]

urlpatterns = [path("api/v1/", include(probes))]
