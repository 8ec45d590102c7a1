from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.boxoffice.base.columns import column
from apps.boxoffice.base.words import at_venue, in_won, linked, person
from apps.concerts.models import Concert
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
