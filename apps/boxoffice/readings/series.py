"""Sums by minute or day that grow by what is new, so that no reading looks at the same history twice.

A row is written with the moment that was decided under its locks, and seen when its transaction is committed. Until `SETTLING` has passed a
row may still come, so sums of the last moments are made anew each time; the others are settled, and only added to.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict

# Equals what the server allows a transaction to do nothing (`DATABASE_TIMEOUTS`), and the statement after it to last.
SETTLING = timedelta(seconds=45)


class Series(TypedDict):
    """Sums by bucket, in a shape of which JSON can be made. `until` is the end of what is settled, in ISO 8601."""

    until: str
    settled: dict[str, list[int]]
    recent: dict[str, list[int]]


Rows = Iterable[Sequence[Any]]


def since(series: Series | None) -> datetime | None:
    """Return from when on the next rows are wanted; None for as far back as there may be any."""
    return datetime.fromisoformat(series["until"]) if series else None


def extended(
    series: Series | None,
    rows: Rows,
    *,
    until: datetime,
    keep: Callable[[str], bool],
) -> Series:
    """Return a series with the rows since `since` of it: bucket, whether it is settled, and the numbers of each row.

    Rows up to `until` are the settled ones. Buckets that are not to be kept are dropped.
    """
    settled = {bucket: list(sums) for bucket, sums in series["settled"].items()} if series else {}
    recent: dict[str, list[int]] = {}
    for bucket, is_settled, *numbers in rows:
        sums = settled if is_settled else recent
        before = sums.get(str(bucket), [0] * len(numbers))
        sums[str(bucket)] = [a + int(b) for a, b in zip(before, numbers, strict=True)]
    return Series(
        until=until.isoformat(),
        settled={bucket: sums for bucket, sums in settled.items() if keep(bucket)},
        recent=recent,
    )


def totals(series: Series) -> dict[str, list[int]]:
    """Return the sums by bucket, settled or not."""
    sums = {bucket: list(numbers) for bucket, numbers in series["settled"].items()}
    for bucket, numbers in series["recent"].items():
        before = sums.get(bucket, [0] * len(numbers))
        sums[bucket] = [a + b for a, b in zip(before, numbers, strict=True)]
    return sums
