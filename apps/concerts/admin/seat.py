"""Seats of a hall: what they are kept back for, and the deletion of those that were never held."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.boxoffice.base.columns import column
from apps.boxoffice.base.deletion import NAMED_MAX, CountedDeletion
from apps.boxoffice.base.entries import ActionWithReason
from apps.boxoffice.base.lookups import Days
from apps.boxoffice.base.read_only import ReadOnlyAdmin, note_action
from apps.boxoffice.base.words import NOTHING, at_venue, in_won, linked, person
from apps.concerts.admin.grades import GradesOfChosen
from apps.concerts.admin.painting import OPEN, painting_url
from apps.concerts.corrections import delete_seats
from apps.concerts.lookups import SeatsThemselves, concert_lookup
from apps.concerts.models import Performance, Seat, SeatAllocation
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
class SeatAdmin(GradesOfChosen, CountedDeletion, ReadOnlyAdmin):
    """Seats are made by the generator and keep their place; staff keep them back and release them, and delete those that were never held."""

    list_display = (
        "__str__",
        "performance",
        "concert",
        "grade",
        "kind",
        "price",
        "is_for_sale",
        "category",
    )
    list_select_related = ("performance__concert", "allocation__category")
    list_filter = (
        "is_blocked",
        "allocation__category",
        "kind",
        "grade",
        "performance__starts_at",
    )
    lookups = (
        SeatsThemselves(),
        concert_lookup("performance__concert"),
        Days("performance__starts_at"),
    )
    ordering = ("performance", "pk")
    list_per_page = 100
    actions = ("allocate", "release", "change_grades", "delete_selected")
    action_form = ActionWithReason
    page_select_related = (
        "performance__concert",
        "allocation__category",
        "allocation__allocated_by",
    )
    fields = (
        "concert_link",
        "date",
        "section",
        "row",
        "number",
        "grade",
        "kind",
        "price_in_won",
        "is_for_sale",
        "kept_back",
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

    @display(description=_("category"), ordering="allocation__category")
    def category(self, seat: Seat) -> str:
        allocation = _allocation_of(seat)
        return str(allocation.category) if allocation else NOTHING

    @display(description=_("kept back"))
    def kept_back(self, seat: Seat) -> SafeString | str:
        """Say what for, since when and until when, why, and by whom."""
        allocation = _allocation_of(seat)
        if allocation is None:
            return NOTHING
        lines: list[tuple[Any]] = [
            (f"{allocation.category}: {allocation.reason}",),
            (gettext("since %(time)s") % {"time": at_venue(allocation.allocated_at)},),
        ]
        if allocation.released_at is not None:
            until = gettext("on sale to the public from %(time)s")
            lines.append((until % {"time": at_venue(allocation.released_at)},))
        if allocation.allocated_by is not None:
            lines.append((person(allocation.allocated_by),))
        return format_html_join(mark_safe("<br>"), "{}", lines)

    def has_allocate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("concerts.change_seatallocation")

    @action(description=_("Keep back from the public"), permissions=["allocate"])
    def allocate(self, request: HttpRequest, queryset: QuerySet[Seat]) -> HttpResponse | None:
        return self._lead_to_painting(request, queryset)

    @action(description=_("Put on sale to the public"), permissions=["allocate"])
    def release(self, request: HttpRequest, queryset: QuerySet[Seat]) -> HttpResponse | None:
        return self._lead_to_painting(request, queryset, to=OPEN)

    def _lead_to_painting(
        self, request: HttpRequest, queryset: QuerySet[Seat], **query: str
    ) -> HttpResponse | None:
        """Ask for category and reason on the page of the performance, where more seats than fit into an address are chosen by row."""
        rows = queryset.order_by("pk").values_list("pk", "performance_id")
        found = list(rows[: self.list_per_page + 1])
        if len({performance_id for _pk, performance_id in found}) != 1:
            words = _("Nothing was changed. Choose seats of one performance at a time.")
        elif len(found) > self.list_per_page:
            words = _(
                "Nothing was changed. For more seats than fit on a page, open the inventory of the performance."
            )
        else:
            seats = ",".join(str(pk) for pk, _performance_id in found)
            return redirect(painting_url(found[0][1], seats=seats, **query))
        self.message_user(request, words, messages.WARNING)
        return None


def _allocation_of(seat: Seat) -> SeatAllocation | None:
    """Return what a seat is kept back for; None if it is for the public. Django raises where a row of one to one is none."""
    return getattr(seat, "allocation", None)


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
