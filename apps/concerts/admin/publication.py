"""The page that asks before concerts are taken offline: it says what is under way, and takes the reason."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.boxoffice.base.entries import reason_of
from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.pages import StaffPage, ids_in
from apps.boxoffice.base.words import outcome
from apps.concerts.models import Concert
from apps.concerts.publication import publish_concert, stakes_of, withdraw_concert
from apps.core.texts import TypedLine

REASON_MAX = 200
CONCERTS_MAX = 100  # on one page
ONLINE_ALREADY = _("None of the selected concerts is offline.")
OFFLINE_ALREADY = _("None of the selected concerts is online.")


class WithdrawalForm(forms.Form):
    reason = TypedLine(
        label=_("Reason"),
        max_length=REASON_MAX,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Visitors who wait read it. It is kept with your name in the history."),
    )


class WithdrawalView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """Take the concerts offline that `?concert=1&concert=2` name, as far as they are published."""

    title = _("Take offline")
    permission_required = ("concerts.change_concert",)
    template_name = "admin/concerts/withdraw.html"
    form_class = WithdrawalForm

    @cached_property
    def concerts(self) -> list[Concert]:
        asked = Concert.objects.published().filter(pk__in=ids_in(self.request.GET, "concert"))
        return list(asked.order_by("pk")[:CONCERTS_MAX])

    def about(self) -> Concert | None:
        return self.concerts[0] if len(self.concerts) == 1 else None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        stakes = [(concert, stakes_of(concert.pk)) for concert in self.concerts]
        context: dict[str, Any] = super().get_context_data(stakes=stakes, **kwargs)
        return context

    def form_valid(self, form: WithdrawalForm) -> HttpResponse:
        reason, staff_id = form.cleaned_data["reason"], self.request.user.pk
        withdrawn = [
            concert
            for concert in self.concerts
            if withdraw_concert.step(concert_id=concert.pk, staff_id=staff_id, reason=reason)
        ]
        words = ngettext("%d concert taken offline.", "%d concerts taken offline.", len(withdrawn))
        self.say(*outcome(len(withdrawn), words % len(withdrawn), OFFLINE_ALREADY))
        if len(self.concerts) == 1:
            return redirect("admin:concerts_concert_change", self.concerts[0].pk)
        return redirect("admin:concerts_concert_changelist")


class PublicationView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """Asks before a concert is put online: a link alone must not do it."""

    title = _("Publish")
    permission_required = ("concerts.change_concert",)
    template_name = "admin/concerts/publish.html"
    form_class = forms.Form

    @cached_property
    def concert(self) -> Concert:
        return get_object_or_404(Concert, pk=self.kwargs["pk"])

    def about(self) -> Concert:
        return self.concert

    def form_valid(self, form: forms.Form) -> HttpResponse:
        reason, staff_id = reason_of(self.request), self.request.user.pk
        if publish_concert.step(concert_id=self.concert.pk, staff_id=staff_id, reason=reason):
            self.say(messages.SUCCESS, gettext("The concert is online."))
        else:
            self.say(messages.WARNING, gettext("The concert was online already."))
        return redirect("admin:concerts_concert_change", self.concert.pk)


def withdrawal_url(*concert_ids: int | str) -> str:
    query = urlencode({"concert": concert_ids}, doseq=True)
    return f"{reverse('admin:concerts_concert_withdraw')}?{query}"
