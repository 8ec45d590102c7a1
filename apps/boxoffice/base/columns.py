"""Columns and fields of the admin that show one value, each said in a line."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django.utils.functional import Promise
from unfold.decorators import display

from apps.boxoffice.base.words import linked


def column(
    description: str | Promise,
    path: str,
    show: Callable[[Any], object] = linked,
    ordering: str | None = None,
) -> Callable[[Any, Any], object]:
    """Return a column with the value at `path`, such as "performance.concert": as a link, or as `show` writes it."""
    value_of = attrgetter(path)

    @display(description=description, ordering=ordering)
    def shown(_admin: Any, obj: Any) -> object:
        return show(value_of(obj))

    return shown  # type: ignore[no-any-return]
