from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.concerts.lookups import concert_lookup, seat_lookup
from apps.concerts.models import Concert
from apps.reservations.lookups import code_lookup, hold_seat_lookup, ticket_seat_lookup
from apps.reservations.models import Hold, Reservation, SeatClaim, Ticket
from apps.shared.admin import ReadOnlyAdmin, ReadOnlyInline
from apps.shared.lookups import Days, Ids, people_lookup


class ConcertFilter(admin.SimpleListFilter):
    """Offer the concerts with a date ahead or without one, not all that there ever were; a search finds the others."""

    title = _("concert")
    parameter_name = "concert"
    performance = "performance"
    shown_max = 100

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        concerts = Concert.objects.not_over(at=timezone.now()).order_by("title", "pk")
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
    lookups = (
        people_lookup(),
        Ids(("id",)),
        # Those that took seats: for the others there is no index by performance.
        concert_lookup("performance__concert", only=Q(status__in=["HELD", "CONFIRMED"])),
        hold_seat_lookup(),
        Days("held_at"),
    )
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
    lookups = (
        people_lookup(),
        code_lookup(key="reservation"),
        Ids(("id", "hold")),
        concert_lookup("performance__concert"),
        ticket_seat_lookup(),
        Days("reserved_at"),
    )
    ordering = ("-reserved_at", "id")
    inlines = (TicketInline,)


@admin.register(Ticket)
class TicketAdmin(ReadOnlyAdmin):
    list_display = ("id", "reservation", "seat", "price")
    list_filter = ("reservation__status", ConcertOfTicketFilter)
    list_select_related = ("reservation", "seat")
    lookups = (
        people_lookup("reservation__customer"),
        code_lookup(),
        Ids(("id", "reservation")),
        concert_lookup("reservation__performance__concert"),
        seat_lookup("seat"),
        Days("reservation__reserved_at"),
    )
    ordering = ("-reservation__reserved_at", "id")


@admin.register(SeatClaim)
class SeatClaimAdmin(ReadOnlyAdmin):
    list_display = ("seat", "hold", "price", "ended_at")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "hold__status")
    list_select_related = ("seat", "hold")
    lookups = (
        people_lookup("hold__customer"),
        Ids(("hold",), label=_("id of the hold")),
        concert_lookup("performance__concert", only=Q(ended_at=None)),
        seat_lookup("seat"),
        Days("hold__held_at", among=SeatClaim.objects.all),
    )
    ordering = ("-id",)
