"""Every answer is an envelope, whatever goes wrong and wherever it does."""

import json
import re

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test import Client, RequestFactory

from apps.api.wsgi import with_plain_content_type
from apps.core.codes import CODES
from tests.factories.accounts import CustomerFactory, bearer
from tests.probes import API, LOCK

pytestmark = [pytest.mark.urls("tests.probes"), pytest.mark.django_db]

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
PROBLEM = "application/problem+json"
# Outside DRF too: an error while the answer is being rendered, a path that no pattern can match.
REFUSALS = {
    "crash": "INTERNAL_ERROR",
    "unrenderable": "INTERNAL_ERROR",
    "busy": "SEAT_ALREADY_HELD",
    "unavailable": "SERVICE_UNAVAILABLE",
    "suspicious": "MALFORMED_REQUEST",
    "forbidden": "PERMISSION_DENIED",
    "personal": "AUTHENTICATION_REQUIRED",
    "nothing": "NOT_FOUND",
}


def assert_refusal(response, code: str, **details) -> None:
    entry = CODES[code]
    assert response.status_code == entry.status
    assert response["Content-Type"] == "application/json"
    assert response.json() == {
        "code": code,
        "message": str(entry.message),
        "data": {
            "retryable": entry.retryable,
            "request_id": response["X-Request-ID"],
            **details,
        },
    }


class TestSuccess:
    def test_is_an_envelope(self, api):
        response = api.get(f"{API}/numbers/7")

        assert response.status_code == 200
        assert response["Content-Type"] == "application/json"
        assert response.json() == {"code": "SUCCESS", "message": "Read.", "data": {"number": 7}}

    def test_is_the_same_for_a_caller_who_prefers_problems(self, api):
        response = api.get(f"{API}/numbers/7", headers={"Accept": PROBLEM})

        assert response["Content-Type"] == "application/json"
        assert response.json()["data"] == {"number": 7}


class TestUnknownPath:
    PATHS = ["", "/", "/nothing", "/nothing/", "//", "/a%0Ab", "/%00", "/%ff", "/probes/numbers/x"]
    PATHS += ["/probes/numbers/7//"]  # one slash at the end makes no difference, two do

    @pytest.mark.parametrize("debug", [False, True])
    @pytest.mark.parametrize("path", PATHS)
    def test_is_not_found(self, api, settings, path, debug):
        settings.DEBUG = debug

        assert_refusal(api.get(f"/api/v1{path}"), "NOT_FOUND")

    @pytest.mark.parametrize("method", METHODS)
    def test_is_not_found_by_any_method_and_with_any_login(self, api, method):
        invalid_login = {"Authorization": "Bearer nonsense"}

        response = api.generic(method, "/api/v1/nothing", b"{", headers=invalid_login)

        assert_refusal(response, "NOT_FOUND")

    @pytest.mark.urls("concert_project.urls")
    def test_outside_the_api_is_left_to_the_pages(self, api):
        response = api.get("/nothing")

        assert response.status_code == 404
        assert response["Content-Type"].startswith("text/html")


class TestMethod:
    @pytest.mark.parametrize("method", METHODS[1:])
    def test_that_a_path_does_not_take_is_refused_and_the_others_named(self, api, method):
        response = api.generic(method, f"{API}/numbers/7")

        assert_refusal(response, "METHOD_NOT_ALLOWED")
        assert response["Allow"] == "GET, HEAD"


class TestAccept:
    @pytest.mark.parametrize(
        "accept", ["text/html", "image/png", "application/xml", "nonsense", ";;;/", '"', "a/b/c"]
    )
    def test_of_something_else_is_refused(self, api, accept):
        assert_refusal(api.get(f"{API}/numbers/7", headers={"Accept": accept}), "NOT_ACCEPTABLE")

    @pytest.mark.parametrize(
        "accept",
        ["application/json", "*/*", "application/*", "text/html, */*;q=0.1", "*/*;q=x", PROBLEM],
    )
    def test_of_json_is_answered(self, api, accept):
        assert api.get(f"{API}/numbers/7", headers={"Accept": accept}).status_code == 200


class TestFailure:
    @pytest.mark.parametrize("debug", [False, True])
    def test_that_was_not_expected_tells_nothing(self, api, settings, debug):
        settings.DEBUG = debug

        response = api.get(f"{API}/crash")

        assert_refusal(response, "INTERNAL_ERROR")
        assert b"password" not in response.content

    def test_of_the_host_header_is_an_envelope_too(self, api):
        response = api.get(f"{API}/numbers/7", headers={"Host": "elsewhere.example"})

        assert_refusal(response, "MALFORMED_REQUEST")

    @pytest.mark.parametrize(
        ("path", "header", "value"),
        [("busy", "Retry-After", "7"), ("personal", "WWW-Authenticate", "Bearer")],
    )
    def test_says_in_a_header_what_to_do(self, api, path, header, value):
        assert api.get(f"{API}/{path}")[header] == value


class TestDatabaseTrouble:
    @pytest.mark.django_db(transaction=True)
    def test_a_lock_that_is_kept_too_long_is_503(self, api, rival):
        with rival.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])

        response = api.get(f"{API}/locked")

        assert_refusal(response, "SERVICE_UNAVAILABLE")
        assert response["Retry-After"] == "1"

    @pytest.mark.django_db(transaction=True)
    def test_no_database_is_503(self, api, monkeypatch):
        login = bearer(CustomerFactory())
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "PORT", "1")

        response = api.get(f"{API}/personal", headers=login)

        assert_refusal(response, "SERVICE_UNAVAILABLE")
        assert response["Retry-After"] == "1"


class TestProblemDocument:
    @pytest.mark.parametrize(("path", "code"), REFUSALS.items())
    @pytest.mark.parametrize("accept", [PROBLEM, f"text/html, {PROBLEM};q=0.5"])
    def test_says_the_same_as_the_envelope(self, api, path, code, accept):
        entry, details = CODES[code], {"seat_ids": [1, 2]} if path == "busy" else {}
        assert_refusal(api.get(f"{API}/{path}"), code, **details)

        response = api.get(f"{API}/{path}", headers={"Accept": accept})

        assert response.status_code == entry.status
        assert response["Content-Type"] == PROBLEM
        assert response.json() == {
            "type": f"urn:encore:problem:{code.lower().replace('_', '-')}",
            "title": str(entry.message),
            "status": entry.status,
            "code": code,
            "retryable": entry.retryable,
            "request_id": response["X-Request-ID"],
            **details,
        }

    def test_of_invalid_values_names_the_fields(self, api):
        response = api.post(
            f"{API}/body",
            {"count": "1"},
            content_type="application/json",
            headers={"Accept": PROBLEM},
        )

        assert response.json()["errors"] == {"count": ["A valid integer is required."]}

    def test_is_not_sent_to_who_takes_both(self, api):
        both = f"application/json, {PROBLEM}"

        assert_refusal(api.get(f"{API}/nothing", headers={"Accept": both}), "NOT_FOUND")


class TestRequestId:
    UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

    @pytest.mark.parametrize("path", ["numbers/7", "nothing", "crash", "unrenderable"])
    def test_is_made_for_every_answer(self, api, path):
        first, second = api.get(f"{API}/{path}"), api.get(f"{API}/{path}")

        assert self.UUID.fullmatch(first["X-Request-ID"])
        assert first["X-Request-ID"] != second["X-Request-ID"]

    @pytest.mark.parametrize("request_id", ["a", "7.f_A:-", "x" * 100])
    def test_of_the_caller_is_taken_over(self, api, request_id):
        response = api.get(f"{API}/nothing", headers={"X-Request-ID": request_id})

        assert response["X-Request-ID"] == request_id
        assert response.json()["data"]["request_id"] == request_id

    @pytest.mark.parametrize(
        "request_id", ["", "x" * 101, "a b", "a\tb", 'a"b', "한", "<b>", "a,b"]
    )
    def test_that_is_unfit_for_a_log_line_is_replaced(self, api, request_id):
        response = api.get(f"{API}/nothing", headers={"X-Request-ID": request_id})

        assert self.UUID.fullmatch(response["X-Request-ID"])
        assert_refusal(response, "NOT_FOUND")


class TestCharset:
    """Python knows codecs that are none for text, and some of them unpack gigabytes from a few bytes."""

    CODECS = ["zlib", "bz2", "rot13", "idna", "undefined", "utf-16", "euc-kr", '"zlib"', "nonsense"]

    @pytest.mark.parametrize(
        "parameters",
        [
            *(f"Charset={codec}; x=y" for codec in CODECS),
            *(f"charset*=utf-8''{codec}" for codec in CODECS),
            "charset*0=zl; charset*1=ib",
            "x*=nonsense''y",
            "boundary*=nonsense''y",
        ],
    )
    def test_that_a_caller_names_for_the_query_is_ignored(self, rf: RequestFactory, parameters):
        environ = rf.get(f"{API}/numbers/7?q=%EA%B0%80").environ
        environ["CONTENT_TYPE"] = f"text/plain; {parameters}"
        started = []

        def start(status, *_details):
            started.append(status)

        body = with_plain_content_type(WSGIHandler())(environ, start)

        assert started == ["200 OK"]
        assert json.loads(b"".join(body))["data"] == {"number": 7, "q": "가"}

    def test_is_all_that_is_taken_from_a_form(self):
        types = []

        def application(environ, start):
            types.append(environ["CONTENT_TYPE"])
            return []

        given = "multipart/form-data; charset=zlib; Boundary = abc; x*=nonsense''y"
        with_plain_content_type(application)({"CONTENT_TYPE": given}, lambda *_: lambda _: None)

        assert types == ["multipart/form-data; Boundary = abc"]

    @pytest.mark.parametrize("codec", [name for name in CODECS if '"' not in name])
    def test_that_a_caller_names_for_the_body_is_ignored(self, api: Client, codec):
        response = api.generic(
            "POST",
            f"{API}/body",
            '{"text":"가"}'.encode(),
            content_type="application/json",
            CONTENT_TYPE=f"application/json; charset={codec}",
        )

        assert response.status_code == 200
        assert response.json()["data"] == {"text": "가"}
