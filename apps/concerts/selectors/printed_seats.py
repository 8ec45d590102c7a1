"""Seats by what tickets and pages print of them, with or without the concert before it."""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import Q, QuerySet
from django.db.models.lookups import Exact

from apps.concerts.models import Concert, Seat
from apps.core.search import SearchFold, folded_texts

WORDS_MAX = 8  # of a title and a seat; each is a place to cut
CONCERTS_MAX = 500  # with one title
NOT_NARROWED = Q()

# "Stalls L, row A, seat 12" and "Stalls L 구역 A열 12번", with or without the section before and the number after it.
_PRINTED = [
    re.compile(
        r"(?:(?:section\s+)?(?P<section>.+?),?\s+)?row\s+(?P<row>\w+)(?:,?\s+(?:seat|no\.?)\s+(?P<number>\d+))?",
        re.IGNORECASE,
    ),
    re.compile(r"(?:(?P<section>.+?)\s*구역\s+)?(?P<row>\w+)\s*열(?:\s*(?P<number>\d+)\s*번)?"),
    re.compile(r"section\s+(?P<section>.+)", re.IGNORECASE),
    re.compile(r"(?P<section>.+?)\s*구역"),
]
_BOUNDARY = re.compile(r"[\s,./·-]+|(?<=[^\W\d])(?=\d+$)")


class Reading(NamedTuple):
    """One way to understand the name of a seat; what it does not tell is empty."""

    section: str = ""
    row: str = ""
    number: str = ""


def seats_called(text: str, *, within: Q = NOT_NARROWED) -> QuerySet[Seat]:
    """Return the seats that a text names, among those of a condition."""
    condition = named_seats(text, within=within)
    return Seat.objects.none() if condition is None else Seat.objects.filter(condition)


def named_seats(text: str, *, within: Q = NOT_NARROWED) -> Q | None:
    """Return the condition of the seats that a text names, in one go: a section; with its row; with the number; a row and a number.

    If no seat is called like that, its beginning is the title of a concert, and the rest the name of one of its seats. None if
    there are no such seats.
    """
    if condition := _existing(_readings(text), within):
        return condition
    for title, label in _splits(text):
        concerts = list(Concert.objects.matching(title).values_list("pk", flat=True)[:CONCERTS_MAX])
        if concerts:
            of = within & Q(performance__concert__in=concerts)
            if condition := _existing(_readings(label), of):
                return condition
    return None


def _splits(text: str) -> Iterator[tuple[str, str]]:
    """Cut a text in two at each comma, or if there is none between two words, the longest title first."""
    separator = "," if "," in text else " "
    parts = text.split(separator)[:WORDS_MAX]
    for first in range(len(parts) - 1, 0, -1):
        yield separator.join(parts[:first]), separator.join(parts[first:])


def _readings(label: str) -> list[Reading]:
    label = unicodedata.normalize("NFKC", label).strip(" ,")
    for pattern in _PRINTED:
        if found := pattern.fullmatch(label):
            return [Reading(**{name: part or "" for name, part in found.groupdict().items()})]
    words = [word for word in _BOUNDARY.split(label) if word]
    readings = [Reading(" ".join(words))]
    if len(words) > 1:
        readings.append(Reading(" ".join(words[:-1]), words[-1]))
        if words[-1].isascii() and words[-1].isdecimal():
            readings.append(Reading(" ".join(words[:-2]), words[-2], words[-1]))
    return readings


def _existing(readings: list[Reading], of: Q = NOT_NARROWED) -> Q:
    """Return the condition of those readings that are the name of a seat; empty if none is.

    Each is looked up for itself, by the index on the folded row, the number and the folded section.
    """
    folded = iter(folded_texts([part for reading in readings for part in reading[:2]]))
    found = Q()
    for reading in readings:
        section, row = next(folded), next(folded)
        condition = Q()
        if section:
            condition &= Q(Exact(SearchFold("section"), section))
        if row:
            condition &= Q(Exact(SearchFold("row"), row))
        if reading.number:
            condition &= Q(number=int(reading.number))
        if condition and Seat.objects.filter(condition & of).exists():
            found |= condition & of
    return found
