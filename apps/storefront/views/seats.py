"""Choose seats: what an admitted visitor sees and claims."""

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.gzip import gzip_page

from apps.api.responses import conditional
from apps.concerts import selectors as concerts
from apps.concerts.errors import PerformanceNotFound
from apps.concerts.models import Concert, Performance, SeatKind
from apps.core.errors import DomainError, IdempotencyKeyReused, NotFound, ServiceUnavailable
from apps.queue.errors import (
    QueueTokenExpired,
    QueueTokenInvalid,
    QueueTokenNotActive,
    QueueTokenRequired,
)
from apps.queue.services import Admission
from apps.reservations import selectors
from apps.reservations.services import admission_to_concert, admission_to_performance
from apps.storefront.errors import InvalidChoice
from apps.storefront.forms import BestAvailableForm, SeatsForm
from apps.storefront.hold_notice import extension_offers
from apps.storefront.queue_cookie import has_queue_token, queue_token_of
from apps.storefront.submissions import new_key, submit_best_hold, submit_hold
from apps.storefront.views.base import PageView, message_of, say_out_of_date
from apps.storefront.wording import seat_map_words

_NOT_ADMITTED = (QueueTokenRequired, QueueTokenInvalid, QueueTokenNotActive, QueueTokenExpired)


class AdmittedView(PageView):
    """A page for visitors whom the waiting room has admitted; everybody else is sent to it."""

    needs_login = True

    def admitted_to(self, concert_id: int, performance_id: int) -> tuple[Performance, Admission]:
        performance, admission = admission_to_performance(
            token=queue_token_of(self.request),
            customer_id=self.customer_id,
            performance_id=performance_id,
        )
        if performance.concert_id != concert_id:
            raise PerformanceNotFound
        return performance, admission

    def handle_error(self, error: DomainError) -> HttpResponse:
        concert_id = self.kwargs["concert_id"]
        is_interrupted = isinstance(error, NotFound) and self._waits_for_what_is_offline(concert_id)
        if self.is_script or not (is_interrupted or isinstance(error, _NOT_ADMITTED)):
            return super().handle_error(error)
        if isinstance(error, QueueTokenRequired):
            messages.error(self.request, message_of(error))
            return redirect("storefront:concert", concert_id)
        # The waiting room's page shows the place, says how the visit ended, or forgets what is not this customer's.
        return redirect("storefront:queue", concert_id)

    def _waits_for_what_is_offline(self, concert_id: int) -> bool:
        return has_queue_token(self.request, concert_id=concert_id) and concerts.is_withdrawn(
            concert_id
        )


class DatesView(AdmittedView):
    """The way in from the queue: on to the first date that has seats left."""

    def get(self, request: HttpRequest, concert_id: int) -> HttpResponse:
        admission_to_concert(
            token=queue_token_of(request), customer_id=self.customer_id, concert_id=concert_id
        )
        dates = selectors.performances_with_availability(concert_id)
        first = next((date for date in dates if date.reservable), None)
        if first is not None:
            return redirect("storefront:seat_map", concert_id, first.performance.pk)
        holds = selectors.live_holds_of(customer_id=self.customer_id, concert_id=concert_id)
        context = {
            "concert": concerts.published_concert(concert_id),
            "dates": dates,
            "holds": holds,
            "offers": extension_offers(holds, at=timezone.now()),
        }
        return render(request, "storefront/no_seats.html", context)


class SeatMapPageView(AdmittedView):
    def get(self, request: HttpRequest, concert_id: int, performance_id: int) -> HttpResponse:
        performance, admission = self.admitted_to(concert_id, performance_id)
        return self._page(performance, admission)

    def post(self, request: HttpRequest, concert_id: int, performance_id: int) -> HttpResponse:
        """Hold the seats named, or the best that there are: then on to the checkout."""
        performance, admission = self.admitted_to(concert_id, performance_id)
        hold_id = self._hold(performance, admission)
        next_url = reverse("storefront:checkout", args=[concert_id, hold_id])
        return JsonResponse({"location": next_url}) if self.is_script else redirect(next_url)

    rate_limits: ClassVar = {"POST": "hold"}

    def handle_error(self, error: DomainError) -> HttpResponse:
        is_about_seats = not isinstance(
            error, (*_NOT_ADMITTED, PerformanceNotFound, ServiceUnavailable)
        )
        if self.is_script or self.request.method != "POST" or not is_about_seats:
            return super().handle_error(error)
        if isinstance(error, IdempotencyKeyReused):
            say_out_of_date(self.request)
        else:
            messages.error(self.request, message_of(error))
        return redirect(self.request.path)

    def _hold(self, performance: Performance, admission: Admission) -> UUID:
        data = self.request.POST
        form = BestAvailableForm(data) if "quantity" in data else SeatsForm(data)
        if not form.is_valid():
            raise InvalidChoice(errors=form.errors.get_json_data())
        hold = submit_best_hold if isinstance(form, BestAvailableForm) else submit_hold
        return hold(
            customer_id=self.customer_id,
            performance_id=performance.pk,
            admission=admission,
            **form.cleaned_data,
        )

    def _page(self, performance: Performance, admission: Admission) -> HttpResponse:
        concert_id = performance.concert_id
        dates = selectors.performances_with_availability(concert_id)
        limit = performance.concert.seats_per_customer
        own = selectors.own_seat_ids(customer_id=self.customer_id, performance_id=performance.pk)
        holds = selectors.live_holds_of(customer_id=self.customer_id, concert_id=concert_id)
        unpaid = sum(hold.seats_held for hold in holds)
        may_hold = max(0, performance.concert.unpaid_seat_limit - unpaid)
        context: dict[str, Any] = {
            "concert": performance.concert,
            "performance": performance,
            "dates": dates,
            "grades": concerts.grade_prices([performance]),
            "kinds": concerts.seat_map_of(performance).kinds,
            "wheelchair": SeatKind.WHEELCHAIR,
            "limit": limit,
            "quantities": range(1, min(limit - len(own), may_hold) + 1),
            "unpaid": unpaid if may_hold < limit - len(own) else 0,
            "own": own,
            "holds": holds,
            "offers": extension_offers(holds, at=timezone.now()),
            "single_seats": performance.concert.single_seats
            if limit > 1
            else Concert.SingleSeats.OFF,
            "price_limit": settings.BALANCE_LIMIT,
            "words": seat_map_words(),
            "key": new_key(),
            "may_choose": admission.choose_until > admission.seen_at,
            "lease_seconds": (admission.choose_until - admission.seen_at).total_seconds(),
        }
        return render(self.request, "storefront/seats.html", context)


class DataView(AdmittedView):
    """Data for scripts alone: refused in their terms, whatever they say that they accept."""

    @property
    def is_script(self) -> bool:
        return True


class SeatMapDataView(DataView):
    """The hall: what does not change while seats are sold."""

    def get(self, request: HttpRequest, concert_id: int, performance_id: int) -> HttpResponseBase:
        self.admitted_to(concert_id, performance_id)
        drawn = concerts.seat_map(performance_id)
        return conditional(
            request,
            drawn.data,
            gzipped=drawn.gzipped,
            content_type="application/json",
            etag=drawn.etag,
            cache="private, max-age=86400",
        )


@method_decorator(gzip_page, name="dispatch")
class AvailabilityDataView(DataView):
    """One letter for each seat of the map, in its order, at most a second old."""

    def get(self, request: HttpRequest, concert_id: int, performance_id: int) -> HttpResponseBase:
        self.admitted_to(concert_id, performance_id)
        current = selectors.availability(performance_id)
        return conditional(
            request,
            current.text,
            content_type="text/plain; charset=us-ascii",
            etag=current.etag,
            cache="private, no-cache",
        )
