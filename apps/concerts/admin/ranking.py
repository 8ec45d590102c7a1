"""Sales and cancellations as the ranking counts them."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.boxoffice.base.columns import column
from apps.boxoffice.base.lookups import Days, Ids
from apps.boxoffice.base.read_only import ReadOnlyAdmin
from apps.boxoffice.base.words import at_venue, linked, linked_to
from apps.concerts.lookups import concert_lookup
from apps.concerts.models import RankingEntry


class SaleOrCancellation(SimpleListFilter):
    title = _("sale or cancellation")
    parameter_name = "counted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("sales", gettext("sales")), ("cancellations", gettext("cancellations"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[RankingEntry]
    ) -> QuerySet[RankingEntry]:
        match self.value():
            case "sales":
                return queryset.filter(reservations__gt=0)
            case "cancellations":
                return queryset.filter(reservations__lt=0)
        return queryset


@admin.register(RankingEntry)
class RankingEntryAdmin(ReadOnlyAdmin):
    list_display = ("occurred_at", "concert", "performance", "reservations", "seats", "event_id")
    list_select_related = ("concert", "performance")
    list_filter = ("day", SaleOrCancellation)
    page_select_related = ("concert", "performance")
    fields = (
        "concert_link",
        "date",
        "occurred_at",
        "day",
        "reservations",
        "seats",
        "event",
        "recorded_at",
    )
    lookups = (
        concert_lookup("concert"),
        Ids(("event_id",), label=_("id of an event")),
        Days("day", holds_dates=True),
    )
    # There is an index by day; within one there is little to sort.
    ordering = ("-day", "-occurred_at", "-pk")

    def title_of(self, entry: RankingEntry) -> str:
        return f"{entry.concert} · {at_venue(entry.occurred_at)}"

    concert_link = column(_("concert"), "concert")

    @display(description=_("date"))
    def date(self, entry: RankingEntry) -> SafeString | str:
        return linked(entry.performance, at_venue(entry.performance.starts_at))

    @display(description=_("event"))
    def event(self, entry: RankingEntry) -> SafeString:
        return linked_to("outbox.outboxevent", entry.event_id, entry.event_id)
