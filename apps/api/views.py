from contextlib import suppress
from typing import Any, ClassVar

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import NotFound, UnsupportedMediaType, ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.api.throttling import Quota, hit_limit
from apps.core.errors import RateLimited

WRITING_METHODS = {"POST", "PUT", "PATCH", "DELETE"}


class ApiView(APIView):
    """The base of every view: login required unless `permission_classes` says otherwise.

    `rate_limits` names the limit of each method; other writing methods spend the common one.
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
        """The body (or `data`) as `serializer_class` understands it.

        :raises ValidationError: it does not fit.
        """
        body = self.request.data if data is None else data
        if not isinstance(body, dict):
            raise ValidationError({"non_field_errors": [_("Expected a JSON object.")]})
        serializer = serializer_class(data=body)
        serializer.is_valid(raise_exception=True)
        validated: dict[str, Any] = serializer.validated_data
        return validated

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
