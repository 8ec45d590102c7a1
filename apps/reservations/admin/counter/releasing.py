"""The page on which staff take the seats of an unpaid hold from its customer."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.generic import FormView
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.pages import StaffPage
from apps.core.codes import CODES
from apps.core.errors import DomainError
from apps.core.texts import TypedLine
from apps.reservations.models import REASON_MAX, Hold
from apps.reservations.services import release_hold_by_staff


class ReleaseForm(forms.Form):
    reason = TypedLine(
        label=_("Reason"),
        max_length=REASON_MAX,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The customer reads it. It is kept with your name in the history."),
    )


class ReleaseView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """One hold; afterwards the picture of its hall."""

    title = _("Release a hold")
    permission_required = ("reservations.release_hold", "reservations.view_hold")
    template_name = "admin/reservations/release.html"
    form_class = ReleaseForm

    @cached_property
    def hold(self) -> Hold:
        return get_object_or_404(
            Hold.objects.select_related("customer", "performance__concert"), pk=self.kwargs["pk"]
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        claims = self.hold.claims.select_related("seat").order_by("seat_id")
        context: dict[str, Any] = super().get_context_data(
            hold=self.hold, seats=[claim.seat for claim in claims], **kwargs
        )
        return context

    def form_valid(self, form: ReleaseForm) -> HttpResponse:
        assert self.request.user.pk is not None
        try:
            held = release_hold_by_staff.step(
                hold_id=self.hold.pk,
                reason=form.cleaned_data["reason"],
                staff_id=self.request.user.pk,
            )
        except DomainError as refusal:
            form.add_error(None, why_not_released(refusal))
            return self.form_invalid(form)
        text = ngettext(
            "%(count)s seat is free again.", "%(count)s seats are free again.", len(held.seats)
        )
        self.say(messages.SUCCESS, text % {"count": len(held.seats)})
        return redirect("admin:reservations_picture", self.hold.performance_id)


def why_not_released(refusal: DomainError) -> str:
    """Say it to staff: the messages of the registry are for the customer."""
    match refusal.code:
        case "HOLD_NOT_LIVE":
            return str(_("It was paid or released in the meantime. Nothing was changed."))
        case "HOLD_EXPIRED":
            return str(_("It has expired: its seats are free already."))
        case _:
            return str(CODES[refusal.code].message)
