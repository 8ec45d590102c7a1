from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from tests.reservations.racing import Elsewhere


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
