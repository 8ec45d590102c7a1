from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.boxoffice.base.columns import column, read_once
from apps.boxoffice.base.lookups import Days, Ids, people_lookup
from apps.boxoffice.base.read_only import ReadOnlyAdmin, ReadOnlyInline, lead_to, row_named
from apps.boxoffice.base.timeline import moments_of, timeline
from apps.boxoffice.base.words import (
    NOTHING,
    at_venue,
    everything_of,
    in_won,
    linked,
    linked_to,
    may_follow,
)
from apps.concerts.lookups import concert_lookup, seat_lookup
from apps.payments.models import Wallet
from apps.payments.selectors import wallet_balance
from apps.reservations.admin.calling_off import pages_of_performances
from apps.reservations.admin.counter import counter_urls
from apps.reservations.admin.customer import CustomerView
from apps.reservations.admin.finding import FIND, FindOrderView
from apps.reservations.admin.refunding import GivesBack
from apps.reservations.admin.sales_report import REPORT, SalesReportView
from apps.reservations.admin.words import ConcertFilter, ConcertOfTicketFilter, SaleWords
from apps.reservations.lookups import OrderNumbers, code_lookup, ticket_seat_lookup
from apps.reservations.models import Reservation, Ticket
from apps.reservations.order_events import movements_of


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
    list_display = (
        *("printed_number", "customer", "concert", "date", "status", "total_in_won"),
        "reserved_at",
    )
    list_filter = ("status", "reserved_at", ConcertFilter)
    list_select_related = ("customer", "performance__concert")
    lookups = (
        OrderNumbers(),
        people_lookup(),
        code_lookup(key="reservation"),
        Ids(("id", "hold")),
        concert_lookup("performance__concert"),
        ticket_seat_lookup(),
        Days("reserved_at"),
    )
    ordering = ("-reserved_at", "id")
    inlines = (TicketInline,)
    actions_list = ("find_order",)
    actions_detail = ("print_tickets", "move", "give_back")
    page_select_related = ("customer", "performance__concert", "hold")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "printed_number",
                    "concert",
                    "date",
                    "venue",
                    "customer_link",
                    "contact",
                    "everything_of_customer",
                    "status",
                    "what_next",
                )
            },
        ),
        (_("Money"), {"fields": ("total_in_won", "money", "balance")}),
        (_("Timeline"), {"fields": ("story",)}),
        (
            _("Identifiers"),
            {
                "fields": (
                    "hold_link",
                    "reserved_at",
                    "cancelled_at",
                    "cancel_reason",
                    "moved_to_link",
                    "id",
                )
            },
        ),
    )

    def title_of(self, obj: Reservation) -> str:
        return f"{obj.order_number} · {super().title_of(obj)}"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("find/", wrap(FindOrderView.as_view(model_admin=self)), name=FIND),
            path("sales/", wrap(SalesReportView.as_view(model_admin=self)), name=REPORT),
            path(
                "customer/<int64:pk>/",
                wrap(CustomerView.as_view(model_admin=self)),
                name="reservations_customer",
            ),
            *pages_of_performances(self.admin_site),
            *counter_urls(self),
            *super().get_urls(),
        ]

    @action(description=_("Find an order"), permissions=["view"], icon="search")
    def find_order(self, request: HttpRequest) -> HttpResponse:
        return redirect(f"admin:{FIND}")

    @display(description=_("order number"), ordering="number")
    def printed_number(self, reservation: Reservation) -> str:
        return reservation.order_number

    @display(description=_("all of this customer"))
    def everything_of_customer(self, reservation: Reservation) -> SafeString | str:
        return everything_of(reservation.customer_id)

    @display(description=_("payment and refund"))
    @read_once
    def money(self, reservation: Reservation) -> SafeString | str:
        lines = [
            (
                linked(movement, f"{movement.get_type_display()} {in_won(movement.amount)}"),
                at_venue(movement.created_at),
                f" · {movement.reason}" if movement.reason else "",
            )
            for movement in movements_of(reservation)
        ]
        return format_html_join(mark_safe("<br>"), "{} · {}{}", lines) or NOTHING

    @display(description=_("balance of the wallet now"))
    @read_once
    def balance(self, reservation: Reservation) -> SafeString | str:
        if not may_follow(Wallet):
            return NOTHING
        amount = in_won(wallet_balance(customer_id=reservation.customer_id))
        return linked_to("payments.wallet", reservation.customer_id, amount)

    @display(description=_("timeline"))
    @read_once
    def story(self, reservation: Reservation) -> SafeString:
        return timeline(moments_of(reservation))

    hold_link = column(_("hold"), "hold")
    moved_to_link = column(_("moved to"), "moved_to")

    def has_print_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("reservations.view_ticket") and _stands(object_id)

    def has_move_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("reservations.reseat") and _stands(object_id)

    @action(description=_("Tickets"), permissions=["print"], icon="print")
    def print_tickets(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:reservations_tickets", object_id)

    @action(description=_("Move to other seats"), permissions=["move"], icon="swap_horiz")
    def move(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:reservations_move", object_id)

    @display(description=_("what happens next"))
    def what_next(self, reservation: Reservation) -> str:
        now = timezone.now()
        if reservation.moved_to_id is not None:
            return gettext("Nothing: the customer was moved to other seats.")
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


def _stands(reservation_id: Any) -> bool:
    """Tell whether a reservation is confirmed; None asks about no certain one."""
    confirmed = Reservation.objects.filter(status=Reservation.Status.CONFIRMED)
    return reservation_id is None or row_named(confirmed, reservation_id).exists()


@admin.register(Ticket)
class TicketAdmin(SaleWords, ReadOnlyAdmin):
    list_display = ("printed_code", "reservation", "seat", "price_in_won")
    list_filter = ("reservation__status", ConcertOfTicketFilter)
    list_select_related = ("reservation", "seat")
    lookups = (
        OrderNumbers("reservation__number"),
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
