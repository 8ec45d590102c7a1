"""Seats of a performance as a file: export them, and import them again after looking at what would change."""

from collections.abc import Callable, Iterable
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django import forms
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView, View
from unfold.views import UnfoldModelAdminViewMixin
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldBooleanSwitchWidget

from apps.boxoffice.base.pages import StaffPage
from apps.concerts.halls import draft_seats, plan_of
from apps.concerts.layouts import PlannedSeat
from apps.concerts.models import Performance
from apps.concerts.placing import place_seats
from apps.concerts.seat_changes import existing_seats
from apps.concerts.sheets import BYTES_MAX, Sheet, SheetRefused, read_sheet, write_csv, write_xlsx

IN_MEMORY = 1024 * 1024  # bytes of an export
FORMATS: dict[str, tuple[str, Callable[[Iterable[PlannedSeat], IO[bytes]], None]]] = {
    "csv": ("text/csv; charset=utf-8", write_csv),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", write_xlsx),
}


class SheetField(forms.FileField):
    """A file of seats, read when it is cleaned: its value is a `Sheet`. What is wrong in its lines is in `errors` of that."""

    widget = UnfoldAdminFileFieldWidget

    def clean(self, data: Any, initial: Any = None) -> Any:
        file: Any = super().clean(data, initial)
        if (file.size or 0) > BYTES_MAX:
            raise forms.ValidationError(
                _("A file may have at most %(max)s MB.") % {"max": BYTES_MAX // 1024 // 1024}
            )
        try:
            sheet = read_sheet(file.file)
        except SheetRefused as refusal:
            raise forms.ValidationError(refusal.reason) from refusal
        self.file_name = file.name or ""
        return sheet


class SheetForm(forms.Form):
    file = SheetField(
        label=_("File"),
        help_text=_(
            "CSV or XLSX with a header line: section, row, number, grade, price, and x and y for the place on the map. "
            "Without x and y, new seats are placed row by row behind the others. With columns kind, category and reason the file "
            "also says what kind of seats they are, and what they are kept back for; an empty cell is a standard seat, or one on sale."
        ),
    )

    @property
    def sheet(self) -> Sheet:
        sheet: Sheet = self.cleaned_data["file"]
        return sheet

    @property
    def source(self) -> str:
        field: Any = self.fields["file"]
        name: str = field.file_name
        return name


class SeatSheetForm(SheetForm):
    removes_missing = forms.BooleanField(
        label=_("Remove seats that are not in the file"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("Only seats that were never held or sold can be removed."),
    )


class SeatSheetView(StaffPage, FormView):  # type: ignore[type-arg]
    """Take a file, and lead to the page that shows what it would change; or say line by line what is wrong with it."""

    title = _("Import and export seats")
    permission_required = ("concerts.add_seat", "concerts.change_seat")
    template_name = "admin/concerts/seat_sheet.html"
    form_class = SeatSheetForm

    @cached_property
    def performance(self) -> Performance:
        return get_object_or_404(
            Performance.objects.select_related("concert"), pk=self.kwargs["pk"]
        )

    def about(self) -> Performance:
        return self.performance

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)
        if not self.request.user.has_perm("concerts.delete_seat"):
            del form.fields["removes_missing"]
        return form

    def form_valid(self, form: SeatSheetForm) -> HttpResponse:
        sheet = form.sheet
        if sheet.errors:
            return self.render_to_response(self.get_context_data(form=form, sheet=sheet))
        seats = sheet.seats
        if not sheet.has_places:
            existing = existing_seats(self.performance.pk)
            seats = place_seats(seats, {seat.name: (seat.x, seat.y) for _pk, seat in existing})
        draft = draft_seats(
            performance_id=self.performance.pk,
            seats=seats,
            source=form.source,
            removes_missing=form.cleaned_data.get("removes_missing", False),
        )
        return redirect("admin:concerts_performance_draft", self.performance.pk, draft.pk)


class SeatExportView(UnfoldModelAdminViewMixin, View):
    """Send the seats of a performance when the file is complete: with its length, and without occupying the database."""

    title = _("Export seats")
    permission_required = ("concerts.view_seat",)

    def get(self, request: HttpRequest, pk: int, format: str) -> FileResponse:
        performance = get_object_or_404(Performance, pk=pk)
        return file_of_seats(plan_of(performance.pk), f"seats-{performance.pk}", format)


def file_of_seats(seats: Iterable[PlannedSeat], name: str, format: str) -> FileResponse:
    """
    :raises Http404: there is no such format.
    """
    if format not in FORMATS:
        raise Http404
    content_type, write = FORMATS[format]
    file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - the response closes it
    write(seats, file)
    length = file.tell()
    file.seek(0)
    response = FileResponse(
        file, as_attachment=True, filename=f"{name}.{format}", content_type=content_type
    )
    response.headers["Content-Length"] = str(length)
    return response
