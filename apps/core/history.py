"""Record and read changes, wherever they were made: for the histories that staff read, and for a form that is out of date."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from django.apps import apps
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.utils.translation import gettext as _

CHANGES_NAMED = 10


class Change(NamedTuple):
    """A change as people read it; `who` is the address of an account, or names a person without one."""

    at: datetime
    who: str
    what: str


# Tells what was changed about the objects with these keys since a moment, the last first.
Record = Callable[[Collection[str], datetime], Iterable[Change]]


class _Kept(NamedTuple):
    record: Record
    is_all: bool


_records: dict[str, _Kept] = {}


def register_record(label: str, record: Record, *, is_all: bool = False) -> None:
    """Make known what else has changes of a model on record, or all of them; called by each app when Django starts."""
    _records[label] = _Kept(record, is_all)


def note(objects: Iterable[Model], message: str, *, staff_id: int) -> None:
    """Write into the history of each object what a member of staff has done to it."""
    LogEntry.objects.log_actions(staff_id, list(objects), CHANGE, message)


def changes_since(keys: Mapping[str, Collection[str]], at: datetime) -> list[Change]:
    """Say who has changed some objects since then and how, the last first; `keys` are primary keys by label of the model."""
    found = chain.from_iterable(_changes_of(label, own, at) for label, own in keys.items())
    return sorted(set(found), key=lambda change: change.at, reverse=True)[:CHANGES_NAMED]


def _changes_of(label: str, keys: Collection[str], at: datetime) -> Iterator[Change]:
    kept = _records.get(label)
    if kept is not None:
        yield from kept.record(keys, at)
    if kept is None or not kept.is_all:
        yield from _in_histories(label, keys, at)


def _in_histories(label: str, keys: Collection[str], at: datetime) -> Iterator[Change]:
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(apps.get_model(label)),
        object_id__in=keys,
        action_time__gte=at,
    ).select_related("user")
    for entry in entries.order_by("-action_time")[:CHANGES_NAMED]:
        what = entry.get_change_message()
        if entry.action_flag == DELETION:
            what = _("Deleted: %(rows)s.") % {"rows": what}
        yield Change(entry.action_time, str(entry.user), what)
