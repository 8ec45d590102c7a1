"""The forms with which staff make a concert of another one, and many dates at once."""

from datetime import time
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.dates import WEEKDAYS
from django.utils.functional import cached_property
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.base.read_only import note_action
from apps.concerts.copying import MadeDates, add_dates, dates_between, duplicate_concert
from apps.concerts.errors import DatesRefused, LayoutRefused
from apps.concerts.halls import plan_of
from apps.concerts.layouts import PlannedSeat
from apps.concerts.models import Concert, HallTemplate, Performance
from apps.concerts.plans import unpack_plan
from apps.core.form_fields import WholeNumberField
from apps.core.texts import TypedLine

DAYS_MAX = 3_660  # by which dates are moved
SPAN_MAX = 1_100  # days between the first and the last one
TIMES_MAX = 10  # of one day
HALLS_OFFERED = 200


class DuplicateForm(forms.Form):
    title = TypedLine(label=_("Title"), max_length=200, widget=UnfoldAdminTextInputWidget)
    days = WholeNumberField(
        label=_("Days later"),
        min_value=0,
        max_value=DAYS_MAX,
        initial=0,
        widget=UnfoldAdminTextInputWidget,
        help_text=_(
            "The sales window and all dates move by so many days, and keep their times: 7 is a week."
        ),
    )
    with_dates = forms.BooleanField(
        label=_("With its dates"),
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("Dates that would be in the past are left out."),
    )
    with_halls = forms.BooleanField(
        label=_("With the seats of each date"),
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget,
    )


class _MakesDates(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    template_name = "admin/concerts/make_dates.html"

    @cached_property
    def concert(self) -> Concert:
        return get_object_or_404(Concert, pk=self.kwargs["pk"])

    def about(self) -> Concert:
        return self.concert

    def make(self, form: Any) -> MadeDates:
        """
        :raises DatesRefused, LayoutRefused: they cannot be made.
        """
        raise NotImplementedError

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            made = self.make(form)
        except (DatesRefused, LayoutRefused) as refusal:
            form.add_error(None, refusal.reason)
            return self.form_invalid(form)
        dates = len(made.performances)
        seats = sum(performance.seats_total for performance in made.performances)
        done = ngettext(
            "%(dates)s date with %(seats)s seats made.",
            "%(dates)s dates with %(seats)s seats made.",
            dates,
        ) % {"dates": f"{dates:,}", "seats": f"{seats:,}"}
        self.say(
            messages.SUCCESS if dates or made.concert != self.concert else messages.WARNING, done
        )
        if made.passed_over:
            left_out = ngettext(
                "%(count)s date was left out: it is in the past, or there already.",
                "%(count)s dates were left out: they are in the past, or there already.",
                made.passed_over,
            )
            self.say(messages.WARNING, left_out % {"count": f"{made.passed_over:,}"})
        self.note(made, done)
        return redirect("admin:concerts_concert_change", made.concert.pk)

    def note(self, made: MadeDates, done: str) -> None:
        note_action(self.request, [made.concert], done)


class DuplicateView(_MakesDates):
    """Make a concert like another one, offline, with or without its dates and their halls."""

    title = _("Duplicate")
    explanation = _("The new concert is offline. Check its sales window before you publish it.")
    permission_required = ("concerts.add_concert", "concerts.add_performance", "concerts.add_seat")
    form_class = DuplicateForm

    def get_initial(self) -> dict[str, Any]:
        return {"title": self.concert.title}

    def make(self, form: DuplicateForm) -> MadeDates:
        return duplicate_concert.step(concert_id=self.concert.pk, **form.cleaned_data)

    def note(self, made: MadeDates, done: str) -> None:
        words = gettext("Made of concert %(title)s (%(pk)s).")
        origin = words % {"title": self.concert.title, "pk": self.concert.pk}
        note_action(self.request, [made.concert], f"{origin} {done}")


class TimesField(forms.CharField):
    """Times of a day such as "14:00, 19:30"."""

    widget = UnfoldAdminTextInputWidget

    def clean(self, value: Any) -> Any:
        words = super().clean(value).replace(",", " ").split()
        field = forms.TimeField()
        times: list[time] = [field.clean(word) for word in words]
        if not 1 <= len(times) <= TIMES_MAX:
            raise forms.ValidationError(_("Enter times, such as 14:00, 19:30."))
        return times


class AddDatesForm(forms.Form):
    """Days of the week and times between two days, and the seats that each such date gets."""

    first = forms.DateField(label=_("From"), widget=UnfoldAdminTextInputWidget({"type": "date"}))
    last = forms.DateField(label=_("Until"), widget=UnfoldAdminTextInputWidget({"type": "date"}))
    weekdays = forms.TypedMultipleChoiceField(
        label=_("Days of the week"),
        coerce=int,
        choices=[(number, name) for number, name in WEEKDAYS.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    times = TimesField(
        label=_("Times"),
        max_length=100,
        help_text=_("By the clocks of the venue, such as 14:00, 19:30."),
    )
    hall = forms.ChoiceField(
        label=_("Seats"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=_("Of a template, or like those of another date of this concert."),
    )

    def __init__(self, *args: Any, concert: Concert, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        templates = HallTemplate.objects.defer("plan").by_name()[:HALLS_OFFERED]
        dates = Performance.objects.of_concert(concert.pk).filter(seats_total__gt=0).by_date()
        hall: Any = self.fields["hall"]
        hall.choices = [
            ("", _("None yet")),
            *((f"template {template.pk}", str(template)) for template in templates),
            *((f"date {date.pk}", str(date)) for date in dates[:HALLS_OFFERED]),
        ]

    def clean(self) -> dict[str, Any]:
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        if first and last and not 0 <= (last - first).days <= SPAN_MAX:
            self.add_error("last", _("The last day must come after the first, within three years."))
        return self.cleaned_data

    @property
    def plan(self) -> list[PlannedSeat]:
        kind, _space, pk = self.cleaned_data["hall"].partition(" ")
        if kind == "template":
            return unpack_plan(get_object_or_404(HallTemplate, pk=pk).plan)
        return plan_of(int(pk)) if kind == "date" else []


class AddDatesView(_MakesDates):
    """Give a concert many dates by a pattern."""

    title = _("Add dates")
    explanation = _("Every chosen day of the week in the period gets a date at each of the times.")
    permission_required = ("concerts.add_performance", "concerts.add_seat")
    form_class = AddDatesForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "concert": self.concert}

    def make(self, form: AddDatesForm) -> MadeDates:
        values = form.cleaned_data
        starts = dates_between(
            values["first"], values["last"], weekdays=values["weekdays"], times=values["times"]
        )
        return add_dates.step(
            concert_id=self.concert.pk,
            starts=starts,
            hall=form.plan,
            staff_id=self.request.user.pk,
        )
