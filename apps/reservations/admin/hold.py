from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.boxoffice.base.columns import read_once
from apps.boxoffice.base.lookups import Days, Ids, people_lookup
from apps.boxoffice.base.read_only import ReadOnlyAdmin, ReadOnlyInline, lead_to, row_named
from apps.boxoffice.base.timeline import moments_of, timeline
from apps.boxoffice.base.words import at_venue, linked
from apps.concerts.lookups import concert_lookup, seat_lookup
from apps.reservations.admin.words import ConcertFilter, SaleWords
from apps.reservations.lookups import OrderNumbers, hold_seat_lookup
from apps.reservations.models import Hold, SeatClaim


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
        "customer",
        "concert",
        "date",
        "status",
        "total_in_won",
        "held_at",
        "expires_at",
    )
    list_filter = ("status", "held_at", ConcertFilter)
    list_select_related = ("customer", "performance__concert")
    lookups = (
        OrderNumbers("reservation__number"),
        people_lookup(),
        Ids(("id",)),
        # Those that took seats: for the others there is no index by performance.
        concert_lookup("performance__concert", only=Q(status__in=["HELD", "CONFIRMED"])),
        hold_seat_lookup(),
        Days("held_at"),
    )
    ordering = ("-held_at", "id")
    inlines = (SeatClaimInline,)
    actions_detail = ("release",)
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
        "release_reason",
        "story",
        "seat_limit",
        "queue_slot",
        "queue_generation",
        "id",
    )

    def has_release_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        if not request.user.has_perm("reservations.release_hold"):
            return False
        live = Hold.objects.live(at=timezone.now())
        return object_id is None or row_named(live, object_id).exists()

    @action(description=_("Release the seats"), permissions=["release"], icon="lock_open")
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:reservations_release", object_id)

    @display(description=_("reservation"))
    def reservation_link(self, hold: Hold) -> SafeString | str:
        return linked(getattr(hold, "reservation", None))

    @display(description=_("timeline"))
    @read_once
    def story(self, hold: Hold) -> SafeString:
        return timeline(moments_of(hold))

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
            case Hold.Status.RELEASED if hold.release_reason:
                return gettext("Nothing: staff released it.")
            case _:
                return gettext("Nothing: it ended without a payment.")


@admin.register(SeatClaim)
class SeatClaimAdmin(SaleWords, ReadOnlyAdmin):
    list_display = ("seat", "concert", "date", "customer_link", "price_in_won", "ended_at")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "hold__status")
    list_select_related = ("seat", "hold__customer", "hold__performance__concert")
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
