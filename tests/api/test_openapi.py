"""The OpenAPI document says what the contract says, and what the code does."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client

from apps.core.codes import CODES
from tests.api.conftest import openapi, operations

COMMITTED = settings.BASE_DIR / "docs" / "openapi.yaml"
# A method that a path does not take has no operation; no customer is refused for who they are.
OUTSIDE_OPERATIONS = {"METHOD_NOT_ALLOWED", "PERMISSION_DENIED"}
# Names for the codes that many operations refuse with.
GROUPS = {
    "BODY": "MALFORMED_REQUEST PAYLOAD_TOO_LARGE UNSUPPORTED_MEDIA_TYPE RATE_LIMITED",
    "INPUT": "VALIDATION_ERROR",
    "PATH": "NOT_FOUND",
    "LOGIN": "AUTHENTICATION_REQUIRED",
    "GATE": "QUEUE_TOKEN_REQUIRED QUEUE_TOKEN_INVALID",
    "ADMITTED": "GATE QUEUE_TOKEN_NOT_ACTIVE QUEUE_TOKEN_EXPIRED",
    "KEY": "IDEMPOTENCY_KEY_IN_USE IDEMPOTENCY_KEY_REUSED IDEMPOTENCY_KEY_REQUIRED",
    "SALES": "SALES_NOT_OPEN SALES_CLOSED",
    "LIMITS": "SEAT_LIMIT_EXCEEDED UNPAID_LIMIT_EXCEEDED PRICE_LIMIT_EXCEEDED STAFF_ACCOUNT",
    "ANY": "NOT_ACCEPTABLE INTERNAL_ERROR SERVICE_UNAVAILABLE",
}
CONCERT = (
    "concert_id title artist venue sales_open_at first_performance_at last_performance_at on_sale"
)
VISIT = "concert_id status position estimated_wait_seconds poll_after_seconds expires_at token"
HOLD = "hold_id performance_id concert_id seats total_price status expires_at extendable"
RESERVATION = (
    "reservation_id concert_id performance_id seats total_price status reserved_at tickets"
)
# Promises of the contract for each operation: success, fields of `data` (of its items in lists), refusals.
CONTRACT: dict[str, tuple[str, str, str]] = {
    "POST /accounts/register": ("201", "user_id email name", "BODY INPUT EMAIL_TAKEN"),
    "POST /accounts/login": (
        "200",
        "access_token token_type expires_at user_id",
        "BODY INPUT INVALID_CREDENTIALS",
    ),
    "POST /accounts/logout": ("200", "", "BODY LOGIN"),
    "GET /accounts/me": ("200", "user_id email name", "LOGIN"),
    "GET /concerts": ("200 304", CONCERT, "INPUT"),
    "GET /concerts/{concert_id}": (
        "200 304",
        f"{CONCERT} description seats_per_customer unpaid_seats_max single_seats price_min price_max",
        "PATH CONCERT_NOT_FOUND",
    ),
    "GET /concerts/popular": ("200 304", "rank concert_id title venue reservations", "INPUT"),
    "GET /concerts/fastest-sold-out": (
        "200 304",
        "rank concert_id performance_id title sold_out_in_seconds",
        "INPUT",
    ),
    "GET /concerts/{concert_id}/performances": (
        "200",
        "performance_id starts_at ends_at seats_total seats_available reservable",
        "PATH LOGIN ADMITTED CONCERT_NOT_FOUND",
    ),
    "GET /performances/{performance_id}/seats": (
        "200",
        "performance_id concert_id seats",
        "PATH INPUT LOGIN ADMITTED PERFORMANCE_NOT_FOUND",
    ),
    "GET /performances/{performance_id}/seat-map": (
        "200 304",
        "performance_id sections grades seats",
        "PATH LOGIN ADMITTED PERFORMANCE_NOT_FOUND",
    ),
    "GET /performances/{performance_id}/availability": (
        "200 304",
        "version statuses",
        "PATH LOGIN ADMITTED PERFORMANCE_NOT_FOUND",
    ),
    "POST /queue/tokens": (
        "200 201",
        VISIT,
        "BODY INPUT LOGIN SALES CONCERT_NOT_FOUND QUEUE_CLOSED STAFF_ACCOUNT",
    ),
    "GET /queue/tokens/me": ("200", f"{VISIT} expired_reason", "GATE"),
    "DELETE /queue/tokens/me": ("200", f"{VISIT} expired_reason", "BODY GATE"),
    "GET /queue/concerts/{concert_id}": (
        "200 304",
        "concert_id state opens_at waiting active capacity admitted_total admitted_per_minute",
        "PATH CONCERT_NOT_FOUND",
    ),
    "POST /holds": (
        "201",
        HOLD,
        "BODY INPUT LOGIN ADMITTED KEY SALES LIMITS SINGLE_SEAT_LEFT"
        " PERFORMANCE_NOT_FOUND SEAT_NOT_FOUND SEAT_ALREADY_HELD SEAT_ALREADY_RESERVED",
    ),
    "POST /holds/best-available": (
        "201",
        HOLD,
        "BODY INPUT LOGIN ADMITTED KEY SALES LIMITS PERFORMANCE_NOT_FOUND NOT_ENOUGH_SEATS",
    ),
    "GET /holds/{hold_id}": ("200", HOLD, "PATH LOGIN HOLD_NOT_FOUND"),
    "DELETE /holds/{hold_id}": (
        "200",
        HOLD,
        "PATH BODY LOGIN HOLD_NOT_FOUND HOLD_NOT_LIVE HOLD_EXPIRED",
    ),
    "POST /holds/{hold_id}/extend": (
        "200",
        HOLD,
        "PATH BODY LOGIN KEY HOLD_NOT_FOUND HOLD_NOT_LIVE HOLD_EXPIRED HOLD_NOT_EXTENDABLE",
    ),
    "POST /reservations": (
        "201",
        f"{RESERVATION} balance",
        "BODY INPUT LOGIN GATE KEY HOLD_NOT_FOUND HOLD_NOT_LIVE HOLD_EXPIRED INSUFFICIENT_BALANCE",
    ),
    "GET /reservations": ("200", RESERVATION, "INPUT LOGIN"),
    "GET /reservations/{reservation_id}": (
        "200",
        RESERVATION,
        "PATH LOGIN RESERVATION_NOT_FOUND",
    ),
    "POST /reservations/{reservation_id}/cancel": (
        "200",
        "reservation_id status refunded_amount balance",
        "PATH BODY LOGIN KEY RESERVATION_NOT_FOUND ALREADY_CANCELLED CANCELLATION_CLOSED",
    ),
    "GET /tickets/{ticket_id}/qr.svg": ("200", "", "PATH LOGIN"),
    "GET /balance": ("200", "balance", "LOGIN"),
    "POST /balance/charges": (
        "201",
        "transaction_id amount balance",
        "BODY INPUT LOGIN KEY BALANCE_LIMIT_EXCEEDED",
    ),
    "GET /balance/transactions": (
        "200",
        "transaction_id type amount balance_after reservation_id created_at",
        "INPUT LOGIN",
    ),
}
LISTS = {"GET /concerts", "GET /reservations", "GET /balance/transactions"}


def codes_of(names: str) -> set[str]:
    """Return the codes, those of the groups among them."""
    return {
        code
        for name in names.split()
        for code in (codes_of(GROUPS[name]) if name in GROUPS else {name})
    }


def resolved(described: dict[str, Any]) -> dict[str, Any]:
    """Return the component that a reference leads to."""
    while "$ref" in described:
        _, kind, name = described["$ref"].rsplit("/", 2)
        described = openapi()["components"][kind][name]
    return described


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return resolved(resolved(schema)["properties"][name])


def refusals(described: dict[str, Any]) -> dict[str, Any]:
    return {
        status: resolved(answer)
        for status, answer in described["responses"].items()
        if int(status) >= 400
    }


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    """Write the document as `make openapi` does; a warning is a failure."""
    path: Path = tmp_path_factory.mktemp("openapi") / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(path))
    return path


class TestDocument:
    def test_is_generated_without_a_warning(self, generated):
        assert yaml.safe_load(generated.read_text())["openapi"].startswith("3.1.")

    def test_is_committed_as_it_is_generated(self, generated):
        assert COMMITTED.read_text() == generated.read_text(), "run `make openapi`"

    def test_is_served(self, client: Client):
        response = client.get("/api/schema/", headers={"Accept": "application/json"})

        assert response.status_code == 200
        assert response.json()["paths"].keys() == openapi()["paths"].keys()

    def test_has_every_operation_of_the_contract_and_no_other(self):
        assert set(operations()) == set(CONTRACT)

    def test_mentions_every_code_and_no_other(self):
        mentioned = {
            code
            for described in operations().values()
            for answer in refusals(described).values()
            for code in field(answer["content"]["application/json"]["schema"], "code")["enum"]
        }

        assert mentioned == set(CODES) - OUTSIDE_OPERATIONS

    def test_writes_what_several_operations_answer_once(self):
        answers = [
            answer
            for described in operations().values()
            for status, answer in described["responses"].items()
            if int(status) >= 400
        ]
        references = [answer["$ref"] for answer in answers if "$ref" in answer]
        shared = openapi()["components"]["responses"]
        written = [*shared.values(), *(answer for answer in answers if "$ref" not in answer)]

        assert {name.rsplit("/", 1)[1] for name in references} == shared.keys()
        assert min(Counter(references).values()) > 1
        assert max(Counter(map(repr, written)).values()) == 1


class TestExplorer:
    def test_needs_nothing_from_elsewhere(self, client: Client):
        response = client.get("/api/docs/")

        assert response.status_code == 200
        page = response.content.decode()
        loaded = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
        assert loaded
        for address in loaded:
            assert address.startswith(settings.STATIC_URL), address
            assert finders.find(address.removeprefix(settings.STATIC_URL)), address


@pytest.mark.parametrize("name", CONTRACT)
class TestOperation:
    def test_is_described(self, name):
        described = operations()[name]

        assert described["summary"]
        assert described["tags"]
        assert all(parameter["schema"] for parameter in described.get("parameters", []))

    def test_succeeds_as_the_contract_says(self, name):
        succeeded, fields, _refusals = CONTRACT[name]
        statuses = {int(status) for status in succeeded.split()}
        answers = operations()[name]["responses"]

        assert {int(status) for status in answers if int(status) < 400} == statuses
        for status in statuses - {304}:
            [(media_type, content)] = answers[str(status)]["content"].items()
            if name.endswith(".svg"):
                assert media_type == "image/svg+xml"
                continue
            assert media_type == "application/json"
            assert field(content["schema"], "code")["enum"] == ["SUCCESS"]
            data = field(content["schema"], "data")
            if name in LISTS:
                assert set(data["required"]) == {"items", "page", "page_size", "total"}
            if "items" in data.get("properties", {}):
                data = resolved(field(data, "items")["items"])
            assert set(fields.split()) <= set(data.get("required", []))

    def test_refuses_as_the_contract_says(self, name):
        _statuses, _fields, codes = CONTRACT[name]
        documented = set()

        for status, answer in refusals(operations()[name]).items():
            schema = answer["content"]["application/json"]["schema"]
            here = field(schema, "code")["enum"]
            assert {CODES[code].status for code in here} == {int(status)}
            documented.update(here)

        assert documented == codes_of(f"ANY {codes}")

    def test_has_an_example_of_every_refusal(self, name):
        for status, answer in refusals(operations()[name]).items():
            content = answer["content"]["application/json"]
            examples = {
                resolved(example)["value"]["code"] for example in content["examples"].values()
            }
            assert examples == set(field(content["schema"], "code")["enum"])
            assert "application/problem+json" in answer["content"], status

    def test_asks_for_a_login_exactly_where_one_is_needed(self, name):
        described = operations()[name]

        needs_login = "401" in described["responses"] and name != "POST /accounts/login"
        assert (described.get("security") == [{"accessToken": []}]) is needs_login

    def test_names_its_headers(self, name):
        headers = {
            parameter["name"]: parameter.get("required", False)
            for parameter in operations()[name].get("parameters", [])
            if parameter["in"] == "header"
        }
        codes = CONTRACT[name][2].split()

        if name == "POST /queue/tokens":  # brings back a place that was lost
            assert headers.pop("Queue-Token") is False
        assert headers.get("Queue-Token", False) is bool({"GATE", "ADMITTED"} & {*codes})
        assert ("Idempotency-Key" in headers) is ("KEY" in codes)
        if "Idempotency-Key" in headers:
            assert headers["Idempotency-Key"] is not name.startswith("POST /holds")

    def test_keeps_ids_within_64_bits(self, name):
        for parameter in operations()[name].get("parameters", []):
            if parameter["in"] == "path":
                schema = parameter["schema"]
                is_uuid = schema.get("format") == "uuid"
                assert is_uuid or (schema["type"], schema["maximum"]) == ("integer", 2**63 - 1)
