from collections.abc import Generator

import pytest
from django.db import connection
from django.test import Client

from apps.shared import outbox, publishing
from apps.shared.outbox import Consumer, one_by_one, register_consumer
from apps.shared.store import Breaker
from tests.shared.deliveries import TYPE, Recorder

API = "/api/v1/probes"


@pytest.fixture
def api() -> Client:
    """An anonymous caller who gets a 500 as an answer, as in production, and not as an exception."""
    return Client(raise_request_exception=False)


@pytest.fixture(autouse=True)
def _closed_breakers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test did to a store must not make the next one refuse."""
    monkeypatch.setattr(publishing, "_breaker", Breaker())


@pytest.fixture
def rival() -> Generator:
    """A second connection to the test's database."""
    other = connection.copy()
    yield other
    other.close()


@pytest.fixture
def consumer(monkeypatch):
    """Register consumers for this test; `consumer("first")` returns what its effect records."""
    monkeypatch.setattr(outbox, "_consumers", {})

    def register(
        name: str = "first",
        types: tuple[str, ...] = (TYPE,),
        task: str = "concerts.update_ranking",
        *,
        is_outside: bool = False,
    ) -> Recorder:
        recorder = Recorder()
        register_consumer(Consumer(name, frozenset(types), one_by_one(recorder), task, is_outside))
        return recorder

    return register
