"""The form with which staff give performances their seats, section by section or from a template, and see them before."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.boxoffice.base.entries import reason_of
from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.jobs.services import request_job
from apps.boxoffice.base.pages import StaffPage, ids_in
from apps.boxoffice.base.read_only import note_action
from apps.concerts.admin.hall_preview import preview_of
from apps.concerts.errors import LayoutRefused
from apps.concerts.generator_jobs import GenerateSeats, made_in_words, stored_hall
from apps.concerts.layouts import (
    NUMBER_MAX,
    PRICE_MAX,
    ROW_NAME_MAX,
    ROWS_MAX,
    SEATS_PER_ROW_MAX,
    Numbering,
    PlannedSeat,
    SectionLayout,
    build_seats,
    validate_layout,
)
from apps.concerts.models import Grade, HallTemplate, Performance
from apps.concerts.plans import unpack_plan
from apps.concerts.services import fill_hall
from apps.core.form_fields import WholeNumberField, WonField
from apps.core.texts import TypedLine

SECTIONS_OFFERED = 8
SEATS_AT_ONCE = 200_000
SEATS_WAITED_FOR = 20_000  # about two seconds of work; more are made in the background
NAMED_MAX = 10  # performances of which the next page says each how many seats it got
PERFORMANCES_OFFERED = 300  # each that is ticked is a field of the form, which may have a thousand


class PerformanceField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, performance: Performance) -> str:
        return f"{performance.concert} · {performance}"


class PerformancesForm(forms.Form):
    performances = PerformanceField(
        label=_("Performances"),
        queryset=Performance.objects.none(),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("Only performances without seats are offered, the next ones first."),
    )

    template = forms.ModelChoiceField(
        label=_("Venue template"),
        queryset=HallTemplate.objects.none(),
        required=False,
        empty_label=_("None: the sections below"),
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, *args: Any, offered: Sequence[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = Performance.objects.without_seats().filter(pk__in=offered)
        field: Any = self.fields["performances"]
        field.queryset = found.select_related("concert").by_date()
        templates: Any = self.fields["template"]
        templates.queryset = HallTemplate.objects.defer("plan").by_name()


class AislesField(forms.CharField):
    """Counts of seats after which there is an aisle, such as "4, 12"."""

    widget = UnfoldAdminTextInputWidget

    def clean(self, value: Any) -> Any:
        words = super().clean(value).replace(",", " ").split()
        if not all(word.isascii() and word.isdecimal() and len(word) <= 3 for word in words):
            raise forms.ValidationError(_("Enter counts of seats, such as 4, 12."))
        return tuple(sorted(map(int, words)))


class RowNamesField(TypedLine):
    """Names of rows, such as "I, O"."""

    widget = UnfoldAdminTextInputWidget

    def clean(self, value: Any) -> Any:
        return frozenset(super().clean(value).upper().replace(",", " ").split())


class SectionForm(forms.Form):
    name = TypedLine(label=_("Section"), max_length=20, widget=UnfoldAdminTextInputWidget)
    rows = WholeNumberField(
        label=_("Rows"), min_value=1, max_value=ROWS_MAX, widget=UnfoldAdminTextInputWidget
    )
    seats_per_row = WholeNumberField(
        label=_("Seats per row"),
        min_value=1,
        max_value=SEATS_PER_ROW_MAX,
        widget=UnfoldAdminTextInputWidget,
    )
    grade = forms.ChoiceField(
        label=_("Grade"), choices=Grade.choices, initial=Grade.R, widget=UnfoldAdminSelectWidget
    )
    price = WonField(
        label=_("Price in won"), min_value=0, max_value=PRICE_MAX, widget=UnfoldAdminTextInputWidget
    )
    aisles = AislesField(
        label=_("Aisles after seats"),
        required=False,
        max_length=100,
        help_text=_("Counted from the left, such as 4, 12."),
    )
    numbering = forms.ChoiceField(
        label=_("Numbering"),
        required=False,
        choices=Numbering.choices,
        initial=Numbering.FROM_LEFT,
        widget=UnfoldAdminSelectWidget,
    )
    first_number = WholeNumberField(
        label=_("Lowest number"),
        required=False,
        min_value=1,
        max_value=NUMBER_MAX - 2 * SEATS_PER_ROW_MAX,
        widget=UnfoldAdminTextInputWidget,
    )
    first_row = TypedLine(
        label=_("First row"),
        required=False,
        max_length=ROW_NAME_MAX,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("A letter or a number, such as A or 1."),
    )
    skipped = RowNamesField(
        label=_("Rows left out"), required=False, max_length=100, help_text=_("Such as I, O.")
    )
    is_behind = forms.BooleanField(
        label=_("Behind the sections above"), required=False, widget=UnfoldBooleanSwitchWidget
    )
    MAIN = ("name", "rows", "seats_per_row", "grade", "price")

    @property
    def main_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.MAIN]

    @property
    def further_fields(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in self.MAIN]

    @property
    def is_folded(self) -> bool:
        """Show the further fields only where one of them says something, or is wrong."""
        further = {field.name for field in self.further_fields}
        return not self.is_bound or not further & {*self.changed_data, *self.errors}

    def has_changed(self) -> bool:
        """Pass over a line in which nothing was typed, whatever is chosen in it."""
        return bool({"name", "rows", "seats_per_row", "price"} & set(self.changed_data))

    def line(self) -> SectionLayout:
        values = self.cleaned_data
        return SectionLayout(
            **{name: values[name] for name in self.MAIN if name != "grade"},
            grade=Grade(values["grade"]),
            aisles=values["aisles"],
            numbering=Numbering(values["numbering"] or Numbering.FROM_LEFT),
            first_number=values["first_number"] or 1,
            first_row=values["first_row"].upper(),
            skipped=values["skipped"],
            is_behind=values["is_behind"],
        )


class SectionFormSet(forms.BaseFormSet):  # type: ignore[type-arg]
    """Lines that are left empty are passed over; all of them if a template is chosen."""

    has_template = False

    def layout(self) -> list[SectionLayout]:
        return [form.line() for form in self.forms if form.cleaned_data and form.has_changed()]

    def clean(self) -> None:
        if any(self.errors):
            return
        if self.has_template:
            if self.layout():
                raise forms.ValidationError(_("Choose a template or describe sections, not both."))
            return
        try:
            validate_layout(self.layout())
        except LayoutRefused as refusal:
            raise forms.ValidationError(refusal.reason) from refusal


Sections: Any = forms.formset_factory(
    SectionForm, formset=SectionFormSet, extra=SECTIONS_OFFERED, max_num=SECTIONS_OFFERED * 4
)


class SeatGeneratorView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """Tick at first what `?performance=1&performance=2` or `?concert=3` name."""

    title = _("Generate seats")
    permission_required = ("concerts.add_seat",)
    template_name = "admin/concerts/generate_seats.html"
    form_class = PerformancesForm

    @cached_property
    def asked(self) -> list[int]:
        asked = Q(pk__in=ids_in(self.request.GET, "performance")) | Q(
            concert__in=ids_in(self.request.GET, "concert")
        )
        found = Performance.objects.without_seats().filter(asked).by_date()
        return list(found.values_list("pk", flat=True)[:PERFORMANCES_OFFERED])

    def get_initial(self) -> dict[str, Any]:
        templates = ids_in(self.request.GET, "template")
        return {"performances": self.asked, **({"template": templates[0]} if templates else {})}

    def get_form_kwargs(self) -> dict[str, Any]:
        if self.request.method == "POST":
            offered = ids_in(self.request.POST, "performances")
        else:
            ahead = Performance.objects.without_seats().not_begun(at=timezone.now()).by_date()
            others = ahead.values_list("pk", flat=True)[:PERFORMANCES_OFFERED]
            offered = list(dict.fromkeys([*self.asked, *others]))[:PERFORMANCES_OFFERED]
        return {**super().get_form_kwargs(), "offered": offered}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        kwargs.setdefault("sections", Sections())
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form, sections = self.get_form(), Sections(request.POST)
        is_valid = form.is_valid()
        template = form.cleaned_data.get("template")
        sections.has_template = template is not None
        if not (sections.is_valid() and (is_valid or "preview" in request.POST)):
            return self.render_to_response(self.get_context_data(form=form, sections=sections))
        plan = unpack_plan(template.plan) if template else list(build_seats(sections.layout()))
        if "preview" in request.POST:
            form.errors.clear()  # which dates it is for may still be open
            return self.render_to_response(
                self.get_context_data(form=form, sections=sections, hall=preview_of(plan))
            )
        # Locked one after the other, so in the order in which all lock them.
        performances = sorted(
            form.cleaned_data["performances"], key=lambda performance: performance.pk
        )
        seats = len(performances) * len(plan)
        if seats > SEATS_AT_ONCE:
            form.add_error(
                "performances",
                _(
                    "That makes %(seats)s seats. At most %(max)s can be made at once: choose fewer performances."
                )
                % {"seats": f"{seats:,}", "max": f"{SEATS_AT_ONCE:,}"},
            )
            return self.render_to_response(self.get_context_data(form=form, sections=sections))
        if seats > SEATS_WAITED_FOR:
            hall = stored_hall(template, () if template else sections.layout())
            return self._fill_in_background(performances, len(plan), hall)
        made = [performance for performance in performances if self._is_filled(performance, plan)]
        if len(performances) <= NAMED_MAX:
            for performance in made:
                self.say(messages.SUCCESS, f"{performance}: {made_in_words(len(plan))}")
        elif made:
            words = _("%(performances)s performances got %(seats)s seats each.")
            counts = {"performances": f"{len(made):,}", "seats": f"{len(plan):,}"}
            self.say(messages.SUCCESS, words % counts)
        return self.back_to(performances)

    def _fill_in_background(
        self, performances: Sequence[Performance], seats: int, hall: Mapping[str, Any]
    ) -> HttpResponse:
        assert self.request.user.pk is not None
        job = request_job(
            kind=GenerateSeats.name,
            parameters={"performances": [date.pk for date in performances], "seats": seats, **hall},
            reason=reason_of(self.request) or str(self.title),
            staff_id=self.request.user.pk,
        )
        return redirect("admin:boxoffice_staffjob_change", job.pk)

    def _is_filled(self, performance: Performance, plan: Sequence[PlannedSeat]) -> bool:
        try:
            made = fill_hall.step(
                performance_id=performance.pk, seats=plan, staff_id=self.request.user.pk
            )
        except LayoutRefused as refusal:
            self.say(messages.ERROR, f"{performance}: {refusal.reason}")
            return False
        note_action(self.request, [performance], made_in_words(made))
        return True

    def back_to(self, performances: list[Performance]) -> HttpResponse:
        concerts = {performance.concert_id for performance in performances}
        if len(concerts) == 1:
            return redirect("admin:concerts_concert_change", concerts.pop())
        return redirect("admin:concerts_performance_changelist")


def seat_generator_url(**query: Any) -> str:
    return f"{reverse('admin:concerts_performance_generate_seats')}?{urlencode(query, doseq=True)}"
