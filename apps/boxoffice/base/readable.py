"""Lists and pages of the admin as people read them: what an object is called, numbers with separators."""

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

_NUMBER = re.compile(r"-?\d+")


class RowCount(int):
    """Count rows of a list: written with separators, and as "100,000+" if they were counted no further than that."""

    def __new__(cls, rows: int, *, bound: int) -> "RowCount":
        count = super().__new__(cls, rows)
        count.is_bound = rows >= bound
        return count

    is_bound: bool

    def __str__(self) -> str:
        return f"{int(self):,}{'+' if self.is_bound else ''}"


class GroupedNumbers:
    """Mixin for a `ModelAdmin` or an inline; stands before it. Numbers of a model are written with separators between thousands."""

    model: type[models.Model]

    @cached_property
    def readonly_preprocess_fields(self) -> dict[str, Callable[[Any], Any]]:
        return {field.name: _grouped for field in self.model._meta.fields if _is_number(field)}

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        columns = super().get_list_display(request)  # type: ignore[misc]
        return [
            _column(self.model._meta.get_field(name))
            if name in self.readonly_preprocess_fields
            else name
            for name in columns
        ]


def _is_number(field: Any) -> bool:
    return (
        isinstance(field, models.IntegerField)
        and not field.primary_key
        and not field.choices
        and field.remote_field is None
    )


def _grouped(text: Any) -> Any:
    """Put separators into a number that the theme has written; leave alone what it has written instead of one."""
    return f"{int(text):,}" if _NUMBER.fullmatch(str(text)) else text


def _column(field: Any) -> Callable[[models.Model], str | None]:
    def shown(obj: models.Model) -> str | None:
        number = getattr(obj, field.name)
        return None if number is None else f"{number:,}"

    shown.__name__ = field.name  # the class of its cells
    shown.short_description = field.verbose_name  # type: ignore[attr-defined]
    shown.admin_order_field = field.name  # type: ignore[attr-defined]
    return shown


class Readable(GroupedNumbers):
    """Mixin for a `ModelAdmin`; stands before it. `title_of` names its objects wherever the admin does."""

    def title_of(self, obj: Any) -> str:
        """Say in words of people which object this is; overridden where a model does not call itself so."""
        return str(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if (obj := context.get("original")) is not None:
            context["subtitle"] = context["heading"] = self.title_of(obj)
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)  # type: ignore[misc]
        return response

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response: Any = super().history_view(request, object_id, extra_context)  # type: ignore[misc]
        if (context := getattr(response, "context_data", None)) is not None:
            context["title"] = _("History: %(name)s") % {"name": self.title_of(context["object"])}
        answer: HttpResponse = response
        return answer
