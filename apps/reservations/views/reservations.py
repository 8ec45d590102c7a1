from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.operations import Operation
from apps.api.schema import operation
from apps.api.views import ApiView, IdempotentView
from apps.payments.errors import InsufficientBalance
from apps.reservations import errors, selectors, serializers, services
from apps.reservations.models import Reservation
from apps.reservations.qr import qr_svg
from apps.reservations.services import Cancellation, Confirmation

CONFIRMED = _("Reservation confirmed.")


class ReservationsView(IdempotentView):
    idempotent_as = Operation.CONFIRM

    @operation(
        summary="List reservations",
        description="Your own, the newest first.",
        response=serializers.ReservationSerializer,
        message=_("Reservations."),
        paginated=True,
        query=[OpenApiParameter("status", str, enum=Reservation.Status.values)],
    )
    def get(self, request: Request) -> Response:
        query = self.validated(serializers.ReservationQuery, request.query_params.dict())
        found = Reservation.objects.of_customer(self.customer_id).with_details().newest_first()
        if "status" in query:
            found = found.filter(status=query["status"])
        return self.page_of(found, serializers.ReservationSerializer)

    @operation(
        summary="Pay for a hold",
        description=(
            "Takes the price from the balance and turns the hold into a reservation. A live hold proves that you were admitted: "
            "the queue token may have ended meanwhile."
        ),
        request=serializers.ReservationRequest,
        response=serializers.ConfirmedReservationSerializer,
        status=201,
        errors=[
            errors.HoldNotFound,
            errors.HoldNotLive,
            errors.HoldExpired,
            InsufficientBalance,
        ],
        message=CONFIRMED,
        queue_token=True,
        idempotency_key="required",
        examples={"request": {"hold_id": "3f0d1f63-2f1c-4d6e-9d57-0c4c8f2f7a11"}},
    )
    def post(self, request: Request) -> HttpResponse:
        body = self.validated(serializers.ReservationRequest)
        payer: Any = {
            "token": request.headers.get("Queue-Token"),
            "customer_id": self.customer_id,
            "hold_id": body["hold_id"],
        }
        confirm = partial(
            services.confirm_reservation.decide,
            customer_id=self.customer_id,
            hold_id=body["hold_id"],
            token_concert_id=services.concert_to_pay_for(**payer),
        )
        return self.once(
            confirm, render=self._rendered, admit=partial(services.verify_payer, **payer)
        )

    @staticmethod
    def _rendered(confirmation: Confirmation) -> tuple[int, Any, Any]:
        return 201, CONFIRMED, serializers.confirmation_data(confirmation)


class ReservationView(ApiView):
    @operation(
        summary="Show a reservation",
        response=serializers.ReservationSerializer,
        errors=[errors.ReservationNotFound],
        message=_("Reservation."),
    )
    def get(self, request: Request, reservation_id: UUID) -> Response:
        found = selectors.reservation_of(
            customer_id=self.customer_id, reservation_id=reservation_id
        )
        data = serializers.ReservationSerializer(found).data
        return self.success(data, headers={"Cache-Control": "no-store"})


class CancellationView(IdempotentView):
    idempotent_as = Operation.CANCEL

    @operation(
        summary="Cancel a reservation",
        description="Until 24 hours before the performance; the full price goes back to the balance.",
        response=serializers.CancellationSerializer,
        errors=[errors.ReservationNotFound, errors.AlreadyCancelled, errors.CancellationClosed],
        message=_("Reservation cancelled."),
        idempotency_key="required",
        examples={
            "response": {
                "reservation_id": "5d1c0d5e-5c0e-4a53-8a2b-7f6b6a0f3c55",
                "status": "CANCELLED",
                "refunded_amount": 130000,
                "balance": 250000,
            }
        },
    )
    def post(self, request: Request, reservation_id: UUID) -> HttpResponse:
        cancel = partial(
            services.cancel_reservation.decide,
            customer_id=self.customer_id,
            reservation_id=reservation_id,
        )
        return self.once(cancel, render=self._rendered)

    @staticmethod
    def _rendered(cancellation: Cancellation) -> tuple[int, Any, Any]:
        return 200, _("Reservation cancelled."), serializers.cancellation_data(cancellation)


class SvgRenderer(BaseRenderer):
    """Lets a caller ask for the picture by its media type; errors of such a call are JSON all the same."""

    media_type = "image/svg+xml"
    format = "svg"


class TicketQrView(ApiView):
    renderer_classes = [*ApiView.renderer_classes, SvgRenderer]

    @operation(
        summary="Show the QR code of a ticket",
        response=None,
        errors=["NOT_FOUND"],
        message="The QR code of the ticket's code.",
        media_type="image/svg+xml",
        tags=["reservations"],
    )
    def get(self, request: Request, ticket_id: UUID) -> HttpResponse:
        ticket = selectors.valid_ticket_of(customer_id=self.customer_id, ticket_id=ticket_id)
        return HttpResponse(
            qr_svg(ticket.code),
            content_type="image/svg+xml",
            headers={"Cache-Control": "private, no-store"},
        )
