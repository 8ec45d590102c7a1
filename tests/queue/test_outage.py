"""A store that freezes: connections are accepted, nothing is answered."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from apps.concerts.models import Concert
from devstack.servers import ValkeyServer
from tests.conftest import StartValkey
from tests.factories.accounts import CustomerFactory, bearer
from tests.queue.rooms import Visitor

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(valkey_server: StartValkey, settings: LazySettings) -> ValkeyServer:
    server = valkey_server()
    settings.QUEUE_URL = server.url
    return server


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.monotonic()
    result = call()
    return time.monotonic() - started, result


def test_a_frozen_store_is_refused_within_a_second_and_service_resumes_by_itself(
    server: ValkeyServer, concert: Concert, client: Client
) -> None:
    visitor = Visitor(concert).join()
    newcomer = bearer(CustomerFactory())
    calls: list[Callable[[], Any]] = [
        lambda: client.get("/api/v1/queue/tokens/me", headers={"Queue-Token": visitor.token}),
        lambda: client.post(
            "/api/v1/queue/tokens",
            {"concert_id": concert.pk},
            "application/json",
            headers=newcomer,
        ),
    ]
    server.pause()
    try:
        refusals = [seconds(call) for call in calls * 3]
    finally:
        server.resume()

    assert [answer.status_code for _, answer in refusals] == [503] * 6
    assert all(int(answer.headers["Retry-After"]) >= 1 for _, answer in refusals)
    assert max(taken for taken, _ in refusals) < 1.0

    deadline = time.monotonic() + 10
    while (answer := calls[0]()).status_code == 503:
        assert time.monotonic() < deadline
    assert answer.json()["data"]["position"] == 1
    assert calls[1]().status_code == 201
