"""The page that shows what a draft would change in a seat map, and applies it."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import FormView

from apps.boxoffice.base.entries import reason_of
from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.jobs.services import request_job
from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.base.read_only import note_action
from apps.concerts.admin.hall_preview import preview_of
from apps.concerts.errors import SeatMapChanged, SeatMapRefused
from apps.concerts.inventory import RELEASED_ALONE, ReleaseNeedsApproval
from apps.concerts.models import Performance, SeatMapDraft
from apps.concerts.plans import unpack_plan
from apps.concerts.seat_change_words import (
    SEATS_NAMED,
    in_history,
    named_seats,
    refusals,
    summary,
)
from apps.concerts.seat_changes import MapChanges, change_seats, changes_to
from apps.concerts.seat_jobs import ChangeSeats, ChangeSeatsAndRelease
from apps.core.form_fields import WholeNumberField
from apps.core.history import changes_since

INVENTORY = "concerts.change_seatallocation"
AT_ONCE = 10_000  # seats that are changed while staff wait: a second or two of work


class ApplyForm(forms.Form):
    seat_map_version = WholeNumberField(widget=forms.HiddenInput)
    kept_back = forms.CharField(widget=forms.HiddenInput, max_length=16)


class SeatDraftView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """Ask before a seat map is changed: what is added, removed, moved, regraded, repriced and refused, and how the hall will look."""

    title = gettext_lazy("Change seats")
    permission_required = ("concerts.change_seat",)
    template_name = "admin/concerts/seat_draft.html"
    form_class = ApplyForm

    @cached_property
    def performance(self) -> Performance:
        return get_object_or_404(
            Performance.objects.select_related("concert"), pk=self.kwargs["pk"]
        )

    @cached_property
    def draft(self) -> SeatMapDraft:
        drafts = SeatMapDraft.objects.filter(performance=self.performance)
        return get_object_or_404(drafts, pk=self.kwargs["draft"])

    def about(self) -> Performance:
        return self.performance

    def has_permission(self) -> bool:
        """Removing seats needs its own right, as it does in the list of seats."""
        may: bool = super().has_permission()
        return may and (
            not self.draft.removes_missing or self.request.user.has_perm("concerts.delete_seat")
        )

    @cached_property
    def wanted(self) -> dict[str, Any]:
        return {
            "performance_id": self.performance.pk,
            "seats": unpack_plan(self.draft.plan),
            "removes_missing": self.draft.removes_missing,
        }

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        try:
            changes = changes_to(**self.wanted)
        except SeatMapRefused as refusal:
            kwargs["refusal"] = refusal.reason
        else:
            kwargs |= {
                "changes": changes,
                "named": named_seats(changes),
                "refused": changes.refused[:SEATS_NAMED],
                "more_refused": len(changes.refused) - SEATS_NAMED,
                "hall": preview_of(changes.result),
                # Whatever was sent: what is confirmed is what this page shows.
                "form": kwargs.get("form") or ApplyForm(),
                "needs_second_person": changes.released > RELEASED_ALONE,
                "released_alone": RELEASED_ALONE,
            }
        context: dict[str, Any] = super().get_context_data(draft=self.draft, **kwargs)
        return context

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "discard" in request.POST:
            self.draft.delete()
            self.say(messages.SUCCESS, _("Nothing was changed."))
            return self._back()
        response: HttpResponse = super().act(request, *args, **kwargs)
        return response

    def form_valid(self, form: ApplyForm) -> HttpResponse:
        try:
            wanted = changes_to(**self.wanted)
            if wanted.changes_inventory and not self.request.user.has_perm(INVENTORY):
                form.add_error(None, _("You may not change what seats are kept back for."))
                return self.form_invalid(form)
            if len(wanted) > AT_ONCE or wanted.released > RELEASED_ALONE:
                return self._apply_in_background(form, wanted)
            changes = change_seats.step(
                **self.wanted,
                **form.cleaned_data,
                staff_id=self.request.user.pk,
                reason=self._reason,
                is_alone=True,
            )
        except ReleaseNeedsApproval:
            return self._apply_in_background(form, wanted, needs_approval=True)
        except SeatMapChanged as refusal:
            form.add_error(None, refusal.reason)
            since = changes_since(
                {"concerts.performance": [str(self.performance.pk)]}, self.draft.created_at
            )
            for change in since:
                form.add_error(None, f"{change.who}: {change.what}")
            return self.form_invalid(form)
        except SeatMapRefused as refusal:
            form.add_error(None, refusal.reason)
            return self.form_invalid(form)
        if changes:
            words = in_history(changes, self.draft.source)
            note_action(self.request, [self.performance], words)
            self.say(messages.SUCCESS, summary(changes))
        else:
            self.say(messages.WARNING, f"{_('Nothing was changed.')} {summary(changes)}".strip())
        for words in refusals(changes):
            self.say(messages.WARNING, words)
        self.draft.delete()
        return self._back()

    @property
    def _reason(self) -> str:
        return reason_of(self.request) or self.draft.source

    def _apply_in_background(
        self, form: ApplyForm, wanted: MapChanges, *, needs_approval: bool = False
    ) -> HttpResponse:
        """Lead to the job that applies the draft; it is refused there if the map has changed."""
        assert self.request.user.pk is not None
        releases = needs_approval or wanted.released > RELEASED_ALONE
        job = request_job(
            kind=ChangeSeatsAndRelease.name if releases else ChangeSeats.name,
            parameters={
                "performance": self.performance.pk,
                "draft": self.draft.pk,
                "source": self.draft.source,
                "seats": len(wanted),
                "released": wanted.released,
                **form.cleaned_data,
            },
            reason=self._reason,
            staff_id=self.request.user.pk,
        )
        return redirect("admin:boxoffice_staffjob_change", job.pk)

    def _back(self) -> HttpResponse:
        return redirect("admin:concerts_performance_change", self.performance.pk)
