"""The way from a seat of the picture to what it is; of one that is kept back, a page that says what for before it is sold."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView

from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.base.words import at_venue, in_won, person
from apps.concerts.admin.painting import painting_url
from apps.concerts.inventory import sellable_by
from apps.concerts.models import Seat, SeatAllocation
from apps.reservations.admin.counter.picture import MAY_LOOK, ForMove, sale_url
from apps.reservations.models import Reservation
from apps.reservations.picture import SeatNow, State, seats_now


class SeatView(ForMove, StaffPage, TemplateView):
    """Lead from a seat to its reservation or hold, or to a sale if it is free; show what it is kept back for."""

    permission_required = MAY_LOOK
    template_name = "admin/reservations/kept_seat.html"

    @property
    def title(self) -> str:
        return (
            f"{self.now.seat} · {self.performance.concert} · {at_venue(self.performance.starts_at)}"
        )

    @cached_property
    def now(self) -> SeatNow:
        seat = get_object_or_404(Seat, pk=self.kwargs["seat_id"], performance=self.performance.pk)
        [now] = seats_now([seat.pk])
        return now

    @cached_property
    def may_sell(self) -> bool:
        user = self.request.user
        assert user.pk is not None
        sells = user.has_perm("reservations.sell_at_counter")
        return sells and self.now.is_sold_by(sellable_by(user.pk))

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        now = self.now
        if now.state == State.SOLD and now.hold is not None:
            return redirect("admin:reservations_reservation_change", _reservation_of(now).pk)
        if now.state == State.HELD and now.hold is not None:
            return redirect("admin:reservations_hold_change", now.hold.pk)
        if now.state == State.KEPT_BACK and now.category is not None:
            return super().get(request, *args, **kwargs)
        if self.may_sell:
            return redirect(sale_url(self.performance.pk, [now.seat.pk]))
        return redirect("admin:concerts_seat_change", now.seat.pk)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        seat, user = self.now.seat, self.request.user
        allocation = SeatAllocation.objects.select_related("category", "allocated_by").get(
            pk=seat.pk
        )
        released_at = allocation.released_at
        may_paint = user.has_perm("concerts.change_seatallocation")
        context: dict[str, Any] = super().get_context_data(
            performance=self.performance,
            lines=[
                (_("Seat"), seat),
                (_("Grade and price"), f"{seat.grade} · {in_won(seat.price)}"),
                (_("Kind of seat"), seat.get_kind_display()),
                (_("Kept back for"), allocation.category),
                (_("Reason"), allocation.reason),
                (_("By"), person(allocation.allocated_by)),
                (_("Since"), at_venue(allocation.allocated_at)),
                (
                    _("On sale to the public from"),
                    at_venue(released_at) if released_at else gettext("when someone releases it"),
                ),
            ],
            moving=self.moving,
            move_query=self.move_query,
            may_sell=self.may_sell,
            sale=sale_url(self.performance.pk, [seat.pk]),
            inventory=painting_url(self.performance.pk, seats=seat.pk) if may_paint else "",
            **kwargs,
        )
        return context


def _reservation_of(now: SeatNow) -> Reservation:
    reservation: Reservation | None = getattr(now.hold, "reservation", None)
    if reservation is None:
        raise Http404
    return reservation
