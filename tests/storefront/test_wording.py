"""Sentences and figures in both languages."""

import pytest
from django.test import Client
from django.utils import translation

from apps.concerts.models import Performance
from apps.reservations.models import Hold
from apps.storefront.wording import seat_map_words, won
from tests.storefront.visits import checkout_of

pytestmark = pytest.mark.django_db


class TestWon:
    @pytest.mark.parametrize(
        ("language", "amount", "written"),
        [
            ("en", 330_000, "₩330,000"),
            ("en", -5_000, "−₩5,000"),
            ("ko", 330_000, "330,000원"),
            ("ko", -5_000, "−5,000원"),
            ("ko", 0, "0원"),
        ],
    )
    def test_is_written_as_people_of_the_language_do(
        self, language: str, amount: int, written: str
    ):
        with translation.override(language):
            assert won(amount) == written

    def test_is_written_the_same_by_scripts(self):
        with translation.override("ko"):
            assert seat_map_words()["won"].replace("{amount}", "1,000") == won(1_000)

    def test_of_single_seats_is_korean_with_their_names(self):
        with translation.override("ko"):
            words = seat_map_words().values()

        assert any("한 자리만 홀로 남습니다: {seats}" in text for text in words)
        assert "{section} 구역 {row}열 {number}번" in words

    @pytest.mark.parametrize("path", ["/", "/wallet/", "concert", "checkout"])
    def test_stands_on_no_korean_page_as_a_sign(
        self, path: str, browser: Client, performance: Performance, held: Hold
    ):
        paths = {"concert": f"/concerts/{performance.concert_id}/", "checkout": checkout_of(held)}

        page = browser.get(paths.get(path, path), headers={"Accept-Language": "ko"})

        text = page.content.decode()
        assert "₩" not in text
        assert "000원" in text
