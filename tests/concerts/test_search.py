"""Test what customers type to find a concert, and what it costs."""

import unicodedata

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apps.concerts.models import Concert
from apps.concerts.selectors import concerts_not_over
from apps.core.search import WORDS_MAX, folded_words
from tests.factories.concerts import ConcertFactory, PerformanceFactory

pytestmark = pytest.mark.django_db

LUMEN = "LUMEN SEVEN: 첫 번째 궤도"
HANGUL = st.sampled_from("가각괘뷁서울닭값힣")


def found(text: str) -> list[str]:
    return [concert.title for concert in concerts_not_over(at=timezone.now(), text=text)]


@pytest.fixture
def concerts() -> None:
    ConcertFactory(title=LUMEN, artist="루멘 세븐", venue="가온 아레나")
    ConcertFactory(title="Small Hours", artist="Ida Vale Trio", venue="Basement 17")
    ConcertFactory(title="Café Größenwahn", artist="Łukasz Øst", venue="Кино Мир")


@pytest.mark.usefixtures("concerts")
class TestFinds:
    @pytest.mark.parametrize(
        "text",
        [
            "루멘 세븐",
            "루멘세븐",
            "루 멘 세 븐",
            unicodedata.normalize("NFD", "루멘 세븐"),
            "lumen",
            "lumenseven",
            "ＬＵＭＥＮ　ｓｅｖｅｎ",
            "seven 아레나",
            "첫번째궤도",
            "SEVEN:",
            "멘",
        ],
    )
    def test_without_regard_to_spaces_width_and_case(self, text):
        assert found(text) == [LUMEN]

    @pytest.mark.parametrize(
        "text", ["cafe", "CAFÉ", "cafe\u0301", "grossenwahn", "größenwahn", "lukasz ost", "КИНО"]
    )
    def test_without_regard_to_accents(self, text):
        assert found(text) == ["Café Größenwahn"]

    @pytest.mark.parametrize(
        "text", ["basment", "bassement", "basemint", "baesment", "basmeent", "smal huors", "valee"]
    )
    def test_with_a_slip_of_one_letter(self, text):
        assert found(text) == ["Small Hours"]

    @pytest.mark.parametrize("text", ["루맨세븐", "루멘 세분", "루메 세븐", "아래나", "궤두"])
    def test_with_a_wrong_letter_within_a_syllable(self, text):
        assert found(text) == [LUMEN]

    @pytest.mark.parametrize("text", ["bsmnt", "baesmetn", "basement 18 hall", "xyz", "뷁뷁"])
    def test_nothing_with_more_than_a_slip(self, text):
        assert found(text) == []

    @pytest.mark.parametrize(
        "text", ["!!!", "\u200b", "\u3164", "٪", "%", "_", "\\", "' OR 1=1 --"]
    )
    def test_nothing_by_what_has_no_letters_or_is_no_word(self, text):
        assert found(text) == []


class TestOrder:
    def test_leaves_out_slips_when_something_is_written_as_typed(self):
        ConcertFactory(title="Moon Song")
        ConcertFactory(title="Noon Song")

        assert found("moon") == ["Moon Song"]
        assert set(found("qoon")) == {"Moon Song", "Noon Song"}

    def test_puts_titles_before_artists_and_venues(self):
        PerformanceFactory(concert__title="Early", concert__venue="Echo Hall")
        PerformanceFactory(concert__title="Echo")

        assert found("echo") == ["Echo", "Early"]


class TestCost:
    def test_reads_an_index(self):
        with CaptureQueriesContext(connection) as queries:
            list(Concert.objects.matching("basement moon"))

        searches = [query["sql"] for query in queries if "search_grams" in query["sql"]]
        assert len(searches) == 2  # as typed, then with a slip
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            for search in searches:
                cursor.execute(f"EXPLAIN {search}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
                assert "concert_search" in plan
                assert "Seq Scan on concerts_concert" not in plan

    def test_is_bounded_whatever_is_typed(self):
        with CaptureQueriesContext(connection) as queries:
            assert found(" ".join(f"word{number}" for number in range(200))) == []

        assert max(query["sql"].count("search_grams") for query in queries) <= 3 * WORDS_MAX

    @pytest.mark.parametrize("text", ["\ufdfa" * 100, "힣" * 100, "ab" * 50])
    def test_is_bounded_for_words_that_grow_when_they_are_folded(self, text):
        """One of these is 18 letters long when it is folded, and PostgreSQL refuses a regular expression that is too large."""
        ConcertFactory(title=text)

        with CaptureQueriesContext(connection) as queries:
            assert found(f"{text[:-1]}x") == []
            assert found(text) == [text]

        assert max(len(query["sql"]) for query in queries) < 60_000


class TestFolding(TestCase):
    """PostgreSQL folds; here it is held against what Python knows of the same letters."""

    @given(st.text(st.one_of(HANGUL, st.characters(codec="utf-8", exclude_characters="\x00"))))
    def test_does_not_care_how_a_text_is_composed(self, text):
        forms = {form: folded_words(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}

        assert forms["NFC"] == forms["NFD"] == folded_words(text)

    @given(st.text(HANGUL, min_size=1, max_size=5))
    def test_compares_hangul_letter_by_letter(self, text):
        assert folded_words(text) == [unicodedata.normalize("NFD", text)]


def test_finds_what_was_written_without_the_orm():
    concert = ConcertFactory(title="Before")
    Concert.objects.filter(pk=concert.pk).update(title="Paper Lanterns")

    assert found("lanterns") == ["Paper Lanterns"]
