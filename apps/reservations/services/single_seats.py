"""Free seats that a choice leaves without a free neighbour, which hardly sell. The seat map's script reckons the same."""

from collections.abc import Collection, Iterator


def singles_left(free: Collection[int], chosen: Collection[int]) -> list[int]:
    """Return the places of the seats that a choice makes single, though as many seats side by side in the row need not.

    Places are those of the seat map: seats side by side have successive ones, and an aisle is a gap. `free` are the places that were free
    in the row before, the `chosen` ones among them. A seat that was single before is not this choice's fault, and where every way to
    take that many leaves one, none is better.
    """
    before, after = set(free), set(free).difference(chosen)
    singles = [
        place
        for place in sorted(after)
        if not _neighbours(place) & after and _neighbours(place) & before
    ]
    # At the end of a run so many seats leave the rest of it together: only a rest of one is single.
    rests = (length - len(chosen) for length in _runs(before))
    return singles if any(rest >= 0 and rest != 1 for rest in rests) else []


def _neighbours(place: int) -> set[int]:
    return {place - 1, place + 1}


def _runs(places: Collection[int]) -> Iterator[int]:
    """Yield how many places follow each other without a gap, for each such run."""
    length = 0
    for place in sorted(places):
        length += 1
        if place + 1 not in places:
            yield length
            length = 0
