"""Calls that the front may answer, and what of them decides about the answer."""

import re
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import NamedTuple
from wsgiref.types import WSGIEnvironment

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.http import parse_cookie
from django.utils import translation

_CALLS_KEPT = 1_000
_JSON = (None, "*/*", "application/json")
# Django answers a cookie of another form with a new one.
_CSRF_COOKIE = re.compile(r"[a-zA-Z0-9]{32}|[a-zA-Z0-9]{64}")


class Circumstances(NamedTuple):
    """What makes a difference in the headers of answers of one kind."""

    is_secure: bool
    language: str


@dataclass(frozen=True, slots=True)
class Call:
    environ: WSGIEnvironment
    request_id: str
    circumstances: Circumstances

    def read_body(self) -> bytes | None:
        """Return the whole body and leave it to be read again; None if it is not as long as announced."""
        length = int(self.environ["CONTENT_LENGTH"])
        body: bytes = self.environ["wsgi.input"].read(length)
        self.environ["wsgi.input"] = BytesIO(body)
        return body if len(body) == length else None


def circumstances_of(environ: WSGIEnvironment) -> Circumstances | None:
    """Return what decides about the headers of an answer; None if something about the call is unusual."""
    if environ["QUERY_STRING"] or environ.get("SCRIPT_NAME"):
        return None
    language_cookie = None
    cookies = environ.get("HTTP_COOKIE")
    if cookies and (
        settings.CSRF_COOKIE_NAME in cookies or settings.LANGUAGE_COOKIE_NAME in cookies
    ):
        values = parse_cookie(cookies)
        csrf_cookie = values.get(settings.CSRF_COOKIE_NAME)
        if csrf_cookie is not None and not _CSRF_COOKIE.fullmatch(csrf_cookie):
            return None
        language_cookie = values.get(settings.LANGUAGE_COOKIE_NAME)
    get = environ.get
    return _circumstances(
        get("HTTP_HOST"),
        environ["wsgi.url_scheme"],
        get(_proxy_header()),
        get("HTTP_ACCEPT_LANGUAGE"),
        language_cookie,
    )


def has_no_body(environ: WSGIEnvironment) -> bool:
    return environ.get("CONTENT_LENGTH") in (None, "", "0")


def takes_json(environ: WSGIEnvironment) -> bool:
    return environ.get("HTTP_ACCEPT") in _JSON


def _proxy_header() -> str:
    return settings.SECURE_PROXY_SSL_HEADER[0] if settings.SECURE_PROXY_SSL_HEADER else ""


@lru_cache(_CALLS_KEPT)
def _circumstances(
    host: str | None,
    scheme: str,
    forwarded_scheme: str | None,
    accept_language: str | None,
    language_cookie: str | None,
) -> Circumstances | None:
    """Ask Django's own request once for each combination."""
    environ = {
        "REQUEST_METHOD": "GET",
        "wsgi.url_scheme": scheme,
        "wsgi.input": BytesIO(),
        "HTTP_ACCEPT_LANGUAGE": accept_language or "",
    }
    if host is None:
        return None
    environ["HTTP_HOST"] = host
    if forwarded_scheme is not None:
        environ[_proxy_header()] = forwarded_scheme
    request = WSGIRequest(environ)
    request.COOKIES = (
        {} if language_cookie is None else {settings.LANGUAGE_COOKIE_NAME: language_cookie}
    )
    try:
        request.get_host()
    except DisallowedHost:
        return None
    is_secure = request.is_secure()
    if settings.SECURE_SSL_REDIRECT and not is_secure:
        return None
    return Circumstances(is_secure, translation.get_language_from_request(request))
