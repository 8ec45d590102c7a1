"""Media types, languages, methods, slashes and limits, for every operation alike."""

import re
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from apps.accounts.models import AccessToken
from apps.payments.models import LedgerTransaction
from apps.queue.services import visitor_status
from apps.reservations.models import Hold, Reservation
from tests.api.conftest import PREFIX, Caller, World, operations
from tests.api.test_permissions import PERSONAL, RULES

pytestmark = pytest.mark.django_db

HANGUL = re.compile("[가-힣]")
PROBLEM = "application/problem+json"
SAME_FOR_ALL = "GET /queue/concerts/{concert_id}"  # the same bytes in every language
PICTURE = "GET /tickets/{ticket_id}/qr.svg"
WRITING = [name for name in operations() if not name.startswith("GET ")]
WITHOUT_A_BODY = [name for name in WRITING if RULES[name].body is None]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def call(caller: Caller, world: World, operation: str, suffix: str = "", **headers: str) -> Any:
    """Return what `operation` answers, asked as it wants to be asked."""
    body = RULES[operation].body
    path = operation.format(**world.ids) + suffix
    return caller(path, body(world, 0) if body else None, headers=headers)


class TestMediaType:
    def test_of_a_page_is_refused_everywhere(self, world: World):
        for operation in operations():
            response = call(world.owner, world, operation, Accept="text/html")
            assert (response.status_code, response.json()["code"]) == (406, "NOT_ACCEPTABLE")

    def test_of_refusals_can_be_a_problem_everywhere(self, world: World):
        for operation in PERSONAL:
            response = call(Caller({}), world, operation, Accept=PROBLEM)
            assert response["Content-Type"] == PROBLEM, operation
            assert response.json()["code"] == "AUTHENTICATION_REQUIRED"

    @pytest.mark.parametrize("accept", ["*/*", "image/svg+xml", "image/*", "application/json"])
    def test_of_a_picture_is_a_picture(self, world: World, accept: str):
        response = call(world.owner, world, PICTURE, Accept=accept)

        assert (response.status_code, response["Content-Type"]) == (200, "image/svg+xml")

    @pytest.mark.parametrize("accept", ["*/*", "image/svg+xml"])
    def test_of_the_reason_why_there_is_no_picture_is_json(self, world: World, accept: str):
        for caller, status in ((Caller({}), 401), (world.other, 404)):
            response = call(caller, world, PICTURE, Accept=accept)
            assert (response.status_code, response["Content-Type"]) == (status, "application/json")
            assert response.json()["data"]["request_id"]


class TestBody:
    """One that is no JSON is refused by every operation that writes, whether it expects a body or not."""

    @pytest.mark.parametrize("operation", WRITING)
    @pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}], ids=["plain", "with a key"])
    @pytest.mark.parametrize("body", [b"{", b"\xff", b" "])
    def test_that_is_malformed_is_refused(
        self, world: World, operation: str, headers: dict[str, str], body: bytes
    ):
        before = everything(world)

        response = send(world, operation, body, **headers)

        assert (response.status_code, response.json()["code"]) == (400, "MALFORMED_REQUEST")
        assert everything(world) == before

    @pytest.mark.parametrize("operation", WITHOUT_A_BODY)
    @pytest.mark.parametrize("body", [b"", b"{}", b'{"note": "not asked for"}'])
    def test_where_none_is_expected_may_be_missing_or_any_json(
        self, world: World, operation: str, body: bytes
    ):
        assert send(world, operation, body, **{"Idempotency-Key": "k"}).status_code == 200

    @pytest.mark.parametrize("operation", WITHOUT_A_BODY)
    def test_needs_no_media_type_where_there_is_none(self, world: World, operation: str):
        answer = send(world, operation, b"", media_type="", **{"Idempotency-Key": "k"})

        assert answer.status_code == 200

    @pytest.mark.parametrize("operation", WITHOUT_A_BODY)
    def test_of_another_type_is_ignored_where_none_is_expected(self, world: World, operation: str):
        answer = send(world, operation, b"--x--\r\n", media_type="multipart/form-data; boundary=x")

        assert answer.status_code in (200, 400)
        assert answer.json()["code"] in ("SUCCESS", "IDEMPOTENCY_KEY_REQUIRED")

    def test_does_not_matter_to_strangers_and_to_methods_that_there_are_not(self, world: World):
        stranger = Client().post(f"{PREFIX}/accounts/logout", b"{", content_type="application/json")
        no_method = Client().post(
            f"{PREFIX}/accounts/me", b"{", "application/json", headers=world.owner.headers
        )

        assert (stranger.status_code, no_method.status_code) == (401, 405)


def send(
    world: World,
    operation: str,
    body: bytes,
    *,
    media_type: str = "application/json",
    **headers: str,
) -> Any:
    method, _, path = operation.format(**world.ids).partition(" ")
    return Client(raise_request_exception=False).generic(
        method, f"{PREFIX}{path}", body, media_type, headers=world.owner.headers | headers
    )


def everything(world: World) -> list[Any]:
    """Return what a call of the owner might change."""
    return [
        *Hold.objects.order_by("pk").values(),
        *Reservation.objects.order_by("pk").values(),
        *LedgerTransaction.objects.order_by("pk").values(),
        *AccessToken.objects.order_by("pk").values_list("pk", "revoked_at"),
        visitor_status(token=world.owner.headers["Queue-Token"]).status,
    ]


class TestLanguage:
    @pytest.mark.parametrize("operation", [name for name in RULES if name != PICTURE])
    def test_of_a_success_is_the_callers(self, world: World, operation: str):
        response = call(world.owner, world, operation, **{"Accept-Language": "ko"})

        assert response.status_code < 300
        is_korean = bool(HANGUL.search(response.json()["message"]))
        assert is_korean is (operation != SAME_FOR_ALL)
        assert response["Content-Language"] == ("ko" if is_korean else "en")


class TestSlash:
    @pytest.mark.parametrize("operation", RULES)
    def test_at_the_end_makes_no_difference(self, world: World, operation: str):
        response = call(world.owner, world, operation, suffix="/")

        assert response.status_code < 300


class TestLimit:
    NAMED = {
        "POST /accounts/login": "login",
        "POST /accounts/register": "register",
        "POST /queue/tokens": "join",
        "POST /holds": "hold",
        "POST /holds/best-available": "hold",
        "POST /balance/charges": "charge",
    }

    def test_is_that_of_the_contract(self, world: World, settings: LazySettings):
        settings.RATE_LIMIT_ENABLED = True
        # A login is counted at the account that it names.
        bodies = {"POST /accounts/login": {"email": "a@b.example", "password": "x"}}
        found = {}
        for operation, described in operations().items():
            response = world.owner(operation.format(**world.ids), bodies.get(operation, {}))
            policy = response.get("RateLimit-Policy", "")
            found[operation] = policy.split(";")[0].strip('"') or None
            assert ("429" in described["responses"]) is bool(policy), operation
            if operation == "POST /accounts/logout":
                world.owner.headers |= world.other.headers

        assert found == dict.fromkeys(operations()) | dict.fromkeys(WRITING, "write") | self.NAMED


class TestMethod:
    def test_that_no_operation_has_is_refused_and_the_others_named(self, world: World):
        by_path: dict[str, set[str]] = {}
        for operation in operations():
            method, path = operation.split(" ")
            by_path.setdefault(path, set()).add(method)

        for path, known in by_path.items():
            allowed = known | ({"HEAD"} if "GET" in known else set())
            for method in set(METHODS) - known:
                response = world.owner(f"{method} {path}".format(**world.ids))
                assert response.status_code == 405, (method, path)
                assert set(response["Allow"].split(", ")) == allowed
