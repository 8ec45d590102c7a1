"""The one place where exceptions become answers of the API."""

from collections.abc import Mapping
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from apps.api.middleware import API_PREFIX
from apps.api.refusal_counts import count_refusal
from apps.api.renderers import as_problem
from apps.api.responses import error_body
from apps.core.codes import CODES
from apps.core.errors import DomainError, TooBusy
from apps.core.store import AWAY

logger = structlog.get_logger(__name__)

_CODE_OF_EXCEPTION: tuple[tuple[type[Exception], str], ...] = (
    (drf.ParseError, "MALFORMED_REQUEST"),
    (drf.NotAuthenticated, "AUTHENTICATION_REQUIRED"),
    (drf.AuthenticationFailed, "AUTHENTICATION_REQUIRED"),
    (drf.PermissionDenied, "PERMISSION_DENIED"),
    (PermissionDenied, "PERMISSION_DENIED"),
    (drf.NotFound, "NOT_FOUND"),
    (Http404, "NOT_FOUND"),
    (drf.MethodNotAllowed, "METHOD_NOT_ALLOWED"),
    (drf.NotAcceptable, "NOT_ACCEPTABLE"),
    (drf.UnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE"),
    (RequestDataTooBig, "PAYLOAD_TOO_LARGE"),
    (SuspiciousOperation, "MALFORMED_REQUEST"),
    *((kind, "SERVICE_UNAVAILABLE") for kind in AWAY),
)


def render_exception(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler: answers every exception with the envelope of its code."""
    code, details, retry_after = _explain(error)
    count_refusal(code)
    entry = CODES[code]
    request = context.get("request")
    if request and not isinstance(getattr(request, "accepted_renderer", None), JSONRenderer):
        # A caller that asked for a picture gets the reason why there is none in JSON all the same.
        request.accepted_renderer = JSONRenderer()
        request.accepted_media_type = JSONRenderer.media_type
    if entry.status >= 500 and not isinstance(error, TooBusy):
        # A store that is away is told with each call of a crowd: one line says it as well as a traceback.
        is_known = code == "SERVICE_UNAVAILABLE"
        reason = {"reason": repr(error.__cause__ or error)} if is_known else {"exc_info": error}
        logger.error("request_failed", code=code, **reason)
    headers = {}
    if entry.retryable:
        headers["Retry-After"] = str(retry_after or 1)
    if code == "AUTHENTICATION_REQUIRED":
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, drf.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    message = error.message if isinstance(error, DomainError) else None
    return Response(error_body(code, details, message), status=entry.status, headers=headers)


def _explain(error: Exception) -> tuple[str, Mapping[str, object], int | None]:
    if isinstance(error, DomainError):
        return error.code, error.details, error.retry_after
    if isinstance(error, drf.ValidationError):
        return "VALIDATION_ERROR", {"errors": _flattened(error.detail)}, None
    for kind, code in _CODE_OF_EXCEPTION:
        if isinstance(error, kind):
            return code, {}, None
    return "INTERNAL_ERROR", {}, None


def _flattened(detail: Any, path: str = "") -> dict[str, list[str]]:
    """`{"field": ["message"]}`, nested fields joined by dots, also for the errors of lists."""
    if isinstance(detail, Mapping):
        children: Any = detail.items()
    elif any(isinstance(item, (Mapping, list)) for item in detail):
        children = enumerate(detail)
    else:
        return {path or "non_field_errors": [str(item) for item in detail]}
    flat: dict[str, list[str]] = {}
    for key, value in children:
        if value:
            flat.update(_flattened(value, f"{path}.{key}" if path else str(key)))
    return flat


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(API_PREFIX) or request.path_info + "/" == API_PREFIX


def refuse_call(request: HttpRequest, code: str) -> HttpResponse:
    """Answer a call that never reached a view of the API: an unknown path, a refused host, a failure of middleware."""
    status = CODES[code].status
    body = error_body(code)
    if "application/problem+json" in request.headers.get("Accept", ""):
        return JsonResponse(
            as_problem(body, status), status=status, content_type="application/problem+json"
        )
    return JsonResponse(body, status=status)
