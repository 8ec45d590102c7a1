"""Lists of the admin: found by what staff type, counted up to a bound, and never a server error for taking too long."""

from collections.abc import Iterable
from typing import Any, ClassVar

import psycopg
from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from apps.boxoffice.base.lookups import NAMED_MAX, Lookup, NamesTooMany, narrowed
from apps.boxoffice.base.readable import Readable, RowCount
from apps.core.texts import normalized

ROWS_COUNTED = 100_000  # above the largest hall, whose seats staff block all at once
TEXT_MAX = 200  # characters; no search is longer


def bounded_count(rows: QuerySet[Any]) -> RowCount:
    return RowCount(rows.order_by()[:ROWS_COUNTED].count(), bound=ROWS_COUNTED)


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Count to `ROWS_COUNTED` and no further, so that a page of a long table does not read all of it.

    Filters and the search find what lies beyond.
    """

    @cached_property
    def count(self) -> int:
        found: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return bounded_count(found)


class FoundByTyping(Readable):
    """Mixin for a `ModelAdmin` whose rows are found by `lookups`; stands before it."""

    lookups: ClassVar[tuple[Lookup, ...]]
    paginator = BoundedPaginator
    show_full_result_count = False
    search_fields = ("pk",)  # only so that there is a box: what is typed there goes to the lookups

    @property
    def search_help_text(self) -> str:
        labels = dict.fromkeys(str(lookup.label) for lookup in self.lookups)
        text = ", ".join(labels)
        return text[:1].upper() + text[1:]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text = " ".join(normalized(search_term).replace("\x00", "").split())[:TEXT_MAX]
        if not text:
            return queryset, False
        try:
            return narrowed(queryset, self.lookups, text), False
        except NamesTooMany:
            _note(
                request,
                _(
                    "More than %(count)s entries match this. Type more of the name, or an id or a code."
                )
                % {"count": NAMED_MAX},
            )
            return queryset.none(), False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Take what the list offers to filter by, and ids.

        By any other column of its table, shown or not, an address could be used to guess what stands there letter by letter.
        """
        name = lookup.partition("__")[0]
        column = next((field for field in self.model._meta.fields if field.name == name), None)
        is_offered = column is None or column.is_relation or column.primary_key
        return (is_offered or name in self._names_of_filters()) and super().lookup_allowed(  # type: ignore[misc]
            lookup, value, request
        )

    def _names_of_filters(self) -> set[str]:
        filters = [entry[0] if isinstance(entry, tuple) else entry for entry in self.list_filter]  # type: ignore[attr-defined]
        return {entry if isinstance(entry, str) else entry.parameter_name for entry in filters}

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)  # type: ignore[misc]
        return rows.none() if getattr(request, "list_took_too_long", False) else rows

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list; one that takes longer than a statement may is shown empty, with what to do instead."""
        if request.method != "GET":
            answer: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]
            return answer
        try:
            return self._rendered_list(request, extra_context)
        except OperationalError as error:
            if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                raise
            request.list_took_too_long = True  # type: ignore[attr-defined]
            request.list_notes = [  # type: ignore[attr-defined]
                _(
                    "This took too long and was stopped. Use fewer filters, or search by one of these:"
                )
                + f" {self.search_help_text}"
            ]
            return self._rendered_list(request, extra_context)

    def _rendered_list(
        self, request: HttpRequest, extra_context: dict[str, Any] | None
    ) -> HttpResponse:
        response: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]
        for note in getattr(request, "list_notes", ()):
            messages.warning(request, note)
        # Here, because some rows are read only when they are written.
        return response.render() if isinstance(response, TemplateResponse) else response


def _note(request: HttpRequest, text: str) -> None:
    """Have a text shown above the list, once; an autocomplete has no place for it."""
    request.list_notes = [text]  # type: ignore[attr-defined]


class NameFilter(admin.SimpleListFilter):
    """Offer the names that a column may have, without asking the table which it has."""

    parameter_name: str

    def names(self) -> Iterable[str]:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in self.names()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset
