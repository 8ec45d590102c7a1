"""Answers as Django would send them."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from types import NoneType
from typing import Any
from wsgiref.types import WSGIEnvironment

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import get_conditional_response, set_response_etag
from django.utils.functional import Promise
from rest_framework.serializers import Serializer

from apps.api.responses import SUCCESS, as_json

STATUS_LINES = {200: "200 OK", 201: "201 Created", 304: "304 Not Modified", 409: "409 Conflict"}

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` are those that differ from call to call, beside the id of the request and the length of the body."""

    status: int
    body: bytes
    headers: Sequence[Header] = ()


class HeadersLearned:
    """The headers that all answers of a kind have in common, as Django sent them."""

    # Written by the front itself, from what it answers; or by Django alone, for an answer that is repeated.
    CHANGING = frozenset(
        {
            "x-request-id",
            "content-length",
            "etag",
            "idempotent-replayed",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "set-cookie",
        }
    )

    def __init__(self) -> None:
        self._constant: dict[Any, list[Header]] = {}

    def of(self, key: Any) -> list[Header] | None:
        return self._constant.get(key)

    def learn(self, key: Any, headers: Iterable[Header]) -> None:
        self._constant[key] = [
            header for header in headers if header[0].lower() not in self.CHANGING
        ]


class PlainRenderer:
    """Renders objects as a serializer would whose fields are numbers, texts and times, in the order of its fields."""

    def __init__(self, serializer_class: type[Serializer[Any]]) -> None:
        names = tuple(serializer_class().fields)
        self._values: Callable[[Any], tuple[Any, ...]] = attrgetter(*names)
        self._template = "{" + ",".join(f'"{name}":%s' for name in names) + "}"

    def __call__(self, instance: Any) -> bytes:
        """:raises KeyError: a value is neither number, text, time nor None."""
        values = [_WRITERS[type(value)](value) for value in self._values(instance)]
        return (self._template % tuple(values)).encode()


def _write_time(value: datetime) -> str:
    moment = value if value.tzinfo is UTC else value.astimezone(UTC)
    return f'"{moment.isoformat()[: -len("+00:00")]}Z"'


def _write_text(value: str) -> str:
    # These two end a line in JavaScript, so the renderer of the API does not leave them as they are.
    written = json.encoder.encode_basestring(value)
    return written.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


# Of exact types: a subclass may have its own idea of how it is written.
_WRITERS: dict[type, Callable[[Any], str]] = {
    int: int.__repr__,
    str: _write_text,
    datetime: _write_time,
    NoneType: lambda _none: "null",
}


class Envelope:
    """The envelope of a success with one message, around data that is rendered already."""

    def __init__(self, message: str | Promise) -> None:
        self._message = message
        self._openings: dict[str, bytes] = {}

    def around(self, data: bytes, language: str) -> bytes:
        opening = self._openings.get(language)
        if opening is None:
            with translation.override(language):
                begun = as_json({"code": SUCCESS, "message": str(self._message)})
            opening = self._openings[language] = begun[:-1] + b',"data":'
        return b"%b%b}" % (opening, data)


def etag_of(body: bytes) -> str:
    """Return the tag that Django gives to an answer without one."""
    response = HttpResponse(body)
    set_response_etag(response)
    return response.headers["ETag"]


def is_known(environ: WSGIEnvironment, etag: str) -> bool:
    """Return whether the caller has said that it has the answer with this tag already."""
    known = environ.get("HTTP_IF_NONE_MATCH")
    if known is None or known == etag:
        return known is not None
    request = HttpRequest()
    request.method = "GET"
    request.META = {"HTTP_IF_NONE_MATCH": known}
    return get_conditional_response(request, etag=etag) is not None
