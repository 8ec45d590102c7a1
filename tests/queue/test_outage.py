"""A store that freezes: connections are accepted, nothing is answered. And one that is full."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from django.utils import timezone

from apps.core.store import BREAK_SECONDS
from apps.outbox.draining import drain
from apps.outbox.models import EventDelivery
from apps.payments.models import Wallet
from apps.queue.services import admit_visitors
from dev.stack.servers import ValkeyServer
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import SeatFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.visitors import Visitor, admitted_visitor

pytestmark = pytest.mark.slow

STORES = ["node"]  # a server of its own, which freezes

FROZEN_SECONDS = 10.0


@pytest.fixture
def server(valkey_server, settings) -> ValkeyServer:
    """It counts calls for the rate limits, too."""
    server = valkey_server()
    settings.QUEUE_URL = settings.CACHE_URL = server.url
    return server


@pytest.fixture
def sale(server):
    """A buyer who holds a seat in a room for one, a visitor who waits, and a newcomer."""
    seat = SeatFactory()
    concert_id = seat.performance.concert_id
    WaitingRoomFactory(concert_id=concert_id, capacity=1)
    buyer = admitted_visitor(concert_id, balance=1_000_000)
    hold = buyer.post("/holds", {"performance_id": seat.performance_id, "seat_ids": [seat.pk]})
    waiting, newcomer = Visitor(CustomerFactory()), Visitor(CustomerFactory())
    waiting.join(concert_id)
    body = {"hold_id": hold.json()["data"]["hold_id"]}
    return SimpleNamespace(
        concert_id=concert_id,
        price=seat.price,
        buyer=buyer,
        waiting=waiting,
        newcomer=newcomer,
        pay=lambda: buyer.post("/reservations", body, key="k"),
    )


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.monotonic()
    result = call()
    return time.monotonic() - started, result


@pytest.mark.django_db(transaction=True)
def test_a_frozen_store_is_refused_within_a_second_and_service_resumes_by_itself(server, sale):
    waiting, newcomer = sale.waiting, sale.newcomer
    status = lambda: waiting.get("/queue/tokens/me")  # noqa: E731
    join = lambda: newcomer.post("/queue/tokens", {"concert_id": sale.concert_id})  # noqa: E731

    server.pause()
    try:
        frozen_until = time.monotonic() + FROZEN_SECONDS
        refusals = [seconds(join), seconds(status)]
        browsed = [newcomer.get(path) for path in ("/concerts", f"/concerts/{sale.concert_id}")]
        paid = sale.pay()
        while time.monotonic() < frozen_until:
            refusals += [seconds(status), seconds(join)]
            time.sleep(0.4)
    finally:
        server.resume()

    assert {answer.status_code for _, answer in refusals} == {503}
    assert all(int(answer.headers["Retry-After"]) >= 1 for _, answer in refusals)
    assert max(taken for taken, _ in refusals) < 1.0
    assert [answer.status_code for answer in browsed] == [200, 200]
    assert paid.status_code == 201
    assert Wallet.objects.get(pk=sale.buyer.customer.pk).balance == 1_000_000 - sale.price

    deadline = time.monotonic() + 10
    while (answer := status()).status_code == 503:
        assert time.monotonic() < deadline
    assert answer.json()["data"]["position"] == 1
    # 200 if the server, waking up, found the call of a visitor who had long hung up.
    joined = join()
    assert joined.status_code in (200, 201)
    assert joined.json()["data"]["position"] == 2


@pytest.mark.django_db(transaction=True)
def test_a_full_store_lets_none_in_loses_no_place_and_sells_on(server, sale):
    waiting, newcomer = sale.waiting, sale.newcomer

    with redis.Redis.from_url(server.url) as operator:
        operator.config_set("maxmemory", 1)
        joined = newcomer.post("/queue/tokens", {"concert_id": sale.concert_id})
        time.sleep(BREAK_SECONDS)
        asked = waiting.get("/queue/tokens/me")
        paid = sale.pay()
        drained = drain(consumer="token_expiry")
        operator.config_set("maxmemory", 0)
    time.sleep(BREAK_SECONDS)

    assert [joined.status_code, asked.status_code] == [503, 503]
    assert int(joined.headers["Retry-After"]) >= 1
    assert joined.json()["code"] == "SERVICE_UNAVAILABLE"
    assert paid.status_code == 201
    assert drained.settled == 0
    place = waiting.get("/queue/tokens/me").json()["data"]
    assert (place["status"], place["position"]) == ("WAITING", 1)
    assert newcomer.post("/queue/tokens", {"concert_id": sale.concert_id}).status_code == 201
    EventDelivery.objects.update(next_attempt_at=timezone.now())
    assert drain(consumer="token_expiry").settled == 1
    admit_visitors()
    assert waiting.get("/queue/tokens/me").json()["data"]["status"] == "ACTIVE"
