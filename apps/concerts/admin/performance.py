"""The dates of concerts: when they take place, and the way to their seats."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from apps.boxoffice.base.columns import column
from apps.boxoffice.base.deletion import CountedDeletion
from apps.boxoffice.base.forms import CarefulForms
from apps.boxoffice.base.lists import FoundByTyping
from apps.boxoffice.base.lookups import Days, Numbers
from apps.boxoffice.base.read_only import lead_to, note_action, row_named
from apps.boxoffice.base.words import at_venue, may_follow
from apps.concerts.admin.hall import PricesView
from apps.concerts.admin.hall_pages import HallPages
from apps.concerts.admin.notices import NotifiesHolders
from apps.concerts.admin.painting import PaintedSeatsView, PaintingView
from apps.concerts.admin.performance_forms import PerformanceForm, save_times
from apps.concerts.admin.seat_generator import (
    PERFORMANCES_OFFERED,
    SeatGeneratorView,
    seat_generator_url,
)
from apps.concerts.corrections import delete_performances
from apps.concerts.lookups import concert_lookup
from apps.concerts.models import Concert, Performance, Seat
from apps.core.deletion import Deletion

MOVED = ("previous_starts_at", "rescheduled_at", "free_cancellation_until")
CALLED_OFF = ("called_off_at", "called_off_reason")


class SeatCount:
    """A column that says how many seats there are and leads to them."""

    @display(description=_("seats"))
    def seat_count(self, performance: Performance) -> SafeString:
        count = f"{performance.seats_total:,}"
        if not may_follow(Seat):
            return format_html("{}", count)
        return format_html(
            '<a class="text-primary-600 underline" href="{}?performance__id__exact={}">{}</a>',
            reverse("admin:concerts_seat_changelist"),
            performance.pk,
            count,
        )


@admin.register(Performance)
class PerformanceAdmin(
    HallPages,
    CarefulForms,
    CountedDeletion,
    FoundByTyping,
    NotifiesHolders,
    SeatCount,
    ModelAdmin,
):
    list_display = ("starts_at", "concert", "seat_count", "sold_out_at")
    list_display_links = ("starts_at",)
    list_select_related = ("concert",)
    list_filter = ("starts_at", ("sold_out_at", admin.EmptyFieldListFilter))
    lookups = (concert_lookup("concert"), Numbers(), Days("starts_at"))
    ordering = ("-starts_at", "-pk")
    form = PerformanceForm
    autocomplete_fields = ("concert",)
    readonly_fields = ("seat_count", "seats_sold", "sold_out_at")
    actions = ("generate_seats", "delete_selected")
    actions_detail = (
        "show_picture",
        {
            "title": pgettext_lazy("what is done to them", "Seats"),
            "icon": "event_seat",
            "items": [
                "open_inventory",
                "seat_sheet",
                "change_grades",
                "correct_prices",
                "save_template",
                "delete_hall",
            ],
        },
        "move",
        "call_off",
        "notify_holders",
    )
    page_of_notice = "admin:reservations_holdernotice_to_performance"

    def get_fields(self, request: HttpRequest, obj: Performance | None = None) -> Any:
        moved = MOVED if obj and obj.rescheduled_at else ()
        called_off = CALLED_OFF if obj and obj.is_called_off else ()
        counts = ("seat_count", "seats_sold", "sold_out_at")
        concert = "concert" if obj is None else "concert_link"
        return (concert, *called_off, "starts_at", "ends_at", *moved, *counts)

    def get_readonly_fields(self, request: HttpRequest, obj: Performance | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if obj is None else (*fields, "concert_link", *MOVED, *CALLED_OFF)

    concert_link = column(_("concert"), "concert")

    def save_model(self, request: HttpRequest, obj: Performance, form: Any, change: bool) -> None:
        if change:
            save_times(request, obj, form.changed_data)
        else:
            super().save_model(request, obj, form, change)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Leave the times to `save_times`, and there is nothing else to change."""
        return super().construct_change_message(request, form, formsets, add) if add else []

    def get_urls(self) -> list[URLPattern]:
        generator = self.admin_site.admin_view(SeatGeneratorView.as_view(model_admin=self))
        urls: list[URLPattern] = super().get_urls()
        name = "concerts_performance_generate_seats"
        prices = self.admin_site.admin_view(PricesView.as_view(model_admin=self))
        painting = self.admin_site.admin_view(PaintingView.as_view(model_admin=self))
        painted = self.admin_site.admin_view(PaintedSeatsView.as_view(model_admin=self))
        return [
            path("generate-seats/", generator, name=name),
            path("<int64:pk>/prices/", prices, name="concerts_performance_prices"),
            path("<int64:pk>/inventory/", painting, name="concerts_performance_paint"),
            path("<int64:pk>/inventory/seats/", painted, name="concerts_performance_painted_seats"),
            *urls,
        ]

    def delete(self, *, ids: Sequence[int], expected: int) -> Deletion:
        return delete_performances(ids=ids, expected=expected)

    def title_of(self, obj: Performance) -> str:
        return f"{obj.concert} · {at_venue(obj.starts_at)}"

    def note_deletion(
        self, request: HttpRequest, objects: Sequence[Performance], going: str
    ) -> None:
        super().note_deletion(request, objects, going)
        for concert in Concert.objects.filter(
            pk__in={performance.concert_id for performance in objects}
        ):
            dates = ", ".join(
                str(performance) for performance in objects if performance.concert_id == concert.pk
            )
            words = gettext("Dates deleted: %(dates)s") % {"dates": dates}
            note_action(request, [concert], words)

    def has_prices_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("concerts.change_seat") and self._has_seats(object_id)

    def has_delete_seats_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("concerts.delete_seat") and self._has_seats(object_id)

    @staticmethod
    def _has_seats(object_id: Any) -> bool:
        """Offer what is done to seats on the page of a performance that has some."""
        with_seats = Performance.objects.filter(seats_total__gt=0)
        return object_id is None or row_named(with_seats, object_id).exists()

    def has_paint_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        may = request.user.has_perm("concerts.change_seatallocation")
        return may and self._has_seats(object_id)

    @action(description=_("Inventory"), permissions=["paint"], icon="format_paint")
    def open_inventory(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:concerts_performance_paint", object_id)

    def has_picture_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        may_look = request.user.has_perms(
            ("reservations.view_reservation", "reservations.view_hold")
        )
        return may_look and self._has_seats(object_id)

    @action(description=_("Live seats"), permissions=["picture"], icon="event_seat")
    def show_picture(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:reservations_picture", object_id)

    @action(description=_("Correct prices"), permissions=["prices"], icon="payments")
    def correct_prices(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:concerts_performance_prices", object_id)

    @action(description=_("Delete all seats"), permissions=["delete_seats"], icon="delete")
    def delete_hall(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:concerts_seat_delete_hall", object_id)

    def has_reschedule_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer what becomes of a date on the page of one that will be played."""
        if not request.user.has_perm("concerts.change_performance"):
            return False
        played = Performance.objects.to_be_played()
        return object_id is None or row_named(played, object_id).exists()

    @action(description=_("Move"), permissions=["reschedule"], icon="event_repeat")
    def move(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:reservations_performance_move", object_id)

    @action(description=_("Call off"), permissions=["reschedule"], icon="event_busy")
    def call_off(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:reservations_performance_call_off", object_id)

    def has_generate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("concerts.add_seat")

    @action(description=_("Generate seats"), permissions=["generate"])
    def generate_seats(self, request: HttpRequest, queryset: QuerySet[Performance]) -> HttpResponse:
        chosen = queryset.values_list("pk", flat=True)[:PERFORMANCES_OFFERED]
        return redirect(seat_generator_url(performance=chosen))
