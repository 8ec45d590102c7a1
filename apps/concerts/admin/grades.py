"""The form with which staff give seats another grade: by section, by row, by number, or those chosen in the list of seats."""

import re
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.boxoffice.base.pages import StaffPage, ids_in
from apps.concerts.halls import draft_seats
from apps.concerts.layouts import NUMBER_MAX, PRICE_MAX, PlannedSeat, SeatName, row_index
from apps.concerts.models import Grade, Performance, Seat, SeatMapDraft
from apps.concerts.plans import unpack_plan
from apps.concerts.seat_changes import ExistingSeat, existing_seats, planned
from apps.core.form_fields import WonField
from apps.core.texts import TypedLine

SECTIONS_MAX = 500  # each that is ticked is a field of the form, which may have a thousand
_PART = re.compile(r"([^\s,-]+)(?:\s*-\s*([^\s,-]+))?")


class RangesField(TypedLine):
    """Parts such as "A-C, F": single ones, and ranges of what `place_of` finds a place for. The value tells whether something is in it."""

    widget = UnfoldAdminTextInputWidget

    def __init__(self, *, place_of: Callable[[str], Any], **options: Any) -> None:
        super().__init__(max_length=200, required=False, **options)
        self.place_of = place_of

    def clean(self, value: Any) -> Any:
        parts = [part.strip() for part in super().clean(value).split(",") if part.strip()]
        tests = list(map(self._test, parts))
        return lambda text: not tests or any(test(text) for test in tests)

    def _test(self, part: str) -> Callable[[str], bool]:
        found = _PART.fullmatch(part)
        if found is None:
            raise forms.ValidationError(
                _("Enter single ones and ranges, such as A-C, F or 1-4, 9.")
            )
        first, last = found.groups()
        if last is None:
            return lambda text: text.casefold() == first.casefold()
        low, high = self.place_of(first), self.place_of(last)
        if low is None or high is None or low[0] != high[0]:
            raise forms.ValidationError(
                _("Enter single ones and ranges, such as A-C, F or 1-4, 9.")
            )
        return lambda text: (place := self.place_of(text)) is not None and low <= place <= high


def place_of_row(row: str) -> tuple[bool, int] | None:
    """Return where a row stands among those of its kind, letters or numbers; None if it is neither."""
    index = row_index(row)
    return None if index is None else (row.isdecimal(), index)


def place_of_number(text: str) -> tuple[bool, int] | None:
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(NUMBER_MAX))
    return (True, int(text)) if is_number else None


class GradesForm(forms.Form):
    """Seats by where they are, and their grade. Without any of the first three it is about every seat, or those that were chosen."""

    sections = forms.MultipleChoiceField(
        label=_("Sections"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("Leave empty for all of them."),
    )
    rows = RangesField(
        label=_("Names of rows"),
        place_of=place_of_row,
        help_text=_("Such as A-C, F. Leave empty for all of them."),
    )
    numbers = RangesField(
        label=_("Seat numbers"),
        place_of=place_of_number,
        help_text=_("Such as 1-4, 9. Leave empty for all of them."),
    )
    grade = forms.ChoiceField(
        label=_("New grade"), choices=Grade.choices, widget=UnfoldAdminSelectWidget
    )
    price = WonField(
        label=_("Price in won"),
        required=False,
        min_value=1,
        max_value=PRICE_MAX,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Leave empty for the price that this grade has in the performance."),
    )

    def __init__(
        self, *args: Any, seats: list[ExistingSeat], chosen: set[SeatName] | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.seats = [seat for _pk, seat in seats]
        self.offered = [seat for seat in self.seats if chosen is None or seat.name in chosen]
        sections: Any = self.fields["sections"]
        names = list(dict.fromkeys(seat.section for seat in self.offered))[:SECTIONS_MAX]
        sections.choices = [(name, name) for name in names]

    def clean(self) -> dict[str, Any]:
        if not self.errors and not self.cleaned_data["price"]:
            grade = self.cleaned_data["grade"]
            prices = [seat.price for seat in self.seats if seat.grade == grade]
            if prices:
                self.cleaned_data["price"] = prices[0]
            else:
                self.add_error(
                    "price", _("No seat of this performance has this grade: enter its price.")
                )
        return self.cleaned_data

    def changed(self) -> list[PlannedSeat]:
        """Return the seats that the form is about, with their new grade and price."""
        values = self.cleaned_data
        return [
            seat._replace(grade=values["grade"], price=values["price"], kind=None, category=None)
            for seat in self.offered
            if (not values["sections"] or seat.section in values["sections"])
            and values["rows"](seat.row)
            and values["numbers"](str(seat.number))
        ]


class GradesView(StaffPage, FormView):  # type: ignore[type-arg]
    """Lead to the page that shows what would change; `?draft=1` are seats that were chosen in the list of seats."""

    title = _("Change grades")
    permission_required = ("concerts.change_seat",)
    template_name = "admin/concerts/grades.html"
    form_class = GradesForm

    @cached_property
    def performance(self) -> Performance:
        return get_object_or_404(
            Performance.objects.select_related("concert"), pk=self.kwargs["pk"]
        )

    def about(self) -> Performance:
        return self.performance

    @cached_property
    def chosen(self) -> set[SeatName] | None:
        drafts = ids_in(self.request.GET, "draft")[:1]
        if not drafts:
            return None
        of_performance = SeatMapDraft.objects.filter(performance=self.performance)
        draft = get_object_or_404(of_performance, pk=drafts[0])
        return {seat.name for seat in unpack_plan(draft.plan)}

    def get_form_kwargs(self) -> dict[str, Any]:
        seats = existing_seats(self.performance.pk)
        return {**super().get_form_kwargs(), "seats": seats, "chosen": self.chosen}

    def form_valid(self, form: GradesForm) -> HttpResponse:
        changed = form.changed()
        if not changed:
            form.add_error(None, _("No seat is in all of these."))
            return self.form_invalid(form)
        draft = draft_seats(
            performance_id=self.performance.pk,
            seats=changed,
            source=str(_("Change grades")),
            removes_missing=False,
        )
        return redirect("admin:concerts_performance_draft", self.performance.pk, draft.pk)


class GradesOfChosen:
    """Mixin for the admin of seats: the action that leads from chosen seats to their grades."""

    def has_grades_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(GradesView.permission_required)

    @action(description=_("Change grade and price"), permissions=["grades"])
    def change_grades(self, request: HttpRequest, queryset: QuerySet[Seat]) -> HttpResponse | None:
        seats: Any = queryset.select_related(None)
        performances = set(seats.order_by().values_list("performance", flat=True).distinct()[:2])
        if len(performances) != 1:
            messages.error(request, _("Choose seats of one performance."))
            return None
        [performance_id] = performances
        draft = draft_seats(
            performance_id=performance_id,
            seats=[seat for _pk, seat in planned(seats)],
            source=str(_("Change grades")),
            removes_missing=False,
        )
        page = reverse("admin:concerts_performance_grades", args=[performance_id])
        return redirect(f"{page}?{urlencode({'draft': draft.pk})}")
