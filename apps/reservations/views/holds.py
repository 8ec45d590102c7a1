from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.errors import StaffAccount
from apps.api.operations import Operation
from apps.api.schema import operation
from apps.api.views import ApiView, IdempotentView
from apps.concerts.errors import PerformanceNotFound, SalesClosed, SalesNotOpen, SeatNotFound
from apps.core.errors import DomainError
from apps.core.transactions import decide_then_write
from apps.reservations import errors, selectors, serializers, services
from apps.reservations.services import HeldSeats
from apps.reservations.views.seats import NOT_ADMITTED

MAY_NOT_BUY = [
    *NOT_ADMITTED,
    PerformanceNotFound,
    StaffAccount,
    errors.SeatLimitExceeded,
    errors.UnpaidLimitExceeded,
    errors.PriceLimitExceeded,
    SalesNotOpen,
    SalesClosed,
]
HOLD_EXAMPLE = {
    "hold_id": "3f0d1f63-2f1c-4d6e-9d57-0c4c8f2f7a11",
    "performance_id": 7,
    "concert_id": 3,
    "seats": [
        {"seat_id": 912, "section": "A", "row": "4", "number": 12, "grade": "VIP", "price": 130000}
    ],
    "total_price": 130000,
    "status": "HELD",
    "expires_at": "2027-01-02T11:05:00Z",
    "extendable": True,
}


HELD = _("Seats held.")


def _rendered(held: HeldSeats) -> tuple[int, Any, Any]:
    return 201, HELD, serializers.held_seats_data(held)


def _hold(
    view: IdempotentView,
    service: decide_then_write[..., HeldSeats],
    *,
    performance_id: int,
    **wanted: Any,
) -> HttpResponse:
    """Hold seats for the caller, or answer again what the first call with this key was told.

    Who asks what became of a call may not be admitted any more, so the key is looked up before the gate refuses.
    """
    key = view.key()
    try:
        admission = services.admission_to_look(
            token=view.request.headers.get("Queue-Token"),
            customer_id=view.customer_id,
            performance_id=performance_id,
        )
    except DomainError:
        if key is not None and (answered := view.replay(key)) is not None:
            return answered
        services.concert_id_of(performance_id)  # what was known for a second may refuse no caller
        raise
    decide = partial(
        service.decide,
        customer_id=view.customer_id,
        performance_id=performance_id,
        admission=admission,
        **wanted,
    )
    return view.once(decide, render=_rendered, required=False)


class HoldsView(IdempotentView):
    idempotent_as = Operation.HOLD
    rate_limits = {"POST": "hold"}

    @operation(
        summary="Hold seats",
        description="All of the seats or none of them, for five minutes.",
        request=serializers.HoldRequest,
        response=serializers.HoldSerializer,
        status=201,
        errors=[
            *MAY_NOT_BUY,
            SeatNotFound,
            errors.SeatAlreadyHeld,
            errors.SeatAlreadyReserved,
            errors.SingleSeatLeft,
        ],
        message=HELD,
        queue_token=True,
        idempotency_key="optional",
        examples={"request": {"performance_id": 7, "seat_ids": [912]}, "response": HOLD_EXAMPLE},
    )
    def post(self, request: Request) -> HttpResponse:
        return _hold(self, services.hold_seats, **self.validated(serializers.HoldRequest))


class BestAvailableView(IdempotentView):
    idempotent_as = Operation.HOLD_BEST_AVAILABLE
    rate_limits = {"POST": "hold"}

    @operation(
        summary="Hold the best available seats",
        description=(
            "Side by side where there are such, else the best that are free. Wheelchair spaces and companion seats are left out unless "
            "`kind` is `WHEELCHAIR`: then one of the seats is a wheelchair space, and all are side by side."
        ),
        request=serializers.BestAvailableRequest,
        response=serializers.HoldSerializer,
        status=201,
        errors=[*MAY_NOT_BUY, errors.NotEnoughSeats],
        message=HELD,
        queue_token=True,
        idempotency_key="optional",
        examples={
            "request": {"performance_id": 7, "quantity": 1, "grade": "VIP"},
            "response": HOLD_EXAMPLE,
        },
    )
    def post(self, request: Request) -> HttpResponse:
        wanted = self.validated(serializers.BestAvailableRequest)
        return _hold(self, services.hold_best_available, **wanted)


class HoldView(ApiView):
    @operation(
        summary="Show a hold",
        response=serializers.HoldSerializer,
        errors=[errors.HoldNotFound],
        message=_("Hold."),
        examples={"response": HOLD_EXAMPLE},
    )
    def get(self, request: Request, hold_id: UUID) -> Response:
        hold = selectors.hold_of(customer_id=self.customer_id, hold_id=hold_id)
        data = serializers.HoldSerializer(hold).data
        return self.success(data, headers={"Cache-Control": "no-store"})

    @operation(
        summary="Release a hold",
        description="The seats are free at once.",
        response=serializers.HoldSerializer,
        errors=[errors.HoldNotFound, errors.HoldNotLive, errors.HoldExpired],
        message=_("Hold released."),
    )
    def delete(self, request: Request, hold_id: UUID) -> Response:
        released = services.release_hold(customer_id=self.customer_id, hold_id=hold_id)
        return self.success(serializers.held_seats_data(released))


class HoldExtensionView(IdempotentView):
    idempotent_as = Operation.EXTEND

    @operation(
        summary="Extend a hold",
        description=(
            "Gives as much time again as the hold had at first, once, and no longer than sales last, while the visit to the waiting"
            " room is not over. `extendable` of a hold says if it may be had."
        ),
        response=serializers.HoldSerializer,
        errors=[
            errors.HoldNotFound,
            errors.HoldNotLive,
            errors.HoldExpired,
            errors.HoldNotExtendable,
        ],
        message=_("Hold extended."),
        idempotency_key="optional",
        examples={
            "response": {
                **HOLD_EXAMPLE,
                "expires_at": "2027-01-02T11:10:00Z",
                "extendable": False,
            }
        },
    )
    def post(self, request: Request, hold_id: UUID) -> HttpResponse:
        return self.once(
            partial(services.extend_hold.decide, customer_id=self.customer_id, hold_id=hold_id),
            render=_extended,
            required=False,
        )


def _extended(held: HeldSeats) -> tuple[int, Any, Any]:
    return 200, _("Hold extended."), serializers.held_seats_data(held)
