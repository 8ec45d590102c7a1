"""Seats by what tickets and pages print of them, with or without the concert before it."""

import re
import unicodedata
from collections.abc import Iterator

from django.db.models import Q, QuerySet

from apps.concerts.models import Concert, Seat
from apps.shared.search import SearchFold, folded_texts

WORDS_MAX = 8  # of a title and a seat

# "Stalls L, row A, seat 12" and "Stalls L 구역 A열 12번", with or without the section before and the number after it.
_PRINTED = [
    re.compile(
        r"(?:(?:section\s+)?(?P<section>.+?),?\s+)?row\s+(?P<row>\w+)(?:,?\s+(?:seat|no\.?)\s+(?P<number>\d+))?",
        re.IGNORECASE,
    ),
    re.compile(r"(?:(?P<section>.+?)\s*구역\s+)?(?P<row>\w+)\s*열(?:\s*(?P<number>\d+)\s*번)?"),
    re.compile(r"section\s+(?P<section>.+)|(?P<korean>.+?)\s*구역", re.IGNORECASE),
]
_BOUNDARY = re.compile(r"[\s,./·-]+|(?<=[^\W\d])(?=\d+$)")


def seats_called(text: str) -> QuerySet[Seat]:
    """Return the seats that a text names, in one go: a section; with its row; with the number; a row and a number.

    If no seat is called like that, its beginning is the title of a concert, and the rest the name of one of its seats.
    """
    seats = _labelled(text)
    if seats.exists():
        return seats
    for title, label in _splits(text):
        concerts = Concert.objects.matching(title).values("pk")
        if concerts.exists():
            seats = _labelled(label).filter(performance__concert__in=concerts)
            if seats.exists():
                return seats
    return Seat.objects.none()


def _splits(text: str) -> Iterator[tuple[str, str]]:
    parts = text.split(",")
    if len(parts) > 1:
        yield from ((",".join(parts[:n]), ",".join(parts[n:])) for n in range(1, len(parts)))
        return
    words = text.split()
    if len(words) <= WORDS_MAX:
        yield from (
            (" ".join(words[:n]), " ".join(words[n:])) for n in range(len(words) - 1, 0, -1)
        )


def _labelled(label: str) -> QuerySet[Seat]:
    label = unicodedata.normalize("NFKC", label).strip(" ,")
    for pattern in _PRINTED:
        if found := pattern.fullmatch(label):
            parts = found.groupdict()
            section = parts["section"] or parts.get("korean") or ""
            return _seats([(section, parts.get("row") or "", parts.get("number") or "")])
    words = [word for word in _BOUNDARY.split(label) if word]
    readings = [(" ".join(words), "", "")]
    if len(words) > 1:
        readings.append((" ".join(words[:-1]), words[-1], ""))
        if words[-1].isascii() and words[-1].isdecimal():
            readings.append((" ".join(words[:-2]), words[-2], words[-1]))
    return _seats(readings)


def _seats(readings: list[tuple[str, str, str]]) -> QuerySet[Seat]:
    """Return the seats of each reading: a section, a row and a number, of which some are empty."""
    folded = iter(folded_texts([part for section, row, _ in readings for part in (section, row)]))
    condition = Q()
    for _section, _row, number in readings:
        section, row = next(folded), next(folded)
        reading = Q()
        if section:
            reading &= Q(folded_section=section)
        if row:
            reading &= Q(folded_row=row)
        if number:
            reading &= Q(number=int(number))
        if reading:
            condition |= reading
    seats = Seat.objects.alias(folded_section=SearchFold("section"), folded_row=SearchFold("row"))
    return seats.filter(condition) if condition else seats.none()
