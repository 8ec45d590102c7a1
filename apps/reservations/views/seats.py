"""Views for an admitted visitor: dates, seats, the hall and what is free in it."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.responses import conditional, success_body
from apps.api.schema import operation
from apps.api.views import ApiView
from apps.concerts import selectors as concerts
from apps.concerts.errors import ConcertNotFound, PerformanceNotFound
from apps.concerts.models import Performance
from apps.queue.services import Admission
from apps.reservations import selectors, serializers
from apps.reservations.services import (
    admission_to_concert,
    admission_to_look,
    admission_to_performance,
)

AVAILABILITY = _("Availability.")
SEAT_MAP = _("Seat map.")
NOT_ADMITTED = ["QUEUE_TOKEN_NOT_ACTIVE", "QUEUE_TOKEN_EXPIRED"]


class GatedView(ApiView):
    """A view for visitors whom the waiting room has admitted."""

    def admitted_to(self, performance_id: int) -> tuple[Performance, Admission]:
        """Return the performance with its concert, and the caller's admission to it; refuses everybody else."""
        return admission_to_performance(
            token=self.request.headers.get("Queue-Token"),
            customer_id=self.customer_id,
            performance_id=performance_id,
        )


class PerformancesView(GatedView):
    @operation(
        summary="List performances",
        description="The dates of a concert with what is left of each, in order.",
        response=serializers.PerformancesSerializer,
        errors=[ConcertNotFound, *NOT_ADMITTED],
        message=_("Performances."),
        queue_token=True,
        tags=["seats"],
        examples={
            "response": {
                "items": [
                    {
                        "performance_id": 7,
                        "starts_at": "2027-01-09T10:00:00Z",
                        "ends_at": "2027-01-09T13:00:00Z",
                        "seats_total": 400,
                        "seats_available": 31,
                        "reservable": True,
                        "called_off": False,
                    }
                ]
            }
        },
    )
    def get(self, request: Request, concert_id: int) -> Response:
        admission_to_concert(
            token=request.headers.get("Queue-Token"),
            customer_id=self.customer_id,
            concert_id=concert_id,
        )
        found = selectors.performances_with_availability(concert_id)
        data = serializers.PerformancesSerializer({"items": found}).data
        return self.success(data, headers={"Cache-Control": "no-store"})


class SeatsView(GatedView):
    @operation(
        summary="List seats",
        description="Every seat with its state. For large halls take the seat map and the availability.",
        response=serializers.SeatsSerializer,
        errors=[PerformanceNotFound, *NOT_ADMITTED],
        message=_("Seats."),
        queue_token=True,
        query=[
            OpenApiParameter(
                "section", {"type": "string", "maxLength": 20}, description="Only this section."
            )
        ],
        tags=["seats"],
    )
    def get(self, request: Request, performance_id: int) -> Response:
        section = self.validated(serializers.SeatQuery, request.query_params.dict()).get("section")
        performance, _admission = self.admitted_to(performance_id)
        states = selectors.seats_with_states(
            performance_id=performance_id, customer_id=self.customer_id, section=section
        )
        found: dict[str, Any] = {
            "performance_id": performance_id,
            "concert_id": performance.concert_id,
            "seats": states,
        }
        data = serializers.SeatsSerializer(found).data
        return self.success(data, headers={"Cache-Control": "no-store"})


class SeatMapView(GatedView):
    @operation(
        summary="Show the seat map",
        description=(
            "The part of the hall that does not change while seats are sold; keep it as long as its ETag matches. `kinds` names the seats that "
            "are no standard ones."
        ),
        response=serializers.SeatMapSerializer,
        errors=[PerformanceNotFound, *NOT_ADMITTED],
        message=SEAT_MAP,
        queue_token=True,
        conditional=True,
        tags=["seats"],
    )
    def get(self, request: Request, performance_id: int) -> Any:
        performance, _admission = self.admitted_to(performance_id)
        drawn = concerts.seat_map_of(performance)
        return conditional(
            request._request,
            success_body(SEAT_MAP, drawn.data),
            content_type="application/json",
            etag=drawn.etag,
            cache="private, max-age=86400",
        )


class AvailabilityView(GatedView):
    @operation(
        summary="Show the availability",
        description="One letter for each seat in seat-map order: `A` available, `H` held, `R` reserved. At most a second old.",
        response=serializers.AvailabilitySerializer,
        errors=[PerformanceNotFound, *NOT_ADMITTED],
        message=AVAILABILITY,
        queue_token=True,
        conditional=True,
        tags=["seats"],
        examples={"response": {"version": "9f86d081884c7d65", "statuses": "AAHRRA"}},
    )
    def get(self, request: Request, performance_id: int) -> Any:
        admission_to_look(
            token=request.headers.get("Queue-Token"),
            customer_id=self.customer_id,
            performance_id=performance_id,
        )
        current = selectors.availability(performance_id)
        return conditional(
            request._request,
            success_body(AVAILABILITY, current.data),
            content_type="application/json",
            etag=current.etag,
            cache="private, no-cache",
        )
