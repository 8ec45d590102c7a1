"""Tell what happened to one thing, moment by moment, told by every app that knows a part of it."""

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from django.template.loader import render_to_string
from django.utils.safestring import SafeString


class Moment(NamedTuple):
    """`what` happened at a time; `details` are further lines, `by` names the member of staff who did it."""

    at: datetime
    what: str
    details: tuple[str, ...] = ()
    by: str = ""


# Tells the moments of an object that an app knows, in a fixed number of queries.
Source = Callable[[Any], Iterable[Moment]]

_sources: dict[str, list[Source]] = {}


def register_source(label: str, source: Source) -> None:
    """Let an app tell what it knows of objects of a model, by the label of that; called when Django starts."""
    _sources.setdefault(label, []).append(source)


def moments_of(obj: Any) -> list[Moment]:
    """Return all moments of an object, the first first."""
    found = chain.from_iterable(source(obj) for source in _sources.get(obj._meta.label_lower, ()))
    return sorted(found, key=lambda moment: moment.at)


def timeline(moments: Iterable[Moment]) -> SafeString:
    """Return moments as a table for a page."""
    return render_to_string("admin/timeline.html", {"moments": list(moments)})
