"""Middleware that the API needs and the pages do not mind."""

import random
import re
from collections.abc import Callable
from zoneinfo import ZoneInfo

from csp.constants import HEADER
from csp.utils import build_policy
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import timezone

API_PREFIX = "/api/v1/"
_SAME_IN_EVERY_LANGUAGE = "_same_in_every_language"
_SESSION_KEY = re.compile(r"[a-z0-9]{8,40}")
_USABLE_LENGTH = re.compile(r"[0-9]{1,15}")
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


class ConstantPolicyMiddleware:
    """The content security policy of the settings, put together once: no view here changes it or asks for a nonce."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        # In one order, so that every process sends the same bytes.
        self._policy = "; ".join(sorted(build_policy().split("; ")))
        self._free = tuple(settings.CONTENT_SECURITY_POLICY["EXCLUDE_URL_PREFIXES"])

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path_info.startswith(self._free):
            response.headers.setdefault(HEADER, self._policy)
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


class BodySizeMiddleware:
    """Refuses forms of the pages that are too large before anything reads them: Django's own limit does not count files.

    The API has a limit of its own, and an answer for it.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        is_too_large = (
            not _USABLE_LENGTH.fullmatch(length)
            or int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        )
        if is_too_large and not request.path_info.startswith(API_PREFIX):
            raise RequestDataTooBig
        return self.get_response(request)


class VenueTimeMiddleware:
    """Pages show and take times as the clocks at the venue have them; the API speaks UTC."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(API_PREFIX):
            return self.get_response(request)
        with timezone.override(ZoneInfo(settings.VENUE_TIME_ZONE)):
            return self.get_response(request)


def mark_language_independent(request: HttpRequest) -> None:
    """Say that the answer to this request does not depend on who asks, nor in which language."""
    setattr(request, _SAME_IN_EVERY_LANGUAGE, True)


class NegotiatedLocaleMiddleware(LocaleMiddleware):
    """Leaves answers alone that are the same bytes in every language, so that caches keep one copy of them.

    A view marks such an answer by calling `mark_language_independent`.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if hasattr(request, _SAME_IN_EVERY_LANGUAGE):
            response.headers["Content-Language"] = settings.LANGUAGE_CODE
            return response
        return super().process_response(request, response)
