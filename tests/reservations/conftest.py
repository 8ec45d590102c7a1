from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from apps.shared import publishing
from apps.shared.store import Breaker
from tests.reservations.racing import Elsewhere


@pytest.fixture(autouse=True)
def _closed_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that was slow in one test must not keep the next one from publishing."""
    monkeypatch.setattr(publishing, "_breaker", Breaker())


@pytest.fixture
def elsewhere() -> Generator[Elsewhere]:
    """`elsewhere(call)` runs it in another thread, with a database connection of its own, and returns a future."""
    with ThreadPoolExecutor() as pool:

        def start(call: Callable[[], Any]) -> "Future[Any]":
            def run() -> Any:
                try:
                    return call()
                finally:
                    connections.close_all()

            return pool.submit(run)

        yield start
