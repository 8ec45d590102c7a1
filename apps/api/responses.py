"""The envelope: every answer is `{"code": ..., "message": ..., "data": ...}`."""

from collections.abc import Mapping
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import re_accepts_gzip
from django.utils.cache import get_conditional_response
from django.utils.functional import Promise
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from apps.core.codes import CODES

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
    """Return a successful answer; always JSON, also for a caller that prefers problem documents for errors."""
    return Response(
        envelope(SUCCESS, message, data),
        status=status,
        headers=dict(headers or {}),
        content_type="application/json",
    )


def success_body(message: str | Promise, data: bytes) -> bytes:
    """Return the envelope of a success around `data` that is JSON already."""
    return b'{"code":%s,"message":%s,"data":%s}' % (as_json(SUCCESS), as_json(str(message)), data)


def error_body(
    code: str, details: Mapping[str, object] | None = None, message: str | None = None
) -> dict[str, Any]:
    """Return the body of an error answer, with the message of the registry of codes unless there is a better one."""
    entry = CODES[code]
    request_id = structlog.contextvars.get_contextvars().get("request_id", "")
    data = {"retryable": entry.retryable, "request_id": request_id, **(details or {})}
    return envelope(code, message or entry.message, data)


def conditional(
    request: HttpRequest,
    body: bytes,
    *,
    content_type: str,
    etag: str,
    cache: str,
    gzipped: bytes | None = None,
) -> HttpResponseBase:
    """Return the body, or 304 for a caller that has it already. `etag` is in quotes.

    `gzipped` is the same body for callers that take it compressed; only what holds no secret may be compressed once for all.
    """
    headers = {"Cache-Control": cache, "ETag": etag}
    if gzipped is not None:
        headers["Vary"] = "Accept-Encoding"
        if re_accepts_gzip.search(request.headers.get("Accept-Encoding", "")):
            body = gzipped
            headers |= {"Content-Encoding": "gzip", "ETag": f"W/{etag}"}
    response = HttpResponse(body, content_type=content_type, headers=headers)
    answer = get_conditional_response(request, etag=headers["ETag"], response=response)
    assert answer is not None
    return answer


def as_json(body: Any) -> bytes:
    rendered: bytes = JSONRenderer().render(body)
    return rendered
