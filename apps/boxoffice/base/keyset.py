"""Pages of long lists that cost the same however far back they are: each begins behind the last row of the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet


@dataclass(frozen=True, slots=True)
class KeysetPage:
    """`following` names the next page for an address; empty if this is the last."""

    rows: Sequence[Any]
    following: str


def newest_first(rows: QuerySet[Any], column: str, *, behind: str, size: int) -> KeysetPage:
    """Return `size` rows by a column with times, the latest first, behind the row that the page before has named.

    What names no row is taken for the first page: people edit addresses.
    """
    if key := _read(behind):
        at, pk = key
        rows = rows.filter(Q(**{f"{column}__lt": at}) | Q(pk__lt=pk), **{f"{column}__lte": at})
    found = list(rows.order_by(f"-{column}", "-pk")[: size + 1])
    page = found[:size]
    is_last = len(found) <= size
    return KeysetPage(
        page, "" if is_last else f"{getattr(page[-1], column).isoformat()},{page[-1].pk}"
    )


def _read(text: str) -> tuple[datetime, UUID] | None:
    at, _comma, pk = text.partition(",")
    try:
        key = datetime.fromisoformat(at), UUID(pk)
    except ValueError:
        return None
    return key if key[0].tzinfo is not None else None
