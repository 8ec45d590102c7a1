import io

import pytest
from django.test import RequestFactory
from rest_framework.exceptions import ParseError

from apps.api.parsers import BoundedJSONParser

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("key", ['"\\000\\000"', "short", "x" * 300, ""])
def test_a_cookie_that_is_no_session_key_is_none(client, key):
    client.cookies.load({"sessionid": "x"})
    answer = client.get("/admin/login/", headers={"Cookie": f"sessionid={key}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["a b", "", "elsewhere.example", "x" * 300])
@pytest.mark.parametrize("path", ["/api/v1/concerts", "/"])
def test_a_host_that_is_not_ours_is_a_400_without_a_traceback(client, caplog, host, path):
    answer = client.get(path, headers={"Host": host})

    assert answer.status_code == 400
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("header", ["If-Match", "If-Unmodified-Since"])
@pytest.mark.parametrize("path", ["/api/v1/concerts", "/api/v1/concerts/popular"])
def test_conditions_on_changing_mean_nothing_here(client, header, path):
    answer = client.get(path, headers={header: '"x"'})

    assert answer.status_code == 200


def test_a_body_that_was_cut_off_is_not_acted_on():
    cut_off = RequestFactory().post("/", CONTENT_LENGTH="500")

    with pytest.raises(ParseError):
        BoundedJSONParser().parse(io.BytesIO(b'{"amount": 7}'), None, {"request": cut_off})


@pytest.mark.parametrize("grade", ["\ud800", "X", 1, True, ["VIP"], {"a": {"b": {}}}])
def test_a_grade_that_is_none_is_a_validation_error(grade):
    from apps.reservations.serializers import BestAvailableRequest

    request = BestAvailableRequest(data={"performance_id": 1, "quantity": 1, "grade": grade})

    assert not request.is_valid()
    assert str(grade) not in str(request.errors["grade"])


@pytest.mark.parametrize("length", [2 * 1024 * 1024 + 1, "9" * 5_000, "²"])
@pytest.mark.parametrize("path", ["/", "/login/", "/admin/login/", "/nothing/"])
def test_a_page_reads_no_form_that_is_too_large(client, path, length):
    answer = client.post(path, CONTENT_LENGTH=str(length))

    assert answer.status_code == 400
