"""Test what the front costs, how it learns, and what it leaves behind: nothing."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog
from django.core.handlers.wsgi import WSGIHandler
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from apps.api.responses import as_json
from apps.api.wsgi import with_plain_content_type
from apps.concerts.models import Concert
from apps.concerts.publication import withdraw_concert
from apps.core.notices import NoticeText
from apps.front.answers import PlainRenderer
from apps.front.application import Front
from apps.queue.core.room import EndReason
from apps.queue.models import WaitingRoom
from apps.queue.serializers import BoardSerializer, QueueTokenSerializer, VisitorStatusSerializer
from apps.queue.services import admit_now, join_queue, notify_visitors
from apps.reservations.serializers import AvailabilitySerializer
from tests.api.wsgi import Answer
from tests.clocks import CacheClock
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.front.conftest import Django, Door, data_of, round_trips, token_of

pytestmark = pytest.mark.django_db(transaction=True)

Login = Callable[[], dict[str, str]]
PLAIN = {"CharField", "IntegerField", "ChoiceField", "DateTimeField", "RegexField"}
STATUS = "GET /api/v1/queue/tokens/me"


class TestCost:
    """Of a call whose like was answered before in this process."""

    @pytest.fixture
    def costs(self, doors, login, settings, monkeypatch) -> Callable[[str], tuple[int, int]]:
        """`costs("join")` is the number of round trips to stores and of statements."""
        settings.RATE_LIMIT_ENABLED = True
        CacheClock(monkeypatch)
        door, concert_id = doors.composed, WaitingRoomFactory(capacity=1).concert_id
        # A visitor at the head: the first in the queue wakes the room up.
        door.join(concert_id, login())
        first = login()
        first |= token_of(door.join(concert_id, first))
        newcomers = iter([login() for _ in range(3)])
        calls_of: dict[str, Callable[[], Answer]] = {
            "join": lambda: door.join(concert_id, next(newcomers)),
            "join again": lambda: door.join(concert_id, first),
            "status": lambda: door(STATUS, headers=first),
            "board": lambda: door(f"GET /api/v1/queue/concerts/{concert_id}"),
            "poll": lambda: door(
                f"GET /concerts/{concert_id}/queue/status/",
                Cookie=f"queue_token={first['Queue-Token']}",
            ),
        }

        def measure(name: str) -> tuple[int, int]:
            for _ in range(2):
                calls_of[name]()
            asked = doors.django.asked
            with (
                round_trips(monkeypatch) as sent,
                CaptureQueriesContext(connection) as statements,
            ):
                answer = calls_of[name]()
            assert answer.status in (200, 201), answer
            assert doors.django.asked == asked
            return len(sent), len(statements)

        return measure

    @pytest.mark.parametrize(
        ("name", "trips", "statements"),
        [
            ("join", 1, 1),  # the limit with the room, and the login
            ("join again", 1, 1),
            ("status", 1, 0),
            ("board", 0, 0),
            ("poll", 1, 0),
        ],
    )
    def test_is_round_trips_and_statements(self, costs, name, trips, statements):
        assert costs(name) == (trips, statements)

    @pytest.mark.parametrize(("name", "trips"), [("status", 1), ("board", 0), ("poll", 1)])
    def test_is_no_more_while_staff_tell_something(self, costs, name, trips):
        room = WaitingRoom.objects.get()
        text, staff_id = NoticeText(ko="잠시만 기다려 주세요."), CustomerFactory(staff=True).pk
        notify_visitors(concert_id=room.concert_id, text=text, staff_id=staff_id)

        assert costs(name) == (trips, 0)

    def test_of_joining_is_two_round_trips_where_the_counters_are_elsewhere(
        self,
        costs,
        settings,
        valkey_server,
    ):
        settings.CACHE_URL = valkey_server().url

        assert costs("join") == (2, 1)

    @pytest.mark.parametrize("what", ["availability", "seat-map"])
    def test_of_looking_at_seats(self, doors, login, monkeypatch, what):
        CacheClock(monkeypatch)
        performance = PerformanceFactory(concert=WaitingRoomFactory().concert, seats=2)
        headers = login()
        headers |= token_of(doors.composed.join(performance.concert_id, headers))
        admit_now(performance.concert_id)
        path = f"GET /api/v1/performances/{performance.pk}/{what}"
        for _ in range(2):
            assert doors.composed(path, headers=headers).status == 200

        with round_trips(monkeypatch) as sent, CaptureQueriesContext(connection) as statements:
            doors.composed(path, headers=headers)

        assert (len(sent), len(statements)) == (2, 0)  # the copy of the login and the gate

    def test_of_a_status_does_not_touch_the_connection(self, doors, login):
        token = token_of(doors.composed.join(WaitingRoomFactory().concert_id, login()))
        doors.composed(STATUS, headers=token)
        connection.close()

        assert doors.composed(STATUS, headers=token).status == 200
        assert connection.connection is None


class TestLimitOfJoining:
    """Counted in the step that joins."""

    def test_lets_exactly_as_many_through_at_once(self, doors, login, settings, race):
        settings.RATE_LIMIT_ENABLED = True
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "join": 3}
        concert_id, headers = WaitingRoomFactory().concert_id, login()
        doors.composed.join(concert_id, login())

        answers = race([partial(doors.composed.join, concert_id, headers)] * 8)

        assert sorted(answer.status for answer in answers) == [200, 200, 201, *[429] * 5]

    @pytest.mark.parametrize("are_counters_elsewhere", [False, True])
    def test_gives_no_place_to_who_is_over_it(
        self,
        doors,
        login,
        settings,
        store,
        valkey_server,
        are_counters_elsewhere,
    ):
        settings.RATE_LIMIT_ENABLED = True
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "join": 1}
        if are_counters_elsewhere:
            settings.CACHE_URL = valkey_server().url
        elsewhere, concert_id = WaitingRoomFactory().concert_id, WaitingRoomFactory().concert_id
        doors.composed.join(concert_id, login())
        headers = login()
        assert doors.composed.join(elsewhere, headers).status == 201

        assert doors.composed.join(concert_id, headers).status == 429

        assert store.zcard(f"{{queue:{concert_id}}}:waiting") == 1


class TestFirstUse:
    def test_by_many_at_once_is_right_for_each(self, doors, login, race):
        concert_id = WaitingRoomFactory().concert_id
        logins = [login() for _ in range(8)]
        door = Door(with_plain_content_type(Front(WSGIHandler())))

        answers = race([partial(door.join, concert_id, headers) for headers in logins])
        later = door.join(concert_id, login())

        assert [answer.status for answer in answers] == [201] * 8
        names = {tuple(sorted(name for name, _ in answer.headers)) for answer in [*answers, later]}
        assert len(names) == 1
        assert len({data_of(answer)["token"] for answer in answers}) == 8

    def test_learns_by_language_and_by_scheme(self, doors, login, settings):
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        settings.SECURE_HSTS_SECONDS = 60
        settings.SECURE_SSL_REDIRECT = True
        handler = WSGIHandler()
        django = Django(handler)
        bare, composed = Door(handler), Door(Front(django))
        path = f"GET /api/v1/queue/concerts/{WaitingRoomFactory().concert_id}"
        secure = {"X-Forwarded-Proto": "https"}

        shown = [composed(path, headers=secure) for _ in range(2)]
        korean = [composed(path, headers=secure, Accept_Language="ko") for _ in range(2)]
        plain = [composed(path) for _ in range(2)]

        assert [answer.status for answer in plain] == [bare(path).status] * 2 == [301, 301]
        assert django.asked == 4
        expected = dict(bare(path, headers=secure).headers)
        for answer in [*shown, *korean]:
            seen = dict(answer.headers)
            assert seen["strict-transport-security"] == "max-age=60"
            assert seen | {"x-request-id": ""} == expected | {"x-request-id": ""}

    def test_that_fails_teaches_nothing(self, doors):
        door = doors.composed
        door("GET /api/v1/queue/concerts/404404")
        path = f"GET /api/v1/queue/concerts/{WaitingRoomFactory().concert_id}"

        door(path)
        answer = door(path)

        assert dict(answer.headers)["cache-control"] == "public, max-age=1"
        assert doors.django.asked == 2


class TestWithdrawnConcert:
    def test_its_board_for_a_visitor_teaches_nothing_about_public_ones(self, doors, login):
        door, headers = doors.composed, login()
        concert_id = WaitingRoomFactory().concert_id
        token = token_of(door.join(concert_id, headers))
        board = "GET /api/v1/queue/concerts/{}"
        Concert.objects.filter(pk=concert_id).update(is_published=False)

        hidden = door(board.format(concert_id))
        own = door(board.format(concert_id), headers=token)
        public = [door(board.format(WaitingRoomFactory().concert_id)) for _ in range(2)]

        assert [hidden.status, own.status] == [404, 200]
        assert dict(own.headers)["cache-control"] == "no-store"
        for answer in public:
            assert dict(answer.headers)["cache-control"] == "public, max-age=1"

    def test_keeps_the_place_of_who_polls(self, doors, login):
        concert_id = WaitingRoomFactory().concert_id
        token = token_of(doors.composed.join(concert_id, login()))
        withdraw_concert(concert_id=concert_id, reason="Row F")

        polls = [doors.composed(STATUS, headers=token) for _ in range(3)]
        refused = doors.composed.join(concert_id, login())

        assert [answer.status for answer in polls] == [200] * 3
        assert all(b'"status":"WAITING","position":1' in answer.body for answer in polls)
        assert (refused.status, b"CONCERT_NOT_FOUND" in refused.body) == (404, True)


class TestTraces:
    def test_are_the_same_log_line(self, doors, caplog):
        path = f"GET /api/v1/queue/concerts/{WaitingRoomFactory().concert_id}"
        doors.composed(path)
        with caplog.at_level(logging.INFO, "encore.requests"):
            caplog.clear()
            doors.bare(path, X_Request_ID="mine")
            doors.composed(path, X_Request_ID="mine")

        lines: list[Any] = [record.msg for record in caplog.records]
        bare, composed = [
            {name: line[name] for name in line if name not in ("seconds", "timestamp")}
            for line in lines
        ]
        assert composed == bare
        assert composed["request"] == path
        assert composed["request_id"] == "mine"

    def test_of_a_service_carry_the_id_and_stay_with_the_request(self, doors, login, monkeypatch):
        concert_id = WaitingRoomFactory().concert_id
        doors.composed.join(concert_id, login())
        seen = []

        def noted(**arguments: Any) -> Any:
            seen.append(structlog.contextvars.get_contextvars())
            return join_queue(**arguments)

        monkeypatch.setattr("apps.front.routes.join_queue", noted)

        doors.composed.join(concert_id, login() | {"X-Request-ID": "mine"})

        assert seen == [{"request_id": "mine"}]
        assert structlog.contextvars.get_contextvars() == {}

    @pytest.mark.parametrize("sent", ["mine", "not fit\n", ""])
    def test_have_one_id_when_django_takes_over(self, doors, login, monkeypatch, sent):
        concert_id = WaitingRoomFactory().concert_id
        doors.composed.join(concert_id, login())
        seen = []

        def fail(**_: Any) -> None:
            seen.append(structlog.contextvars.get_contextvars()["request_id"])
            raise ZeroDivisionError

        monkeypatch.setattr("apps.front.routes.join_queue", fail)

        answer = doors.composed.join(concert_id, login() | {"X-Request-ID": sent})

        assert answer.status == 201
        assert [dict(answer.headers)["x-request-id"]] == seen
        assert (seen == ["mine"]) is (sent == "mine")
        assert structlog.contextvars.get_contextvars() == {}


class TestSurprise:
    """Something that the front did not reckon with, before or after an effect: Django answers, and nothing happens twice."""

    @pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
    def test_has_one_effect(
        self,
        doors,
        login,
        settings,
        monkeypatch,
        is_after,
    ):
        settings.RATE_LIMIT_ENABLED = True
        concert_id = WaitingRoomFactory().concert_id
        doors.composed.join(concert_id, login())

        def fail(**arguments: Any) -> None:
            if is_after:
                join_queue(**arguments)
            raise ZeroDivisionError

        monkeypatch.setattr("apps.front.routes.join_queue", fail)
        headers = login()

        answer = doors.composed.join(concert_id, headers)

        assert answer.status == (200 if is_after else 201)
        assert dict(answer.headers)["ratelimit"].startswith('"join";r=59;')
        assert doors.bare.join(concert_id, headers).status == 200
        board = doors.bare(f"GET /api/v1/queue/concerts/{concert_id}")
        assert b'"waiting":2' in board.body

    def test_leaves_no_transaction_and_no_broken_connection(self, doors, login, rival):
        concert_id = WaitingRoomFactory().concert_id
        doors.composed.join(concert_id, login())
        headers = login()
        with rival.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid]
            )

        assert doors.composed.join(concert_id, headers).status == 201
        assert connection.get_autocommit()
        assert not connection.in_atomic_block

    def test_of_the_database_is_answered_by_django(self, doors, login, monkeypatch):
        concert_id = WaitingRoomFactory().concert_id
        doors.composed.join(concert_id, login())
        headers, tries = login(), []

        def fail_once(token_hash: bytes) -> Any:
            tries.append(token_hash)
            raise OperationalError

        monkeypatch.setattr("apps.front.routes.live_customer", fail_once)

        assert doors.composed.join(concert_id, headers).status == 201
        assert len(tries) == 1


class TestLogin:
    def test_that_ended_is_refused_at_once(self, doors, login):
        concert_id, headers = WaitingRoomFactory().concert_id, login()
        for _ in range(2):
            assert doors.composed.join(concert_id, headers).status in (200, 201)
        asked = doors.django.asked

        doors.composed("POST /api/v1/accounts/logout", headers=headers)

        assert doors.composed.join(concert_id, headers).status == 401
        assert doors.django.asked == asked + 2


class TestPlainRenderer:
    def test_writes_what_the_serializer_does(self):
        token = {
            "token": 'q1."\\\n한\u2028\u2029',
            "concert_id": 2**60,
            "status": "WAITING",
            "position": None,
            "estimated_wait_seconds": -1,
            "poll_after_seconds": 0,
        }
        for moment in (
            datetime(2026, 1, 2, 3, 4, 5, 600, UTC),
            datetime(2026, 1, 2, tzinfo=UTC),
            datetime(2026, 1, 2, 3, tzinfo=ZoneInfo("Asia/Seoul")),
        ):
            instance = SimpleNamespace(**token, expires_at=moment)
            expected = as_json(QueueTokenSerializer(instance).data)

            assert PlainRenderer(QueueTokenSerializer)(instance) == expected

    @pytest.mark.parametrize("value", [1.5, True, [], EndReason.LEFT])
    def test_writes_nothing_that_it_could_get_wrong(self, value):
        instance = SimpleNamespace(**dict.fromkeys(QueueTokenSerializer().fields, value))

        with pytest.raises(KeyError):
            PlainRenderer(QueueTokenSerializer)(instance)

    @pytest.mark.parametrize(
        "serializer_class",
        [QueueTokenSerializer, VisitorStatusSerializer, BoardSerializer, AvailabilitySerializer],
    )
    def test_is_for_serializers_without_rules_of_their_own(self, serializer_class):
        """A field with a source, a format or a serializer of its own would be rendered otherwise by DRF."""
        for name, field in serializer_class().fields.items():
            assert field.source == name
            assert type(field).__name__ in PLAIN
            assert getattr(field, "format", None) is None
        assert PlainRenderer(serializer_class)
