"""The picture and the counts of a hall, for pages that show what it will be."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.translation import gettext as _

from apps.boxoffice.base.words import in_won
from apps.concerts.hall_pictures import hall_svg
from apps.concerts.layouts import PlannedSeat
from apps.concerts.models import Grade, InventoryCategory, SeatKind


def preview_of(seats: Sequence[PlannedSeat]) -> dict[str, Any]:
    """Return what `admin/concerts/_hall.html` shows: a picture, and a line for each section and grade."""
    counts = Counter((seat.section, seat.grade) for seat in seats)
    rows = {key: set() for key in counts}  # type: ignore[var-annotated]
    for seat in seats:
        rows[seat.section, seat.grade].add(seat.row)
    prices = {seat.grade: seat.price for seat in seats}
    places = {
        section: place
        for place, section in enumerate(dict.fromkeys(seat.section for seat in seats))
    }
    in_order = sorted(counts, key=lambda key: (places[key[0]], Grade.values.index(key[1])))
    return {
        "total": len(seats),
        "picture": hall_svg(seats),
        "special": special_of(seats),
        "table": {
            "headers": [_("Section"), _("Grade"), _("Rows"), _("Seats"), _("Price")],
            "rows": [
                [
                    section,
                    grade,
                    f"{len(rows[section, grade]):,}",
                    f"{counts[section, grade]:,}",
                    in_won(prices[grade]),
                ]
                for section, grade in in_order
            ],
        },
    }


def special_of(seats: Iterable[PlannedSeat]) -> list[tuple[str, str]]:
    """Return how many seats of each kind that is not the usual one, and of each category, a hall has."""
    pairs = Counter((seat.kind, seat.category) for seat in seats)
    kinds, categories = Counter[str](), Counter[str]()
    for (kind, category), count in pairs.items():
        if kind and kind != SeatKind.STANDARD:
            kinds[kind] += count
        if category:
            categories[category] += count
    names = {
        category.code: str(category)
        for category in InventoryCategory.objects.filter(code__in=categories)
    }
    return [
        *((str(kind.label), f"{kinds[kind]:,}") for kind in SeatKind if kind in kinds),
        *((names.get(code, code), f"{count:,}") for code, count in sorted(categories.items())),
    ]
