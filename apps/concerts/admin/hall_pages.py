"""Buttons and addresses of a performance that lead to the pages of its hall."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import action

from apps.boxoffice.base.read_only import lead_to, row_named
from apps.concerts.admin.grades import GradesView
from apps.concerts.admin.hall_template import TemplateFromPerformanceView
from apps.concerts.admin.seat_drafts import SeatDraftView
from apps.concerts.admin.seat_sheets import SeatExportView, SeatSheetView
from apps.concerts.models import Performance

PAGES = {
    "seats/sheet/": (SeatSheetView, "sheet"),
    "seats/drafts/<int64:draft>/": (SeatDraftView, "draft"),
    "seats/seats.<str:format>": (SeatExportView, "export"),
    "seats/grades/": (GradesView, "grades"),
    "seats/template/": (TemplateFromPerformanceView, "template"),
}


class HallPages(ModelAdmin):
    """Mixin for the admin of performances; stands before the others."""

    def get_urls(self) -> list[URLPattern]:
        return [
            *(
                path(
                    f"<int64:pk>/{route}",
                    self.admin_site.admin_view(page.as_view(model_admin=self)),
                    name=f"concerts_performance_{name}",
                )
                for route, (page, name) in PAGES.items()
            ),
            *super().get_urls(),
        ]

    def has_sheet_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perms(SeatSheetView.permission_required)

    def has_grades_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perms(GradesView.permission_required) and _has_seats(object_id)

    def has_template_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        right = TemplateFromPerformanceView.permission_required
        return request.user.has_perms(right) and _has_seats(object_id)

    @action(description=_("Import and export seats"), permissions=["sheet"], icon="table_view")
    def seat_sheet(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:concerts_performance_sheet", object_id)

    @action(description=_("Change grades"), permissions=["grades"], icon="format_color_fill")
    def change_grades(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:concerts_performance_grades", object_id)

    @action(description=_("Save as a template"), permissions=["template"], icon="bookmark_add")
    def save_template(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:concerts_performance_template", object_id)


def _has_seats(object_id: Any) -> bool:
    with_seats = Performance.objects.filter(seats_total__gt=0)
    return object_id is None or row_named(with_seats, object_id).exists()
