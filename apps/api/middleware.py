"""Middleware that every call passes, those of the API included."""

import random
import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware

API_PREFIX = "/api/v1/"
_LANGUAGE_INDEPENDENT = "_is_language_independent"
_SESSION_KEY = re.compile(r"[a-z0-9]{8,40}")
_USABLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")

Handler = Callable[[HttpRequest], HttpResponse]


def usable_request_id(sent: str) -> str:
    """Return the caller's id of a request if it is fit for a log line, a new one otherwise."""
    return sent if _USABLE_REQUEST_ID.fullmatch(sent) else _new_request_id()


def _new_request_id() -> str:
    """Return a UUID (RFC 9562, version 4). It is no secret, so it does not have to come from the system."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


class RequestIdMiddleware:
    """Takes the caller's `X-Request-ID` if it is fit for a log line, makes one otherwise, and returns it."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = usable_request_id(request.META.get("HTTP_X_REQUEST_ID", ""))
        request.META["HTTP_X_REQUEST_ID"] = request_id
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class ApiPathMiddleware:
    """Answers `/api/v1/concerts/` like `/api/v1/concerts`, without a redirect; `/api/v1` itself keeps its slash."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if f"{request.path_info}/" == API_PREFIX:
            request.path_info = API_PREFIX
        elif request.path_info.startswith(API_PREFIX) and request.path_info != API_PREFIX:
            request.path_info = request.path_info.removesuffix("/")
        return self.get_response(request)


class UsableHeadersMiddleware:
    """Drops headers of a call that nothing here can mean, before something chokes on them.

    A session cookie that is no session key (Django would look it up, NUL characters and all), and conditions on changing a
    resource by its tag, which no resource of the API offers.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        session_key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if session_key is not None and not _SESSION_KEY.fullmatch(session_key):
            del request.COOKIES[settings.SESSION_COOKIE_NAME]
        for header in ("HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE"):
            request.META.pop(header, None)
        return self.get_response(request)


def mark_language_independent(request: HttpRequest) -> None:
    """Say that the answer to this request does not depend on who asks, nor in which language."""
    setattr(request, _LANGUAGE_INDEPENDENT, True)


class NegotiatedLocaleMiddleware(LocaleMiddleware):
    """Leaves answers alone that are the same bytes in every language, so that caches keep one copy of them.

    A view marks such an answer by calling `mark_language_independent`.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if hasattr(request, _LANGUAGE_INDEPENDENT):
            response.headers["Content-Language"] = settings.LANGUAGE_CODE
            return response
        return super().process_response(request, response)
