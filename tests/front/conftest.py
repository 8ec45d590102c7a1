"""The same calls through two doors: the application that a server runs, and Django without anything in front of it."""

import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from apps.api.wsgi import with_plain_content_type
from apps.core import lean_store
from apps.core.caching import clear_process_caches
from apps.front.application import Front
from tests.api.wsgi import Answer, call
from tests.factories.accounts import CustomerFactory, bearer

JSON = {"Content-Type": "application/json"}
KOREAN = {"Accept-Language": "ko"}

# What differs between two calls that are the same.
_CHANGING = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", "<time>"),
    (r"q1\.k1\.[\w-]+\.[\w-]+", "<token>"),
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", "<date>"),
    (r'"(?:concert|performance|seat)_id":\s*\d+', "<id>"),
    (r'(?<="seat_ids":)\[[\d,]+\]', "<ids>"),
    (r'(?<="code":)"[A-Z2-7]{16}"', "<code>"),
    (r'(?<="order_number":)"[2-9A-Z]{4}-[2-9A-Z]{4}"', "<order>"),
    (r"(?<=/concerts/)\d+", "<id>"),
    (r"(?<=;t=)\d+", "<seconds>"),
    (r"(?<=csrftoken=)\w{32}", "<csrf>"),
    (r'(?<=name="csrfmiddlewaretoken" value=")\w+', "<csrf>"),
    # Until an opening.
    (r"(?<=poll_after_seconds\":)1[78]\d\d|^1[78]\d\d$", "<seconds>"),
    (r"(?<=opens_in_seconds\": )\d+", "<seconds>"),
    (r"(?<=lease_seconds\": )\d+", "<seconds>"),
)


@dataclass
class Seen:
    """An answer, comparable with that of another door."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    @classmethod
    def of(cls, answer: Answer) -> "Seen":
        length = len(answer.body)
        assert dict(answer.headers).get("content-length", str(length)) == str(length)
        headers = [(name, cls._header(answer, name, value)) for name, value in answer.headers]
        return cls(answer.status, sorted(headers), _alike(answer.body.decode()))

    @staticmethod
    def _header(answer: Answer, name: str, value: str) -> str:
        if name == "content-length":
            # It varies with the digits of ids and with microseconds, which are left out when they are zero.
            return "<length>" if int(value) else value
        if name == "etag" and answer.status >= 400:
            return "<etag>"  # the body has the id of the request in it
        return _alike(value)


def _alike(text: str) -> str:
    for pattern, name in _CHANGING:
        text = re.sub(pattern, name, text)
    return text


@dataclass
class Django:
    """Django's handler, which can be watched and taken away."""

    handler: Callable[..., Iterable[bytes]]
    asked: int = 0
    is_away: bool = False

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        assert not self.is_away, f"Django was asked for {environ['PATH_INFO']}"
        self.asked += 1
        return self.handler(environ, start_response)


@dataclass
class Door:
    application: Callable[..., Iterable[bytes]]

    def __call__(
        self, asked: str, body: bytes = b"", headers: dict[str, str] | None = None, **more: str
    ) -> Answer:
        """`asked` is a method and a target; `more` are headers with underscores for hyphens."""
        method, target = asked.split(" ", 1)
        sent = dict(headers or {}) | {name.replace("_", "-"): more[name] for name in more}
        return call(self.application, method, target, headers=sent, body=body)

    def join(self, concert_id: int, headers: dict[str, str]) -> Answer:
        return self("POST /api/v1/queue/tokens", b'{"concert_id": %d}' % concert_id, JSON | headers)


def data_of(answer: Answer) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(answer.body)["data"]
    return data


def token_of(answer: Answer) -> dict[str, str]:
    """Return the header of a visitor who was given this answer."""
    return {"Queue-Token": data_of(answer)["token"]}


Scenario = Callable[[Door], list[Answer]]


@dataclass
class Doors:
    bare: Door
    composed: Door
    django: Django
    """The one behind the composed door."""
    forget: Callable[[], None]
    """Make a scenario start as the one before did."""

    def compare(self, scenario: Scenario, *, is_served: bool | None = True) -> list[Answer]:
        """Play a scenario at each door, at the front's once to be learned from, and compare every answer.

        With `is_served` no call of the last time may come to Django; if it is False, each must.
        """
        expected = [Seen.of(answer) for answer in self._play(scenario, self.bare)]
        taught = [Seen.of(answer) for answer in self._play(scenario, self.composed)]
        assert taught == expected
        asked = self.django.asked
        self.django.is_away = bool(is_served)
        answers = self._play(scenario, self.composed)
        self.django.is_away = False
        assert [Seen.of(answer) for answer in answers] == expected
        if is_served is False:
            assert self.django.asked - asked == len(answers)
        return answers

    def _play(self, scenario: Scenario, door: Door) -> list[Answer]:
        self.forget()
        return scenario(door)


@contextmanager
def round_trips(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Note what is sent to stores meanwhile, one entry for each round trip."""
    sent: list[Any] = []
    exchange = lean_store._ThreadConnection.exchange

    def noted(self: Any, command: Any) -> Any:
        sent.append(command)
        return exchange(self, command)

    with monkeypatch.context() as patch:
        patch.setattr(lean_store._ThreadConnection, "exchange", noted)
        yield sent


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch, store: redis.Redis) -> Doors:
    clear_process_caches()
    # Advice is jittered.
    monkeypatch.setattr("apps.queue.core.room.random.random", lambda: 0.5)
    handler = WSGIHandler()
    django = Django(handler)

    def forget_limits() -> None:
        for key in store.scan_iter("ratelimit:*"):
            store.delete(key)

    return Doors(
        bare=Door(with_plain_content_type(handler)),
        composed=Door(with_plain_content_type(Front(django))),
        django=django,
        forget=forget_limits,
    )


@pytest.fixture
def keep_connection(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Keep requests from closing their connection: that would end the transaction around a test."""
    monkeypatch.setattr("apps.front.application.close_old_connections", lambda: None)
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def login() -> Callable[[], dict[str, str]]:
    """Return a function that makes the headers of a new customer."""
    return lambda: bearer(CustomerFactory())
