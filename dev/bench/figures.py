"""Arithmetic of measurements: medians over repeats, ratios of neighbours."""

import statistics
from collections.abc import Iterable, Mapping, Sequence


def of_neighbours(measured: float, floor_before: float, floor_after: float) -> float:
    """Return `measured` as a share of the floor that was measured right before and right after it.

    What else the machine did meanwhile has met both alike.
    """
    return measured / statistics.mean((floor_before, floor_after))


def median_of(values: Iterable[float], *, digits: int = 4) -> float:
    return round(statistics.median(values), digits)


def medians(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each key over rows that all have the same keys."""
    return {key: median_of(row[key] for row in rows) for key in rows[0]}
