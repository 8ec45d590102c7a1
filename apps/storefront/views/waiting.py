"""The waiting room: joining, the page that waits, and what its script asks for."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import json_script
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from apps.accounts.services import refuse_staff
from apps.concerts.errors import ConcertNotFound, SalesClosed, SalesNotOpen
from apps.concerts.selectors import concert_in_brief, concert_of_visitor, is_withdrawn
from apps.core.errors import DomainError, ServiceUnavailable
from apps.queue.errors import QueueClosed, QueueTokenInvalid, QueueTokenRequired
from apps.queue.models import WaitingRoom
from apps.queue.selectors import WaitingRoomStatus, waiting_room_status_of_visitor
from apps.queue.services import (
    VisitorStatus,
    has_slot_in,
    join_queue,
    leave_queue,
    visitor_status,
)
from apps.storefront.join_intent import keep_join_intent
from apps.storefront.kept_pages import kept_page
from apps.storefront.queue_cookie import (
    first_position_of,
    forget_queue_token,
    keep_first_position,
    keep_queue_token,
    own_queue_token_of,
    queue_token_of,
)
from apps.storefront.views.base import PageView, message_of
from apps.storefront.wording import ahead_words, ended_words, figure, refresh_words, wait_words

RETRY_SECONDS = 3  # how soon to ask again while the store does not answer
# Seconds between two refreshes of a page without scripts: time to read it, and to notice an early opening. Never more than the
# visitor's grace, which is no less than GRACE_MIN.
REFRESH_MIN, REFRESH_MAX = 5, 60
GRACE_MIN = 2


@dataclass(frozen=True, slots=True)
class Waiting:
    """Hold what the page shows of one place. `first_position` is where the progress bar starts."""

    status: VisitorStatus
    room_status: WaitingRoomStatus
    first_position: int | None

    @property
    def status_shown(self) -> str:
        """WAITING also while the concert is offline, for a visitor whose turn it is: there are no seats to go to."""
        has_to_wait = self.room_status.is_withdrawn and self.status.status == "ACTIVE"
        return "WAITING" if has_to_wait else self.status.status

    @property
    def state(self) -> str:
        return "WITHDRAWN" if self.room_status.is_withdrawn else self.room_status.state

    @property
    def notice(self) -> str:
        return self.room_status.notice_in(get_language())

    @property
    def people_ahead(self) -> int | None:
        position = self.status.position
        if position is None or (self.room_status.is_withdrawn and position == 0):
            return None
        return max(0, position - 1)

    @property
    def way_done(self) -> int | None:
        """Return how much of the way of `first_position` steps lies behind the visitor."""
        if self.first_position is None or self.people_ahead is None:
            return None
        return self.first_position - self.people_ahead

    @property
    def wait(self) -> str | None:
        if self.people_ahead is None:
            return None
        return wait_words(self.status.estimated_wait_seconds)

    @property
    def grace_seconds(self) -> int | None:
        """Return how much later than advised this page may ask, and as long again, without losing the place; None if that is unknown.

        A third of the time in which the room expects to see the visitor again, which is twice the advice at least.
        """
        if self.status.expires_at is None:
            return None
        patience = (self.status.expires_at - self.status.seen_at).total_seconds()
        return max(GRACE_MIN, int(patience / 3))

    @property
    def opens_in_seconds(self) -> int:
        return max(0, round((self.room_status.opens_at - timezone.now()).total_seconds()))

    @property
    def lease_seconds(self) -> int | None:
        """Return how long an admitted visitor may still choose."""
        if self.status.choose_until is None or self.room_status.is_withdrawn:
            return None
        return max(0, round((self.status.choose_until - self.status.seen_at).total_seconds()))

    def as_json(self) -> dict[str, Any]:
        """Return what the scripts of the pages read; texts come ready in the visitor's language."""
        return {
            "status": self.status_shown,
            "people_ahead": self.people_ahead,
            "first_position": self.first_position,
            "wait": self.wait,
            "state": self.state,
            "pause_reason": self.room_status.pause_reason,
            "notice": self.notice,
            "opens_in_seconds": self.opens_in_seconds,
            "lease_seconds": self.lease_seconds,
            "poll_after_seconds": self.status.poll_after_seconds,
            "grace_seconds": self.grace_seconds,
        }


class QueueView(PageView):
    """The page that waits. GET shows the place that the cookie proves, POST takes one."""

    rate_limits: ClassVar = {"POST": "join"}
    takes_old_forms = True

    def refuse_if_too_many(self) -> None:
        """Visitors who are not logged in yet take no place, and a campus of them has one address."""
        if self.request.user.is_authenticated:
            super().refuse_if_too_many()

    def form_url(self) -> str:
        return self.fallback_url()

    def get(self, request: HttpRequest, concert_id: int) -> HttpResponse:
        token = queue_token_of(request)
        try:
            token = own_queue_token_of(request, concert_id=concert_id)
            waiting = look(request, concert_id, token)
        except ServiceUnavailable:
            if not has_slot_in(token=token, concert_id=concert_id):
                concert_in_brief(concert_id)
            response = waiting_page(request, concert_id, None)
            response.headers["Retry-After"] = str(RETRY_SECONDS)
            return response
        except (QueueTokenInvalid, QueueTokenRequired):
            concert_in_brief(concert_id)
            # Another tab may have left, or have shown already how the visit ended.
            messages.info(request, _("You have no place in this queue."))
            response = redirect("storefront:concert", concert_id)
            forget_queue_token(response, concert_id=concert_id)
            return response
        status = waiting.status
        if waiting.status_shown == "ACTIVE":
            response = redirect("storefront:seats", concert_id)
        elif waiting.status_shown == "EXPIRED":
            context = {
                "concert": concert_of_visitor(concert_id),
                "ended": ended_words(status.expired_reason),
                "reason": status.expired_reason,
            }
            response = render(request, "storefront/queue.html", context)
        else:
            response = waiting_page(request, concert_id, waiting)
        return remember(response, waiting)

    def post(self, request: HttpRequest, concert_id: int) -> HttpResponse:
        if not request.user.is_authenticated:
            return self._to_login()
        refuse_staff(request.user)
        status = join_queue(
            customer_id=self.customer_id,
            concert_id=concert_id,
            previous_token=queue_token_of(request),
        )
        response = redirect("storefront:queue", concert_id)
        keep_queue_token(response, concert_id=concert_id, token=status.token)
        if status.is_new and status.position:
            keep_first_position(response, concert_id=concert_id, position=status.position)
        return response

    def handle_error(self, error: DomainError) -> HttpResponse:
        if self.is_script or not isinstance(error, (SalesNotOpen, SalesClosed, QueueClosed)):
            return super().handle_error(error)
        messages.error(self.request, message_of(error))
        return redirect("storefront:concert", self.kwargs["concert_id"])

    def _to_login(self) -> HttpResponse:
        """And from there into the queue."""
        response = redirect_to_login(self.fallback_url())
        keep_join_intent(response, concert_id=self.kwargs["concert_id"])
        return response


def waiting_page(request: HttpRequest, concert_id: int, waiting: Waiting | None) -> HttpResponse:
    """Show a place. `waiting` is None while the store does not answer: the place is kept, only its number is unknown.

    For those alone who have shown a token of this concert: they see it while it is offline, too.

    :raises ConcertNotFound: there is none.
    """
    room_status = waiting.room_status if waiting else None
    state = waiting.state if waiting else "UNAVAILABLE"
    pause_reason = room_status.pause_reason if room_status else ""
    notice = waiting.notice if waiting else ""
    people_ahead = waiting.people_ahead if waiting else None
    wait = waiting.wait if waiting else None
    poll_after = (waiting.status.poll_after_seconds or 0) if waiting else RETRY_SECONDS
    grace = (waiting and waiting.grace_seconds) or REFRESH_MAX
    refresh_after = min(max(poll_after, REFRESH_MIN), REFRESH_MAX, grace)

    def shared() -> dict[str, Any]:
        concert = concert_of_visitor(concert_id)
        room = WaitingRoom.objects.filter(concert=concert).first()
        return {
            "concert": concert,
            "state": state,
            "pause_reason": pause_reason,
            "notice": notice,
            "opens_at": room_status.opens_at if room_status else None,
            "has_position": people_ahead is not None,
            "has_estimate": wait is not None,
            "board_url": reverse("waiting_room_status", args=[concert_id]),
            "lease_minutes": minutes(room.lease) if room else None,
            "patience_minutes": minutes(room.patience) if room else None,
        }

    personal = {
        "people_ahead": figure(people_ahead),
        "people_ahead_words": ahead_words(people_ahead),
        "first_position": str((waiting and waiting.first_position) or 1),
        "way_done": str((waiting and waiting.way_done) or 0),
        "wait": wait or "",
        "poll_after": str(poll_after),
        "refresh_after": str(refresh_after),
        "grace": str(grace),
        "refresh_words": refresh_words(refresh_after),
        "answer": json_script(waiting.as_json(), "queue-answer") if waiting else "",
    }
    return kept_page(
        request,
        "storefront/queue.html",
        key=(concert_id, state, pause_reason, notice, people_ahead is None, wait is None),
        shared=shared,
        personal=personal,
        status=200 if waiting else 503,
    )


class QueueStatusView(PageView):
    """Asked by the script of the page, as often as it is told to. Needs no login: the cookie proves the place."""

    def get(self, request: HttpRequest, concert_id: int) -> HttpResponse:
        return status_answer(request, concert_id)

    @property
    def is_script(self) -> bool:
        return True


class LeaveQueueView(PageView):
    def form_url(self) -> str:
        return reverse("storefront:queue", kwargs=self.kwargs)

    def post(self, request: HttpRequest, concert_id: int) -> HttpResponse:
        leave_queue(token=own_queue_token_of(request, concert_id=concert_id))
        messages.info(request, _("You have left the queue."))
        # While the concert is offline it has no page to go back to.
        is_offline = is_withdrawn(concert_id)
        response = (
            redirect("storefront:home")
            if is_offline
            else redirect("storefront:concert", concert_id)
        )
        forget_queue_token(response, concert_id=concert_id)
        return response

    def handle_error(self, error: DomainError) -> HttpResponse:
        if isinstance(error, (QueueTokenRequired, QueueTokenInvalid)):
            return redirect("storefront:concert", self.kwargs["concert_id"])
        return super().handle_error(error)


def status_answer(request: HttpRequest, concert_id: int) -> HttpResponse:
    """Return what the script of the page is told; of `request` only the cookies are read.

    :raises QueueTokenRequired, QueueTokenInvalid, ServiceUnavailable: as `look` does.
    """
    # Whose place it is, the page has looked at: that takes queries, and this is asked by everybody all the time.
    waiting = look(request, concert_id, queue_token_of(request))
    response = JsonResponse(waiting.as_json())
    if waiting.status.status == "EXPIRED":
        # The page still needs the cookie, to say why; it forgets it then.
        return response
    return remember(response, waiting)


def minutes(span: timedelta) -> int:
    """Whole minutes that surely have passed after `span`; 0 for less than one."""
    return int(span.total_seconds()) // 60


def look(request: HttpRequest, concert_id: int, token: str | None) -> Waiting:
    """
    :raises QueueTokenRequired, QueueTokenInvalid: there is no valid token, or it is one of another concert.
    :raises ServiceUnavailable: the store does not answer.
    """
    status = visitor_status(token=token)
    if status.concert_id != concert_id:
        raise QueueTokenInvalid
    try:
        room_status = waiting_room_status_of_visitor(concert_id)
    except ConcertNotFound as error:
        raise QueueTokenInvalid from error
    first_position = first_position_of(request)
    if status.position and (first_position is None or first_position < status.position):
        first_position = status.position
    return Waiting(status, room_status, first_position)


def remember(response: HttpResponse, waiting: Waiting) -> HttpResponse:
    """Keep a renewed token and what the progress bar starts from; forget what is over."""
    status = waiting.status
    if status.status == "EXPIRED":
        forget_queue_token(response, concert_id=status.concert_id)
        return response
    keep_queue_token(response, concert_id=status.concert_id, token=status.token)
    if waiting.first_position:
        keep_first_position(response, concert_id=status.concert_id, position=waiting.first_position)
    return response
