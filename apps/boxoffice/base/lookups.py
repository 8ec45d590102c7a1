"""Kinds of text that name the rows of a list: what a customer reads out, or a page shows.

A lookup turns a text into a condition on the columns of the list, by an index, or says that it names nothing. People, concerts and
seats are looked up in their own tables first: joined with them, a long list would be read as a whole.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Max, Min, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.core.path_converters import BIGINT_MAX
from apps.core.typed_dates import span_of

NAMED_MAX = 500  # people, concerts or seats that one text may name in the list of something else
PARTS_MAX = 5  # of a text, between commas; each takes a dozen queries

ID, NUMBER, DAY = _("id"), _("number"), _("day")

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
# One digit at a time: with a `+` within the `*` a long text that is none would be tried in millions of ways.
_BEGINNING = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f])*-?", re.IGNORECASE)
_NUMBER = re.compile(r"#(\d{1,19})\b.*|(\d{1,19})")


class NamesTooMany(Exception):
    """A text names more than `NAMED_MAX` people, concerts or seats."""


class Lookup(Protocol):
    """`label` is how the box names this kind of text."""

    @property
    def label(self) -> Any: ...

    def find(self, text: str) -> Q | None:
        """Return the condition of the rows that a text names; None if it is of another kind, or there is nothing of that name.

        :raises NamesTooMany: the text has to say more.
        """


def narrowed(rows: QuerySet[Any], lookups: Sequence[Lookup], text: str) -> QuerySet[Any]:
    """Keep the rows that a text names in one way or another; or that each of its few parts between commas does.

    :raises NamesTooMany: it names nothing else.
    """
    found, names_too_many = [], None
    for lookup in lookups:
        try:
            condition = lookup.find(text)
        except NamesTooMany as error:
            names_too_many = error
        else:
            found += [] if condition is None else [condition]
    if len(found) == 1:
        return rows.filter(found[0])
    if found:
        # A union: with `or` between the columns of several tables no index would be used.
        every, *others = (
            rows.model._base_manager.filter(condition).values("pk") for condition in found
        )
        return rows.filter(pk__in=every.union(*others, all=True))
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if 1 < len(parts) <= PARTS_MAX:
        for part in parts:
            rows = narrowed(rows, lookups, part)
        return rows
    if names_too_many:
        raise names_too_many
    return rows.none()


@dataclass(frozen=True, slots=True)
class Ids:
    """A UUID of one of these columns: whole, in any spelling and wherever in the text; or its beginning of 8 digits or more.

    `within` are the parts of the table that have an index on them.
    """

    columns: tuple[str, ...]
    label: Any = ID
    within: tuple[Q, ...] = ()

    def find(self, text: str) -> Q | None:
        if whole := _UUID.search(text):
            low = high = UUID(whole[0])
        elif _BEGINNING.fullmatch(text) and len(digits := text.replace("-", "")) < 32:
            low, high = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        else:
            return None
        return _any(
            Q(**{f"{column}__gte": low, f"{column}__lte": high}) & part
            for column in self.columns
            for part in self.within or (Q(),)
        )


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number such as 12 or #12, as lists print the key of a row."""

    columns: tuple[str, ...] = ("pk",)
    label: Any = NUMBER

    def find(self, text: str) -> Q | None:
        found = _NUMBER.fullmatch(text)
        if not found or (number := int(found[1] or found[2])) > BIGINT_MAX:
            return None
        return _any(Q(**{column: number}) for column in self.columns)


@dataclass(frozen=True, slots=True)
class Days:
    """A day or a time: yesterday, 28 Nov, 2026-11-28 19:00, 어제, 11월 28일."""

    column: str
    holds_dates: bool = False
    label: Any = DAY
    # For a column of another table: the rows of the list. They are looked for among the numbers from the first to the last one of
    # that time; the planner would begin at the newest of the list and not stop before it meets them.
    among: Callable[[], QuerySet[Any]] | None = None

    def find(self, text: str) -> Q | None:
        span = span_of(text, now=timezone.now())
        if span is None:
            return None
        if self.holds_dates:
            return Q(**{f"{self.column}__range": (span.first, span.last)})
        at_that_time = Q(**{f"{self.column}__gte": span.since, f"{self.column}__lt": span.until})
        if self.among is None:
            return at_that_time
        ends = self.among().filter(at_that_time).aggregate(first=Min("pk"), last=Max("pk"))
        if ends["first"] is None:
            return Q(pk__in=[])
        return at_that_time & Q(pk__range=(ends["first"], ends["last"]))


@dataclass(frozen=True, slots=True)
class Keys:
    """The whole of a text column, letter by letter."""

    column: str
    label: Any

    def find(self, text: str) -> Q | None:
        return Q(**{self.column: text})


@dataclass(frozen=True, slots=True)
class Named:
    """Rows of another table that `rows` finds by what they are called; `column` of the list holds their `key`.

    `only` narrows it to the rows of the list for which there is an index.
    """

    column: str
    label: Any
    rows: Callable[[str], QuerySet[Any]]
    key: str = "pk"
    only: Q | None = None
    # Reads the keys at less cost than `rows` can, up to a limit.
    keys: Callable[[str, int], Sequence[Any]] | None = None

    def find(self, text: str) -> Q | None:
        if self.column == self.key == "pk":
            rows = self.rows(text).order_by()
            return Q(pk__in=rows.values("pk")) if rows.exists() else None
        keys = self._keys(text)
        if len(keys) > NAMED_MAX:
            raise NamesTooMany
        return Q(**{f"{self.column}__in": keys}) & (self.only or Q()) if keys else None

    def _keys(self, text: str) -> Sequence[Any]:
        if self.keys is not None:
            return self.keys(text, NAMED_MAX + 1)
        return list(self.rows(text).order_by().values_list(self.key, flat=True)[: NAMED_MAX + 1])


def people_lookup(column: str = "customer") -> Named:
    """Return the lookup of accounts by name or email address."""

    def called(text: str) -> QuerySet[Any]:
        accounts: Any = get_user_model().objects
        people: QuerySet[Any] = accounts.called(text)
        return people

    def ids_called(text: str, limit: int) -> Sequence[Any]:
        accounts: Any = get_user_model().objects
        ids: Sequence[Any] = accounts.ids_called(text, limit)
        return ids

    return Named(column, _("name or email address"), called, keys=ids_called)


def _any(alternatives: Iterator[Q]) -> Q:
    found = Q()
    for alternative in alternatives:
        found |= alternative
    return found
