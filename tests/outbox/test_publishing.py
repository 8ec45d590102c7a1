"""A committed request hands its tasks over, or leaves them to the relay; it neither fails nor waits."""

import time

import pytest
import redis
import structlog
from celery import Celery
from kombu.exceptions import EncodeError

from apps.core.store import Breaker
from apps.outbox import publishing
from apps.outbox.publishing import publish
from tests.outbox.deliveries import queued

# What a committed sale may take at most; three publishes that each wait would be over it on a busy machine.
AT_MOST = 2.0


@pytest.fixture
def broker(valkey_server):
    return valkey_server()


@pytest.fixture
def task(broker):
    """A task of an application with our settings and a broker of its own."""
    app = Celery("tests", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_url = broker.url

    @app.task(name="tests.nothing")
    def nothing(**_future: object) -> None: ...

    yield nothing
    app.close()


def published(broker):
    with redis.Redis.from_url(broker.url) as client:
        return queued(client)


class TestPublish:
    def test_hands_the_task_to_the_broker(self, broker, task):
        assert publish(task, kwargs={"event_id": "e1"}) is True

        [message] = published(broker)
        assert message["headers"]["task"] == "tests.nothing"
        assert message["headers"]["kwargsrepr"] == "{'event_id': 'e1'}"

    def test_sends_the_request_id_along(self, broker, task):
        with structlog.contextvars.bound_contextvars(request_id="r1"):
            publish(task)

        [message] = published(broker)
        assert message["headers"]["__django_structlog__"]["request_id"] == "r1"


@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("trouble", ["stop", "pause"])
class TestBrokerTrouble:
    def test_does_not_fail_and_hardly_waits(self, broker, task, trouble, is_warm):
        if is_warm:
            assert publish(task) is True
        getattr(broker, trouble)()

        started_at = time.monotonic()
        sent = [publish(task) for _ in range(3)]  # as many as a sale has

        assert sent == [False] * 3
        assert time.monotonic() - started_at < AT_MOST


class TestBreaker:
    def test_gives_up_at_once_after_a_failure(self, broker, task, monkeypatch):
        tries = []

        def fail(**_):
            tries.append(1)
            raise redis.ConnectionError

        monkeypatch.setattr(task, "apply_async", fail)
        monkeypatch.setattr(publishing, "_breaker", Breaker(rest_seconds=60))

        sent = [publish(task) for _ in range(50)]

        assert sent == [False] * 50
        assert len(tries) == 1

    def test_lets_through_when_the_broker_is_back(self, broker, task):
        broker.pause()
        assert publish(task) is False

        broker.resume()

        deadline = time.monotonic() + 30
        while not publish(task) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert published(broker)

    def test_does_not_hide_a_mistake_of_ours(self, task):
        with pytest.raises(EncodeError):
            publish(task, kwargs={"something": object()})
