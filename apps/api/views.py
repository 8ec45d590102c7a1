from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.functional import Promise, cached_property
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import NotFound, UnsupportedMediaType, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.api.idempotency import (
    StoredAnswer,
    fingerprint_of,
    idempotent,
    stored_answer,
    usable_key,
)
from apps.api.operations import Operation
from apps.api.pagination import page_data
from apps.api.responses import SUCCESS, as_json, envelope, success
from apps.api.throttling import Quota, hit_limit
from apps.core.errors import IdempotencyKeyRequired, RateLimited
from apps.core.transactions import Steps

T = TypeVar("T")

WRITING_METHODS = {"POST", "PUT", "PATCH", "DELETE"}
# In the environment of a call whose effect was tried before Django saw it, and may have been had: the exception that ended it.
FAILURE = "encore.failure"


class ApiView(APIView):
    """The base of every view: login required unless `permission_classes` says otherwise.

    `rate_limits` names the limit of each method; other writing methods count against the common one.
    """

    http_method_names = [name for name in APIView.http_method_names if name != "options"]
    rate_limits: ClassVar[dict[str, str]] = {}
    quota: Quota | None = None

    @property
    def customer_id(self) -> int:
        """Return the id of the customer who is logged in; for views that require a login."""
        customer_id = self.request.user.pk
        assert customer_id is not None
        return customer_id

    def validated(
        self, serializer_class: type[serializers.Serializer[Any]], data: Any = None
    ) -> dict[str, Any]:
        """Return the body (or `data`) as `serializer_class` understands it.

        :raises ValidationError: it does not fit.
        """
        body = self.request.data if data is None else data
        if not isinstance(body, dict):
            raise ValidationError({"non_field_errors": [_("Expected a JSON object.")]})
        serializer = serializer_class(data=body)
        serializer.is_valid(raise_exception=True)
        validated: dict[str, Any] = serializer.validated_data
        return validated

    def success(
        self, data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return a successful answer with the message that the `@operation` of this method names."""
        method = getattr(self, (self.request.method or "").lower())
        message = method.operation.message
        return success(data, message=message, status=status, headers=headers)

    def page_of(
        self, found: QuerySet[Any], serializer_class: type[serializers.BaseSerializer[Any]]
    ) -> Response:
        """Return the page that the call asks for of rows in order.

        :raises ValidationError: `page` or `page_size` is not a number in its range.
        """
        return self.success(page_data(self.request, found, serializer_class))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Read the body of every writing call: JSON that cannot be read is refused alike where no body is expected.

        There, one of another type is ignored, as HTTP clients send some by themselves.
        """
        super().initial(request, *args, **kwargs)
        method = request.method or ""
        if method in WRITING_METHODS and hasattr(self, method.lower()):
            with suppress(UnsupportedMediaType):
                request.data  # noqa: B018

    @classmethod
    def rate_limit_of(cls, method: str) -> str | None:
        return cls.rate_limits.get(method, "write" if method in WRITING_METHODS else None)

    def check_throttles(self, request: Request) -> None:
        name = self.rate_limit_of(request.method or "")
        if name is None or not settings.RATE_LIMIT_ENABLED:
            return
        self.quota = hit_limit(name, request)
        if self.quota is not None and self.quota.is_exceeded:
            raise RateLimited(retry_after=self.quota.resets_in)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if self.quota is not None:
            self.headers.update(self.quota.headers())
        return super().finalize_response(request, response, *args, **kwargs)


class IdempotentView(ApiView):
    """A view whose effect happens once for each `Idempotency-Key`, under the name of `idempotent_as`."""

    idempotent_as: ClassVar[Operation]

    def once(
        self,
        decide: Callable[[], Steps[T]] | None = None,
        *,
        effect: Callable[[], T] | None = None,
        render: Callable[[T], tuple[int, str | Promise, Any]],
        required: bool = True,
        admit: Callable[[], object] = lambda: None,
    ) -> HttpResponse:
        """Have an effect in its own transaction and answer with `render(result)`: status, message and data.

        `decide` and `effect` are as for `idempotent`. Without `required`, a call that brings no key simply runs. `admit` may refuse;
        it is called before anything is said about the key or another call with it.

        :raises IdempotencyKeyRequired: no key, or one that is not 1 to 255 printable characters.
        """
        failure: Exception | None = self.request.META.pop(FAILURE, None)
        if failure is not None:
            raise failure
        key = self.key(required=required, admit=admit)

        def rendered(result: T) -> tuple[int, bytes]:
            status, message, data = render(result)
            return status, as_json(envelope(SUCCESS, message, data))

        answer = idempotent(
            customer_id=self.customer_id,
            operation=self.idempotent_as,
            key=key,
            fingerprint=self._fingerprint if key else "",
            decide=decide,
            effect=effect,
            render=rendered,
            admit=admit,
        )
        return _as_response(answer)

    def replay(self, key: str) -> HttpResponse | None:
        """Return the answer that a call with this key was given before; None if there was none.

        For views that would refuse today what they did then.
        """
        answer = stored_answer(
            customer_id=self.customer_id,
            operation=self.idempotent_as,
            key=key,
            fingerprint=self._fingerprint,
        )
        return _as_response(answer) if answer else None

    def key(
        self, *, required: bool = False, admit: Callable[[], object] = lambda: None
    ) -> str | None:
        """
        :raises IdempotencyKeyRequired: it is missing, or not 1 to 255 printable characters.
        """
        key = self.request.headers.get("Idempotency-Key")
        if required if key is None else not usable_key(key):
            admit()
            raise IdempotencyKeyRequired
        return key

    @cached_property
    def _fingerprint(self) -> str:
        request = self.request
        return fingerprint_of(request.method or "", request.path_info, request.data)


def _as_response(answer: StoredAnswer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status, content_type="application/json")
    if answer.is_replay:
        response["Idempotent-Replayed"] = "true"
    return response


class UnknownPathView(APIView):
    """Every path of the API that means nothing: 404 whatever the method, with or without a login."""

    authentication_classes = ()
    permission_classes = ()
    schema = None
    http_method_names = []

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {"Vary": "Accept"}  # and no `Allow`: no method would do

    def http_method_not_allowed(self, *args: Any, **kwargs: Any) -> Any:
        raise NotFound
