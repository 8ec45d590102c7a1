"""Search of names and titles in which width, case, accents and spaces do not matter, and a slip of one letter is forgiven.

PostgreSQL folds both sides by the same function, `search_fold`: compatibility decomposition, case folding, then letters and digits
only. So Hangul is compared letter by letter and not syllable by syllable. A GIN index on `search_grams`, all pieces of one to
three letters, finds the rows that may fit, and a regular expression keeps those that do. Every typed word has
to be part of one of the fields.

One slip leaves one half of a word whole (the pigeonhole principle; Navarro, "A guided tour to approximate string matching", ACM
Computing Surveys 33(1), 2001, section 6), so the index finds words with a slip by their halves.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import connection
from django.db.models import BooleanField, F, Func, Q, QuerySet, TextField, Value

WORDS_MAX = 8  # of what was typed; each costs a look into the index
FORGIVING_FROM = 4  # letters; less is found in too much
FORGIVING_TO = 32  # letters; the regular expression grows with the square

Rows = TypeVar("Rows", bound=QuerySet[Any])


class SearchFold(Func):
    """A field without all that does not matter."""

    function = "search_fold"
    output_field = TextField()


class SearchGrams(Func):
    """Pieces of the fields by which an index finds them."""

    function = "search_grams"
    output_field = ArrayField(TextField())


class _FoldedText(Func):
    """All fields as they are compared, with a space between them."""

    template = "%(expressions)s"
    arg_joiner = " || ' ' || "
    output_field = TextField()

    def __init__(self, *fields: str) -> None:
        super().__init__(*map(SearchFold, fields))


class _Contains(Func):
    template = "%(expressions)s"
    arg_joiner = " @> "
    output_field = BooleanField()


class _MatchesAll(Func):
    """Compare a text with regular expressions; it is folded once for all of them."""

    template = "%(expressions)s)"
    arg_joiner = " ~ ALL ("
    output_field = BooleanField()


def search_index(*fields: str, name: str) -> GinIndex:
    """Return the index that a search of these fields needs."""
    return GinIndex(SearchGrams(*map(F, fields)), name=name)


def search(rows: Rows, text: str, fields: Sequence[str], *, forgiving: bool = True) -> Rows:
    """Keep the rows with each word of `text` in one of the fields.

    If there are none, `forgiving` keeps those with one slip for each word of `FORGIVING_FROM` to `FORGIVING_TO` letters. To order
    by `fits_first`, descending, puts those first that have all of the words in the first field. Nothing is found by a text
    without letters and digits.
    """
    words = folded_words(text)
    rows = rows.alias(fits_first=_MatchesAll(SearchFold(fields[0]), _texts(words)))
    if not words:
        return rows.none()
    found = rows.filter(_has(words, fields, forgiving=False))
    if not forgiving or found.exists():
        return found
    return rows.filter(_has(words, fields, forgiving=True))


def folded_words(text: str) -> list[str]:
    """Return the words of a text as they are compared, each once, the first `WORDS_MAX` of them."""
    folded = folded_texts(text.replace("\x00", "").split()[: WORDS_MAX * 2])
    return list(dict.fromkeys(filter(None, folded)))[:WORDS_MAX]


def folded_texts(texts: Sequence[str]) -> list[str]:
    """Return texts as they are compared: without spaces, accents and whatever else does not matter."""
    if not texts:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT search_fold(text) FROM unnest(%s::text[]) WITH ORDINALITY AS typed (text, place) ORDER BY place",
            [list(texts)],
        )
        return [folded for (folded,) in cursor.fetchall()]


def _has(words: Sequence[str], fields: Sequence[str], *, forgiving: bool) -> Q:
    grams = SearchGrams(*fields)
    candidates, patterns = Q(), []
    for word in words:
        is_forgiven = forgiving and FORGIVING_FROM <= len(word) <= FORGIVING_TO
        one_of = Q()
        for piece in _whole_pieces(word) if is_forgiven else [word]:
            one_of |= Q(_Contains(grams, _texts(_grams(piece))))
        candidates &= one_of
        patterns.append(with_a_slip(word) if is_forgiven else word)
    return candidates & Q(_MatchesAll(_FoldedText(*fields), _texts(patterns)))


def _texts(texts: Sequence[str]) -> Value:
    return Value(list(texts), ArrayField(TextField()))


def _grams(piece: str) -> list[str]:
    """Return the longest pieces that the index knows."""
    size = min(len(piece), 3)
    return [piece[start : start + size] for start in range(len(piece) - size + 1)]


def _whole_pieces(word: str) -> list[str]:
    """Return pieces of which a word with one slip has at least one."""
    middle = len(word) // 2
    # Two letters in the wrong order at the seam are in both halves.
    at_seam = word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :]
    return [word[:middle], word[middle:], at_seam]


def with_a_slip(word: str) -> str:
    """Return the regular expression of a word with one letter wrong, missing or too many, or two in the wrong order."""
    length = range(len(word))
    wrong_or_too_many = [f"{word[:i]}.?{word[i + 1 :]}" for i in length]
    missing = [f"{word[:i]}.{word[i:]}" for i in length[1:]]
    swapped = [f"{word[:i]}{word[i + 1]}{word[i]}{word[i + 2 :]}" for i in length[:-1]]
    return "|".join([*wrong_or_too_many, *missing, *swapped])
