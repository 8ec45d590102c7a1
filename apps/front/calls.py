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

_KEPT = 1_000
_JSON = frozenset({None, "*/*", "application/json"})
_NOTHING = frozenset({None, "", "0"})
# Django answers a cookie of another form with a new one.
_CSRF_COOKIE = re.compile(r"[a-zA-Z0-9]{32}|[a-zA-Z0-9]{64}")


class Circumstances(NamedTuple):
    """The part of a call that makes a difference in the headers of answers of one kind."""

    is_secure: bool
    language: str


@dataclass(slots=True)
class Call:
    environ: WSGIEnvironment
    language: str

    def read_body(self) -> bytes | None:
        """Return the whole body and leave it to be read again; None if it is not as long as announced."""
        length = int(self.environ["CONTENT_LENGTH"])
        body: bytes = self.environ["wsgi.input"].read(length)
        self.environ["wsgi.input"] = BytesIO(body)
        return body if len(body) == length else None


def has_no_body(environ: WSGIEnvironment) -> bool:
    return environ.get("CONTENT_LENGTH") in _NOTHING


def takes_json(environ: WSGIEnvironment) -> bool:
    return environ.get("HTTP_ACCEPT") in _JSON


class Reception:
    """Looks at calls as the settings of this process say."""

    def __init__(self) -> None:
        proxy_header = settings.SECURE_PROXY_SSL_HEADER
        self._proxy_header: str = proxy_header[0] if proxy_header else ""
        self._csrf_cookie: str = settings.CSRF_COOKIE_NAME
        self._language_cookie: str = settings.LANGUAGE_COOKIE_NAME
        self._ask_once = lru_cache(_KEPT)(self._ask_django)

    def circumstances_of(self, environ: WSGIEnvironment) -> Circumstances | None:
        """Return what decides about the headers of an answer; None if something about the call is unusual."""
        get = environ.get
        if get("QUERY_STRING") or get("SCRIPT_NAME"):
            return None
        language = None
        cookies = get("HTTP_COOKIE")
        if cookies and (self._csrf_cookie in cookies or self._language_cookie in cookies):
            values = parse_cookie(cookies)
            csrf_cookie = values.get(self._csrf_cookie)
            if csrf_cookie is not None and not _CSRF_COOKIE.fullmatch(csrf_cookie):
                return None
            language = values.get(self._language_cookie)
        return self._ask_once(
            get("HTTP_HOST"),
            environ["wsgi.url_scheme"],
            get(self._proxy_header),
            get("HTTP_ACCEPT_LANGUAGE"),
            language,
        )

    def _ask_django(
        self,
        host: str | None,
        scheme: str,
        forwarded_scheme: str | None,
        accept_language: str | None,
        language: str | None,
    ) -> Circumstances | None:
        """Ask Django's own request, which need not be made for each call."""
        if host is None:
            return None
        environ = {
            "REQUEST_METHOD": "GET",
            "wsgi.url_scheme": scheme,
            "wsgi.input": BytesIO(),
            "HTTP_HOST": host,
            "HTTP_ACCEPT_LANGUAGE": accept_language or "",
        }
        if forwarded_scheme is not None:
            environ[self._proxy_header] = forwarded_scheme
        request = WSGIRequest(environ)
        request.COOKIES = {} if language is None else {self._language_cookie: language}
        try:
            request.get_host()
        except DisallowedHost:
            return None
        is_secure = request.is_secure()
        if settings.SECURE_SSL_REDIRECT and not is_secure:
            return None
        return Circumstances(is_secure, translation.get_language_from_request(request))
