"""The page on which staff keep seats back, release them, and say what kind of seats they are: on the map, or by row and number."""

import json
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.http import urlencode
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.gzip import gzip_page
from django.views.generic import FormView, View
from unfold.views import UnfoldModelAdminViewMixin
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeVerticalWidget,
    UnfoldAdminTextInputWidget,
)

from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.jobs.services import request_job
from apps.boxoffice.base.pages import StaffPage
from apps.concerts.errors import AllocationRefused
from apps.concerts.inventory import (
    RELEASED_ALONE,
    SEATS_AT_ONCE,
    ReleaseNeedsApproval,
    SeatChanges,
    allocate_seats,
    category_counts,
    painted_hall,
    release_seats,
    set_seat_kind,
)
from apps.concerts.jobs import ReleaseSeats, changed_words, refused_words
from apps.concerts.models import (
    REASON_MAX,
    InventoryCategory,
    Performance,
    SeatAllocation,
    SeatKind,
)
from apps.concerts.selectors.chosen_seats import NotUnderstood, named_seat_ids, sections_of
from apps.concerts.selectors.seats import seat_map_of
from apps.core.form_fields import MomentField
from apps.core.texts import TypedLine

OPEN, CATEGORY, KIND = "open", "category:", "kind:"
ALL_SECTIONS = "all sections of the hall"  # longer than the name of a section can be


def painting_url(performance_id: int, **query: Any) -> str:
    url = reverse("admin:concerts_performance_paint", args=[performance_id])
    return f"{url}?{urlencode(query)}" if query else url


class PaintingForm(forms.Form):
    """Seats, what becomes of them, and why."""

    seats = forms.CharField(required=False, widget=forms.HiddenInput)
    section = forms.ChoiceField(label=_("Section"), required=False, widget=UnfoldAdminSelectWidget)
    rows = TypedLine(
        label=pgettext_lazy("which", "Rows"),
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Such as A-C, F. Leave empty for all rows."),
    )
    numbers = TypedLine(
        label=_("Seat numbers"),
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Such as 1-10, 15. Leave empty for whole rows."),
    )
    to = forms.ChoiceField(label=_("Change to"), widget=UnfoldAdminSelectWidget)
    reason = TypedLine(
        label=_("Reason"),
        max_length=REASON_MAX,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Kept with your name in the history of the performance."),
    )
    released_at = MomentField(
        label=_("On sale to the public from"),
        required=False,
        widget=UnfoldAdminSplitDateTimeVerticalWidget,
        help_text=_(
            "Released automatically at this time. Leave empty to keep the seats until someone releases them."
        ),
    )

    def __init__(
        self, *args: Any, performance: Performance, may_set_kinds: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.performance = performance
        fields: Any = self.fields
        fields["section"].choices = [
            ("", _("The seats chosen on the map")),
            *((name, name) for name in sections_of(performance.pk)),
            (ALL_SECTIONS, _("All sections")),
        ]
        categories = [
            (f"{CATEGORY}{category.pk}", str(category))
            for category in InventoryCategory.objects.order_by("pk")
        ]
        kinds = [(f"{KIND}{kind.value}", kind.label) for kind in SeatKind]
        fields["to"].choices = [
            ("", _("Choose…")),
            (_("For the public"), [(OPEN, _("Open: on sale"))]),
            (_("Kept back"), categories),
            *([(_("Kind of seat"), kinds)] if may_set_kinds else []),
        ]

    def clean_seats(self) -> list[int]:
        ids = [text for text in self.cleaned_data["seats"].split(",") if text]
        if not all(text.isascii() and text.isdecimal() and len(text) < 19 for text in ids):
            raise forms.ValidationError(_("Choose the seats again."))
        return list(map(int, ids))

    def clean_released_at(self) -> Any:
        released_at = self.cleaned_data["released_at"]
        if released_at is not None and released_at <= timezone.now():
            raise forms.ValidationError(_("Choose a time in the future."))
        return released_at

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if values.get("released_at") and not values.get("to", CATEGORY).startswith(CATEGORY):
            self.add_error(
                "released_at", _("Only seats that are kept back can be released at a set time.")
            )
        if self.errors:
            return values
        values["seat_ids"] = sorted({*values["seats"], *self._named(values)})
        if self.errors:
            return values
        if not values["seat_ids"]:
            self.add_error(None, _("Choose seats on the map, or name a section."))
        elif len(values["seat_ids"]) > SEATS_AT_ONCE:
            self.add_error(
                None,
                gettext("These are %(seats)s seats. At most %(max)s can be changed at a time.")
                % {"seats": f"{len(values['seat_ids']):,}", "max": f"{SEATS_AT_ONCE:,}"},
            )
        return values

    def _named(self, values: dict[str, Any]) -> list[int]:
        section, rows, numbers = values["section"], values["rows"], values["numbers"]
        if not section:
            if rows or numbers:
                self.add_error("section", _("Choose the section of these rows and numbers."))
            return []
        try:
            return named_seat_ids(
                self.performance.pk,
                section="" if section == ALL_SECTIONS else section,
                rows=rows,
                numbers=numbers,
            )
        except NotUnderstood as error:
            self.add_error("rows" if rows else "numbers", str(error))
            return []


class PaintingView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """`?seats=1,2&to=open` fills the form in."""

    title = _("Inventory and kinds of seats")
    permission_required = ("concerts.change_seatallocation",)
    template_name = "admin/concerts/paint.html"
    form_class = PaintingForm

    @cached_property
    def performance(self) -> Performance:
        return get_object_or_404(
            Performance.objects.select_related("concert"), pk=self.kwargs["pk"]
        )

    def about(self) -> Performance:
        return self.performance

    def get_initial(self) -> dict[str, Any]:
        return {name: self.request.GET.get(name, "") for name in ("seats", "to")}

    def get_form_kwargs(self) -> dict[str, Any]:
        may_set_kinds = self.request.user.has_perm("concerts.change_seat")
        kwargs: dict[str, Any] = super().get_form_kwargs()
        return kwargs | {"performance": self.performance, "may_set_kinds": may_set_kinds}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(
            counts=category_counts(self.performance),
            data_url=reverse(
                "admin:concerts_performance_painted_seats", args=[self.performance.pk]
            ),
            words=_map_words(),
            **kwargs,
        )
        return context

    def form_valid(self, form: PaintingForm) -> HttpResponse:
        values = form.cleaned_data
        try:
            changes = self._change(values)
        except ReleaseNeedsApproval:
            return self._ask_for_second_person(values)
        except AllocationRefused as refusal:
            form.add_error(None, refusal.reason)
            return self.form_invalid(form)
        if changes.applied:
            self.say(messages.SUCCESS, changed_words(changes))
        elif not changes.refused:
            self.say(
                messages.WARNING, gettext("Nothing was changed. These seats are like that already.")
            )
        for sentence in refused_words(changes):
            self.say(messages.WARNING, sentence)
        return redirect(painting_url(self.performance.pk))

    def _change(self, values: dict[str, Any]) -> SeatChanges:
        asked = {
            "performance_id": self.performance.pk,
            "seat_ids": values["seat_ids"],
            "reason": values["reason"],
            "staff_id": self.request.user.pk,
        }
        to: str = values["to"]
        if to == OPEN:
            return release_seats.step(**asked, is_alone=True)
        if to.startswith(KIND):
            return set_seat_kind.step(**asked, kind=SeatKind(to.removeprefix(KIND)))
        category_id = int(to.removeprefix(CATEGORY))
        return allocate_seats.step(
            **asked, category_id=category_id, released_at=values["released_at"], is_alone=True
        )

    def _ask_for_second_person(self, values: dict[str, Any]) -> HttpResponse:
        """Ask for a job: more seats are to go on sale than one person may put there."""
        kept = SeatAllocation.objects.filter(
            performance=self.performance, seat__in=values["seat_ids"]
        )
        seat_ids = list(kept.order_by("pk").values_list("pk", flat=True))
        parameters: dict[str, Any] = {"performance_id": self.performance.pk, "seat_ids": seat_ids}
        to: str = values["to"]
        if to != OPEN:
            parameters |= {
                "seat_ids": values["seat_ids"],
                "category_id": int(to.removeprefix(CATEGORY)),
                "released_at": values["released_at"].isoformat(),
            }
        job = request_job(
            kind=ReleaseSeats.name,
            parameters=parameters,
            reason=values["reason"],
            staff_id=cast(int, self.request.user.pk),
        )
        words = gettext(
            "These are %(count)s seats that are kept back. A second person has to approve more than %(max)s a day."
        )
        shown = {"count": f"{len(seat_ids):,}", "max": RELEASED_ALONE}
        self.say(messages.WARNING, words % shown)
        return redirect("admin:boxoffice_staffjob_change", job.pk)


@method_decorator(gzip_page, name="dispatch")
class PaintedSeatsView(UnfoldModelAdminViewMixin, View):
    """The hall for the script of the page: the map, a letter and a category for each seat."""

    title = ""
    permission_required = ("concerts.change_seatallocation",)

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        drawn = seat_map_of(get_object_or_404(Performance, pk=pk))
        letters, of_seats = painted_hall(pk)
        categories = [
            {
                "id": category.pk,
                "name": str(category),
                "letter": category.letter,
                "colour": category.colour,
            }
            for category in InventoryCategory.objects.order_by("pk")
        ]
        painted = json.dumps(
            {"states": letters, "inSeats": of_seats, "categories": categories},
            separators=(",", ":"),
        ).encode()
        body = b'{"map":%s,"painted":%s}' % (drawn.data, painted)
        return HttpResponse(
            body, content_type="application/json", headers={"Cache-Control": "no-store"}
        )


def _map_words() -> dict[str, str]:
    """Return the texts of the page's script, which fills in what stands in braces."""
    return {
        "chosen": gettext("Seats chosen: {seats}"),
        "none": gettext("No seats chosen"),
        "seat": gettext("{section}, row {row}, seat {number}"),
        "A": gettext("free"),
        "H": gettext("held by a customer"),
        "R": gettext("sold"),
        "open": gettext("Open"),
        "failed": gettext(
            "The map could not be loaded. Use the fields below, or load the page again."
        ),
        **{kind.value: str(kind.label) for kind in SeatKind},
    }
