"""Forms of the admin that act once for each time they were shown, and overwrite nothing that they did not show.

Each form carries, signed, an id of its own and the values that it showed. Sent again, by a double click or by Back and Save, it
leads to where the first time led. Sent after one of those values was changed elsewhere, it is refused with who did what.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.apps import apps
from django.contrib import messages
from django.contrib.admin.utils import display_for_field
from django.core import signing
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.api.models import IdempotencyRecord
from apps.boxoffice.base.entries import edits_in_words, reason_of, with_reason
from apps.core.form_fields import MomentField, WholeNumberField
from apps.core.history import Change, changes_since
from apps.core.transactions import requires_transaction, run_in_transaction

Field = Any  # of a model; the stubs know it with types that there are not at run time

SHOWN = "_shown"
MAX_AGE = timedelta(hours=12)  # of a form; below what the records of forms that were sent are kept
_SALT = "apps.boxoffice.base.forms"

# For the forms of models, inlines included: what staff type as pages print it.
_NUMBER = {"form_class": WholeNumberField, "widget": UnfoldAdminTextInputWidget}
TYPED_AS_PRINTED: Any = {
    models.IntegerField: _NUMBER,
    models.BigIntegerField: _NUMBER,
    models.DateTimeField: {"form_class": MomentField},
}

# By label of the model and primary key: the values of the fields that a form shows, as texts.
Rows = dict[str, dict[str, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Shown:
    """Values that one form showed, and the moment of it."""

    form_id: str
    at: datetime
    rows: Rows

    @classmethod
    def now(cls, rows: Rows | None = None) -> "Shown":
        return cls(uuid.uuid4().hex, timezone.now(), rows or {})

    def signed(self, request: HttpRequest) -> str:
        """Return the text that the form carries; it is good for this page and this account alone."""
        content = [self.form_id, self.at.isoformat(), self.rows]
        return signing.dumps(content, salt=_salt(request), compress=True)

    @classmethod
    def read(cls, text: str, request: HttpRequest) -> "Shown":
        """
        :raises signing.BadSignature: it is not one of ours, not of this page and account, or too old.
        """
        form_id, at, rows = signing.loads(text, salt=_salt(request), max_age=MAX_AGE)
        return cls(form_id, datetime.fromisoformat(at), rows)


def _salt(request: HttpRequest) -> str:
    return f"{_SALT}:{request.user.pk}:{request.path}"


class SentBefore(Exception):
    """A form has acted before; `location` is where that led to."""

    def __init__(self, location: str) -> None:
        super().__init__()
        self.location = location


@requires_transaction
def claim_form(request: HttpRequest) -> IdempotencyRecord:
    """Note that a form without a model acts, in the transaction of what it does: both are there afterwards, or neither.

    Waits for another request that is at work on this form. `keep_location` says where it led to.

    :raises signing.BadSignature: this account was never shown this form, or that is too long ago.
    :raises SentBefore: it has acted.
    """
    assert request.resolver_match is not None
    shown = Shown.read(request.POST.get(SHOWN, ""), request)
    return _claim(request, f"admin:{request.resolver_match.url_name}", shown.form_id)


def _claim(request: HttpRequest, operation: str, form_id: str) -> IdempotencyRecord:
    assert request.user.pk is not None
    key = {"customer_id": request.user.pk, "operation": operation, "key": form_id}
    first = IdempotencyRecord(**key, fingerprint="", status=0, body=b"")
    IdempotencyRecord.objects.bulk_create([first], ignore_conflicts=True)
    record = IdempotencyRecord.objects.get(**key)
    if record.status:
        raise SentBefore(bytes(record.body).decode())
    return record


def keep_location(record: IdempotencyRecord, location: str) -> None:
    record.status, record.body = 302, location.encode()
    record.save(update_fields=["status", "body"])


def sent_before_words() -> str:
    return _("This form was sent before. It has not been carried out twice.")


def too_old_words() -> str:
    return _("This form is too old, or not complete. Load it anew.")


class ActsOnce:
    """Mixin for a `FormView` of the admin that acts once for each time it was shown; stands before it.

    Its template includes `admin/shown.html` within the form. What the form does is done in one transaction with the record that
    it was done, which may be tried again from its beginning: it calls the steps of use cases, and says through `say` what it did.
    """

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        request: HttpRequest = self.request  # type: ignore[attr-defined]
        kwargs.setdefault("shown", Shown.now().signed(request))
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        return context

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = run_in_transaction(partial(self._act_once, request, *args, **kwargs))
        except signing.BadSignature:
            messages.warning(request, too_old_words())
            return HttpResponseRedirect(request.get_full_path())
        except SentBefore as before:
            messages.warning(request, sent_before_words())
            return HttpResponseRedirect(before.location)
        for level, text in self._said:
            messages.add_message(request, level, text)
        return response

    def _act_once(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self._said: list[tuple[int, str]] = []
        record = claim_form(request)
        response = self.act(request, *args, **kwargs)
        if isinstance(response, HttpResponseRedirect):
            keep_location(record, response.url)
        else:
            record.delete()
        return response

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Do what the form is for, and redirect if it was done; any other answer refuses, and the form is as good as before."""
        response: HttpResponse = super().post(request, *args, **kwargs)  # type: ignore[misc]
        return response

    def say(self, level: int, text: str) -> None:
        """Tell staff on the next page, once it is certain."""
        self._said.append((level, text))


class CarefulForms:
    """Mixin for a `ModelAdmin` whose forms may be sent; stands before it."""

    change_form_before_template = "admin/shown.html"
    change_form_after_template = "admin/reason_of_form.html"
    formfield_overrides: Any = TYPED_AS_PRINTED

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        view: Callable[..., HttpResponse] = super().changeform_view  # type: ignore[misc]
        if request.method != "POST":
            return view(request, object_id, form_url, extra_context)
        posted = request.POST.get(SHOWN, "")
        context = {**(extra_context or {}), "shown": posted}
        try:
            shown = Shown.read(posted, request)
        except signing.BadSignature:
            _refuse(request, [too_old_words()])
            return view(request, object_id, form_url, context)
        with transaction.atomic():
            try:
                record = self._record(request, shown)
            except SentBefore as before:
                messages.warning(
                    request, _("This form was saved before. It has not been saved twice.")
                )
                return HttpResponseRedirect(before.location)
            if object_id is not None:
                _refuse(request, self._changed_meanwhile(request, object_id, shown))
            response = view(request, object_id, form_url, context)
            if not getattr(request, "has_acted", False):
                record.delete()
                return response
            keep_location(record, self._location(response))
            return response

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if "shown" not in context:
            rows = _rows_of(context["adminform"].form, context["inline_admin_formsets"])
            context["shown"] = Shown.now(rows).signed(request)
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)  # type: ignore[misc]
        return response

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form_class: Any = super().get_form(request, *args, **kwargs)  # type: ignore[misc]
        refusals: list[str] = getattr(request, "form_refusals", [])
        if not refusals:
            return form_class

        class Refused(form_class):
            def clean(self) -> Any:
                for refusal in refusals:
                    self.add_error(None, refusal)
                return super().clean()

        return Refused

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Take no day and time from an address: the form shows them in two parts."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)  # type: ignore[misc]
        moments = {
            field.name
            for field in self.opts.fields  # type: ignore[attr-defined]
            if isinstance(field, models.DateTimeField)
        }
        return {name: value for name, value in initial.items() if name not in moments}

    def response_add(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        request.has_acted = True  # type: ignore[attr-defined]
        response: HttpResponse = super().response_add(request, *args, **kwargs)  # type: ignore[misc]
        return response

    def response_change(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        request.has_acted = True  # type: ignore[attr-defined]
        response: HttpResponse = super().response_change(request, *args, **kwargs)  # type: ignore[misc]
        return response

    def _record(self, request: HttpRequest, shown: Shown) -> IdempotencyRecord:
        """Note that a form is saved, after waiting for another request that is at work on it.

        :raises SentBefore: it was saved.
        """
        operation = f"admin:{self.opts.label_lower}"  # type: ignore[attr-defined]
        return _claim(request, operation, shown.form_id)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        return edits_in_words(self.model, form, formsets, is_new=add)  # type: ignore[attr-defined]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return super().log_addition(request, obj, with_reason(message, reason_of(request)))  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write a change into the history; a form that was saved as it was shown changed nothing."""
        if not message:
            return None
        return super().log_change(request, obj, with_reason(message, reason_of(request)))  # type: ignore[misc]

    def _changed_meanwhile(self, request: HttpRequest, object_id: str, shown: Shown) -> list[str]:
        """Lock what a form shows, and say what of it has changed since, and who did that."""
        differences = list(_differences(shown.rows))
        if not differences or self.get_object(request, object_id) is None:  # type: ignore[attr-defined]
            return []
        changed: dict[str, set[str]] = {}
        for difference in differences:
            changed.setdefault(difference.label, set()).add(difference.key)
        return [
            _("This was changed in the meantime. Nothing was saved: load the form again."),
            *(difference.words for difference in differences),
            *(_in_a_line(change) for change in changes_since(changed, shown.at)),
        ]

    def _location(self, response: HttpResponse) -> str:
        if isinstance(response, HttpResponseRedirect):
            return response.url
        opts = self.opts  # type: ignore[attr-defined]
        return reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")


def _in_a_line(change: Change) -> str:
    at = date_format(timezone.localtime(change.at), "TIME_FORMAT")
    return f"{at} · {change.who}: {change.what}"


def _refuse(request: HttpRequest, refusals: list[str]) -> None:
    request.form_refusals = refusals  # type: ignore[attr-defined]


def _rows_of(form: Any, inlines: Iterable[Any]) -> Rows:
    """Return what a form and the rows below it show of objects that exist."""
    rows: Rows = {}
    for shown in [form, *(row for inline in inlines for row in inline.formset.initial_forms)]:
        obj = shown.instance
        if obj.pk is not None:
            fields = _guarded_fields(obj, shown.fields)
            values = {field.name: _as_text(field, obj) for field in fields}
            rows.setdefault(obj._meta.label_lower, {})[str(obj.pk)] = values
    return rows


def _guarded_fields(obj: models.Model, names: Iterable[str]) -> list[Field]:
    known = {field.name: field for field in (*obj._meta.fields, *obj._meta.many_to_many)}
    return [known[name] for name in names if name in known and not known[name].primary_key]


def _as_text(field: Field, obj: models.Model) -> str:
    if field.many_to_many:
        keys = getattr(obj, field.name).order_by("pk").values_list("pk", flat=True)
        return ",".join(map(str, keys))
    return str(field.value_to_string(obj))


class _Difference(NamedTuple):
    """One value of a row, by label of its model and key, that is another than a form showed."""

    label: str
    key: str
    words: str


def _differences(rows: Rows) -> Iterator[_Difference]:
    """Lock the rows that a form showed, by model and key, and say which values are others now."""
    for label, shown_rows in rows.items():
        model = apps.get_model(label)
        locked = model._base_manager.select_for_update(of=("self",), no_key=True)
        now = {str(row.pk): row for row in locked.filter(pk__in=list(shown_rows)).order_by("pk")}
        for pk, values in shown_rows.items():
            row = now.get(pk)
            if row is None:
                words = _("%(kind)s %(pk)s has been deleted.")
                yield _Difference(label, pk, words % {"kind": model._meta.verbose_name, "pk": pk})
                continue
            for field in _guarded_fields(row, values):
                if (text := _as_text(field, row)) != values[field.name]:
                    words = _("%(row)s, %(field)s: %(before)s → %(after)s") % {
                        "row": row,
                        "field": field.verbose_name,
                        "before": _in_words(field, values[field.name]),
                        "after": _in_words(field, text),
                    }
                    yield _Difference(label, pk, words)


def _in_words(field: Field, text: str) -> str:
    if field.many_to_many:
        chosen = field.related_model._default_manager.filter(pk__in=text.split(",") if text else [])
        return ", ".join(map(str, chosen)) or "–"
    if isinstance(field, models.BooleanField) and text:
        return str(_("yes") if field.to_python(text) else _("no"))  # the admin would show an icon
    return str(display_for_field(field.to_python(text), field, "–")) if text else "–"
