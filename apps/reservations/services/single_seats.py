"""Free seats that a choice leaves without a free neighbour, which hardly sell. The seat map's script reckons the same."""

from collections.abc import Collection, Iterator


def singles_left(free: Collection[int], chosen: Collection[int]) -> list[int]:
    """Return the numbers of the seats that a choice makes single, though as many seats side by side in the row need not.

    `free` are the numbers that were free in the row before, the `chosen` ones among them. A seat that was single before is not this choice's
    fault, and where every way to take that many leaves one, none is better.
    """
    before, after = set(free), set(free).difference(chosen)
    singles = [
        number
        for number in sorted(after)
        if not _neighbours(number) & after and _neighbours(number) & before
    ]
    # At the end of a run so many seats leave the rest of it together: only a rest of one is single.
    rests = (length - len(chosen) for length in _runs(before))
    return singles if any(rest >= 0 and rest != 1 for rest in rests) else []


def _neighbours(number: int) -> set[int]:
    return {number - 1, number + 1}


def _runs(numbers: Collection[int]) -> Iterator[int]:
    """Yield how many numbers follow each other without a gap, for each such run."""
    length = 0
    for number in sorted(numbers):
        length += 1
        if number + 1 not in numbers:
            yield length
            length = 0
