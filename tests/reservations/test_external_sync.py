"""Against a real HTTP server on loopback that answers as it is told."""

import os
import time
from base64 import b64encode
from datetime import timedelta
from email.utils import format_datetime
from functools import partial
from uuid import uuid4

import httpx
import pytest
import structlog
from django.conf import settings
from django.utils import timezone
from standardwebhooks import Webhook

from apps.outbox.announcing import drain_announced
from apps.outbox.draining import MAX_ATTEMPTS, drain
from apps.outbox.models import EventDelivery, OutboxEvent, Receiver
from apps.outbox.receiver_health import UNHEALTHY_FAILURES
from apps.reservations import clients
from apps.reservations.services.external_sync import MESSAGES_AT_ONCE
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import reservation
from tests.outbox.deliveries import delivery as delivery_of
from tests.reservations.platform import LONG, serving

pytestmark = pytest.mark.django_db

FIRST_SECRET = "whsec_Zmlyc3Qtc2VjcmV0LWZvci10aGUtdGVzdHM="
SECOND_SECRET = "whsec_c2Vjb25kLXNlY3JldC1mb3ItdGhlLXRlc3Q="


@pytest.fixture
def platform(settings):
    with serving() as platform:
        settings.WEBHOOK_URL = platform.url
        settings.WEBHOOK_SECRETS = [FIRST_SECRET]
        yield platform


@pytest.fixture
def sold():
    """A sale that the platform has not been told about."""
    performance = PerformanceFactory(seats=1)
    reservation(CustomerFactory(), list(performance.seats.all()))
    return OutboxEvent.objects.get()


delivery = partial(delivery_of, "external_sync")


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


class TestSyncExternally:
    def test_posts_a_signed_message(self, platform, sold):
        drain_announced(consumer="external_sync")

        [(path, headers, body)] = platform.received
        message = Webhook(FIRST_SECRET).verify(body, headers)
        assert path == "/hook"
        assert headers["webhook-id"] == str(sold.pk)
        assert message["type"] == "reservation.confirmed"
        assert message["timestamp"] == sold.occurred_at.isoformat()
        assert message["data"]["reservation_id"] == sold.payload["reservation_id"]
        assert message["data"]["total_price"] == 50_000
        assert "queue_slot" not in message["data"]
        assert delivery().status == EventDelivery.Status.DONE

    def test_names_the_call_that_it_follows_from(self, platform):
        performance = PerformanceFactory(seats=2)
        for seat, request_id in zip(performance.seats.all(), ("r-1", "r-2"), strict=True):
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                reservation(CustomerFactory(), [seat])

        with structlog.contextvars.bound_contextvars(request_id="of the drain"):
            drain_announced(consumer="external_sync")

        ids = [message.headers["x-request-id"] for message in platform.received]
        named = dict(zip(platform.message_ids, ids, strict=True))
        assert named == {
            str(event.pk): event.payload["request_id"] for event in OutboxEvent.objects.all()
        }
        assert sorted(named.values()) == ["r-1", "r-2"]
        assert not any(b"request_id" in body for _path, _headers, body in platform.received)

    def test_tells_it_once(self, platform, sold):
        for _ in range(3):
            drain_announced(consumer="external_sync")

        assert len(platform.received) == 1

    def test_signs_with_every_secret_while_they_are_rotated(self, platform, sold, settings):
        settings.WEBHOOK_SECRETS = [SECOND_SECRET, FIRST_SECRET]

        drain_announced(consumer="external_sync")

        [(_path, headers, body)] = platform.received
        assert Webhook(FIRST_SECRET).verify(body, headers)
        assert Webhook(SECOND_SECRET).verify(body, headers)

    @pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 408, 422, 429, 500, 503])
    def test_tries_again_later_whatever_it_is_refused_with(self, platform, sold, status):
        platform.status, platform.answer_headers = status, {"location": "/elsewhere"}

        assert drain(consumer="external_sync").settled == 0

        assert delivery().status == EventDelivery.Status.PENDING
        assert delivery().next_attempt_at > timezone.now()
        assert delivery().last_error == f"DeliveryPostponed: HTTP {status}: "
        assert [path for path, _headers, _body in platform.received] == ["/hook"]

    def test_gives_up_on_a_platform_that_says_it_is_gone(self, platform, sold):
        platform.status = 410

        drain(consumer="external_sync")

        assert delivery().status == EventDelivery.Status.DEAD
        assert delivery().last_error == "DeliveryRefused: HTTP 410: "

    def test_gives_up_after_three_days(self, platform, sold):
        platform.status = 404
        waited = timedelta()

        while delivery().status == EventDelivery.Status.PENDING:
            drain(consumer="external_sync")
            after = delivery()
            waited += max(after.next_attempt_at - timezone.now(), timedelta())
            EventDelivery.objects.update(next_attempt_at=timezone.now())
            Receiver.objects.update(next_probe_at=timezone.now())

        assert delivery().status == EventDelivery.Status.DEAD
        assert len(platform.received) == delivery().attempts == MAX_ATTEMPTS
        assert timedelta(days=3) * 0.8 <= waited <= timedelta(days=3) * 1.2

    @pytest.mark.parametrize(
        ("value", "minutes"),
        [
            ("1800", 30),
            (lambda: format_datetime(timezone.now() + timedelta(minutes=30), usegmt=True), 30),
            ("99999999", 60),
            ("9" * 400, 60),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 60),
            ("Mon, 01 Jan 2001 00:00:00 GMT", 0),
            ("Mon, 01 Jan 2001 00:00:00", 0),
            ("-1800", 0),
            ("soon", 0),
            ("", 0),
        ],
    )
    def test_waits_as_long_as_it_is_told_up_to_an_hour(self, platform, sold, value, minutes):
        named = value() if callable(value) else value
        platform.status, platform.answer_headers = 503, {"retry-after": named}

        drain(consumer="external_sync")

        wait = delivery().next_attempt_at - timezone.now()
        assert timedelta(minutes=minutes - 1) < wait < timedelta(minutes=minutes + 1)

    def test_tries_again_later_when_there_is_no_platform(self, platform, sold, settings):
        settings.WEBHOOK_URL = "http://127.0.0.1:1/hook"

        drain(consumer="external_sync")

        assert delivery().status == EventDelivery.Status.PENDING
        assert "ConnectError" in delivery().last_error

    def test_has_told_it_when_only_the_body_takes_too_long(self, platform, sold):
        platform.raw, platform.quick = answer(b"x" * 40), 40

        drain(consumer="external_sync")

        assert delivery().status == EventDelivery.Status.DONE

    def test_tries_again_later_when_the_answer_takes_too_long(self, platform, sold, settings):
        platform.raw, platform.quick, settings.WEBHOOK_TIMEOUT = answer(b"x" * 40), 0, 0.3

        drain(consumer="external_sync")

        assert delivery().status == EventDelivery.Status.PENDING
        assert "ReadTimeout" in delivery().last_error

    def test_keeps_the_beginning_of_a_refusal(self, platform, sold):
        platform.raw = answer(b"no " * 100_000, b"410 Gone")

        drain(consumer="external_sync")

        refusal = "HTTP 410: " + ("no " * 100)[:200]
        assert delivery().last_error == f"DeliveryRefused: {refusal}"

    def test_has_nothing_to_do_without_a_platform(self, sold, settings):
        settings.WEBHOOK_URL = ""

        drain_announced(consumer="external_sync")

        assert delivery().status == EventDelivery.Status.DONE


class TestConnection:
    @pytest.fixture
    def keeping(self, platform):
        platform.protocol = "HTTP/1.1"
        clients._client.cache_clear()
        yield platform
        clients._client(os.getpid()).close()
        clients._client.cache_clear()

    @staticmethod
    def send() -> int:
        return clients.post_message(
            message_id=uuid4(), type="tests.happened", occurred_at=timezone.now(), data={}
        ).status_code

    def test_is_kept_from_message_to_message(self, keeping):
        assert [self.send() for _ in range(5)] == [204] * 5

        assert keeping.connections == 1

    def test_that_the_platform_has_closed_is_replaced(self, keeping):
        keeping.close_after = 1

        assert [self.send() for _ in range(3)] == [204] * 3

        assert len(keeping.received) == 3
        assert keeping.connections > 1

    def test_without_a_fresh_one_that_would_be_a_failure(self, keeping):
        """The twin: the same platform, and a client that gives up with its kept connection."""
        keeping.close_after = 1
        client = clients._client(os.getpid())
        post = partial(client.post, settings.WEBHOOK_URL, content=b"{}")
        post(headers={"webhook-id": "1"})

        with pytest.raises(httpx.RemoteProtocolError):
            post(headers={"webhook-id": "2"})

    def test_that_is_fresh_and_fails_is_not_tried_twice(self, keeping):
        keeping.close_after = -1  # answers nothing

        with pytest.raises(httpx.RemoteProtocolError):
            self.send()

        assert keeping.connections == 1

    @pytest.mark.parametrize(
        "raw",
        [
            answer(b"taken" * 100),
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\ntaken\r\n0\r\n\r\n",
        ],
        ids=["whole", "chunked"],
    )
    def test_is_kept_after_a_small_answer(self, keeping, raw):
        keeping.raw = raw

        assert [self.send() for _ in range(3)] == [200] * 3

        assert keeping.connections == 1

    def test_is_given_up_for_a_long_answer(self, keeping):
        keeping.raw = answer(b"x" * (LONG - 100))

        assert [self.send() for _ in range(2)] == [200] * 2

        assert keeping.connections == 2

    @pytest.mark.parametrize("is_kept", [False, True])
    @pytest.mark.parametrize("quick", [0, 40], ids=["headers", "body"])
    def test_of_an_answer_without_end_is_closed(self, keeping, settings, is_kept, quick):
        if is_kept:
            self.send()
        settings.WEBHOOK_TIMEOUT = 0.3
        keeping.raw, keeping.quick = answer(b"x" * 40), quick

        if quick:
            assert self.send() == 200
        else:
            with pytest.raises(httpx.ReadTimeout):
                self.send()

        settings.WEBHOOK_TIMEOUT, keeping.raw = 5.0, b""
        assert [self.send() for _ in range(2)] == [204] * 2
        assert keeping.connections == 2

    def test_with_time_outs_of_httpx_alone_would_wait_for_all_of_it(self, keeping):
        """The twin: the same answer, and a client for which every byte begins the time anew."""
        keeping.raw, keeping.quick = answer(b"x" * 20), 0

        with httpx.Client(timeout=0.3) as client:
            began_at = time.monotonic()
            assert client.post(settings.WEBHOOK_URL, content=b"{}", headers={"webhook-id": "1"})
            assert time.monotonic() - began_at > 0.3 * 2

    def test_logs_in_with_what_the_address_carries(self, keeping, settings):
        settings.WEBHOOK_URL = settings.WEBHOOK_URL.replace("://", "://encore:s%20cret@")

        self.send()

        [(path, headers, _body)] = keeping.received
        assert path == "/hook"
        assert headers["authorization"] == f"Basic {b64encode(b'encore:s cret').decode()}"

    def test_goes_through_the_proxy_of_the_environment(self, keeping, settings, monkeypatch):
        proxy = settings.WEBHOOK_URL.removesuffix("/hook")
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        settings.WEBHOOK_URL = "http://platform.example/hook"

        assert self.send() == 204

        [(target, headers, _body)] = keeping.received
        assert target == "http://platform.example/hook"
        assert headers["host"] == "platform.example"

    def test_leaves_no_line_of_log_for_each_message(self, keeping, caplog):
        caplog.set_level("DEBUG", logger="httpx")

        self.send()

        assert len(keeping.received) == 1
        assert not caplog.records

    def test_carries_no_cookie_of_an_earlier_answer(self, keeping):
        keeping.answer_headers = {"set-cookie": "session=1; Path=/"}

        self.send()
        self.send()

        assert all("cookie" not in headers for _path, headers, _body in keeping.received)

    def test_is_not_shared_with_a_child(self):
        assert clients._client(1) is clients._client(1)
        assert clients._client(1) is not clients._client(2)
        clients._client.cache_clear()


class TestBatch:
    @pytest.fixture
    def many(self):
        """Twenty sales that the platform has not been told about."""
        performance = PerformanceFactory(seats=20)
        for seat in performance.seats.all():
            reservation(CustomerFactory(), [seat])

    @pytest.mark.parametrize("status", [401, 404, 410, 500])
    def test_is_not_forced_on_a_platform_that_only_refuses(self, platform, many, status):
        platform.status = status

        for _ in range(3):
            drain(consumer="external_sync")

        refused = len(platform.received)
        assert UNHEALTHY_FAILURES <= refused < UNHEALTHY_FAILURES + MESSAGES_AT_ONCE
        untouched = EventDelivery.objects.filter(consumer="external_sync", attempts=0)
        assert {delivery.status for delivery in untouched} == {"PENDING"}
        assert len(untouched) == 20 - refused

    def test_is_delivered_as_soon_as_the_platform_is_back(self, platform, many):
        platform.status = 404
        drain(consumer="external_sync")
        refused = len(platform.received)
        platform.status = 204
        now = timezone.now()
        Receiver.objects.update(next_probe_at=now, failing_since=now - timedelta(minutes=2))

        drained = drain(consumer="external_sync")

        assert (drained.settled, drained.has_more) == (20, False)
        assert len(platform.received) == refused + 20

    def test_has_an_outcome_for_each_message(self, platform, many):
        events = list(OutboxEvent.objects.order_by("occurred_at"))
        platform.refused = {str(events[1].pk)}

        assert drain(consumer="external_sync").settled == 19

        assert len(platform.received) == 20
        deliveries = EventDelivery.objects.filter(consumer="external_sync").order_by("pk")
        assert [delivery.status for delivery in deliveries] == [
            "DONE",
            "DEAD",
            *["DONE"] * 18,
        ]
