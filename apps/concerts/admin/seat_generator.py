"""The form with which staff give performances their seats: sections x rows x seats x grade x price."""

from collections.abc import Sequence
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
from django.utils.translation import ngettext
from django.views.generic import FormView
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.pages import StaffPage, ids_in
from apps.boxoffice.base.read_only import note_action
from apps.concerts.errors import LayoutRefused
from apps.concerts.layouts import (
    PRICE_MAX,
    ROWS_MAX,
    SEATS_PER_ROW_MAX,
    SectionLayout,
    validate_layout,
)
from apps.concerts.models import Grade, Performance
from apps.concerts.services import generate_seats
from apps.core.form_fields import WholeNumberField, WonField
from apps.core.texts import TypedLine

SECTIONS_OFFERED = 8
SEATS_AT_ONCE = 200_000  # a few seconds of work
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

    def __init__(self, *args: Any, offered: Sequence[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = Performance.objects.without_seats().filter(pk__in=offered)
        field: Any = self.fields["performances"]
        field.queryset = found.select_related("concert").by_date()


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


class SectionFormSet(forms.BaseFormSet):  # type: ignore[type-arg]
    """Lines that are left empty are passed over."""

    def layout(self) -> list[SectionLayout]:
        return [
            SectionLayout(**{**form.cleaned_data, "grade": Grade(form.cleaned_data["grade"])})
            for form in self.forms
            if form.cleaned_data and form.has_changed()
        ]

    def clean(self) -> None:
        if any(self.errors):
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
        return {"performances": self.asked}

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
        if not (form.is_valid() and sections.is_valid()):
            return self.render_to_response(self.get_context_data(form=form, sections=sections))
        # Locked one after the other, so in the order in which all lock them.
        performances = sorted(
            form.cleaned_data["performances"], key=lambda performance: performance.pk
        )
        seats = len(performances) * sum(
            section.rows * section.seats_per_row for section in sections.layout()
        )
        if seats > SEATS_AT_ONCE:
            form.add_error(
                "performances",
                _(
                    "That makes %(seats)s seats. At most %(max)s can be made at once: choose fewer performances."
                )
                % {"seats": f"{seats:,}", "max": f"{SEATS_AT_ONCE:,}"},
            )
            return self.render_to_response(self.get_context_data(form=form, sections=sections))
        for performance in performances:
            try:
                made = generate_seats.step(performance_id=performance.pk, layout=sections.layout())
            except LayoutRefused as refusal:
                self.say(messages.ERROR, f"{performance}: {refusal.reason}")
            else:
                text = ngettext("%(count)d seat made.", "%(count)d seats made.", made)
                self.say(messages.SUCCESS, f"{performance}: {text % {'count': made}}")
                note_action(request, [performance], text % {"count": made})
        return self.back_to(performances)

    def back_to(self, performances: list[Performance]) -> HttpResponse:
        concerts = {performance.concert_id for performance in performances}
        if len(concerts) == 1:
            return redirect("admin:concerts_concert_change", concerts.pop())
        return redirect("admin:concerts_performance_changelist")


def seat_generator_url(**query: Any) -> str:
    return f"{reverse('admin:concerts_performance_generate_seats')}?{urlencode(query, doseq=True)}"
