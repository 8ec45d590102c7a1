"""Notices to the holders of tickets: written, looked at, sent, taken back, and kept."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.boxoffice.base.columns import column
from apps.boxoffice.base.lookups import Days, people_lookup
from apps.boxoffice.base.notices import TEXT_SHOWN, NoticeForm, NoticeView, TakingBackView
from apps.boxoffice.base.read_only import ReadOnlyAdmin, lead_to, row_named
from apps.boxoffice.base.words import NOTHING, at_venue, linked, may_follow, person
from apps.concerts.lookups import concert_lookup
from apps.concerts.models import Concert, Performance
from apps.reservations.models import HolderNotice, Reservation
from apps.reservations.selectors import count_ticket_holders, first_ticket_holders
from apps.reservations.services import (
    notify_holders,
    notify_holders_of_concert,
    take_back_holder_notice,
)


class _HolderNoticeView(NoticeView):
    permission_required = ("reservations.notify_holders",)
    explanation = _(
        "Customers read it beside their tickets until the performance is over, or until you take it back. Those who buy tickets later read it, too."
    )

    @property
    def title(self) -> str:
        return f"{gettext('Notify ticket holders')} · {self.about()}"

    @property
    def tickets_of(self) -> dict[str, int]:
        """Name the concert, and the performance if it is for one only."""
        raise NotImplementedError

    def list_of_reservations(self) -> dict[str, Any]:
        """Return the filters of the list of reservations that has all of them."""
        raise NotImplementedError

    @cached_property
    def readers(self) -> list[tuple[Any, Any]]:
        holders = count_ticket_holders(**self.tickets_of)
        return [
            (_("Customers"), f"{holders.customers:,}"),
            (_("Tickets"), f"{holders.tickets:,}"),
            (_("Who"), self._named(holders.customers)),
        ]

    def _named(self, customers: int) -> SafeString | str:
        people = [(person(holder),) for holder in first_ticket_holders(**self.tickets_of)]
        names = format_html_join(", ", "{}", people) or NOTHING
        if len(people) == customers or not may_follow(Reservation):
            return names
        filters = {"status__exact": Reservation.Status.CONFIRMED, **self.list_of_reservations()}
        url = f"{reverse('admin:reservations_reservation_changelist')}?{urlencode(filters)}"
        return format_html('{} … <a class="underline" href="{}">{}</a>', names, url, _("all"))


class PerformanceNoticeView(_HolderNoticeView):
    back = _("Back to the performance")

    @cached_property
    def performance(self) -> Performance:
        dates = Performance.objects.select_related("concert")
        return get_object_or_404(dates, pk=self.kwargs["pk"])

    def about(self) -> Performance:
        return self.performance

    @property
    def title(self) -> str:
        when = at_venue(self.performance.starts_at)
        return f"{gettext('Notify ticket holders')} · {self.performance.concert} · {when}"

    @property
    def tickets_of(self) -> dict[str, int]:
        return {
            "concert_id": self.performance.concert_id,
            "performance_id": self.performance.pk,
        }

    def list_of_reservations(self) -> dict[str, Any]:
        return {"performance__id__exact": self.performance.pk}

    def send(self, form: NoticeForm) -> None:
        assert self.request.user.pk is not None
        notify_holders.step(
            performance_id=self.performance.pk, text=form.text, staff_id=self.request.user.pk
        )

    def back_url(self) -> str:
        return reverse("admin:concerts_performance_change", args=[self.performance.pk])


class ConcertNoticeView(_HolderNoticeView):
    back = _("Back to the concert")

    @cached_property
    def concert(self) -> Concert:
        return get_object_or_404(Concert, pk=self.kwargs["pk"])

    def about(self) -> Concert:
        return self.concert

    @property
    def tickets_of(self) -> dict[str, int]:
        return {"concert_id": self.concert.pk}

    def list_of_reservations(self) -> dict[str, Any]:
        return {"concert": self.concert.pk}

    def send(self, form: NoticeForm) -> None:
        assert self.request.user.pk is not None
        notify_holders_of_concert.step(
            concert_id=self.concert.pk, text=form.text, staff_id=self.request.user.pk
        )

    def back_url(self) -> str:
        return reverse("admin:concerts_concert_change", args=[self.concert.pk])


class TakingHolderNoticeBackView(TakingBackView):
    permission_required = ("reservations.notify_holders",)

    def about(self) -> HolderNotice:
        return get_object_or_404(HolderNotice, pk=self.kwargs["pk"])

    def take_back(self) -> bool:
        assert self.request.user.pk is not None
        return take_back_holder_notice.step(
            notice_id=self.kwargs["pk"], staff_id=self.request.user.pk
        )


@admin.register(HolderNotice)
class HolderNoticeAdmin(ReadOnlyAdmin):
    list_display = (
        "text",
        "concert",
        "dates",
        "customers",
        "tickets",
        "sent_by",
        "sent_at",
        "ended_at",
    )
    list_filter = ("sent_at", ("ended_at", admin.EmptyFieldListFilter))
    list_select_related = ("concert", "performance", "sent_by")
    lookups = (concert_lookup("concert"), people_lookup("sent_by"), Days("sent_at"))
    ordering = ("-pk",)
    page_select_related = ("concert", "performance", "sent_by", "ended_by")
    fields = (
        "concert_link",
        "dates",
        "text_ko",
        "text_en",
        "customers",
        "tickets",
        "sent_by_link",
        "sent_at",
        "ended_by_link",
        "ended_at",
    )
    actions_detail = ("take_back",)

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "performance/<int64:pk>/": (PerformanceNoticeView, "to_performance"),
            "concert/<int64:pk>/": (ConcertNoticeView, "to_concert"),
            "<int64:pk>/end/": (TakingHolderNoticeBackView, "end"),
        }
        own = [
            path(
                route,
                self.admin_site.admin_view(view.as_view(model_admin=self)),
                name=f"reservations_holdernotice_{name}",
            )
            for route, (view, name) in pages.items()
        ]
        return [*own, *super().get_urls()]

    def title_of(self, obj: HolderNotice) -> str:
        return f"{obj.concert} · {obj.text}"

    concert_link = column(_("concert"), "concert")
    sent_by_link = column(_("sent by"), "sent_by", person)
    ended_by_link = column(_("ended by"), "ended_by", person)

    @display(description=_("text"))
    def text(self, notice: HolderNotice) -> str:
        return Truncator(notice.text).chars(TEXT_SHOWN)

    @display(description=_("date"))
    def dates(self, notice: HolderNotice) -> SafeString | str:
        if notice.performance is None:
            return gettext("all dates")
        return linked(notice.performance, at_venue(notice.performance.starts_at))

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer to take back what is not over."""
        if not request.user.has_perm("reservations.notify_holders"):
            return False
        return object_id is None or row_named(HolderNotice.objects.standing(), object_id).exists()

    @action(description=_("Take back"), permissions=["end"], icon="undo")
    def take_back(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:reservations_holdernotice_end", object_id)
