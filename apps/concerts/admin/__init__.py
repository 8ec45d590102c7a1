"""What staff need to put a concert on sale: the concert, its dates, their seats."""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from apps.concerts.admin.performance_forms import PerformanceForm, PerformanceInlineForm
from apps.concerts.admin.seat_generator import SeatGeneratorView, seat_generator_url
from apps.concerts.lookups import SeatsThemselves, concert_lookup
from apps.concerts.models import (
    Concert,
    ConcertQuerySet,
    Performance,
    PerformanceQuerySet,
    RankingEntry,
    Seat,
)
from apps.concerts.services import (
    block_seats,
    publish_concerts,
    unblock_seats,
    withdraw_concerts,
)
from apps.shared.admin import ReadOnlyAdmin, note_action
from apps.shared.admin_forms import CarefulForms
from apps.shared.admin_lists import FoundByTyping
from apps.shared.lookups import Days, Ids, Numbers

DATES_PER_PAGE = 50  # a form may have a thousand fields, and each date has four


class SeatCount:
    """A column that says how many seats there are and leads to them."""

    @display(description=_("seats"))
    def seat_count(self, performance: Performance) -> SafeString:
        url = reverse("admin:concerts_seat_changelist")
        return format_html(
            '<a class="text-primary-600 underline" href="{}?performance__id__exact={}">{}</a>',
            url,
            performance.pk,
            f"{performance.seats_total:,}",
        )


class PerformanceInline(SeatCount, TabularInline):
    model = Performance
    form = PerformanceInlineForm
    per_page = DATES_PER_PAGE
    fields = ("starts_at", "seat_count", "sold_out_at")
    readonly_fields = ("seat_count", "sold_out_at")
    extra = 0
    show_change_link = True
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> PerformanceQuerySet:
        performances: PerformanceQuerySet = super().get_queryset(request)
        return performances.by_date()


@admin.register(Concert)
class ConcertAdmin(CarefulForms, FoundByTyping, ModelAdmin):
    list_display = (
        "title",
        "artist",
        "venue",
        "sales_open_at",
        "first_performance_at",
        "last_performance_at",
        "is_published",
        "on_sale",
    )
    list_filter = ("is_published", "sales_open_at", "venue")
    lookups = (
        concert_lookup("pk"),
        Numbers(),
        Days("sales_open_at", label=_("day on which sales open")),
    )
    ordering = ("-sales_open_at", "-pk")
    readonly_fields = ("created_at",)
    fieldsets = (
        (None, {"fields": ("title", "artist", "venue", "description")}),
        (
            _("Sale"),
            {"fields": ("is_published", "sales_open_at", "sales_close_at", "seats_per_customer")},
        ),
    )
    inlines = (PerformanceInline,)
    actions = ("publish", "withdraw")
    actions_detail = ("generate_seats",)
    warn_unsaved_form = True

    def get_queryset(self, request: HttpRequest) -> ConcertQuerySet:
        concerts: ConcertQuerySet = super().get_queryset(request)
        return concerts.with_dates()

    @display(description=_("first performance"), ordering="first_performance_at")
    def first_performance_at(self, concert: Concert) -> datetime | None:
        return concert.first_performance_at

    @display(description=_("last performance"), ordering="last_performance_at")
    def last_performance_at(self, concert: Concert) -> datetime | None:
        return concert.last_performance_at

    @display(description=_("on sale"), boolean=True)
    def on_sale(self, concert: Concert) -> bool:
        return concert.has_date_to_sell(timezone.now())

    def has_generate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("concerts.add_seat")

    @action(description=_("Generate seats"), permissions=["generate"], icon="event_seat")
    def generate_seats(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(seat_generator_url(concert=object_id))

    @action(description=_("Publish"), permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[Concert]) -> None:
        hidden = list(queryset.filter(is_published=False))
        published = publish_concerts(concert_ids=[concert.pk for concert in hidden])
        note_action(request, hidden, gettext("Published."))
        self.message_user(
            request,
            ngettext("%d concert published.", "%d concerts published.", published) % published,
            messages.SUCCESS,
        )

    @action(description=_("Withdraw from the public"), permissions=["change"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[Concert]) -> None:
        public = list(queryset.filter(is_published=True))
        withdrawn = withdraw_concerts(concert_ids=[concert.pk for concert in public])
        note_action(request, public, gettext("Withdrawn from the public."))
        self.message_user(
            request,
            ngettext("%d concert withdrawn.", "%d concerts withdrawn.", withdrawn) % withdrawn,
            messages.SUCCESS,
        )


@admin.register(Performance)
class PerformanceAdmin(CarefulForms, FoundByTyping, SeatCount, ModelAdmin):
    list_display = ("starts_at", "concert", "seat_count", "sold_out_at")
    list_display_links = ("starts_at",)
    list_select_related = ("concert",)
    list_filter = ("starts_at", ("sold_out_at", admin.EmptyFieldListFilter))
    lookups = (concert_lookup("concert"), Numbers(), Days("starts_at"))
    ordering = ("-starts_at", "-pk")
    form = PerformanceForm
    autocomplete_fields = ("concert",)
    readonly_fields = ("seat_count", "seats_sold", "sold_out_at")
    actions = ("generate_seats",)

    def get_fields(self, request: HttpRequest, obj: Performance | None = None) -> Any:
        confirmation = ("is_confirmed",) if obj is not None and obj.seats_sold else ()
        return ("concert", "starts_at", *confirmation, "seat_count", "seats_sold", "sold_out_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Performance | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if obj is None else (*fields, "concert")

    def get_urls(self) -> list[URLPattern]:
        generator = self.admin_site.admin_view(SeatGeneratorView.as_view(model_admin=self))
        urls: list[URLPattern] = super().get_urls()
        name = "concerts_performance_generate_seats"
        return [path("generate-seats/", generator, name=name), *urls]

    def has_generate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("concerts.add_seat")

    @action(description=_("Generate seats"), permissions=["generate"])
    def generate_seats(self, request: HttpRequest, queryset: QuerySet[Performance]) -> HttpResponse:
        return redirect(seat_generator_url(performance=queryset.values_list("pk", flat=True)))


@admin.register(Seat)
class SeatAdmin(ReadOnlyAdmin):
    """Seats are made by the generator and keep their place and price; staff block and unblock them."""

    list_display = ("__str__", "performance", "concert", "grade", "price", "is_blocked")
    list_select_related = ("performance__concert",)
    list_filter = ("is_blocked", "grade", "performance__starts_at")
    lookups = (
        SeatsThemselves(),
        concert_lookup("performance__concert"),
        Days("performance__starts_at"),
    )
    ordering = ("performance", "pk")
    list_per_page = 100
    actions = ("block", "unblock")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup == "performance__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description=_("concert"))
    def concert(self, seat: Seat) -> str:
        return seat.performance.concert.title

    def has_block_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("concerts.change_seat")

    @action(description=_("Block: keep back from sale"), permissions=["block"])
    def block(self, request: HttpRequest, queryset: QuerySet[Seat]) -> None:
        # As many as a hall has: without the date and the concert of each.
        free = list(queryset.filter(is_blocked=False).select_related(None))
        blocked = block_seats(seat_ids=[seat.pk for seat in free])
        _note_seats(request, free, gettext("Blocked"))
        self.message_user(
            request,
            ngettext("%d seat blocked.", "%d seats blocked.", blocked) % blocked,
            messages.SUCCESS,
        )

    @action(description=_("Unblock: put on sale again"), permissions=["block"])
    def unblock(self, request: HttpRequest, queryset: QuerySet[Seat]) -> None:
        kept_back = list(queryset.filter(is_blocked=True).select_related(None))
        unblocked = unblock_seats(seat_ids=[seat.pk for seat in kept_back])
        _note_seats(request, kept_back, gettext("Unblocked"))
        self.message_user(
            request,
            ngettext("%d seat unblocked.", "%d seats unblocked.", unblocked) % unblocked,
            messages.SUCCESS,
        )


SEATS_NAMED = 50


def _note_seats(request: HttpRequest, seats: list[Seat], done: str) -> None:
    """Write into the history of each performance what became of how many of its seats, and of which."""
    by_performance: dict[int, list[Seat]] = {}
    for seat in seats:
        by_performance.setdefault(seat.performance_id, []).append(seat)
    for pk, performance in Performance.objects.in_bulk(list(by_performance)).items():
        chosen = by_performance[pk]
        names = ", ".join(map(str, chosen[:SEATS_NAMED]))
        more = " …" if len(chosen) > SEATS_NAMED else ""
        note_action(request, [performance], f"{done} ({len(chosen):,}): {names}{more}")


@admin.register(RankingEntry)
class RankingEntryAdmin(ReadOnlyAdmin):
    list_display = ("occurred_at", "concert", "performance", "reservations", "seats", "event_id")
    list_select_related = ("concert", "performance")
    list_filter = ("day", "reservations")
    lookups = (
        concert_lookup("concert"),
        Ids(("event_id",), label=_("id of an event")),
        Days("day", holds_dates=True),
    )
    # There is an index by day; within one there is little to sort.
    ordering = ("-day", "-occurred_at", "-pk")
    date_hierarchy = "day"
