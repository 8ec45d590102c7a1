"""People read English or Korean; programs read codes."""

import re

import pytest
from django.utils import translation

from apps.core.codes import CODES
from tests.probes import API

pytestmark = pytest.mark.urls("tests.probes")

HANGUL = re.compile("[가-힣]")


class TestMessage:
    @pytest.mark.parametrize(
        "accepted", [None, "", "en", "en-GB", "fr", "*", "fr, en;q=0.5", ";;=,"]
    )
    def test_is_english_by_default(self, api, accepted):
        headers = {} if accepted is None else {"Accept-Language": accepted}

        response = api.get(f"{API}/nothing", headers=headers)

        assert response.json()["message"] == "There is nothing here."
        assert response["Content-Language"] == "en"

    @pytest.mark.parametrize("accepted", ["ko", "ko-KR", "ko,en;q=0.9", "fr, ko;q=0.5", "KO"])
    @pytest.mark.parametrize(
        "path", ["nothing", "a%0Ab", "crash", "unrenderable", "busy", "personal"]
    )
    def test_is_korean_for_who_asks(self, api, accepted, path):
        response = api.get(f"{API}/{path}", headers={"Accept-Language": accepted})

        assert HANGUL.search(response.json()["message"])
        assert response["Content-Language"] == "ko"

    @pytest.mark.parametrize("code", CODES)
    def test_of_every_code_has_a_translation(self, code):
        english = str(CODES[code].message)

        with translation.override("ko"):
            korean = str(CODES[code].message)

        assert not HANGUL.search(english)
        assert HANGUL.search(korean), "translate it in locale/ko/LC_MESSAGES/django.po"

    @pytest.mark.parametrize("body", [b"[]", b'{"count": "1"}', b'{"text": ""}'])
    def test_of_a_wrong_value_is_translated(self, api, body):
        response = api.generic(
            "POST",
            f"{API}/body",
            body,
            content_type="application/json",
            headers={"Accept-Language": "ko"},
        )

        [[message]] = response.json()["data"]["errors"].values()
        assert HANGUL.search(message)

    def test_of_a_problem_is_its_title(self, api):
        headers = {"Accept-Language": "ko", "Accept": "application/problem+json"}

        assert HANGUL.search(api.get(f"{API}/nothing", headers=headers).json()["title"])
