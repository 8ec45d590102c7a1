from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import NoReverseMatch
from unfold.admin import ModelAdmin, TabularInline

from apps.boxoffice.base.entries import reason_of, with_reason
from apps.boxoffice.base.lists import FoundByTyping
from apps.boxoffice.base.readable import GroupedNumbers
from apps.core.history import note


class _ReadOnly:
    """Staff look; what changes goes through a service."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


NOTED_EACH = (
    100  # of one action: more objects than these have no entry of their own in their histories
)


class ReadOnlyAdmin(_ReadOnly, FoundByTyping, ModelAdmin):
    is_read_only = True
    change_form_before_template = "admin/shown.html"
    # Read beside the object of a page, in the same query.
    page_select_related: tuple[str, ...] = ()

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        if "\x00" in object_id:
            return None  # no text of PostgreSQL has one
        request.is_page_of_one = True  # type: ignore[attr-defined]
        return super().get_object(request, object_id, from_field)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request)
        if self.page_select_related and hasattr(request, "is_page_of_one"):
            return found.select_related(*self.page_select_related)
        return found


def row_named(rows: QuerySet[Any], object_id: object) -> QuerySet[Any]:
    """Return the row with the id of an address, which people can edit: nothing if it can be no id."""
    try:
        return rows.filter(pk=object_id)
    except (TypeError, ValueError, ValidationError):
        return rows.none()


def lead_to(page: str, object_id: object, *more: object) -> HttpResponse:
    """Redirect to a page about the object with the id of an address; `more` is what else its address has.

    :raises Http404: it can be no id.
    """
    try:
        return redirect(page, object_id, *more)
    except NoReverseMatch as error:
        raise Http404 from error


def note_action(request: HttpRequest, objects: Iterable[Model], message: str) -> None:
    """Write into the history of each object what a member of staff has done to it, with the reason that came with the form."""
    assert request.user.pk is not None
    note(objects, with_reason(message, reason_of(request)), staff_id=request.user.pk)


class ReadOnlyInline(_ReadOnly, GroupedNumbers, TabularInline):
    extra = 0
    can_delete = False
    hide_title = True  # an id, mostly
