"""The tickets of a reservation as staff print them for a customer at the counter."""

from base64 import b64encode
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView

from apps.boxoffice.base.pages import StaffPage
from apps.reservations.models import Reservation
from apps.reservations.qr import qr_svg


class TicketsView(StaffPage, TemplateView):
    """Everything but the tickets is left out on paper.

    Those of a reservation that was cancelled have no code, and single ones that were given back are not printed at all.
    """

    title = _("Tickets")
    permission_required = ("reservations.view_reservation", "reservations.view_ticket")
    template_name = "admin/reservations/tickets.html"

    @cached_property
    def reservation(self) -> Reservation:
        found = Reservation.objects.with_details().select_related(
            "performance__concert", "hold", "customer"
        )
        return get_object_or_404(found, pk=self.kwargs["pk"])

    def about(self) -> Reservation:
        return self.reservation

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        is_valid = self.reservation.status == Reservation.Status.CONFIRMED
        given_back = [ticket for ticket in self.reservation.tickets.all() if ticket.cancelled_at]
        tickets = [
            (ticket, _as_data(qr_svg(ticket.code)) if is_valid else "")
            for ticket in self.reservation.tickets.all()
            if not is_valid or ticket not in given_back
        ]
        context: dict[str, Any] = super().get_context_data(
            reservation=self.reservation,
            performance=self.reservation.performance,
            tickets=tickets,
            given_back=given_back if is_valid else [],
            is_valid=is_valid,
            **kwargs,
        )
        return context


def _as_data(svg: bytes) -> str:
    """Return an address that is the picture itself: the page prints without waiting for others."""
    return f"data:image/svg+xml;base64,{b64encode(svg).decode()}"
