"""Pages of bookings: the list, one reservation with its tickets, and giving it back."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.reservations.errors import AlreadyCancelled, CancellationClosed
from apps.reservations.models import Reservation
from apps.reservations.qr import qr_svg
from apps.reservations.selectors import live_holds_of, reservation_of, valid_ticket_of
from apps.storefront.calendars import calendar_of
from apps.storefront.forms import KeyedForm
from apps.storefront.hold_notice import extension_offers
from apps.storefront.submissions import new_key, submit_cancellation
from apps.storefront.views.base import PageView, message_of, say_out_of_date
from apps.storefront.wording import cancellation_hours, won

RESERVATIONS_A_PAGE = 10


class ReservationsView(PageView):
    needs_login = True

    def get(self, request: HttpRequest) -> HttpResponse:
        is_past = request.GET.get("when") == "past"
        mine = Reservation.objects.of_customer(self.customer_id).with_details()
        found = mine.past(at=timezone.now()) if is_past else mine.upcoming(at=timezone.now())
        page = Paginator(found, RESERVATIONS_A_PAGE).get_page(request.GET.get("page"))
        holds = [] if is_past else live_holds_of(customer_id=self.customer_id)
        offers = extension_offers(holds, at=timezone.now())
        context = {"page": page, "is_past": is_past, "holds": holds, "offers": offers}
        return render(request, "storefront/reservations.html", context)


class ReservationView(PageView):
    needs_login = True

    def get(self, request: HttpRequest, reservation_id: UUID) -> HttpResponse:
        return self._page(reservation_id)

    def post(self, request: HttpRequest, reservation_id: UUID) -> HttpResponse:
        """Cancel it."""
        form = KeyedForm(request.POST)
        if not form.is_valid():
            say_out_of_date(request)
            return self._page(reservation_id, status=400)
        try:
            refund = submit_cancellation(
                customer_id=self.customer_id,
                reservation_id=reservation_id,
                key=form.cleaned_data["key"],
            )
        except AlreadyCancelled:
            return redirect(request.path)
        except CancellationClosed as error:
            messages.error(request, message_of(error))
            return redirect(request.path)
        messages.success(
            request,
            _("Cancelled. %(won)s went back to your balance.") % {"won": won(refund)},
        )
        return redirect(request.path)

    def _page(self, reservation_id: UUID, status: int = 200) -> HttpResponse:
        reservation = reservation_of(customer_id=self.customer_id, reservation_id=reservation_id)
        is_confirmed = reservation.status == Reservation.Status.CONFIRMED
        context: dict[str, Any] = {
            "reservation": reservation,
            "performance": reservation.performance,
            "concert": reservation.performance.concert,
            "is_confirmed": is_confirmed,
            "can_cancel": reservation.is_cancellable(timezone.now()),
            "cancellation_hours": cancellation_hours(),
            "key": new_key(),
        }
        return render(self.request, "storefront/reservation.html", context, status=status)


class CancellationView(PageView):
    """The question before it: a page of its own, so that it needs no script."""

    needs_login = True

    def get(self, request: HttpRequest, reservation_id: UUID) -> HttpResponse:
        reservation = reservation_of(customer_id=self.customer_id, reservation_id=reservation_id)
        if not reservation.is_cancellable(timezone.now()):
            return redirect("storefront:reservation", reservation_id)
        context = {
            "reservation": reservation,
            "performance": reservation.performance,
            "concert": reservation.performance.concert,
            "key": new_key(),
        }
        return render(request, "storefront/cancellation.html", context)


class CalendarView(PageView):
    needs_login = True

    def get(self, request: HttpRequest, reservation_id: UUID) -> HttpResponse:
        reservation = reservation_of(customer_id=self.customer_id, reservation_id=reservation_id)
        return HttpResponse(
            calendar_of(reservation),
            content_type="text/calendar; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="encore-{reservation_id}.ics"'},
        )


class TicketQrView(PageView):
    needs_login = True

    def get(self, request: HttpRequest, ticket_id: UUID) -> HttpResponse:
        ticket = valid_ticket_of(customer_id=self.customer_id, ticket_id=ticket_id)
        return HttpResponse(
            qr_svg(ticket.code),
            content_type="image/svg+xml",
            headers={"Cache-Control": "private, no-store"},
        )
