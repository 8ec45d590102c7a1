"""Columns and fields of the admin that show one value, each said in a line."""

from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from django.utils.functional import Promise
from django.utils.html import escape
from unfold.decorators import display

from apps.boxoffice.base.words import linked

Shown = TypeVar("Shown")


class Badge(NamedTuple):
    """A state in words, with the key of its colour in the `label` of a column.

    The theme draws it in a list only; on the page of one object it is the words.
    """

    key: str
    words: str

    def __html__(self) -> str:
        return escape(self.words)


def read_once(field: Callable[[Any, Any], Shown]) -> Callable[[Any, Any], Shown]:
    """Keep what a field reads of an object with the object: the theme asks for each field of a page five times."""
    name = f"_shown_{field.__name__}"

    @wraps(field)
    def shown(model_admin: Any, obj: Any) -> Shown:
        if name not in obj.__dict__:
            obj.__dict__[name] = field(model_admin, obj)
        kept: Shown = obj.__dict__[name]
        return kept

    return shown


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
