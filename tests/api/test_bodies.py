"""Every body is answered as the contract says, and nothing is taken for what it is not."""

import json

import pytest
from django.conf import settings
from rest_framework.exceptions import ErrorDetail, ValidationError

from apps.api.exceptions import render_exception
from tests.probes import API

pytestmark = pytest.mark.urls("tests.probes")

TOO_DEEP = 30_000


@pytest.fixture
def send(api):
    def post(body: bytes, content_type: str = "application/json"):
        return api.generic("POST", f"{API}/body", body, content_type=content_type)

    return post


def expect_wrong(answer, field: str) -> None:
    """Expect that this field alone is refused."""
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert list(answer.json()["data"]["errors"]) == [field]


class TestParser:
    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b'{"text": "x"',
            b"{'text': 'x'}",
            b'{"count": 01}',
            b'{"count": 1,}',
            b'{"text": "x"} {}',
            b'{"text": "a\nb"}',
            b"nonsense",
            b" ",
            b"\xef\xbb\xbf{}",
            b'{"text": "\xff"}',
            '{"text": "가"}'.encode("euc-kr"),
            '{"text": "x"}'.encode("utf-16"),
            b'{"count": NaN}',
            b'{"count": Infinity}',
            b'{"count": -Infinity}',
            b'{"other": [NaN]}',
            b'{"count": %s}' % (b"9" * 5_000),
            b"[" * TOO_DEEP,
            b"[" * TOO_DEEP + b"]" * TOO_DEEP,
            b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        ],
        ids=lambda body: repr(body[:20]),
    )
    def test_refuses_what_is_not_json(self, send, body):
        response = send(body)

        assert (response.status_code, response.json()["code"]) == (400, "MALFORMED_REQUEST")

    @pytest.mark.parametrize("body", [b"null", b"[]", b'[{"count": 1}]', b'"text"', b"1", b"true"])
    def test_refuses_json_that_is_no_object(self, send, body):
        response = send(body)

        assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
        assert response.json()["data"]["errors"] == {
            "non_field_errors": ["Expected a JSON object."]
        }

    @pytest.mark.parametrize("depth", range(900, 1_000))
    def test_passes_no_nesting_on_that_the_rest_cannot_bear(self, send, depth):
        response = send(b'{"seats": %s%s}' % (b"[" * depth, b"]" * depth))

        assert response.status_code == 400
        assert response.json()["code"] in {"VALIDATION_ERROR", "MALFORMED_REQUEST"}

    def test_takes_64_kibibytes(self, send):
        body = b'{"text": "x"}'

        response = send(body.ljust(settings.MAX_BODY_BYTES))

        assert settings.MAX_BODY_BYTES == 64 * 1024
        assert response.json()["data"] == {"text": "x"}

    @pytest.mark.parametrize("size", [64 * 1024 + 1, 3 * 1024 * 1024])
    def test_refuses_more(self, send, size):
        response = send(b'{"text": "x"}'.ljust(size))

        assert (response.status_code, response.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")

    @pytest.mark.parametrize(
        "content_type",
        [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/json-patch+json",
            "nonsense",
            "",
        ],
    )
    def test_refuses_other_media_types(self, send, content_type):
        response = send(b"{}", content_type)

        assert (response.status_code, response.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")

    @pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
    def test_takes_no_body_for_an_empty_object(self, send, content_type):
        assert send(b"", content_type).json()["data"] == {}


class TestStrictInteger:
    @pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63)])
    def test_takes_64_bits(self, send, value):
        assert send(json.dumps({"count": value}).encode()).json()["data"] == {"count": value}

    @pytest.mark.parametrize(
        "literal",
        [
            *['"1"', "1.0", "1e0", "1e999", "true", "false", "null", "[1]", "{}", '""'],
            *(str(2**63), str(-(2**63) - 1), "9" * 4000),
        ],
    )
    def test_refuses_everything_else(self, send, literal):
        expect_wrong(send(b'{"count": %s}' % literal.encode()), "count")

    @pytest.mark.parametrize(("value", "status"), [(0, 400), (1, 200), (10, 200), (11, 400)])
    def test_keeps_the_bounds_of_the_field(self, send, value, status):
        assert send(b'{"amount": %d}' % value).status_code == status


class TestStrictText:
    @pytest.mark.parametrize("value", ["x", "가나다", "🎫" * 10])
    def test_takes_text(self, send, value):
        assert send(json.dumps({"text": value}).encode()).json()["data"] == {"text": value}

    @pytest.mark.parametrize(
        "literal",
        [
            *[
                "1",
                "1.5",
                "true",
                "null",
                "[]",
                "{}",
                '""',
                '"a\\u0000b"',
                '"\\ud800"',
                '"\\udc00\\ud800"',
            ],
            *('" "', f'"{"x" * 11}"'),
        ],
    )
    def test_refuses_everything_else(self, send, literal):
        expect_wrong(send(b'{"text": %s}' % literal.encode()), "text")


class TestStrictUuid:
    VALUE = "3f0d1f63-2f1c-4d6e-9d57-0c4c8f2f7a11"

    @pytest.mark.parametrize("value", [VALUE, VALUE.upper()])
    def test_takes_the_canonical_form(self, send, value):
        response = send(json.dumps({"reference": value}).encode())

        assert response.json()["data"] == {"reference": self.VALUE}

    @pytest.mark.parametrize(
        "value",
        [
            *(VALUE.replace("-", ""), VALUE[:-1], VALUE[:-1] + "g", VALUE.replace("3", "３")),
            *(f"{{{VALUE}}}", f"urn:uuid:{VALUE}", f"{VALUE}\n", "", "\x00" * 36),
            *(f"urn:{VALUE.replace('-', '')}", f"----{VALUE.replace('-', '')}"),
            *(1, 2**127, True, None, [], {}),
        ],
        ids=repr,
    )
    def test_refuses_everything_else(self, send, value):
        expect_wrong(send(json.dumps({"reference": value}).encode()), "reference")


class TestValidationErrors:
    def test_name_every_field_and_every_item(self, send):
        response = send(b'{"count": "1", "seats": [1, "2", 3, true]}')

        assert response.json()["data"]["errors"] == {
            "count": ["A valid integer is required."],
            "seats.1": ["A valid integer is required."],
            "seats.3": ["A valid integer is required."],
        }

    def test_are_flat_however_deep_they_are(self):
        wrong = [ErrorDetail("wrong")]
        nested = ValidationError({"a": [{}, {"b": wrong}], "c": {"d": wrong}})

        response = render_exception(nested, {})

        assert response.data["data"]["errors"] == {"a.1.b": ["wrong"], "c.d": ["wrong"]}


class TestInt64Path:
    @pytest.mark.parametrize("number", [0, 1, 2**63 - 1])
    def test_takes_what_fits(self, api, number):
        response = api.get(f"{API}/numbers/{number}")

        assert response.json()["data"] == {"number": number}

    @pytest.mark.parametrize(
        "number", [2**63, 10**19, 10**30, "9" * 3_000, -1, "+1", "1.0", "0x1", "1e3", "١", "%201"]
    )
    def test_finds_nothing_otherwise(self, api, number):
        response = api.get(f"{API}/numbers/{number}")

        assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")
