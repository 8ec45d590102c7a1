"""Both doors give the same answer to every call; what the crowd asks, Django need not be there for."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.concerts.models import Concert, Performance
from apps.core.notices import NoticeText
from apps.queue.services import admit_now, close_room, notify_visitors, pause_room
from dev.stack.servers import ValkeyServer
from tests.api.wsgi import Answer, call
from tests.clocks import CacheClock
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold
from tests.front.conftest import JSON, KOREAN, Door, data_of, token_of
from tests.servers import start_cluster

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("keep_connection")]

Login = Callable[[], dict[str, str]]
LANGUAGES = pytest.mark.parametrize("language", [{}, KOREAN], ids=["en", "ko"])


def new_concert(**options: Any) -> Concert:
    return WaitingRoomFactory(capacity=1, **options).concert


@pytest.fixture
def concert() -> Concert:
    return new_concert()


@pytest.fixture
def performance(concert) -> Performance:
    return PerformanceFactory(concert=concert, seats=3)


def admitted(door: Door, concert: Concert, login: dict[str, str]) -> dict[str, str]:
    """The headers of a customer who has just been let in."""
    headers = login | token_of(door.join(concert.pk, login))
    admit_now(concert.pk)
    return headers


class TestPlace:
    @LANGUAGES
    def test_is_taken_shown_and_given_up(self, doors, login, language):
        def visit(door: Door) -> list[Answer]:
            concert, headers = new_concert(), login() | language
            first, again = door.join(concert.pk, headers), door.join(concert.pk, headers)
            token = token_of(first) | language
            waiting = door("GET /api/v1/queue/tokens/me", headers=token)
            admit_now(concert.pk)
            active = door("GET /api/v1/queue/tokens/me", headers=token)
            joined_active = door.join(concert.pk, headers | token)
            left = door("DELETE /api/v1/queue/tokens/me", headers=token)
            ended = door("GET /api/v1/queue/tokens/me", headers=token)
            left_again = door("DELETE /api/v1/queue/tokens/me", headers=token)
            return [first, again, waiting, active, joined_active, left, ended, left_again]

        answers = doors.compare(visit)

        assert [answer.status for answer in answers] == [201, 200, 200, 200, 200, 200, 200, 200]
        statuses = [data_of(answer)["status"] for answer in answers]
        assert statuses == ["WAITING"] * 3 + ["ACTIVE"] * 2 + ["EXPIRED"] * 3

    def test_of_an_early_bird_has_no_position(self, doors, login):
        def visit(door: Door) -> list[Answer]:
            opens_at = timezone.now() + timedelta(minutes=30)
            concert = new_concert(concert__sales_open_at=opens_at)
            first = door.join(concert.pk, login())
            return [first, door("GET /api/v1/queue/tokens/me", headers=token_of(first))]

        joined, shown = doors.compare(visit)

        assert data_of(joined)["position"] is data_of(shown)["position"] is None

    def test_costs_a_quota(self, doors, login, settings):
        settings.RATE_LIMIT_ENABLED = True

        def visit(door: Door) -> list[Answer]:
            concert, headers = new_concert(), login()
            answers = [door.join(concert.pk, headers) for _ in range(3)]
            leaving = token_of(answers[0])
            return [*answers, door("DELETE /api/v1/queue/tokens/me", headers=leaving)]

        answers = doors.compare(visit)

        left = [dict(answer.headers)["ratelimit"].split(";t=")[0] for answer in answers]
        assert left == ['"join";r=59', '"join";r=58', '"join";r=57', '"write";r=59']

    def test_is_taken_on_a_cluster_too(self, doors, login, settings):
        nodes = start_cluster(2)
        url = nodes[0].url.replace("redis://", "redis+cluster://")
        settings.QUEUE_URL = settings.CACHE_URL = url
        settings.RATE_LIMIT_ENABLED = True

        def visit(door: Door) -> list[Answer]:
            concert, headers = new_concert(), login()
            answers = [door.join(concert.pk, headers) for _ in range(3)]
            return [*answers, door("GET /api/v1/queue/tokens/me", headers=token_of(answers[0]))]

        answers = doors.compare(visit)

        assert [answer.status for answer in answers] == [201, 200, 200, 200]
        assert dict(answers[2].headers)["ratelimit"].startswith('"join";r=57;')
        for node in nodes:
            node.stop()


class TestBoard:
    @LANGUAGES
    def test_is_the_same_bytes(self, doors, concert, login, language):
        path = f"GET /api/v1/queue/concerts/{concert.pk}"
        doors.bare.join(concert.pk, login())
        known_tags = ["{}", "W/{}", '"other", {}', "*"]

        def look(door: Door) -> list[Answer]:
            shown = door(path, headers=language)
            etag = dict(shown.headers)["etag"]
            known = [tag.format(etag) for tag in known_tags]
            unknown = ['"other"', "", "nonsense"]
            return [
                shown,
                *(door(path, headers=language, If_None_Match=tag) for tag in [*known, *unknown]),
                door(path, If_Match='"other"', If_Modified_Since="Sat, 29 Oct 1994 19:43:31 GMT"),
            ]

        answers = doors.compare(look)

        statuses = [answer.status for answer in answers]
        assert statuses == [200] + [304] * len(known_tags) + [200] * 4
        assert {answer.body for answer in answers} == {answers[0].body, b""}
        assert doors.bare(path).body == answers[0].body
        assert dict(doors.bare(path).headers)["etag"] == dict(answers[0].headers)["etag"]

    def test_is_the_same_bytes_with_a_notice(self, doors, concert):
        text = NoticeText(en='"Late"\nby an hour', ko="한 시간 늦어집니다")
        staff_id = CustomerFactory(staff=True).pk
        until = timezone.now() + timedelta(hours=1)
        notify_visitors(concert_id=concert.pk, text=text, until=until, staff_id=staff_id)

        [answer] = doors.compare(lambda door: [door(f"GET /api/v1/queue/concerts/{concert.pk}")])

        assert data_of(answer)["notice_en"] == text.en

    def test_changes_with_the_room(self, doors, concert, login, monkeypatch):
        path = f"GET /api/v1/queue/concerts/{concert.pk}"
        clock = CacheClock(monkeypatch)
        doors.composed(path)
        before = doors.composed(path)
        doors.bare.join(concert.pk, login())
        still = doors.composed(path)
        clock.now = 1.1
        after = doors.composed(path)

        assert [data_of(answer)["waiting"] for answer in (before, still, after)] == [0, 0, 1]
        assert dict(before.headers)["etag"] != dict(after.headers)["etag"]
        assert doors.django.asked == 1

    def test_is_shown_to_a_browser_too(self, doors, concert):
        cookies = f"sessionid={'a' * 32}; csrftoken={'b' * 32}; django_language=ko"

        doors.compare(
            lambda door: [door(f"GET /api/v1/queue/concerts/{concert.pk}", Cookie=cookies)]
        )


class TestSeats:
    @LANGUAGES
    @pytest.mark.parametrize(
        ("what", "content"), [("availability", b'"AAA"'), ("seat-map", b'"seats":[[')]
    )
    def test_are_shown_to_the_admitted(self, doors, performance, login, language, what, content):
        path = f"GET /api/v1/performances/{performance.pk}/{what}"
        headers = admitted(doors.bare, performance.concert, login()) | language

        def look(door: Door) -> list[Answer]:
            shown = door(path, headers=headers)
            etag = dict(shown.headers)["etag"]
            again = door(path, headers=headers)
            return [shown, again, door(path, headers=headers, If_None_Match=etag)]

        answers = doors.compare(look)

        assert [answer.status for answer in answers] == [200, 200, 304]
        assert content in answers[0].body

    def test_changes_with_the_seats(
        self,
        doors,
        performance,
        login,
        monkeypatch,
    ):
        path = f"GET /api/v1/performances/{performance.pk}/availability"
        headers = admitted(doors.bare, performance.concert, login())
        clock = CacheClock(monkeypatch)
        first, again = doors.composed(path, headers=headers), doors.composed(path, headers=headers)
        hold(CustomerFactory(), list(performance.seats.all()[:1]))
        clock.now = 1.1
        after = doors.composed(path, headers=headers)

        assert first.body == again.body
        assert data_of(after)["statuses"] == "HAA"
        assert doors.django.asked == 1


class TestPagePoll:
    @pytest.mark.parametrize(
        "language", [{}, KOREAN, {"cookie": "django_language=ko"}], ids=["en", "ko", "cookie"]
    )
    def test_is_answered_with_cookies(self, doors, login, language):
        sent = {name: value for name, value in language.items() if name != "cookie"}
        more = language.get("cookie", "a=b")

        def visit(door: Door) -> list[Answer]:
            concert = new_concert()
            door_of_others = door.join(concert.pk, login())
            joined = door.join(concert.pk, login())
            token = token_of(joined)["Queue-Token"]
            path = f"GET /concerts/{concert.pk}/queue/status/"
            session = f"sessionid={'a' * 32}; csrftoken={'b' * 64}"
            cookies = [
                f"queue_token={token}; {more}",
                f"{session}; queue_token={token}; queue_from=7; {more}",
                f"queue_token={token}; queue_from=nonsense; {more}",
            ]
            waiting = [door(path, headers=sent, Cookie=cookie) for cookie in cookies]
            door("DELETE /api/v1/queue/tokens/me", headers=token_of(door_of_others))
            admit_now(concert.pk)
            active = door(path, headers=sent, Cookie=cookies[0])
            door("DELETE /api/v1/queue/tokens/me", headers=token_of(joined))
            ended = door(path, headers=sent, Cookie=cookies[0])
            return [*waiting, active, ended]

        answers = doors.compare(visit)

        assert {answer.status for answer in answers} == {200}
        cookies = [name for name, _ in answers[0].headers].count("set-cookie")
        assert cookies == 2


def refused_concerts() -> dict[str, Callable[[], int]]:
    def closed() -> int:
        concert = new_concert()
        close_room(concert_id=concert.pk, staff_id=None)
        return concert.pk

    now = timezone.now()
    return {
        "unknown": lambda: 404_404,
        "beyond 64 bits": lambda: 2**63,
        "negative": lambda: -1,
        "not published": lambda: new_concert(concert__is_published=False).pk,
        "not open": lambda: new_concert(concert__sales_open_at=now + timedelta(days=9)).pk,
        "over": lambda: (
            new_concert(
                concert__sales_open_at=now - timedelta(days=2),
                concert__sales_close_at=now - timedelta(days=1),
            ).pk
        ),
        "closed": closed,
    }


LOOKS = pytest.mark.parametrize(
    "look",
    [{}, KOREAN, {"Accept": "application/problem+json"}],
    ids=["en", "ko", "problem"],
)


class TestRefusal:
    @LOOKS
    @pytest.mark.parametrize("which", refused_concerts())
    def test_of_joining(
        self,
        doors,
        concert,
        login,
        settings,
        which,
        look,
    ):
        settings.RATE_LIMIT_ENABLED = True
        doors.composed.join(concert.pk, login())  # learned

        def ask(door: Door) -> list[Answer]:
            concert_id, headers = refused_concerts()[which](), login() | look
            return [door.join(concert_id, headers) for _ in range(2)]

        answers = doors.compare(ask, is_served=False)

        assert {answer.status for answer in answers} <= {400, 404, 409}
        quotas = [dict(answer.headers)["ratelimit"].split(";t=")[0] for answer in answers]
        assert quotas == ['"join";r=59', '"join";r=58']

    @LOOKS
    @pytest.mark.parametrize(
        "authorization",
        [None, "", "Bearer", "Bearer guessed", "Basic YTpi", "Bearer a b", "bearer " + "x" * 200],
    )
    @pytest.mark.parametrize("what", ["join", "availability", "seat-map"])
    def test_of_a_stranger(
        self,
        doors,
        performance,
        login,
        authorization,
        look,
        what,
    ):
        concert = performance.concert
        path = f"GET /api/v1/performances/{performance.pk}/{'availability' if what == 'join' else what}"
        headers = admitted(doors.composed, concert, login())
        doors.composed(path, headers=headers)
        token = {"Queue-Token": headers["Queue-Token"]}

        def ask(door: Door) -> list[Answer]:
            sent = look | ({} if authorization is None else {"Authorization": authorization})
            if what == "join":
                return [door.join(concert.pk, sent)]
            return [door(path, headers=sent | token)]

        [answer] = doors.compare(ask, is_served=False)

        assert answer.status == 401

    @LOOKS
    @pytest.mark.parametrize("token", [None, "", "q1.k1.x.y", "ü", "a" * 2000])
    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_of_a_token(
        self,
        doors,
        concert,
        login,
        token,
        method,
        look,
    ):
        path = f"{method} /api/v1/queue/tokens/me"
        doors.composed(path, headers=token_of(doors.composed.join(concert.pk, login())))

        def ask(door: Door) -> list[Answer]:
            sent = look | ({} if token is None else {"Queue-Token": token})
            return [door(path, headers=sent)]

        [answer] = doors.compare(ask, is_served=False)

        assert answer.status == 403

    @LOOKS
    def test_at_the_gate(self, doors, performance, login, look):
        concert = performance.concert
        path = f"GET /api/v1/performances/{performance.pk}/availability"
        first = admitted(doors.composed, concert, login())
        doors.composed(path, headers=first)
        waiting = login()
        waiting |= token_of(doors.composed.join(concert.pk, waiting))
        left = login()
        left |= token_of(doors.composed.join(concert.pk, left))
        doors.composed("DELETE /api/v1/queue/tokens/me", headers=left)

        def ask(door: Door) -> list[Answer]:
            return [
                door(path, headers=waiting | look),
                door(path, headers=left | look),
                door(path, headers=first | look | {"Queue-Token": waiting["Queue-Token"]}),
                door(path.replace(str(performance.pk), "404404"), headers=first | look),
            ]

        answers = doors.compare(ask, is_served=False)

        assert [answer.status for answer in answers] == [403, 403, 403, 404]

    @LOOKS
    def test_of_the_board(self, doors, concert, look):
        doors.composed(f"GET /api/v1/queue/concerts/{concert.pk}")
        ids = ["404404", "0", str(2**63), "9" * 30, "x", "1.0", "-1", "１"]

        def ask(door: Door) -> list[Answer]:
            return [
                door(f"GET /api/v1/queue/concerts/{concert_id}", headers=look) for concert_id in ids
            ]

        answers = doors.compare(ask, is_served=False)

        assert {answer.status for answer in answers} == {404}

    def test_of_a_page_poll(self, doors, concert, login):
        token = token_of(doors.composed.join(concert.pk, login()))["Queue-Token"]
        path = f"GET /concerts/{concert.pk}/queue/status/"
        assert doors.composed(path, Cookie=f"queue_token={token}").status == 200

        def ask(door: Door) -> list[Answer]:
            other = f"GET /concerts/{new_concert().pk}/queue/status/"
            return [
                door(path),
                door(path, Cookie="queue_token=nonsense"),
                door(other, Cookie=f"queue_token={token}"),
            ]

        answers = doors.compare(ask, is_served=False)

        assert {answer.status for answer in answers} == {403}

    @LOOKS
    def test_of_too_many(
        self,
        doors,
        login,
        settings,
        look,
        concert,
    ):
        settings.RATE_LIMIT_ENABLED = True
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "join": 2}
        doors.composed.join(concert.pk, login())

        def ask(door: Door) -> list[Answer]:
            headers = login()
            for _ in range(2):
                assert door.join(concert.pk, headers).status in (200, 201)
            return [door.join(concert.pk, headers | look) for _ in range(2)]

        answers = doors.compare(ask, is_served=False)

        assert [answer.status for answer in answers] == [429, 429]
        assert dict(answers[1].headers)["ratelimit"].startswith('"join";r=0;')


def bearer_of_no_customer() -> dict[str, str]:
    return {"Authorization": "Bearer " + "x" * 43}


def odd_bodies() -> list[bytes]:
    return [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"concert_id": "1"}',
        b'{"concert_id": 1.0}',
        b'{"concert_id": true}',
        b'{"concert_id": 01}',
        b'{"concert_id": NaN}',
        b'{"concert_id": 99999999999999999999}',
        b'{"concert_id": 1',
        b'{"concert_id": 1} x',
        b'\xef\xbb\xbf{"concert_id": 1}',
        b'\x0b{"concert_id": 1}',
        b'{"concert_id":\x0c1}',
        b'{"concert_id": "\xff"}',
        b'{"concert_id": "' + b"x" * 70_000 + b'"}',
        b"[" * 5_000,
    ]


class TestUnusualCall:
    """Never the front's: each is compared after a usual one has been learned."""

    @pytest.mark.parametrize("body", odd_bodies(), ids=lambda body: body[:24].decode("latin-1"))
    def test_by_its_body(self, doors, login, concert, body):
        doors.composed.join(concert.pk, login())

        def ask(door: Door) -> list[Answer]:
            return [door("POST /api/v1/queue/tokens", body, JSON | login())]

        [answer] = doors.compare(ask, is_served=False)

        assert answer.status in (400, 404, 413)

    @pytest.mark.parametrize("header", [{}, {"Authorization": "Basic x"}, bearer_of_no_customer()])
    def test_without_a_login_waits_for_no_body(self, doors, login, concert, header):
        """Or a few callers who never send theirs would occupy every thread."""
        doors.composed.join(concert.pk, login())

        def ask(door: Door) -> list[Answer]:
            path = "/api/v1/queue/tokens"
            return [call(door.application, "POST", path, headers=JSON | header, unsent=16)]

        [answer] = doors.compare(ask, is_served=False)

        assert answer.status == 401

    @pytest.mark.parametrize(
        "body",
        [b'{"concert_id": %d, "more": 1}', b'{"concert_id":%d}' + b" " * 300],
        ids=["more fields", "long"],
    )
    def test_that_succeeds_all_the_same(self, doors, login, body):
        doors.composed.join(new_concert().pk, login())

        def ask(door: Door) -> list[Answer]:
            return [door("POST /api/v1/queue/tokens", body % new_concert().pk, JSON | login())]

        [answer] = doors.compare(ask, is_served=False)

        assert answer.status == 201

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
            {"Accept": "text/html"},
            {"Accept": "application/json; indent=4"},
            {"Accept": "nonsense"},
            {"Host": "elsewhere.example"},
            {"Host": "in valid"},
            {"Content-Length": "7"},
            {"Content-Length": "99"},
            {"Content-Length": "x"},
            {"Content-Length": "0"},
            {"Cookie": "csrftoken=short"},
        ],
        ids=lambda headers: str(headers),
    )
    def test_by_a_header(self, doors, login, headers):
        doors.composed.join(new_concert().pk, login())

        def ask(door: Door) -> list[Answer]:
            return [door.join(new_concert().pk, login() | headers)]

        doors.compare(ask, is_served=False)

    @pytest.mark.parametrize(
        "asked",
        [
            "HEAD /api/v1/queue/concerts/{id}",
            "OPTIONS /api/v1/queue/concerts/{id}",
            "POST /api/v1/queue/concerts/{id}",
            "GET /api/v1/queue/concerts/{id}/",
            "GET /api/v1/queue/concerts/{id}?x=1",
            "GET /api/v1/queue/concerts/{id}%0A",
            "GET /api/v1/queue/concerts//{id}",
            "HEAD /api/v1/queue/tokens/me",
            "GET /api/v1/queue/tokens/me/",
            "POST /api/v1/queue/tokens/me",
            "GET /api/v1/queue/tokens",
            "POST /api/v1/queue/tokens/",
            "HEAD /concerts/{id}/queue/status/",
            "GET /concerts/{id}/queue/status",
            "POST /concerts/{id}/queue/status/",
        ],
    )
    def test_by_its_address(self, doors, login, concert, asked):
        token = token_of(doors.composed.join(concert.pk, login()))
        doors.composed(f"GET /api/v1/queue/concerts/{concert.pk}")
        doors.composed("GET /api/v1/queue/tokens/me", headers=token)
        cookie = {"Cookie": f"queue_token={token['Queue-Token']}"}

        def ask(door: Door) -> list[Answer]:
            target = asked.replace("{id}", str(concert.pk))
            return [door(target, headers=token | cookie)]

        doors.compare(ask, is_served=False)

    def test_by_a_body_of_a_read(self, doors, concert):
        path = f"GET /api/v1/queue/concerts/{concert.pk}"
        doors.composed(path)

        doors.compare(lambda door: [door(path, b"x")], is_served=False)


class TestStoreTrouble:
    @pytest.fixture
    def server(self, valkey_server, settings) -> ValkeyServer:
        server = valkey_server()
        settings.QUEUE_URL = settings.CACHE_URL = server.url
        settings.RATE_LIMIT_ENABLED = True
        return server

    @pytest.mark.parametrize("trouble", ["stop", "pause"])
    def test_is_answered_alike(
        self,
        doors,
        performance,
        login,
        server,
        trouble,
    ):
        concert = performance.concert
        path = f"GET /api/v1/performances/{performance.pk}/availability"
        headers = admitted(doors.composed, concert, login())
        for _ in range(2):
            doors.composed.join(concert.pk, headers)
            doors.composed("GET /api/v1/queue/tokens/me", headers=headers)
            doors.composed(path, headers=headers)
        getattr(server, trouble)()

        def ask(door: Door) -> list[Answer]:
            return [
                door.join(concert.pk, headers),
                door("GET /api/v1/queue/tokens/me", headers=headers),
                door("DELETE /api/v1/queue/tokens/me", headers=headers),
                door(path, headers=headers),
            ]

        answers = doors.compare(ask, is_served=False)

        assert [answer.status for answer in answers] == [503] * 4
        assert all(dict(answer.headers)["retry-after"] == "2" for answer in answers)

    def test_of_the_counters_lets_through(self, doors, login, server, settings, store):
        settings.QUEUE_URL = "redis://{host}:{port}/0".format(
            **store.connection_pool.connection_kwargs
        )
        server.stop()

        def ask(door: Door) -> list[Answer]:
            return [door.join(new_concert().pk, login())]

        [answer] = doors.compare(ask)

        assert answer.status == 201
        assert "ratelimit" not in dict(answer.headers)


class TestPausedRoom:
    def test_keeps_places(self, doors, login):
        def visit(door: Door) -> list[Answer]:
            concert = new_concert()
            first = door.join(concert.pk, login())
            pause_room(concert_id=concert.pk, staff_id=None)
            return [door("GET /api/v1/queue/tokens/me", headers=token_of(first))]

        doors.compare(visit)
