"""Entries of the histories that staff read: what a form changed, from what to what, and the reason that was given for it.

Any form and any list of actions may have a field named `REASON`; it goes into the entry of whatever the form does.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django import forms
from django.db import models
from django.http import HttpRequest
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import ActionForm

from apps.boxoffice.base.words import NOTHING, at_venue, title_of
from apps.core.texts import without_hidden

Field = Any  # of a model; the stubs know it with types that there are not at run time

REASON = "entry_reason"
REASON_MAX = 200  # characters
VALUE_MAX = 200  # characters of one value


class ActionWithReason(ActionForm):
    """The bar below a list whose actions are kept in a history."""

    entry_reason = forms.CharField(
        required=False,
        max_length=REASON_MAX,
        label="",
        widget=forms.TextInput(
            {
                "placeholder": gettext_lazy("Reason, for the history"),
                "aria-label": gettext_lazy("Reason, for the history"),
            }
        ),
    )


def reason_of(request: HttpRequest) -> str:
    """Return the reason that came with a form, in one line; "" if there is none."""
    return " ".join(without_hidden(request.POST.get(REASON, "")).split())[:REASON_MAX]


def with_reason(message: str, reason: str) -> str:
    return f"{message} {_('Reason: %(reason)s') % {'reason': reason}}" if reason else message


def edits_in_words(model: type[models.Model], form: Any, formsets: Any, *, is_new: bool) -> str:
    """Say what a form that was sent makes of an object and of the rows below it; "" if it changes nothing.

    A reason that the form asks for itself, beside the fields of the model, is part of it.
    """
    fields = {field.name: field for field in (*model._meta.fields, *model._meta.many_to_many)}
    edits = [
        _edit(fields[name], form, is_new=is_new) for name in form.changed_data if name in fields
    ]
    edits += _edits_below(formsets or ())
    if is_new:
        edits.insert(0, _("Added."))
    words = " ".join(edits)
    own_reason = form.cleaned_data.get("reason", "") if "reason" not in fields else ""
    return with_reason(words, own_reason) if words else ""


def _edit(field: Field, form: Any, *, is_new: bool) -> str:
    name = capfirst(field.verbose_name)
    if field.name == "password":
        return _("Password set.")
    before, after = form.initial.get(field.name), form.cleaned_data.get(field.name)
    if field.many_to_many:
        return f"{name}: {_moves(before or (), after or ())}."
    if is_new:
        return f"{name}: {in_words(field, after)}."
    return f"{name}: {in_words(field, before)} → {in_words(field, after)}."


def _moves(before: Iterable[models.Model], after: Iterable[models.Model]) -> str:
    """Say what was put to a set and what was taken from it: the whole of one would be long."""
    were, are = {str(obj) for obj in before}, {str(obj) for obj in after}
    return ", ".join(
        [
            *(f"+ {name}" for name in sorted(are - were)),
            *(f"− {name}" for name in sorted(were - are)),
        ]
    )


def _edits_below(formsets: Iterable[Any]) -> Iterator[str]:
    for formset in formsets:
        for obj in formset.new_objects:
            yield _("Added %(row)s.") % {"row": _row(obj)}
        for obj, names in formset.changed_objects:
            fields = ", ".join(str(obj._meta.get_field(name).verbose_name) for name in names)
            yield _("Changed %(row)s: %(fields)s.") % {"row": _row(obj), "fields": fields}
        for obj in formset.deleted_objects:
            yield _("Deleted %(row)s.") % {"row": _row(obj)}


def _row(obj: models.Model) -> str:
    return f"{obj._meta.verbose_name} {title_of(obj)}"


def in_words(field: Field, value: Any) -> str:
    """Write a value of a field as a history tells it."""
    if value in (None, ""):
        return NOTHING
    if field.choices:
        return str(dict(field.flatchoices).get(value, value))
    if field.remote_field:
        obj = value if isinstance(value, models.Model) else _named(field, value)
        return title_of(obj) if obj else str(value)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return at_venue(value)
    if isinstance(value, int):
        return f"{value:,}"
    return Truncator(value).chars(VALUE_MAX)


def _named(field: Field, key: Any) -> models.Model | None:
    found: models.Model | None = field.related_model._base_manager.filter(pk=key).first()
    return found
