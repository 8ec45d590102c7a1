"""Seats of a hall: block and unblock them, and delete those that were never held."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.boxoffice.base.columns import column
from apps.boxoffice.base.deletion import NAMED_MAX, CountedDeletion
from apps.boxoffice.base.lookups import Days
from apps.boxoffice.base.read_only import ReadOnlyAdmin, note_action
from apps.boxoffice.base.words import at_venue, in_won, linked, outcome
from apps.concerts.corrections import delete_seats
from apps.concerts.lookups import SeatsThemselves, concert_lookup
from apps.concerts.models import Performance, Seat
from apps.concerts.services import block_seats, unblock_seats
from apps.core.deletion import Deletion

SEATS_NAMED = 50  # in one entry of a history


class SeatName(NamedTuple):
    """The part of a seat that a history tells, for all seats of a hall at once."""

    pk: int
    performance_id: int
    section: str
    row: str
    number: int

    def __str__(self) -> str:
        return f"{self.section} {self.row}-{self.number}"


@admin.register(Seat)
class SeatAdmin(CountedDeletion, ReadOnlyAdmin):
    """Seats are made by the generator and keep their place; staff block and unblock them, and delete those that were never held."""

    list_display = ("__str__", "performance", "concert", "grade", "price", "is_for_sale")
    list_select_related = ("performance__concert",)
    list_filter = ("is_blocked", "grade", "performance__starts_at")
    lookups = (
        SeatsThemselves(),
        concert_lookup("performance__concert"),
        Days("performance__starts_at"),
    )
    ordering = ("performance", "pk")
    list_per_page = 100
    actions = ("block", "unblock", "delete_selected")
    page_select_related = ("performance__concert",)
    fields = (
        "concert_link",
        "date",
        "section",
        "row",
        "number",
        "grade",
        "price_in_won",
        "is_for_sale",
        "place_on_map",
    )

    def get_urls(self) -> list[URLPattern]:
        hall = self.admin_site.admin_view(self.delete_hall)
        name = "concerts_seat_delete_hall"
        urls: list[URLPattern] = super().get_urls()
        return [path("hall/<int64:performance_id>/delete/", hall, name=name), *urls]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("concerts.delete_seat")

    def delete_hall(self, request: HttpRequest, performance_id: int) -> HttpResponse:
        """Delete every seat of a performance."""
        get_object_or_404(Performance, pk=performance_id)
        seats = Seat.objects.of_performance(performance_id).in_map_order()
        return self.confirm_deletion(request, self.read_chosen(seats))

    def read_chosen(self, chosen: QuerySet[Seat]) -> Sequence[Seat | SeatName]:
        names = [SeatName._make(row) for row in chosen.values_list(*SeatName._fields)]
        return names if len(names) > NAMED_MAX else list(chosen)

    def delete(self, *, ids: Sequence[int], expected: int) -> Deletion:
        return delete_seats(ids=ids, expected=expected)

    def note_deletion(
        self, request: HttpRequest, objects: Sequence[Seat | SeatName], going: str
    ) -> None:
        _note_seats(request, objects, gettext("Seats deleted"))

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup == "performance__id__exact" or super().lookup_allowed(lookup, value, request)

    def title_of(self, seat: Seat) -> str:
        performance = seat.performance
        return f"{seat} · {performance.concert} · {at_venue(performance.starts_at)}"

    @display(description=_("concert"))
    def concert(self, seat: Seat) -> str:
        return seat.performance.concert.title

    concert_link = column(_("concert"), "performance.concert")

    @display(description=_("date"))
    def date(self, seat: Seat) -> SafeString | str:
        return linked(seat.performance, at_venue(seat.performance.starts_at))

    price_in_won = column(_("price"), "price", in_won)

    @display(description=_("for sale"), boolean=True, ordering="-is_blocked")
    def is_for_sale(self, seat: Seat) -> bool:
        """Green is what sells: a seat that staff keep back has the cross."""
        return not seat.is_blocked

    @display(description=_("place on the map"))
    def place_on_map(self, seat: Seat) -> str:
        return f"{seat.x} / {seat.y}"

    def has_block_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("concerts.change_seat")

    @action(description=_("Block: keep back from sale"), permissions=["block"])
    def block(self, request: HttpRequest, queryset: QuerySet[Seat]) -> None:
        # As many as a hall has: without the date and the concert of each.
        free = list(queryset.filter(is_blocked=False).select_related(None))
        blocked = block_seats(seat_ids=[seat.pk for seat in free])
        _note_seats(request, free, gettext("Blocked"))
        words = ngettext("%d seat blocked.", "%d seats blocked.", blocked) % blocked
        level, text = outcome(blocked, words, _("All of the selected seats are blocked already."))
        self.message_user(request, text, level)

    @action(description=_("Unblock: put on sale again"), permissions=["block"])
    def unblock(self, request: HttpRequest, queryset: QuerySet[Seat]) -> None:
        kept_back = list(queryset.filter(is_blocked=True).select_related(None))
        unblocked = unblock_seats(seat_ids=[seat.pk for seat in kept_back])
        _note_seats(request, kept_back, gettext("Unblocked"))
        words = ngettext("%d seat unblocked.", "%d seats unblocked.", unblocked) % unblocked
        level, text = outcome(unblocked, words, _("None of the selected seats is blocked."))
        self.message_user(request, text, level)


def _note_seats(request: HttpRequest, seats: Sequence[Seat | SeatName], done: str) -> None:
    """Write into the history of each performance what became of how many of its seats, and of which."""
    by_performance: dict[int, list[Seat | SeatName]] = {}
    for seat in seats:
        by_performance.setdefault(seat.performance_id, []).append(seat)
    for pk, performance in Performance.objects.in_bulk(list(by_performance)).items():
        chosen = by_performance[pk]
        names = ", ".join(map(str, chosen[:SEATS_NAMED]))
        more = " …" if len(chosen) > SEATS_NAMED else ""
        note_action(request, [performance], f"{done} ({len(chosen):,}): {names}{more}")
