"""The forms with which staff steer a waiting room: one for each control, and the one of its policy."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.timezone import now
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminTextInputWidget

from apps.accounts.models import User
from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.pages import StaffPage
from apps.core.errors import DomainError, ServiceUnavailable
from apps.core.form_fields import WholeNumberField
from apps.core.texts import TypedLine
from apps.queue.admin import previews
from apps.queue.core.room import Figures
from apps.queue.models import CAPACITY_MAX, RATE_MAX, REASON_MAX, PolicyChange, WaitingRoom
from apps.queue.selectors import live_figures
from apps.queue.services import (
    By,
    close_room,
    lock_room,
    open_room,
    pause_room,
    refuse_opening_outside_sales,
    remove_visitor,
    resume_room,
    set_admissions_per_minute,
    set_capacity,
    why_no_sense,
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

    def preview(self, room: WaitingRoom, figures: Figures | None) -> Iterable[str]:
        """Say what carrying it out would do to those who are there now; `figures` are None if they are not known."""
        return ()

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

    def preview(self, room: WaitingRoom, figures: Figures | None) -> Iterable[str]:
        return previews.when_admitting(room, figures)

    def apply(self, concert_id: int, by: By) -> None:
        open_room.step(concert_id=concert_id, **by)


class PauseForm(ControlForm):
    title = _("Pause")
    explanation = _(
        "No visitors are let in until you resume. Every place is kept, visitors may go on joining, and those inside go on buying."
    )
    done = _("The waiting room is paused.")
    reason = Reason(help_text=_("Visitors read it on the page that waits."))

    def preview(self, room: WaitingRoom, figures: Figures | None) -> Iterable[str]:
        return previews.when_pausing(figures)

    def apply(self, concert_id: int, by: By) -> None:
        pause_room.step(concert_id=concert_id, **by)


class ResumeForm(ControlForm):
    title = _("Resume")
    explanation = _(
        "Visitors are let in again, in the order in which they stand. A room that has not opened yet opens when it is due."
    )
    done = _("The waiting room goes on.")
    reason = Reason(required=False)

    def preview(self, room: WaitingRoom, figures: Figures | None) -> Iterable[str]:
        return previews.when_admitting(room, figures)

    def apply(self, concert_id: int, by: By) -> None:
        resume_room.step(concert_id=concert_id, **by)


class CloseForm(ControlForm):
    title = pgettext_lazy(
        "waiting room", "Close"
    )  # alone it is the theme's word for leaving a page
    explanation = _(
        "All visitors are sent away and lose their places for good; none can join until you open the room again. "
        "Customers with seats on hold can still pay for them."
    )
    done = _("The waiting room is closed.")
    reason = Reason()

    def preview(self, room: WaitingRoom, figures: Figures | None) -> Iterable[str]:
        return previews.when_closing(figures)

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


class Stale(Exception):
    """A form would overwrite a change that it did not show: the last one of its field."""

    def __init__(self, change: PolicyChange | None) -> None:
        super().__init__(change)
        words = gettext("This was changed in the meantime. Nothing was saved: load the form again.")
        self.words = f"{words} {change.changed_by or change.actor}: {change}" if change else words


class LimitForm(ControlForm):
    """A limit of the policy: `field` names it. The form carries the value that it showed, and overwrites no other one."""

    field: ClassVar[str]
    seen = TypedLine(required=False, widget=forms.HiddenInput)
    reason = Reason(required=False)

    def apply(self, concert_id: int, by: By) -> None:
        """
        :raises Stale: the limit was not what the form showed; nothing has changed.
        """
        before = self._last_change(concert_id)
        with transaction.atomic():
            self.set_limit(concert_id, by)
            # Tells the value that was there under the lock of the room, if it was another one.
            change = self._last_change(concert_id)
            is_stale = change and change != before and change.old_value != self.cleaned_data["seen"]
            if is_stale:
                transaction.set_rollback(True)
        if is_stale:
            raise Stale(self._last_change(concert_id))

    def set_limit(self, concert_id: int, by: By) -> None:
        raise NotImplementedError

    def _last_change(self, concert_id: int) -> PolicyChange | None:
        changes = PolicyChange.objects.filter(room__concert=concert_id, field=self.field)
        return changes.order_by("-pk").first()


class RateForm(LimitForm):
    title = _("Change the rate")
    explanation = _(
        "How many visitors get a turn in a minute, at most. It counts from the next second on; no visitor loses a place or a turn."
    )
    done = _("The rate has been changed.")
    field = "admissions_per_minute"
    admissions_per_minute = WholeNumberField(
        label=_("Admissions per minute"),
        min_value=1,
        max_value=RATE_MAX,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Leave empty for no limit."),
    )
    field_order = ("admissions_per_minute", "reason")

    def preview(self, room: WaitingRoom, figures: Figures | None) -> Iterable[str]:
        if figures is None or not self.is_bound or not self.is_valid():
            return previews.at_rates(room, figures)
        rate = self.cleaned_data[self.field]
        return [previews.at_rate(figures, capacity=room.capacity, per_minute=rate)]

    def set_limit(self, concert_id: int, by: By) -> None:
        rate = self.cleaned_data[self.field]
        set_admissions_per_minute.step(concert_id=concert_id, admissions_per_minute=rate, **by)


class CapacityForm(LimitForm):
    title = _("Change the capacity")
    explanation = _(
        "How many visitors may be inside at once. A lower one ends no turn: none is let in until enough have left."
    )
    done = _("The capacity has been changed.")
    field = "capacity"
    capacity = WholeNumberField(
        label=_("Capacity"),
        min_value=1,
        max_value=CAPACITY_MAX,
        widget=UnfoldAdminTextInputWidget,
    )
    field_order = ("capacity", "reason")

    def preview(self, room: WaitingRoom, figures: Figures | None) -> Iterable[str]:
        if figures is None or not self.is_bound or not self.is_valid():
            return previews.at_capacities(room, figures)
        capacity = self.cleaned_data[self.field]
        return [
            previews.at_capacity(figures, capacity=capacity, per_minute=room.admissions_per_minute)
        ]

    def set_limit(self, concert_id: int, by: By) -> None:
        set_capacity.step(concert_id=concert_id, capacity=self.cleaned_data[self.field], **by)


def _as_text(value: object) -> str:
    return "" if value is None else str(value)


FORMS: dict[str, type[ControlForm]] = {
    "open": OpenForm,
    "pause": PauseForm,
    "resume": ResumeForm,
    "close": CloseForm,
    "rate": RateForm,
    "capacity": CapacityForm,
    "remove": RemoveForm,
}


# What depends on the state of the room. The others make sense in any; and removing a visitor asks the store, for which no lock is kept.
STATED = ("open", "pause", "resume", "close")


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

    def get_initial(self) -> dict[str, Any]:
        field = getattr(self.get_form_class(), "field", None)
        if field is None:
            return {}
        value = getattr(self.room, field)
        return {field: value, "seen": _as_text(value)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        form: ControlForm = context["form"]
        context["preview"] = list(form.preview(self.room, self._figures()))
        context["may_preview"] = isinstance(form, LimitForm)
        context["back_url"] = self._back_url()
        context["no_sense"] = "" if form.is_bound else self._why_no_sense()
        return context

    def _why_no_sense(self, *, is_locked: bool = False) -> str:
        """Say why the control makes no sense now: when it is looked at, and again under the lock of the room when it is sent."""
        room = lock_room(self.room.concert_id) if is_locked else self.room
        return why_no_sense(room, self.kwargs["control"])

    def _figures(self) -> Figures | None:
        try:
            return live_figures(self.room.concert_id)
        except ServiceUnavailable:
            return None

    def _back_url(self) -> str:
        """Return the page that led here: the cockpit of the sale if it says so, else that of the room."""
        if self.request.GET.get("from") == "cockpit":
            return reverse("boxoffice:cockpit", args=[self.room.concert_id])
        return reverse("admin:queue_waitingroom_change", args=[self.room.pk])

    def form_valid(self, form: ControlForm) -> HttpResponse:
        if "preview" in self.request.POST:
            return self.render_to_response(self.get_context_data(form=form))
        reason = form.cleaned_data["reason"]
        if self.kwargs["control"] in STATED and (words := self._why_no_sense(is_locked=True)):
            form.add_error(None, words)
            return self.form_invalid(form)
        try:
            form.apply(self.room.concert_id, By(staff_id=self.request.user.pk, reason=reason))
        except DomainError as refusal:
            form.add_error(None, why_refused(refusal, self.room))
            return self.form_invalid(form)
        except Stale as stale:
            form.add_error(None, stale.words)
            return self.form_invalid(form)
        entry = f"{form.title}: {reason}" if reason else str(form.title)
        self.model_admin.log_change(self.request, self.room, entry)
        self.say(messages.SUCCESS, form.done)
        return redirect(self._back_url())


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    reason = Reason()

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
