"""The HTTP contract of the waiting room."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.concerts.models import Concert
from apps.core.caching import clear_process_caches
from apps.queue import services
from apps.queue.core.tokens import TokenClaims
from apps.queue.live import token_signer
from apps.queue.models import WaitingRoom
from tests.clocks import CacheClock
from tests.factories.accounts import CustomerFactory, bearer
from tests.factories.concerts import ConcertFactory
from tests.queue.rooms import Visitor, tick

pytestmark = pytest.mark.django_db

TOKENS, OWN_TOKEN = "/api/v1/queue/tokens", "/api/v1/queue/tokens/me"


@pytest.fixture
def customer() -> User:
    return CustomerFactory()


def join(client: Client, customer: User | None, body: Any, token: str | None = None) -> Any:
    headers = bearer(customer) if customer else {}
    if token is not None:
        headers["Queue-Token"] = token
    return client.post(TOKENS, json.dumps(body), "application/json", headers=headers)


class TestJoining:
    def test_answers_with_the_place(self, client, customer, concert):
        answer = join(client, customer, {"concert_id": concert.pk})

        assert answer.status_code == 201
        data = answer.json()["data"]
        assert data.keys() == {
            "token",
            "concert_id",
            "status",
            "position",
            "estimated_wait_seconds",
            "poll_after_seconds",
            "expires_at",
        }
        assert (data["concert_id"], data["status"], data["position"]) == (concert.pk, "WAITING", 1)
        assert data["expires_at"].endswith("Z")
        assert answer.headers["Retry-After"] == str(data["poll_after_seconds"])
        assert answer.headers["Cache-Control"] == "no-store"

    def test_again_answers_200_with_the_same_place(self, client, customer, concert):
        first = join(client, customer, {"concert_id": concert.pk}).json()["data"]

        again = join(client, customer, {"concert_id": concert.pk})

        assert again.status_code == 200
        answers = (first, again.json()["data"])
        assert len({token_signer().read(answer["token"]).slot for answer in answers}) == 1

    @pytest.mark.no_live_room
    @pytest.mark.parametrize("concert_id", ["1", 1.0, True, None, 2**63, -(2**70), [1], {}])
    def test_refuses_what_is_no_id(self, client, customer, concert_id):
        answer = join(client, customer, {"concert_id": concert_id})

        assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
        assert "concert_id" in answer.json()["data"]["errors"]

    @pytest.mark.parametrize("concert_id", [0, -1, 2**63 - 1])
    def test_a_concert_that_is_not_there(self, client, customer, concert_id):
        answer = join(client, customer, {"concert_id": concert_id})

        assert (answer.status_code, answer.json()["code"]) == (404, "CONCERT_NOT_FOUND")

    def test_before_the_lottery_window(self, client, customer):
        concert = ConcertFactory(sales_open_at=timezone.now() + timedelta(hours=2))

        answer = join(client, customer, {"concert_id": concert.pk})

        assert (answer.status_code, answer.json()["code"]) == (409, "SALES_NOT_OPEN")
        assert 3590 <= int(answer.headers["Retry-After"]) <= 3600
        assert answer.json()["data"]["retryable"] is True

    def test_after_the_sales(self, client, customer):
        answer = join(client, customer, {"concert_id": ConcertFactory(closed=True).pk})

        assert (answer.status_code, answer.json()["code"]) == (409, "SALES_CLOSED")

    def test_a_closed_room(self, client, customer, concert):
        services.close_room(concert_id=concert.pk, staff_id=None)

        answer = join(client, customer, {"concert_id": concert.pk})

        assert (answer.status_code, answer.json()["code"]) == (409, "QUEUE_CLOSED")

    def test_before_the_opening_shows_no_position(self, client, customer, upcoming):
        data = join(client, customer, {"concert_id": upcoming.pk}).json()["data"]

        assert (data["status"], data["position"], data["estimated_wait_seconds"]) == (
            "WAITING",
            None,
            None,
        )
        assert 1795 <= data["poll_after_seconds"] <= 1802

    @pytest.mark.parametrize("token", ["nonsense", "\xff\xfe", ""])
    def test_a_broken_previous_token_does_not_stand_in_the_way(
        self, client, customer, concert, token
    ):
        assert join(client, customer, {"concert_id": concert.pk}, token).status_code == 201


class TestStatus:
    def get(self, client: Client, token: str | None) -> Any:
        return client.get(OWN_TOKEN, headers={} if token is None else {"Queue-Token": token})

    def test_waiting(self, client, concert, time_of, django_assert_num_queries):
        time_of(concert)  # the advice grows with the time for which the room has been full
        visitors = [Visitor(concert).join() for _ in range(4)]
        tick()

        with django_assert_num_queries(0):
            answer = self.get(client, visitors[3].token)

        assert answer.status_code == 200
        data = answer.json()["data"]
        assert data.pop("expires_at").endswith("Z")
        assert data == {
            "concert_id": visitors[3].concert.pk,
            "status": "WAITING",
            "position": 2,
            "estimated_wait_seconds": 300,
            "poll_after_seconds": 1,
            "expired_reason": None,
            "token": visitors[3].token,
        }
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Cache-Control"] == "no-store"

    def test_active(self, client, visitors):
        tick()

        data = self.get(client, visitors[0].token).json()["data"]

        assert (data["status"], data["position"], data["estimated_wait_seconds"]) == (
            "ACTIVE",
            0,
            0,
        )
        lease_until = datetime.fromisoformat(data["expires_at"])
        assert timedelta(minutes=4) < lease_until - datetime.now(UTC) <= timedelta(minutes=5)
        assert data["token"] != visitors[0].token

    def test_expired(self, client, visitors):
        visitors[0].leave()

        answer = self.get(client, visitors[0].token)

        data = answer.json()["data"]
        assert answer.status_code == 200
        assert (data["status"], data["expired_reason"]) == ("EXPIRED", "LEFT")
        assert data["position"] is data["poll_after_seconds"] is data["expires_at"] is None
        assert "Retry-After" not in answer.headers

    def test_needs_no_login_and_ignores_a_bad_one(self, client, visitors):
        answer = client.get(
            OWN_TOKEN,
            headers={"Queue-Token": visitors[0].token, "Authorization": "Bearer long-expired"},
        )

        assert answer.status_code == 200

    def test_without_a_token(self, client):
        answer = self.get(client, None)

        assert (answer.status_code, answer.json()["code"]) == (403, "QUEUE_TOKEN_REQUIRED")

    @pytest.mark.parametrize(
        "token", ["x", "q1.k1.MTox.MTox", "\xff\xfe", "a" * 2000, "q1.k1,q1.k1"]
    )
    def test_a_bad_token(self, client, token):
        answer = self.get(client, token)

        assert (answer.status_code, answer.json()["code"]) == (403, "QUEUE_TOKEN_INVALID")

    def test_in_korean(self, client, visitors):
        answer = client.get(
            OWN_TOKEN, headers={"Queue-Token": visitors[0].token, "Accept-Language": "ko"}
        )

        assert answer.headers["Content-Language"] == "ko"


class TestLeaving:
    def test_gives_the_place_up(self, client, visitors):
        answer = client.delete(OWN_TOKEN, headers={"Queue-Token": visitors[0].token})

        assert answer.status_code == 200
        assert answer.json()["data"]["expired_reason"] == "LEFT"
        assert visitors[0].standing == "LEFT"
        assert visitors[1].poll().position == 1

    def test_without_a_token(self, client):
        answer = client.delete(OWN_TOKEN)

        assert (answer.status_code, answer.json()["code"]) == (403, "QUEUE_TOKEN_REQUIRED")


class TestBoard:
    def get(self, client: Client, concert_id: int, **headers: str) -> Any:
        return client.get(f"/api/v1/queue/concerts/{concert_id}", headers=headers)

    def test_tells_the_room_at_a_glance(self, client, visitors):
        concert = visitors[0].concert
        tick()

        answer = self.get(client, concert.pk)

        assert answer.json()["data"] == {
            "concert_id": concert.pk,
            "state": "OPEN",
            "pause_reason": "",
            "opens_at": concert.sales_open_at.isoformat().replace("+00:00", "Z"),
            "waiting": 3,
            "active": 2,
            "capacity": 2,
            "admitted_total": 2,
            "admitted_per_minute": 2,
            "notice_en": "",
            "notice_ko": "",
            "notice_until": None,
        }

    def test_is_the_same_bytes_for_every_reader(self, client, visitors, customer):
        concert_id = visitors[0].concert.pk
        plain = self.get(client, concert_id)

        korean = self.get(client, concert_id, **{"Accept-Language": "ko"}, **bearer(customer))
        expired = self.get(client, concert_id, Authorization="Bearer long-expired")

        assert plain.content == korean.content == expired.content
        assert plain.headers["ETag"] == korean.headers["ETag"]
        assert plain.headers["Cache-Control"] == "public, max-age=1"
        assert plain.headers["Content-Language"] == "en"
        assert "Vary" not in plain.headers

    def test_answers_304_to_who_has_it(self, client, visitors):
        concert_id = visitors[0].concert.pk
        etag = self.get(client, concert_id).headers["ETag"]

        answer = self.get(client, concert_id, **{"If-None-Match": etag})

        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["Cache-Control"] == "public, max-age=1"
        assert "Vary" not in answer.headers

    def test_a_process_reads_it_once_a_second(
        self,
        client,
        visitors,
        django_assert_num_queries,
        monkeypatch,
    ):
        concert_id = visitors[0].concert.pk
        clock = CacheClock(monkeypatch)
        self.get(client, concert_id)
        visitors[0].leave()

        clock.now = 0.9
        with django_assert_num_queries(0):
            kept = self.get(client, concert_id).json()["data"]["waiting"]
        clock.now = 1.0
        fresh = self.get(client, concert_id).json()["data"]["waiting"]

        assert (kept, fresh) == (5, 4)

    @pytest.mark.parametrize(
        ("traits", "state"),
        [({}, "OPEN"), ({"upcoming": True}, "SCHEDULED"), ({"closed": True}, "CLOSED")],
    )
    def test_a_room_without_visitors(self, client, traits, state):
        concert = ConcertFactory(**traits)

        data = self.get(client, concert.pk).json()["data"]

        assert (data["state"], data["waiting"], data["capacity"]) == (state, 0, 50)
        assert not WaitingRoom.objects.exists()

    @pytest.mark.parametrize(
        ("control", "state"), [(services.pause_room, "PAUSED"), (services.close_room, "CLOSED")]
    )
    def test_tells_the_state(
        self,
        client,
        visitors,
        control,
        state,
    ):
        concert_id = visitors[0].concert.pk
        control(concert_id=concert_id, staff_id=None)
        tick()

        assert self.get(client, concert_id).json()["data"]["state"] == state

    @pytest.mark.parametrize("is_known", [True, False])
    def test_a_concert_that_is_not_there(self, client, is_known):
        concert_id = ConcertFactory(is_published=False).pk + (0 if is_known else 1)

        answer = self.get(client, concert_id)

        assert (answer.status_code, answer.json()["code"]) == (404, "CONCERT_NOT_FOUND")

    def test_counting_down_with_it_agrees_with_the_status(self, client, visitors):
        concert_id = visitors[0].concert.pk
        tick()
        status = visitors[4].poll()
        then = self.get(client, concert_id).json()["data"]["admitted_total"]
        visitors[0].poll()
        visitors[0].leave()
        clear_process_caches()

        now = self.get(client, concert_id).json()["data"]["admitted_total"]

        assert status.position is not None
        assert status.position - (now - then) == visitors[4].poll().position


class TestWithoutAStore:
    @pytest.fixture(autouse=True)
    def store_url(self, settings) -> str:
        """Return where the store would be."""
        url: str = settings.QUEUE_URL
        settings.QUEUE_URL = "redis://127.0.0.1:1/0"
        return url

    def test_every_call_answers_503_and_says_when_to_try_again(self, client, customer, concert):
        token = token_signer().issue(_ticket(concert, customer))
        answers = [
            join(client, customer, {"concert_id": concert.pk}),
            client.get(OWN_TOKEN, headers={"Queue-Token": token}),
            client.delete(OWN_TOKEN, headers={"Queue-Token": token}),
            client.get(f"/api/v1/queue/concerts/{concert.pk}"),
        ]

        assert [answer.status_code for answer in answers] == [503] * 4
        assert {answer.json()["code"] for answer in answers} == {"SERVICE_UNAVAILABLE"}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers)

    def test_a_payer_is_verified_all_the_same(self, customer, concert):
        token = token_signer().issue(_ticket(concert, customer))

        place = services.verify_token(token=token, customer_id=customer.pk, concert_id=concert.pk)

        assert (place.slot, place.generation) == (5, 1)

    def test_leases_cannot_be_changed_and_no_call_fails(self, customer, concert):
        lease: Any = {"concert_id": concert.pk, "customer_id": customer.pk, "slot": 5}

        services.extend_lease(**lease, until=timezone.now())
        services.shorten_lease(**lease)

    def test_controls_take_effect_when_it_is_back(self, concert, settings, store_url, client):
        services.set_capacity(concert_id=concert.pk, capacity=9, staff_id=None)
        assert services.admit_visitors() == 0
        settings.QUEUE_URL = store_url

        tick()

        answer = client.get(f"/api/v1/queue/concerts/{concert.pk}")
        assert answer.json()["data"]["capacity"] == 9


def _ticket(concert: Concert, customer: User) -> TokenClaims:
    return TokenClaims(concert.pk, customer.pk, slot=5, generation=1, issued_at=5)
