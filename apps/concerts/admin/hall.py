"""The form with which staff correct the prices of a hall, grade by grade."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Count, Max, Min
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.generic import FormView
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.base.read_only import note_action
from apps.boxoffice.base.words import outcome
from apps.concerts.corrections import correct_prices
from apps.concerts.errors import PricesRefused
from apps.concerts.layouts import PRICE_MAX
from apps.concerts.models import Grade, Performance, Seat
from apps.core.form_fields import WholeNumberField, WonField


@dataclass(frozen=True, slots=True)
class GradeOfHall:
    """Seats of one grade; `taken` of them are held or sold."""

    grade: Grade
    seats: int
    taken: int
    lowest: int
    highest: int

    @property
    def price(self) -> str:
        prices = sorted({self.lowest, self.highest})
        return " – ".join(f"{price:,}" for price in prices)


def grades_of_hall(performance_id: int) -> list[GradeOfHall]:
    seats = Seat.objects.of_performance(performance_id).order_by().values("grade")
    # The claims of the reservations; of both tables by performance, so that each is found by an index.
    claimed = seats.filter(claims__performance=performance_id, claims__ended_at=None)
    taken = dict(claimed.values_list("grade").annotate(Count("pk")))
    found = {
        grade: GradeOfHall(Grade(grade), count, taken.get(grade, 0), lowest, highest)
        for grade, count, lowest, highest in seats.values_list("grade").annotate(
            Count("pk"), Min("price"), Max("price")
        )
    }
    return [found[grade] for grade in Grade if grade in found]


class PricesForm(forms.Form):
    """One price for each grade. Where seats are held or sold it asks first."""

    seat_map_version = WholeNumberField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, grades: list[GradeOfHall], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.grades = {grade.grade: grade for grade in grades}
        for grade in grades:
            self.fields[grade.grade] = WonField(
                label=_("%(grade)s, price in won") % {"grade": grade.grade.label},
                min_value=1,
                max_value=PRICE_MAX,
                initial=grade.lowest if grade.lowest == grade.highest else None,
                widget=UnfoldAdminTextInputWidget,
                help_text=_("%(seats)s seats, %(taken)s of them held or sold. Now %(price)s won.")
                % {"seats": f"{grade.seats:,}", "taken": f"{grade.taken:,}", "price": grade.price},
            )
        if any(grade.taken for grade in grades):
            self.fields["is_confirmed"] = forms.BooleanField(
                label=_("Change prices although seats are held or sold"),
                required=False,
                widget=UnfoldBooleanSwitchWidget,
                help_text=_("Seats that are held or sold keep their price."),
            )

    @property
    def changed(self) -> dict[Grade, int]:
        return {
            grade: price
            for grade, shown in self.grades.items()
            if (price := self.cleaned_data.get(grade)) is not None
            and {price} != {shown.lowest, shown.highest}
        }

    def clean(self) -> dict[str, Any]:
        taken = sum(self.grades[grade].taken for grade in self.changed)
        if taken and not self.cleaned_data.get("is_confirmed"):
            self.add_error(
                "is_confirmed",
                ngettext(
                    "%(count)s seat whose price you change is held or sold.",
                    "%(count)s seats whose prices you change are held or sold.",
                    taken,
                )
                % {"count": f"{taken:,}"},
            )
        return self.cleaned_data


class PricesView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    title = _("Correct prices")
    permission_required = ("concerts.change_seat",)
    template_name = "admin/concerts/prices.html"
    form_class = PricesForm

    @cached_property
    def performance(self) -> Performance:
        return get_object_or_404(
            Performance.objects.select_related("concert"), pk=self.kwargs["pk"]
        )

    def about(self) -> Performance:
        return self.performance

    def get_initial(self) -> dict[str, Any]:
        return {"seat_map_version": self.performance.seat_map_version}

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "grades": grades_of_hall(self.performance.pk)}

    def form_valid(self, form: PricesForm) -> HttpResponse:
        prices = form.changed
        try:
            changed = correct_prices.step(
                performance_id=self.performance.pk,
                prices=prices,
                seat_map_version=form.cleaned_data["seat_map_version"],
            )
        except PricesRefused as refusal:
            form.add_error(None, refusal.reason)
            return self.form_invalid(form)
        text = ngettext("%(count)s price changed.", "%(count)s prices changed.", changed)
        done = text % {"count": f"{changed:,}"}
        if changed:
            moves = (f"{grade}: {form.grades[grade].price} → {prices[grade]:,}" for grade in prices)
            note_action(self.request, [self.performance], f"{done} {', '.join(moves)}")
        self.say(*outcome(changed, done, _("These are the prices already.")))
        return redirect("admin:concerts_performance_change", self.performance.pk)
