from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.boxoffice.base.columns import column
from apps.boxoffice.base.lookups import Days, Ids, people_lookup
from apps.boxoffice.base.read_only import ReadOnlyAdmin, ReadOnlyInline
from apps.boxoffice.base.words import NOTHING, at_venue, in_won, linked
from apps.concerts.lookups import concert_lookup, seat_lookup
from apps.payments.models import LedgerTransaction
from apps.reservations.admin.calling_off import pages_of_performances
from apps.reservations.admin.refunding import GivesBack
from apps.reservations.admin.words import ConcertFilter, ConcertOfTicketFilter, SaleWords
from apps.reservations.lookups import code_lookup, ticket_seat_lookup
from apps.reservations.models import Reservation, Ticket


class TicketInline(SaleWords, ReadOnlyInline):
    model = Ticket
    fields = ("seat_link", "price_in_won", "code_link", "cancelled_at", "cancel_reason")
    readonly_fields = fields
    ordering = ("seat_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Ticket]:
        tickets: QuerySet[Ticket] = super().get_queryset(request).select_related("seat")
        return tickets

    @display(description=_("code"))
    def code_link(self, ticket: Ticket) -> SafeString | str:
        return linked(ticket, ticket.printed_code)


@admin.register(Reservation)
class ReservationAdmin(GivesBack, SaleWords, ReadOnlyAdmin):
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
    page_select_related = ("customer", "performance__concert", "hold")
    fields = (
        "concert",
        "date",
        "venue",
        "customer_link",
        "status",
        "what_next",
        "total_in_won",
        "money",
        "hold_link",
        "reserved_at",
        "cancelled_at",
        "cancel_reason",
        "id",
    )

    def get_urls(self) -> list[URLPattern]:
        return [*pages_of_performances(self.admin_site), *super().get_urls()]

    @display(description=_("payment and refund"))
    def money(self, reservation: Reservation) -> SafeString | str:
        # Each kind is found by an index of its own.
        Type = LedgerTransaction.Type  # noqa: N806
        found = [
            transaction
            for kind in (Type.PAYMENT, Type.REFUND)
            for transaction in LedgerTransaction.objects.filter(
                type=kind, reference=reservation.pk
            ).order_by("sequence")
        ]
        lines = [
            (
                linked(movement, f"{movement.get_type_display()} {in_won(movement.amount)}"),
                at_venue(movement.created_at),
                f" · {movement.reason}" if movement.reason else "",
            )
            for movement in found
        ]
        return format_html_join(mark_safe("<br>"), "{} · {}{}", lines) or NOTHING

    hold_link = column(_("hold"), "hold")

    @display(description=_("what happens next"))
    def what_next(self, reservation: Reservation) -> str:
        now = timezone.now()
        if reservation.status == Reservation.Status.CANCELLED:
            return gettext("Nothing: it was cancelled and refunded to the wallet.")
        if reservation.performance.is_called_off:
            return gettext("The performance has been called off: it is about to be refunded.")
        if reservation.performance.has_begun(now):
            return gettext("Nothing: the performance has begun.")
        if reservation.is_cancellable(now):
            return gettext("The customer can cancel until %(time)s.") % {
                "time": at_venue(reservation.cancellable_until)
            }
        return gettext("The customer can no longer cancel. The performance begins at %(time)s.") % {
            "time": at_venue(reservation.performance.starts_at)
        }


@admin.register(Ticket)
class TicketAdmin(SaleWords, ReadOnlyAdmin):
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
    page_select_related = ("reservation__customer", "reservation__performance__concert", "seat")
    fields = (
        "concert",
        "date",
        "venue",
        "customer_link",
        "seat_link",
        "price_in_won",
        "printed_code",
        "is_valid",
        "cancelled_at",
        "cancel_reason",
        "reservation_link",
        "id",
    )

    @display(description=_("code"))
    def printed_code(self, ticket: Ticket) -> str:
        return ticket.printed_code

    @display(description=_("valid"), boolean=True)
    def is_valid(self, ticket: Ticket) -> bool:
        return (
            ticket.cancelled_at is None
            and ticket.reservation.status == Reservation.Status.CONFIRMED
        )

    reservation_link = column(_("reservation"), "reservation")
