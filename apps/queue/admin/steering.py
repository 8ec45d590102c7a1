"""The forms with which staff steer a waiting room: one for each control, and the one of its policy."""

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.functional import cached_property
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminTextInputWidget

from apps.accounts.models import User
from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.pages import StaffPage
from apps.core.errors import DomainError
from apps.core.texts import TypedLine
from apps.queue.models import REASON_MAX, WaitingRoom
from apps.queue.services import (
    By,
    close_room,
    open_room,
    pause_room,
    refuse_opening_outside_sales,
    remove_visitor,
    resume_room,
    why_refused,
)


class Reason(TypedLine):
    def __init__(self, **options: Any) -> None:
        options.setdefault("help_text", _("Kept with your name in the history of the room."))
        super().__init__(
            label=_("Reason"), max_length=REASON_MAX, widget=UnfoldAdminTextInputWidget, **options
        )


class ControlForm(forms.Form):
    """One control: `title` is also its button, `explanation` says what it does, `done` that it has been done."""

    title: ClassVar[Any]
    explanation: ClassVar[Any]
    done: ClassVar[Any]

    def apply(self, concert_id: int, by: By) -> None:
        """Carry it out, in the transaction of the form.

        :raises DomainError: it is refused.
        """
        raise NotImplementedError


class OpenForm(ControlForm):
    title = _("Open now")
    explanation = _(
        "Visitors are let in from now on. Sales must have opened: visitors let in earlier could not buy anything."
    )
    done = _("The waiting room is open.")
    reason = Reason(required=False)

    def apply(self, concert_id: int, by: By) -> None:
        open_room.step(concert_id=concert_id, **by)


class PauseForm(ControlForm):
    title = _("Pause")
    explanation = _(
        "No visitors are let in until you resume. Every place is kept, visitors may go on joining, and those inside go on buying."
    )
    done = _("The waiting room is paused.")
    reason = Reason(help_text=_("Visitors read it on the page that waits."))

    def apply(self, concert_id: int, by: By) -> None:
        pause_room.step(concert_id=concert_id, **by)


class ResumeForm(ControlForm):
    title = _("Resume")
    explanation = _(
        "Visitors are let in again, in the order in which they stand. A room that has not opened yet opens when it is due."
    )
    done = _("The waiting room goes on.")
    reason = Reason(required=False)

    def apply(self, concert_id: int, by: By) -> None:
        resume_room.step(concert_id=concert_id, **by)


class CloseForm(ControlForm):
    title = _("Close")
    explanation = _(
        "All visitors are sent away and lose their places for good; none can join until you open the room again. "
        "Customers with seats on hold can still pay for them."
    )
    done = _("The waiting room is closed.")
    reason = Reason()

    def apply(self, concert_id: int, by: By) -> None:
        close_room.step(concert_id=concert_id, **by)


class RemoveForm(ControlForm):
    title = _("Remove a visitor")
    explanation = _("The place is lost at once. The visitor may join again, at the end.")
    done = _("The visitor has been removed.")
    email = forms.EmailField(label=_("Email address"), widget=UnfoldAdminEmailInputWidget)
    reason = Reason()

    def clean_email(self) -> int:
        """Return the id of the account."""
        try:
            return User.objects.get_by_natural_key(self.cleaned_data["email"]).pk
        except User.DoesNotExist as error:
            words = _("There is no account with this email address.")
            raise forms.ValidationError(words) from error

    def apply(self, concert_id: int, by: By) -> None:
        remove_visitor(concert_id=concert_id, customer_id=self.cleaned_data["email"], **by)


FORMS: dict[str, type[ControlForm]] = {
    "open": OpenForm,
    "pause": PauseForm,
    "resume": ResumeForm,
    "close": CloseForm,
    "remove": RemoveForm,
}


class SteeringView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """The page of one control of one room: says what will happen, asks why, and does it."""

    permission_required = ("queue.change_waitingroom",)
    template_name = "admin/queue/steer.html"

    @cached_property
    def room(self) -> WaitingRoom:
        return get_object_or_404(WaitingRoom.objects.with_concert(), pk=self.kwargs["pk"])

    @property
    def title(self) -> str:
        return f"{self.get_form_class().title} · {self.room}"

    def about(self) -> WaitingRoom:
        return self.room

    def get_form_class(self) -> type[ControlForm]:
        try:
            return FORMS[self.kwargs["control"]]
        except KeyError as error:
            raise Http404 from error

    def form_valid(self, form: ControlForm) -> HttpResponse:
        reason = form.cleaned_data["reason"]
        try:
            form.apply(self.room.concert_id, By(staff_id=self.request.user.pk, reason=reason))
        except DomainError as refusal:
            form.add_error(None, why_refused(refusal, self.room))
            return self.form_invalid(form)
        entry = f"{form.title}: {reason}" if reason else str(form.title)
        self.model_admin.log_change(self.request, self.room, entry)
        self.say(messages.SUCCESS, form.done)
        return redirect("admin:queue_waitingroom_change", self.room.pk)


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    reason = Reason(required=False)

    class Meta:
        model = WaitingRoom
        fields = (
            "opens_at",
            "capacity",
            "admissions_per_minute",
            "lease",
            "patience",
            "lottery_window",
        )

    def clean_opens_at(self) -> Any:
        opens_at = self.cleaned_data["opens_at"]
        if opens_at is not None and "opens_at" in self.changed_data:
            room = WaitingRoom.objects.with_concert().get(pk=self.instance.pk)
            try:
                refuse_opening_outside_sales(room, opens_at, now=now())
            except DomainError as refusal:
                raise forms.ValidationError(why_refused(refusal, room)) from refusal
        return opens_at
