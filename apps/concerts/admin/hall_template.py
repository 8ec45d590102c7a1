"""Templates of venues: made of a performance or of a file, and used for any performance."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.generic import FormView, View
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.views import UnfoldModelAdminViewMixin
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.boxoffice.base.deletion import CountedDeletion
from apps.boxoffice.base.forms import ActsOnce, CarefulForms
from apps.boxoffice.base.lists import FoundByTyping
from apps.boxoffice.base.lookups import Named
from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.base.read_only import lead_to, note_action
from apps.boxoffice.base.words import NOTHING
from apps.concerts.admin.hall_preview import special_of
from apps.concerts.admin.seat_generator import seat_generator_url
from apps.concerts.admin.seat_sheets import SheetForm, file_of_seats
from apps.concerts.errors import SeatMapRefused
from apps.concerts.hall_pictures import hall_svg
from apps.concerts.halls import plan_of, save_template
from apps.concerts.layouts import PlannedSeat
from apps.concerts.models import HallTemplate, Performance
from apps.concerts.placing import place_seats
from apps.concerts.plans import unpack_plan
from apps.concerts.seat_changes import refuse_impossible
from apps.core.texts import TypedLine


class _Names(forms.Form):
    name = TypedLine(
        label=_("Name"),
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Such as “Seated, with orchestra pit”."),
    )
    venue = TypedLine(label=_("Venue"), max_length=200, widget=UnfoldAdminTextInputWidget)

    def clean(self) -> dict[str, Any]:
        names = {field: self.cleaned_data.get(field) for field in ("name", "venue")}
        if all(names.values()) and HallTemplate.objects.filter(**names).exists():
            self.add_error("name", _("This venue has a template of that name already."))
        return self.cleaned_data


class TemplateFromFileForm(SheetForm, _Names):
    field_order = ("venue", "name", "file")


class _SaveTemplateView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    permission_required = ("concerts.add_halltemplate",)

    def save(self, form: Any, seats: list[PlannedSeat]) -> HttpResponse:
        names = {field: form.cleaned_data[field] for field in ("name", "venue")}
        template = save_template(**names, seats=seats)
        done = ngettext(
            "Template with %(count)s seat saved.",
            "Template with %(count)s seats saved.",
            len(seats),
        ) % {"count": f"{len(seats):,}"}
        note_action(self.request, [template], done)
        self.say(messages.SUCCESS, done)
        return redirect("admin:concerts_halltemplate_change", template.pk)


class TemplateFromFileView(_SaveTemplateView):
    """Make a template of a file of seats."""

    title = _("New template from a file")
    template_name = "admin/concerts/seat_sheet.html"
    form_class = TemplateFromFileForm

    def form_valid(self, form: TemplateFromFileForm) -> HttpResponse:
        sheet = form.sheet
        if sheet.errors:
            return self.render_to_response(self.get_context_data(form=form, sheet=sheet))
        seats = sheet.seats if sheet.has_places else place_seats(sheet.seats, {})
        return self.save(form, seats)


class TemplateFromPerformanceView(_SaveTemplateView):
    """Keep the hall of a performance as a template."""

    title = _("Save as a template")
    template_name = "admin/concerts/save_template.html"
    form_class = _Names

    @cached_property
    def performance(self) -> Performance:
        return get_object_or_404(
            Performance.objects.select_related("concert"), pk=self.kwargs["pk"]
        )

    def about(self) -> Performance:
        return self.performance

    def get_initial(self) -> dict[str, Any]:
        return {"venue": self.performance.concert.venue}

    def form_valid(self, form: _Names) -> HttpResponse:
        seats = plan_of(self.performance.pk)
        try:
            refuse_impossible(seats)
        except SeatMapRefused as refusal:
            form.add_error(None, refusal.reason)
            return self.form_invalid(form)
        return self.save(form, seats)


class TemplateExportView(UnfoldModelAdminViewMixin, View):
    title = _("Export seats")
    permission_required = ("concerts.view_halltemplate",)

    def get(self, request: HttpRequest, pk: int, format: str) -> FileResponse:
        template = get_object_or_404(HallTemplate, pk=pk)
        return file_of_seats(unpack_plan(template.plan), f"template-{template.pk}", format)


@admin.register(HallTemplate)
class HallTemplateAdmin(CarefulForms, CountedDeletion, FoundByTyping, ModelAdmin):
    """Staff rename templates here; their seats come from a performance or from a file."""

    list_display = ("name", "venue", "seats_total", "created_at")
    lookups = (Named("pk", _("name or venue"), HallTemplate.objects.matching),)
    ordering = ("venue", "name", "pk")
    fields = ("venue", "name", "seats_total", "special", "picture")
    readonly_fields = ("seats_total", "special", "picture")
    actions = ("delete_selected",)
    actions_list = ("from_file",)
    actions_detail = ("use", "export_xlsx", "export_csv")

    def get_queryset(self, request: HttpRequest) -> QuerySet[HallTemplate]:
        found: QuerySet[HallTemplate] = super().get_queryset(request)
        return found.defer("plan")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "file/": (TemplateFromFileView, "file"),
            "<int64:pk>/seats.<str:format>": (TemplateExportView, "export"),
        }
        urls: list[URLPattern] = super().get_urls()
        return [
            *(
                path(
                    route,
                    self.admin_site.admin_view(page.as_view(model_admin=self)),
                    name=f"concerts_halltemplate_{name}",
                )
                for route, (page, name) in pages.items()
            ),
            *urls,
        ]

    @display(description=_("kinds and categories"))
    def special(self, template: HallTemplate) -> str:
        found = special_of(unpack_plan(template.plan))
        return ", ".join(f"{name}: {count}" for name, count in found) or NOTHING

    @display(description=_("plan"))
    def picture(self, template: HallTemplate) -> SafeString:
        return hall_svg(unpack_plan(template.plan))

    def has_from_file_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("concerts.add_halltemplate")

    @action(
        description=_("New template from a file"), permissions=["from_file"], icon="upload_file"
    )
    def from_file(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:concerts_halltemplate_file")

    def has_use_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("concerts.add_seat")

    @action(description=_("Give performances these seats"), permissions=["use"], icon="event_seat")
    def use(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(seat_generator_url(template=object_id))

    @action(description=_("Export as XLSX"), permissions=["view"], icon="download")
    def export_xlsx(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:concerts_halltemplate_export", object_id, "xlsx")

    @action(description=_("Export as CSV"), permissions=["view"], icon="download")
    def export_csv(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:concerts_halltemplate_export", object_id, "csv")
