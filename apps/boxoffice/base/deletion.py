"""Deletion in the admin of what may be thousands of rows: a page says how many go, or what stands in the way."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.admin.utils import model_ngettext, unquote
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action

from apps.boxoffice.base.entries import reason_of, with_reason
from apps.boxoffice.base.forms import (
    SentBefore,
    Shown,
    claim_form,
    keep_location,
    sent_before_words,
    too_old_words,
)
from apps.boxoffice.base.words import title_of
from apps.core.deletion import (
    ROWS_MAX,
    Deletion,
    DeletionRefused,
    counts_in_words,
    delete_rows,
    deletion_of,
    rows_by_key,
)
from apps.core.transactions import run_in_transaction

EXPECTED = "_expected"
_EXPECTED = re.compile(r"[0-9]{1,9}")
NAMED_MAX = 20  # of what was chosen; each takes a look of its own


class CountedDeletion:
    """Mixin for a `ModelAdmin` whose rows may be deleted; stands before it, and `actions` name `delete_selected`."""

    model: Any
    opts: Any

    def delete(self, *, ids: Sequence[int], expected: int) -> Deletion:
        """Carry out a deletion; overridden where a service does more.

        :raises DeletionRefused: it cannot be, or is not what was expected.
        """
        return delete_rows(rows_by_key(self.model, ids), expected=expected)

    def why_kept(self, objects: Sequence[Any]) -> str | None:
        """Say what else keeps these from being deleted."""
        return None

    def note_deletion(self, request: HttpRequest, objects: Sequence[Any], going: str) -> None:
        """Write a deletion into the history; overridden where it belongs into that of something else."""
        assert request.user.pk is not None
        words = with_reason(going, reason_of(request))
        LogEntry.objects.log_actions(request.user.pk, list(objects), DELETION, words)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
        if obj is None:
            response: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]
                request, self.opts, object_id
            )
            return response
        return self.confirm_deletion(request, [obj])

    @action(
        description=gettext_lazy("Delete selected %(verbose_name_plural)s"), permissions=["delete"]
    )
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        chosen = queryset.order_by("pk").select_related(None)[: ROWS_MAX + 1]
        return self.confirm_deletion(request, self.read_chosen(chosen))

    def read_chosen(self, chosen: QuerySet[Any]) -> Sequence[Any]:
        """Return what is to be deleted; overridden where making objects of all would take long."""
        return list(chosen)

    def confirm_deletion(self, request: HttpRequest, objects: Sequence[Any]) -> HttpResponse:
        """Show what goes with these; once the page that showed it is sent, delete them."""
        if not all(self.has_delete_permission(request, obj) for obj in objects):  # type: ignore[attr-defined]
            raise PermissionDenied
        ids = [obj.pk for obj in objects]
        refusal = self.why_kept(objects)
        expected = request.POST.get(EXPECTED, "")
        if not refusal and _EXPECTED.fullmatch(expected):
            try:
                going = run_in_transaction(
                    partial(self._delete, request, objects, ids, int(expected))
                )
            except signing.BadSignature:
                refusal = too_old_words()
            except SentBefore as before:
                messages.warning(request, sent_before_words())
                return HttpResponseRedirect(before.location)
            except DeletionRefused as error:
                refusal = error.reason
            else:
                messages.success(request, _("Deleted: %(rows)s.") % {"rows": going})
                return HttpResponseRedirect(self._list_url(request))
        deletion = deletion_of(rows_by_key(self.model, ids))
        return self._page(request, objects, deletion, refusal)

    def _delete(
        self, request: HttpRequest, objects: Sequence[Any], ids: Sequence[int], expected: int
    ) -> str:
        record = claim_form(request)
        going = counts_in_words(self.delete(ids=ids, expected=expected).going)
        self.note_deletion(request, objects, going)
        keep_location(record, self._list_url(request))
        return going

    def _page(
        self,
        request: HttpRequest,
        objects: Sequence[Any],
        deletion: Deletion,
        refusal: str | None,
    ) -> HttpResponse:
        is_across = request.POST.get("select_across") == "1"
        only = objects[0] if len(objects) == 1 else None
        name = model_ngettext(self.opts, len(objects)) if only is None else title_of(only)
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": self.opts,
            "title": _("Delete: %(name)s") % {"name": name},
            "refusal": refusal or deletion.refusal,
            "is_empty": not deletion.rows and not deletion.in_the_way,
            "kept": list(self._kept(objects)) if deletion.in_the_way else [],
            "may_go": deletion.rows > 0
            and deletion.refusal is None
            and self.why_kept(objects) is None,
            "object": only,
            "going": [
                counts_in_words({model: count}) for model, count in reversed(deletion.going.items())
            ],
            "expected": deletion.rows,
            "shown": Shown.now().signed(request),
            "is_selection": "action" in request.POST,
            "is_across": is_across,
            "ids": [obj.pk for obj in (objects[:1] if is_across else objects)],
            "checkbox": ACTION_CHECKBOX_NAME,
            "list_url": self._list_url(request),
        }
        status = 409 if EXPECTED in request.POST else 200
        return TemplateResponse(request, "admin/counted_deletion.html", context, status=status)

    def _kept(self, objects: Sequence[Any]) -> Iterator[tuple[str, str]]:
        """Say which of a few that were chosen cannot go, and why."""
        if 1 < len(objects) <= NAMED_MAX:
            for obj in objects:
                if refusal := deletion_of(rows_by_key(self.model, [obj.pk])).refusal:
                    yield title_of(obj), refusal

    def _list_url(self, request: HttpRequest) -> str:
        url = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return request.get_full_path() if request.path == url else url
