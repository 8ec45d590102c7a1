"""The envelope: every answer is `{"code": ..., "message": ..., "data": ...}`."""

from collections.abc import Mapping
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.functional import Promise
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from apps.shared.codes import CODES

SUCCESS = "SUCCESS"


def envelope(code: str, message: str | Promise, data: Any) -> dict[str, Any]:
    return {"code": code, "message": str(message), "data": data}


def success(
    data: Any,
    *,
    message: str | Promise,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A successful answer; always JSON, also for a caller that prefers problem documents for errors."""
    return Response(
        envelope(SUCCESS, message, data),
        status=status,
        headers=dict(headers or {}),
        content_type="application/json",
    )


def refusal_body(code: str, details: Mapping[str, object] | None = None) -> dict[str, Any]:
    """The body of an error answer, from the registry of codes."""
    entry = CODES[code]
    request_id = structlog.contextvars.get_contextvars().get("request_id", "")
    data = {"retryable": entry.retryable, "request_id": request_id, **(details or {})}
    return envelope(code, entry.message, data)


def conditional(
    request: HttpRequest, body: bytes, *, content_type: str, etag: str, cache: str
) -> HttpResponseBase:
    """The body, or 304 for a caller that has it already. `etag` is in quotes."""
    headers = {"Cache-Control": cache, "ETag": etag}
    response = HttpResponse(body, content_type=content_type, headers=headers)
    answer = get_conditional_response(request, etag=etag, response=response)
    assert answer is not None
    return answer


def as_json(body: Any) -> bytes:
    rendered: bytes = JSONRenderer().render(body)
    return rendered
