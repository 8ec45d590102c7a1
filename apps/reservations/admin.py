from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.concerts.models import Concert
from apps.reservations.models import Hold, Reservation, SeatClaim, Ticket
from apps.shared.admin import ReadOnlyAdmin, ReadOnlyInline

SEARCH_HELP = _("Email address of the customer, or a whole id.")


class ConcertFilter(admin.SimpleListFilter):
    """Offer the concerts with a date that is not over or without one, not all that there ever were; a search finds the others."""

    title = _("concert")
    parameter_name = "concert"
    performance = "performance"
    shown_max = 100

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        concerts = Concert.objects.not_ended(at=timezone.now()).order_by("title", "pk")
        return [
            (str(pk), title) for pk, title in concerts.values_list("pk", "title")[: self.shown_max]
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value() or ""
        if not chosen.isdecimal():
            return queryset
        return queryset.filter(**{f"{self.performance}__concert": int(chosen)})


class ConcertOfTicketFilter(ConcertFilter):
    performance = "reservation__performance"


class SeatClaimInline(ReadOnlyInline):
    model = SeatClaim
    fields = ("seat", "price", "ended_at")
    ordering = ("seat_id",)


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "customer",
        "performance",
        "status",
        "total_price",
        "held_at",
        "expires_at",
    )
    list_filter = ("status", "held_at", ConcertFilter)
    list_select_related = ("customer", "performance")
    search_fields = ("customer__email", "=id")
    search_help_text = SEARCH_HELP
    ordering = ("-held_at", "id")
    inlines = (SeatClaimInline,)


class TicketInline(ReadOnlyInline):
    model = Ticket
    fields = ("seat", "price")
    ordering = ("seat_id",)
    show_change_link = True


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    list_display = ("id", "customer", "performance", "status", "total_price", "reserved_at")
    list_filter = ("status", "reserved_at", ConcertFilter)
    list_select_related = ("customer", "performance")
    search_fields = ("customer__email", "=id", "=tickets__code")
    search_help_text = _("Email address of the customer, a whole id, or the code of a ticket.")
    ordering = ("-reserved_at", "id")
    inlines = (TicketInline,)


@admin.register(Ticket)
class TicketAdmin(ReadOnlyAdmin):
    list_display = ("id", "reservation", "seat", "price")
    list_filter = ("reservation__status", ConcertOfTicketFilter)
    list_select_related = ("reservation", "seat")
    search_fields = ("reservation__customer__email", "=id", "=code")
    search_help_text = SEARCH_HELP
    ordering = ("-reservation__reserved_at", "id")


@admin.register(SeatClaim)
class SeatClaimAdmin(ReadOnlyAdmin):
    list_display = ("seat", "hold", "price", "ended_at")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "hold__status")
    list_select_related = ("seat", "hold")
    search_fields = ("=hold__id", "hold__customer__email")
    search_help_text = SEARCH_HELP
    ordering = ("-id",)
