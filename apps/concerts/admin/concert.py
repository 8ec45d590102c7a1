"""Concerts, with their dates below them: what is sold, when, and whether the public sees it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from apps.boxoffice.base.deletion import CountedDeletion
from apps.boxoffice.base.entries import ActionWithReason, reason_of
from apps.boxoffice.base.forms import TYPED_AS_PRINTED, CarefulForms
from apps.boxoffice.base.lists import FoundByTyping
from apps.boxoffice.base.lookups import Days, Numbers
from apps.boxoffice.base.read_only import lead_to, row_named
from apps.boxoffice.base.words import outcome
from apps.concerts.admin import publication
from apps.concerts.admin.copying import AddDatesView, DuplicateView
from apps.concerts.admin.notices import NotifiesHolders
from apps.concerts.admin.performance import SeatCount
from apps.concerts.admin.performance_forms import PerformanceInlineForm, save_times
from apps.concerts.admin.poster import PosterView
from apps.concerts.admin.seat_generator import seat_generator_url
from apps.concerts.corrections import PUBLISHED, delete_concerts
from apps.concerts.lookups import concert_lookup
from apps.concerts.models import Concert, ConcertQuerySet, Performance, PerformanceQuerySet
from apps.concerts.publication import By, publish_concert
from apps.core.deletion import Deletion

DATES_PER_PAGE = 50  # a form may have a thousand fields, and each date has six
DATES_MAX = 150  # of one form, with those that are added


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
class ConcertAdmin(CarefulForms, CountedDeletion, FoundByTyping, NotifiesHolders, ModelAdmin):
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
    list_filter = ("is_published", "sales_open_at")
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
    action_form = ActionWithReason
    actions_detail = (
        "cockpit",
        "generate_seats",
        "add_dates",
        "publish_this",
        "withdraw_this",
        "notify_holders",
        {"title": _("More"), "icon": "more_horiz", "items": ["edit_poster", "duplicate_this"]},
    )
    page_of_notice = "admin:reservations_holdernotice_to_concert"
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

    def has_cockpit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("queue.view_waitingroom")

    @action(description=_("Cockpit"), permissions=["cockpit"], icon="monitoring")
    def cockpit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("boxoffice:cockpit", object_id)

    def has_generate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("concerts.add_seat")

    @action(description=_("Generate seats"), permissions=["generate"], icon="event_seat")
    def generate_seats(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(seat_generator_url(concert=object_id))

    def has_dates_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perms(AddDatesView.permission_required)

    @action(description=_("Add dates"), permissions=["dates"], icon="calendar_add_on")
    def add_dates(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:concerts_concert_dates", object_id)

    @action(description=_("Poster"), permissions=["change"], icon="image")
    def edit_poster(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:concerts_concert_poster", object_id)

    def has_duplicate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perms(DuplicateView.permission_required)

    @action(description=_("Duplicate"), permissions=["duplicate"], icon="content_copy")
    def duplicate_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:concerts_concert_duplicate", object_id)

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "withdraw/": publication.WithdrawalView,
            "<int64:pk>/publish/": publication.PublicationView,
            "<int64:pk>/duplicate/": DuplicateView,
            "<int64:pk>/poster/": PosterView,
            "<int64:pk>/dates/": AddDatesView,
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
            publish_concert.step(
                concert_id=obj.pk, staff_id=request.user.pk, reason=reason_of(request)
            )
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
        by = By(staff_id=request.user.pk, reason=reason_of(request))
        published = sum(publish_concert(concert_id=concert.pk, **by) for concert in offline)
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
