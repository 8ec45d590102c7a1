"""What staff need to put a concert on sale: the concert, its dates, their seats."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from apps.concerts.admin import publication
from apps.concerts.admin.hall import PricesView
from apps.concerts.admin.performance_forms import (
    PerformanceForm,
    PerformanceInlineForm,
    save_times,
)
from apps.concerts.admin.seat_generator import (
    PERFORMANCES_OFFERED,
    SeatGeneratorView,
    seat_generator_url,
)
from apps.concerts.corrections import PUBLISHED, delete_concerts, delete_performances, delete_seats
from apps.concerts.lookups import SeatsThemselves, concert_lookup
from apps.concerts.models import (
    Concert,
    ConcertQuerySet,
    Performance,
    PerformanceQuerySet,
    RankingEntry,
    Seat,
)
from apps.concerts.publication import publish_concert
from apps.concerts.services import block_seats, unblock_seats
from apps.shared.admin import ReadOnlyAdmin, lead_to, note_action, row_named
from apps.shared.admin_deletion import NAMED_MAX, CountedDeletion
from apps.shared.admin_forms import TYPED_AS_PRINTED, CarefulForms
from apps.shared.admin_lists import FoundByTyping
from apps.shared.admin_words import at_venue, in_won, linked, linked_to, may_follow, outcome
from apps.shared.deletion import Deletion
from apps.shared.lookups import Days, Ids, Numbers

DATES_PER_PAGE = 50  # a form may have a thousand fields, and each date has six
DATES_MAX = 150  # of one form, with those that are added


class SeatCount:
    """A column that says how many seats there are and leads to them."""

    @display(description=_("seats"))
    def seat_count(self, performance: Performance) -> SafeString:
        count = f"{performance.seats_total:,}"
        if not may_follow(Seat):
            return format_html("{}", count)
        return format_html(
            '<a class="text-primary-600 underline" href="{}?performance__id__exact={}">{}</a>',
            reverse("admin:concerts_seat_changelist"),
            performance.pk,
            count,
        )


class PerformanceInline(SeatCount, TabularInline):
    model = Performance
    form = PerformanceInlineForm
    formfield_overrides = TYPED_AS_PRINTED
    per_page = DATES_PER_PAGE
    max_num = DATES_MAX
    fields = ("starts_at", "ends_at", "seat_count", "sold_out_at")
    readonly_fields = ("seat_count", "sold_out_at")
    extra = 0
    show_change_link = True
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> PerformanceQuerySet:
        performances: PerformanceQuerySet = super().get_queryset(request)
        return performances.by_date()


@admin.register(Concert)
class ConcertAdmin(CarefulForms, CountedDeletion, FoundByTyping, ModelAdmin):
    list_display = (
        "title",
        "artist",
        "venue",
        "sales_open_at",
        "first_performance_at",
        "last_performance_at",
        "is_published",
        "on_sale",
    )
    list_filter = ("is_published", "sales_open_at", "venue")
    lookups = (
        concert_lookup("pk"),
        Numbers(),
        Days("sales_open_at", label=_("day on which sales open")),
    )
    ordering = ("-sales_open_at", "-pk")
    readonly_fields = ("created_at",)
    fieldsets = (
        (None, {"fields": ("title", "artist", "venue", "description")}),
        (
            _("Sale"),
            {
                "fields": (
                    "is_published",
                    "sales_open_at",
                    "sales_close_at",
                    "seats_per_customer",
                    "unpaid_seats_max",
                    "single_seats",
                )
            },
        ),
    )
    inlines = (PerformanceInline,)
    actions = ("publish", "withdraw", "delete_selected")
    actions_detail = ("generate_seats", "publish_this", "withdraw_this")
    warn_unsaved_form = True

    def get_queryset(self, request: HttpRequest) -> ConcertQuerySet:
        concerts: ConcertQuerySet = super().get_queryset(request)
        return concerts.with_dates()

    def delete(self, *, ids: Sequence[int], expected: int) -> Deletion:
        return delete_concerts(ids=ids, expected=expected)

    def why_kept(self, objects: Sequence[Concert]) -> str | None:
        return str(PUBLISHED) if any(concert.is_published for concert in objects) else None

    @display(description=_("first performance"), ordering="first_performance_at")
    def first_performance_at(self, concert: Concert) -> datetime | None:
        return concert.first_performance_at

    @display(description=_("last performance"), ordering="last_performance_at")
    def last_performance_at(self, concert: Concert) -> datetime | None:
        return concert.last_performance_at

    @display(description=_("on sale"), boolean=True)
    def on_sale(self, concert: Concert) -> bool:
        return concert.has_date_to_sell(timezone.now())

    def has_generate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("concerts.add_seat")

    @action(description=_("Generate seats"), permissions=["generate"], icon="event_seat")
    def generate_seats(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(seat_generator_url(concert=object_id))

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "withdraw/": publication.WithdrawalView,
            "<int64:pk>/publish/": publication.PublicationView,
        }
        urls: list[URLPattern] = super().get_urls()
        return [
            *(
                path(
                    route,
                    self.admin_site.admin_view(page.as_view(model_admin=self)),
                    name=f"concerts_concert_{route.rstrip('/').rpartition('/')[2]}",
                )
                for route, page in pages.items()
            ),
            *urls,
        ]

    def save_model(self, request: HttpRequest, obj: Concert, form: Any, change: bool) -> None:
        """Save what is the form's alone to save: whether the concert is published is for `response_change`."""
        if change and "is_published" in form.changed_data:
            request.is_to_be_published = obj.is_published  # type: ignore[attr-defined]
            obj.is_published = not obj.is_published
            form.changed_data.remove("is_published")
        super().save_model(request, obj, form, change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        if formset.model is not Performance:
            super().save_formset(request, form, formset, change)
            return
        formset.save(commit=False)
        for performance in formset.deleted_objects:
            performance.delete()
        for performance in formset.new_objects:
            performance.save()
        for performance, changed_fields in formset.changed_objects:
            save_times(request, performance, changed_fields)
        formset.changed_objects = []  # has been noted, in better words

    def response_change(
        self, request: HttpRequest, obj: Concert, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Publish the concert if the form says so, or lead on to the page that asks before it is taken offline."""
        is_to_be_published = getattr(request, "is_to_be_published", None)
        response = super().response_change(request, obj, *args, **kwargs)
        if is_to_be_published:
            publish_concert.step(concert_id=obj.pk, staff_id=request.user.pk)
        elif is_to_be_published is not None:
            return redirect(publication.withdrawal_url(obj.pk))
        return response

    def message_user(self, request: HttpRequest, message: Any, *args: Any, **kwargs: Any) -> None:
        """Do not call a concert changed that is to be taken offline: the next page asks first."""
        if getattr(request, "is_to_be_published", None) is False:
            words = gettext("The concert is still online. Say why it is taken offline.")
            messages.warning(request, words)
        else:
            super().message_user(request, message, *args, **kwargs)

    def has_withdraw_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer the button on the page of what is published, to those who may."""
        if not self.has_change_permission(request):
            return False
        return object_id is None or row_named(Concert.objects.published(), object_id).exists()

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer the button on the page of what is offline, to those who may."""
        if not self.has_change_permission(request):
            return False
        offline = Concert.objects.filter(is_published=False)
        return object_id is None or row_named(offline, object_id).exists()

    @action(description=_("Take offline"), permissions=["withdraw"], icon="visibility_off")
    def withdraw_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(publication.withdrawal_url(object_id))

    @action(description=_("Publish"), permissions=["publish"], icon="visibility")
    def publish_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:concerts_concert_publish", object_id)

    @action(description=_("Publish"), permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[Concert]) -> None:
        offline = list(queryset.filter(is_published=False))
        published = sum(
            publish_concert(concert_id=concert.pk, staff_id=request.user.pk) for concert in offline
        )
        words = ngettext("%d concert published.", "%d concerts published.", published)
        level, text = outcome(published, words % published, publication.ONLINE_ALREADY)
        self.message_user(request, text, level)

    @action(description=_("Take offline"), permissions=["change"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[Concert]) -> HttpResponse | None:
        public = queryset.filter(is_published=True).values_list("pk", flat=True)
        chosen = list(public[: publication.CONCERTS_MAX])
        if chosen:
            return redirect(publication.withdrawal_url(*chosen))
        level, text = outcome(0, "", publication.OFFLINE_ALREADY)
        self.message_user(request, text, level)
        return None


@admin.register(Performance)
class PerformanceAdmin(CarefulForms, CountedDeletion, FoundByTyping, SeatCount, ModelAdmin):
    list_display = ("starts_at", "concert", "seat_count", "sold_out_at")
    list_display_links = ("starts_at",)
    list_select_related = ("concert",)
    list_filter = ("starts_at", ("sold_out_at", admin.EmptyFieldListFilter))
    lookups = (concert_lookup("concert"), Numbers(), Days("starts_at"))
    ordering = ("-starts_at", "-pk")
    form = PerformanceForm
    autocomplete_fields = ("concert",)
    readonly_fields = ("seat_count", "seats_sold", "sold_out_at")
    actions = ("generate_seats", "delete_selected")
    actions_detail = ("correct_prices", "delete_hall")

    def get_fields(self, request: HttpRequest, obj: Performance | None = None) -> Any:
        confirmation = ("is_confirmed",) if obj is not None and obj.seats_sold else ()
        moved = ("previous_starts_at", "rescheduled_at") if obj and obj.rescheduled_at else ()
        counts = ("seat_count", "seats_sold", "sold_out_at")
        concert = "concert" if obj is None else "concert_link"
        return (concert, "starts_at", *confirmation, "ends_at", *moved, *counts)

    def get_readonly_fields(self, request: HttpRequest, obj: Performance | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return (
            fields
            if obj is None
            else (*fields, "concert_link", "previous_starts_at", "rescheduled_at")
        )

    @display(description=_("concert"))
    def concert_link(self, performance: Performance) -> SafeString | str:
        return linked(performance.concert)

    def save_model(self, request: HttpRequest, obj: Performance, form: Any, change: bool) -> None:
        if change:
            save_times(request, obj, form.changed_data)
        else:
            super().save_model(request, obj, form, change)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Leave the times to `save_times`, and there is nothing else to change."""
        return super().construct_change_message(request, form, formsets, add) if add else []

    def get_urls(self) -> list[URLPattern]:
        generator = self.admin_site.admin_view(SeatGeneratorView.as_view(model_admin=self))
        urls: list[URLPattern] = super().get_urls()
        name = "concerts_performance_generate_seats"
        prices = self.admin_site.admin_view(PricesView.as_view(model_admin=self))
        return [
            path("generate-seats/", generator, name=name),
            path("<int64:pk>/prices/", prices, name="concerts_performance_prices"),
            *urls,
        ]

    def delete(self, *, ids: Sequence[int], expected: int) -> Deletion:
        return delete_performances(ids=ids, expected=expected)

    def title_of(self, obj: Performance) -> str:
        return f"{obj.concert} · {at_venue(obj.starts_at)}"

    def note_deletion(
        self, request: HttpRequest, objects: Sequence[Performance], going: str
    ) -> None:
        super().note_deletion(request, objects, going)
        for concert in Concert.objects.filter(pk__in={one.concert_id for one in objects}):
            dates = ", ".join(str(one) for one in objects if one.concert_id == concert.pk)
            words = gettext("Dates deleted: %(dates)s") % {"dates": dates}
            note_action(request, [concert], words)

    def has_prices_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("concerts.change_seat")

    def has_delete_seats_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("concerts.delete_seat")

    @action(description=_("Correct prices"), permissions=["prices"], icon="payments")
    def correct_prices(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:concerts_performance_prices", object_id)

    @action(description=_("Delete all seats"), permissions=["delete_seats"], icon="delete")
    def delete_hall(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:concerts_seat_delete_hall", object_id)

    def has_generate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("concerts.add_seat")

    @action(description=_("Generate seats"), permissions=["generate"])
    def generate_seats(self, request: HttpRequest, queryset: QuerySet[Performance]) -> HttpResponse:
        chosen = queryset.values_list("pk", flat=True)[:PERFORMANCES_OFFERED]
        return redirect(seat_generator_url(performance=chosen))


class SeatName(NamedTuple):
    """As much of a seat as a history tells, for all seats of a hall at once."""

    pk: int
    performance_id: int
    section: str
    row: str
    number: int

    def __str__(self) -> str:
        return f"{self.section} {self.row}-{self.number}"


@admin.register(Seat)
class SeatAdmin(CountedDeletion, ReadOnlyAdmin):
    """Seats are made by the generator and keep their place; staff block and unblock them, and delete what nobody ever held."""

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

    @display(description=_("concert"))
    def concert_link(self, seat: Seat) -> SafeString | str:
        return linked(seat.performance.concert)

    @display(description=_("date"))
    def date(self, seat: Seat) -> SafeString | str:
        return linked(seat.performance, at_venue(seat.performance.starts_at))

    @display(description=_("price"))
    def price_in_won(self, seat: Seat) -> str:
        return in_won(seat.price)

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


SEATS_NAMED = 50


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


@admin.register(RankingEntry)
class RankingEntryAdmin(ReadOnlyAdmin):
    list_display = ("occurred_at", "concert", "performance", "reservations", "seats", "event_id")
    list_select_related = ("concert", "performance")
    list_filter = ("day", "reservations")
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
    date_hierarchy = "day"

    def title_of(self, entry: RankingEntry) -> str:
        return f"{entry.concert} · {at_venue(entry.occurred_at)}"

    @display(description=_("concert"))
    def concert_link(self, entry: RankingEntry) -> SafeString | str:
        return linked(entry.concert)

    @display(description=_("date"))
    def date(self, entry: RankingEntry) -> SafeString | str:
        return linked(entry.performance, at_venue(entry.performance.starts_at))

    @display(description=_("event"))
    def event(self, entry: RankingEntry) -> SafeString:
        return linked_to("shared.outboxevent", entry.event_id, entry.event_id)
