"""Media types, languages, methods and slashes, for every operation alike."""

import re
from typing import Any

import pytest

from tests.api.conftest import Caller, World, operations
from tests.api.test_permissions import PERSONAL, RULES

pytestmark = pytest.mark.django_db

HANGUL = re.compile("[가-힣]")
PROBLEM = "application/problem+json"
SAME_FOR_ALL = "GET /queue/concerts/{concert_id}"  # the same bytes in every language
PICTURE = "GET /tickets/{ticket_id}/qr.svg"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def call(caller: Caller, world: World, operation: str, suffix: str = "", **headers: str) -> Any:
    """What `operation` answers, asked as it wants to be asked."""
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
