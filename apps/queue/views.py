from collections.abc import Mapping
from typing import Any, ClassVar

from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import conditional_page
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.errors import StaffAccount
from apps.accounts.services import refuse_staff
from apps.api.middleware import mark_language_independent
from apps.api.responses import success
from apps.api.schema import operation
from apps.api.views import ApiView
from apps.concerts.errors import ConcertNotFound, SalesClosed, SalesNotOpen
from apps.queue import services
from apps.queue.errors import QueueClosed
from apps.queue.selectors import (
    WaitingRoomStatus,
    waiting_room_status,
    waiting_room_status_of_visitor,
)
from apps.queue.serializers import (
    BoardSerializer,
    JoinSerializer,
    QueueTokenSerializer,
    VisitorStatusSerializer,
)
from apps.queue.services import VisitorStatus

NO_STORE = {"Cache-Control": "no-store"}

JOINED = _("You are in the queue.")
JOINED_BEFORE = _("You have this place already.")
OWN_PLACE = _("Your place in the queue.")
LEFT = _("You have left the queue.")
BOARD = "The waiting room."  # in every language, since the answer is the same for everybody

TOKEN = "q1.k1.NzQ6NDI6MTc2MzgwMDAwMDAwMDAwMDoxOjE3NjM4MDAwMDAwMDAwMDA6MDow.2fW0nT3Jm5xkq8Zr"  # noqa: S105
PLACE = {
    "token": TOKEN,
    "concert_id": 74,
    "status": "WAITING",
    "position": 1204,
    "estimated_wait_seconds": 610,
    "poll_after_seconds": 44,
    "expires_at": "2026-11-22T11:05:00Z",
}


def _advice(status: VisitorStatus) -> Mapping[str, str]:
    """Answer about one token: caches keep none of it, and `Retry-After` says when to ask again."""
    if status.poll_after_seconds is None:
        return NO_STORE
    return {**NO_STORE, "Retry-After": str(status.poll_after_seconds)}


class QueueTokensView(ApiView):
    rate_limits: ClassVar = {"POST": "join"}

    @operation(
        summary="Join the queue",
        description=(
            "One place per customer and concert: joining again returns it. Before opening, from the start of the lottery "
            "window on, places are drawn at random. Send the `Queue-Token` you have, if any: it brings your place back "
            "should the waiting room have lost it."
        ),
        request=JoinSerializer,
        response=QueueTokenSerializer,
        status=(201, 200),
        errors=[ConcertNotFound, SalesNotOpen, SalesClosed, QueueClosed, StaffAccount],
        query=[
            OpenApiParameter(
                "Queue-Token",
                str,
                OpenApiParameter.HEADER,
                description="The token you have, if any.",
            )
        ],
        message=JOINED,
        examples={"request": {"concert_id": 74}, "response": PLACE},
        tags=["waiting room"],
    )
    def post(self, request: Request) -> Response:
        concert_id = self.validated(JoinSerializer)["concert_id"]
        refuse_staff(request.user)
        status = services.join_queue(
            customer_id=self.customer_id,
            concert_id=concert_id,
            previous_token=request.headers.get("Queue-Token"),
        )
        return success(
            QueueTokenSerializer(status).data,
            message=JOINED if status.is_new else JOINED_BEFORE,
            status=201 if status.is_new else 200,
            headers=_advice(status),
        )


class OwnQueueTokenView(ApiView):
    """Take the token alone as proof: an expired login must not cost a visitor the place."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operation(
        summary="Show your place",
        description=(
            "Ask again after `poll_after_seconds`: who does keeps the place. `token` may be a renewed one; use it from "
            "then on. `position` is 1 for the next to be admitted, 0 when ACTIVE, null before opening and when EXPIRED."
        ),
        response=VisitorStatusSerializer,
        queue_token=True,
        message=OWN_PLACE,
        examples={"response": {**PLACE, "expired_reason": None}},
        tags=["waiting room"],
    )
    def get(self, request: Request) -> Response:
        status = services.visitor_status(token=request.headers.get("Queue-Token"))
        return self.success(VisitorStatusSerializer(status).data, headers=_advice(status))

    @operation(
        summary="Leave the queue",
        description="Gives the place up. Joining again after the opening means a new one at the end.",
        response=VisitorStatusSerializer,
        queue_token=True,
        message=LEFT,
        examples={
            "response": {
                **PLACE,
                "status": "EXPIRED",
                "position": None,
                "estimated_wait_seconds": None,
                "poll_after_seconds": None,
                "expires_at": None,
                "expired_reason": "LEFT",
            }
        },
        tags=["waiting room"],
    )
    def delete(self, request: Request) -> Response:
        status = services.leave_queue(token=request.headers.get("Queue-Token"))
        return self.success(VisitorStatusSerializer(status).data, headers=_advice(status))


@method_decorator(conditional_page, name="dispatch")
class WaitingRoomBoardView(ApiView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operation(
        summary="Show the board of a waiting room",
        description=(
            "At most a second old and the same for everybody, so any cache may serve it. With the position of your last "
            "status, `admitted_total` then and `admitted_total` now, you can count down without asking for your place. While a "
            "concert is offline it is answered for those alone who send the `Queue-Token` of their place: as in a pause, with the "
            "reason."
        ),
        query=[
            OpenApiParameter(
                "Queue-Token",
                str,
                OpenApiParameter.HEADER,
                description="The token you have, if any; only asked for while the concert is offline.",
            )
        ],
        response=BoardSerializer,
        errors=[ConcertNotFound],
        conditional=True,
        message=BOARD,
        examples={
            "response": {
                "concert_id": 74,
                "state": "OPEN",
                "pause_reason": "",
                "opens_at": "2026-11-22T11:00:00Z",
                "waiting": 18423,
                "active": 50,
                "capacity": 50,
                "admitted_total": 312,
                "admitted_per_minute": 37,
                "notice_en": "The doors of the hall open at 6.30 p.m. today.",
                "notice_ko": "오늘 공연장 입장은 오후 6시 30분부터입니다.",
                "notice_until": "2026-11-22T12:00:00Z",
            }
        },
        tags=["waiting room"],
    )
    def get(self, request: Request, concert_id: int, **_path: Any) -> Response:
        mark_language_independent(request._request)
        status, cache = self._status(request.headers.get("Queue-Token"), concert_id)
        return self.success(BoardSerializer(status).data, headers={"Cache-Control": cache})

    @staticmethod
    def _status(token: str | None, concert_id: int) -> tuple[WaitingRoomStatus, str]:
        """Return the status of the room with how it may be kept."""
        try:
            return waiting_room_status(concert_id), "public, max-age=1"
        except ConcertNotFound:
            if not services.has_slot_in(token=token, concert_id=concert_id):
                raise
            return waiting_room_status_of_visitor(concert_id), "no-store"

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {"Allow": "GET, HEAD"}  # and no `Vary`: a cache is to keep one copy for everybody
