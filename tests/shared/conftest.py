from collections.abc import Generator

import pytest
from django.db import connection
from django.test import Client

from apps.shared import publishing
from apps.shared.api import throttling
from apps.shared.store import Breaker

API = "/api/v1/probes"


@pytest.fixture
def api() -> Client:
    """An anonymous caller who gets a 500 as an answer, as in production, and not as an exception."""
    return Client(raise_request_exception=False)


@pytest.fixture(autouse=True)
def _closed_breakers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test did to a store must not make the next one refuse."""
    monkeypatch.setattr(throttling, "_breaker", Breaker())
    monkeypatch.setattr(publishing, "_breaker", Breaker())


@pytest.fixture
def rival() -> Generator:
    """A second connection to the test's database."""
    other = connection.copy()
    yield other
    other.close()
