"""Find places on the map for seats of a file that does not say where they stand."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from apps.concerts.layouts import AISLE, SECTIONS_ABREAST, PlannedSeat, SeatName

Place = tuple[int, int]


def place_seats(seats: Sequence[PlannedSeat], known: Mapping[SeatName, Place]) -> list[PlannedSeat]:
    """Return the seats with the places that they have in a performance already, the others behind them all.

    New seats stand section by section in the order of the file, three abreast; rows in that order as well, each
    from the left by number and centred in its section. A file that skips numbers has to say where its aisles are, by x and y.
    """
    new = [seat for seat in seats if seat.name not in known]
    first_row = max((y for _x, y in known.values()), default=-1) + 1 + AISLE
    places = {**known, **_places_behind(new, first_row)}
    return [seat._replace(x=places[seat.name][0], y=places[seat.name][1]) for seat in seats]


def _places_behind(seats: Iterable[PlannedSeat], top: int) -> dict[SeatName, Place]:
    sections: dict[str, dict[str, list[SeatName]]] = {}
    for seat in seats:
        sections.setdefault(seat.section, {}).setdefault(seat.row, []).append(seat.name)
    groups = list(sections.values())
    tiers = [groups[at : at + SECTIONS_ABREAST] for at in range(0, len(groups), SECTIONS_ABREAST)]
    hall_width = max(map(_width_of_tier, tiers), default=0)
    places: dict[SeatName, Place] = {}
    for tier in tiers:
        left = (hall_width - _width_of_tier(tier)) // 2
        for rows in tier:
            width = _width(rows)
            for y, row in zip(count(top), rows.values(), strict=False):
                start = left + (width - len(row)) // 2
                in_order = sorted(row, key=lambda name: name.number)
                places |= {name: (start + at, y) for at, name in enumerate(in_order)}
            left += width + AISLE
        top += max(len(rows) for rows in tier) + AISLE
    return places


def _width(rows: Mapping[str, Sequence[SeatName]]) -> int:
    return max(map(len, rows.values()))


def _width_of_tier(tier: Sequence[Mapping[str, Sequence[SeatName]]]) -> int:
    return sum(map(_width, tier)) + AISLE * (len(tier) - 1)
