"""Middleware that only pages need."""

import re
from collections.abc import Callable
from zoneinfo import ZoneInfo

from csp.constants import HEADER
from csp.utils import build_policy
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from apps.api.middleware import API_PREFIX
from apps.boxoffice.refusals import is_admin

_USABLE_LENGTH = re.compile(r"[0-9]{1,15}")
_SEAT_FILES = re.compile(r"/admin/concerts/(performance/[0-9]+/seats/sheet|halltemplate/file)/")

Handler = Callable[[HttpRequest], HttpResponse]


class ConstantPolicyMiddleware:
    """The content security policies of the settings, put together once: no view here changes one or asks for a nonce."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self._policy = _in_one_order(build_policy())
        self._admin_policy = _in_one_order(
            build_policy(replace=settings.ADMIN_CONTENT_SECURITY_POLICY)
        )
        self._free = tuple(settings.CONTENT_SECURITY_POLICY["EXCLUDE_URL_PREFIXES"])

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path_info.startswith(self._free):
            policy = self._admin_policy if is_admin(request) else self._policy
            response.headers.setdefault(HEADER, policy)
        return response


def _in_one_order(policy: str) -> str:
    """Sort the directives, so that every process sends the same bytes."""
    return "; ".join(sorted(policy.split("; ")))


class BodySizeMiddleware:
    """Refuses forms of the pages that are too large before anything reads them: Django's own limit does not count files.

    Staff upload files of seats, which may be larger. The API has a limit of its own, and an answer for it.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if _SEAT_FILES.fullmatch(request.path_info):
            most = settings.SEAT_FILE_MAX_BYTES
        is_too_large = not _USABLE_LENGTH.fullmatch(length) or int(length) > most
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
