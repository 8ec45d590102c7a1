"""The hall of a performance as it is now: a picture with a list beside it, for all staff who look at it from one reading.

The page works as a plain page: the picture is an image, the list is on the page, and loading it again brings both up to date. The script
draws the picture itself, asks for what has changed every few seconds, and takes the list from the page anew.
"""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.views.decorators.gzip import gzip_page
from django.views.generic import TemplateView, View

from apps.api.responses import conditional
from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.base.words import at_venue
from apps.concerts.inventory import sellable_by
from apps.concerts.models import Concert, Performance
from apps.concerts.selectors import seat_map_of
from apps.core.texts import normalized
from apps.reservations.models import Reservation
from apps.reservations.picture import (
    PICTURE_SECONDS,
    SeatNow,
    State,
    picture_of,
    plan_of,
    seats_now,
)

MAY_LOOK = ("reservations.view_reservation", "reservations.view_hold")
SEATS_A_PAGE = 100
PERFORMANCES_A_PAGE = 50
TEXT_MAX = 200  # of a search


class CounterView(StaffPage, TemplateView):
    """The performances that are not over, the next ones first, as the way to their pictures."""

    title = _("Counter")
    permission_required = MAY_LOOK
    template_name = "admin/reservations/counter.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        text = normalized(self.request.GET.get("q", "")).replace("\x00", "").strip()[:TEXT_MAX]
        found = Performance.objects.not_ended(at=timezone.now()).select_related("concert").by_date()
        if text:
            found = found.filter(concert__in=Concert.objects.matching(text).values("pk"))
        page = Paginator(found, PERFORMANCES_A_PAGE).get_page(self.request.GET.get("page"))
        context: dict[str, Any] = super().get_context_data(
            text=text, page=page, query=urlencode({"q": text}), **kwargs
        )
        return context


class OfPerformance:
    """Mixin for a view below the address of a performance."""

    kwargs: dict[str, Any]

    @cached_property
    def performance(self) -> Performance:
        return get_object_or_404(
            Performance.objects.select_related("concert"), pk=self.kwargs["pk"]
        )

    def about(self) -> Performance:
        return self.performance


class ForMove(OfPerformance):
    """Mixin for a view of a hall in which seats may be chosen for a customer who moves."""

    request: HttpRequest

    @cached_property
    def moving(self) -> Reservation | None:
        """Return the reservation that `?move=` names, for whose customer seats are chosen."""
        if not self.request.user.has_perm("reservations.reseat"):
            return None
        try:
            reservation_id = UUID(self.request.GET.get("move", ""))
        except ValueError:
            return None
        found = Reservation.objects.filter(performance__concert=self.performance.concert_id)
        return found.filter(pk=reservation_id).select_related("customer").first()

    @property
    def move_query(self) -> str:
        """Return what the addresses of other pages of the hall need, so that they go on with the move."""
        return urlencode({"move": str(self.moving.pk)}) if self.moving else ""


@method_decorator(gzip_page, name="dispatch")
class PictureView(ForMove, StaffPage, TemplateView):
    """`?section=A&state=H&page=2` narrow the list; with `list` in it, the list alone is the answer."""

    permission_required = MAY_LOOK
    template_name = "admin/reservations/picture.html"

    @property
    def title(self) -> str:
        return f"{self.performance.concert} · {at_venue(self.performance.starts_at)}"

    def get_template_names(self) -> list[str]:
        if "list" in self.request.GET:
            return ["admin/reservations/_seats.html"]
        return super().get_template_names()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        picture, plan = picture_of(self.performance.pk), plan_of(self.performance)
        section = normalized(self.request.GET.get("section", ""))
        state = self.request.GET.get("state", "")
        seat_ids = plan.seats_in(
            picture.statuses,
            section=section,
            state=State(state) if state in State else None,
        )
        page: Page[int] = Paginator(seat_ids, SEATS_A_PAGE).get_page(self.request.GET.get("page"))
        seats: list[SeatNow] = seats_now(page.object_list)
        user = self.request.user
        assert user.pk is not None
        may_choose = self.moving or user.has_perm("reservations.sell_at_counter")
        categories = sellable_by(user.pk) if may_choose else ()
        context: dict[str, Any] = super().get_context_data(
            performance=self.performance,
            plan=plan,
            picture=picture,
            counts=picture.counts().items(),
            sections=plan.sections,
            states=State,
            section=section,
            state=state,
            page=page,
            seats=seats,
            query="&".join(
                filter(None, [urlencode({"section": section, "state": state}), self.move_query])
            ),
            move_query=self.move_query,
            seconds=PICTURE_SECONDS,
            zone=settings.VENUE_TIME_ZONE,
            moving=self.moving,
            may_choose=may_choose,
            sold_here={now.seat.pk for now in seats if now.is_sold_by(categories)},
            may_release=user.has_perm("reservations.release_hold"),
            **kwargs,
        )
        return context


class PictureMapView(OfPerformance, StaffPage, View):
    """Answer the script with what does not change while seats are sold."""

    title = ""
    permission_required = MAY_LOOK

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        drawn = seat_map_of(self.performance)
        return conditional(
            request,
            drawn.data,
            gzipped=drawn.gzipped,
            content_type="application/json",
            etag=drawn.etag,
            cache="private, no-cache",
        )


@method_decorator(gzip_page, name="dispatch")
class PictureDataView(StaffPage, View):
    """Answer what the script asks for every few seconds; 304 while nothing has changed. It costs no query of its own."""

    title = ""
    permission_required = MAY_LOOK

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        picture = picture_of(self.kwargs["pk"])
        return conditional(
            request,
            picture.data,
            content_type="application/json",
            etag=picture.etag,
            cache="private, no-cache",
        )


@method_decorator(gzip_page, name="dispatch")
class PictureImageView(OfPerformance, StaffPage, View):
    """The picture for browsers without the script."""

    title = ""
    permission_required = MAY_LOOK

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        plan = plan_of(self.performance)
        paths = plan.paths(picture_of(self.performance.pk).statuses)
        response = render(
            request,
            "admin/reservations/picture.svg",
            {"plan": plan, "paths": paths},
            content_type="image/svg+xml",
        )
        response.headers["Cache-Control"] = "no-store"
        return response


def sale_url(performance_id: int, seat_ids: list[int]) -> str:
    query = urlencode({"seat": seat_ids}, doseq=True)
    return f"{reverse('admin:reservations_sell', args=[performance_id])}?{query}"
