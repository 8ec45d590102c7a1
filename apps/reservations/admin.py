from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.boxoffice.base.columns import column
from apps.boxoffice.base.lookups import Days, Ids, people_lookup
from apps.boxoffice.base.read_only import ReadOnlyAdmin, ReadOnlyInline
from apps.boxoffice.base.words import NOTHING, at_venue, in_won, linked, person
from apps.concerts.lookups import concert_lookup, seat_lookup
from apps.concerts.models import Concert
from apps.payments.models import LedgerTransaction
from apps.reservations.lookups import code_lookup, hold_seat_lookup, ticket_seat_lookup
from apps.reservations.models import Hold, Reservation, SeatClaim, Ticket


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


class SaleWords:
    """Fields that say who has what of which concert, for pages of whatever belongs to a hold or to what it became."""

    @staticmethod
    def _sale(obj: Any) -> Hold | Reservation:
        """Return the hold or the reservation that a page is about, or belongs to."""
        sale: Hold | Reservation = obj
        if isinstance(obj, SeatClaim):
            sale = obj.hold
        elif isinstance(obj, Ticket):
            sale = obj.reservation
        return sale

    def title_of(self, obj: Any) -> str:
        sale = self._sale(obj)
        return f"{sale.performance.concert} · {at_venue(sale.performance.starts_at)} · {sale.customer.name}"

    @display(description=_("concert"))
    def concert(self, obj: Any) -> SafeString | str:
        return linked(self._sale(obj).performance.concert)

    @display(description=_("date"))
    def date(self, obj: Any) -> SafeString | str:
        performance = self._sale(obj).performance
        return linked(performance, at_venue(performance.starts_at))

    @display(description=_("venue"))
    def venue(self, obj: Any) -> str:
        return self._sale(obj).performance.concert.venue

    @display(description=_("customer"))
    def customer_link(self, obj: Any) -> SafeString | str:
        return person(self._sale(obj).customer)

    price_in_won = column(_("price"), "price", in_won, ordering="price")
    total_in_won = column(_("total price"), "total_price", in_won, ordering="total_price")

    @display(description=_("seat"))
    def seat_link(self, obj: Any) -> SafeString | str:
        return linked(obj.seat, f"{obj.seat} ({obj.seat.grade})")


class SeatClaimInline(SaleWords, ReadOnlyInline):
    model = SeatClaim
    fields = ("seat_link", "price_in_won", "ended_at")
    readonly_fields = fields
    ordering = ("seat_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SeatClaim]:
        claims: QuerySet[SeatClaim] = super().get_queryset(request).select_related("seat")
        return claims


@admin.register(Hold)
class HoldAdmin(SaleWords, ReadOnlyAdmin):
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
    page_select_related = ("customer", "performance__concert", "reservation")
    fields = (
        "concert",
        "date",
        "venue",
        "customer_link",
        "status",
        "what_next",
        "total_in_won",
        "reservation_link",
        "held_at",
        "expires_at",
        "ended_at",
        "seat_limit",
        "queue_slot",
        "queue_generation",
        "id",
    )

    @display(description=_("reservation"))
    def reservation_link(self, hold: Hold) -> SafeString | str:
        return linked(getattr(hold, "reservation", None))

    @display(description=_("what happens next"))
    def what_next(self, hold: Hold) -> str:
        match hold.status:
            case Hold.Status.HELD if hold.is_expired(timezone.now()):
                return gettext("It has expired: the seats are free again.")
            case Hold.Status.HELD:
                return gettext(
                    "The customer can pay until %(time)s. After that the seats are free again."
                ) % {"time": at_venue(hold.expires_at)}
            case Hold.Status.CONFIRMED:
                return gettext("It was paid; see the reservation.")
            case _:
                return gettext("Nothing: it ended without a payment.")


class TicketInline(SaleWords, ReadOnlyInline):
    model = Ticket
    fields = ("seat_link", "price_in_won", "code_link")
    readonly_fields = fields
    ordering = ("seat_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Ticket]:
        tickets: QuerySet[Ticket] = super().get_queryset(request).select_related("seat")
        return tickets

    @display(description=_("code"))
    def code_link(self, ticket: Ticket) -> SafeString | str:
        return linked(ticket, ticket.printed_code)


@admin.register(Reservation)
class ReservationAdmin(SaleWords, ReadOnlyAdmin):
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
        "id",
    )

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
            )
            for movement in found
        ]
        return format_html_join(mark_safe("<br>"), "{} · {}", lines) or NOTHING

    hold_link = column(_("hold"), "hold")

    @display(description=_("what happens next"))
    def what_next(self, reservation: Reservation) -> str:
        now = timezone.now()
        if reservation.status == Reservation.Status.CANCELLED:
            return gettext("Nothing: it was cancelled and refunded to the wallet.")
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
        "reservation_link",
        "id",
    )

    @display(description=_("code"))
    def printed_code(self, ticket: Ticket) -> str:
        return ticket.printed_code

    @display(description=_("valid"), boolean=True)
    def is_valid(self, ticket: Ticket) -> bool:
        return ticket.reservation.status == Reservation.Status.CONFIRMED

    reservation_link = column(_("reservation"), "reservation")


@admin.register(SeatClaim)
class SeatClaimAdmin(SaleWords, ReadOnlyAdmin):
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
    page_select_related = ("hold__customer", "hold__performance__concert", "seat")
    fields = (
        "concert",
        "date",
        "venue",
        "customer_link",
        "seat_link",
        "price_in_won",
        "hold_link",
        "ended_at",
    )

    @display(description=_("hold"))
    def hold_link(self, claim: SeatClaim) -> SafeString | str:
        return linked(
            claim.hold, f"{claim.hold.get_status_display()} · {at_venue(claim.hold.held_at)}"
        )
