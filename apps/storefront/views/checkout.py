"""Paying for what is held."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from apps.payments.errors import InsufficientBalance
from apps.payments.selectors import wallet_balance
from apps.queue.errors import QueueTokenInvalid, QueueTokenRequired
from apps.queue.services import join_queue
from apps.reservations.errors import HoldExpired, HoldNotFound, HoldNotLive
from apps.reservations.models import Hold
from apps.reservations.selectors import hold_of, reservation_of_hold
from apps.reservations.services import release_hold, verified_payer
from apps.shared.transactions import database_now
from apps.storefront.actions import new_key, pay
from apps.storefront.forms import KeyedForm
from apps.storefront.queue_cookie import forget_queue_token, queue_token_of
from apps.storefront.views.base import PageView


class CheckoutView(PageView):
    needs_login = True

    def get(self, request: HttpRequest, concert_id: int, hold_id: UUID) -> HttpResponse:
        hold = self._hold(concert_id, hold_id)
        if hold.status == Hold.Status.CONFIRMED:
            reservation = reservation_of_hold(customer_id=self.customer_id, hold_id=hold_id)
            return redirect("storefront:reservation", reservation.pk)
        return self._page(hold)

    def post(self, request: HttpRequest, concert_id: int, hold_id: UUID) -> HttpResponse:
        hold = self._hold(concert_id, hold_id)
        form = KeyedForm(request.POST)
        if not form.is_valid():
            return self._page(hold, status=400)
        self._verify(concert_id, hold_id)
        try:
            reservation_id = pay(
                customer_id=self.customer_id, hold_id=hold_id, key=form.cleaned_data["key"]
            )
        except InsufficientBalance:
            return self._page(hold, status=402, was_short=True)
        except (HoldExpired, HoldNotLive):
            # Paid by another tab, or over: the page says which.
            return redirect(request.path)
        messages.success(request, _("Your seats are booked."))
        response = redirect("storefront:reservation", reservation_id)
        forget_queue_token(response, concert_id=concert_id)
        return response

    def _hold(self, concert_id: int, hold_id: UUID) -> Hold:
        hold = hold_of(customer_id=self.customer_id, hold_id=hold_id)
        if hold.performance.concert_id != concert_id:
            raise HoldNotFound
        return hold

    def _verify(self, concert_id: int, hold_id: UUID) -> None:
        """The cookie may be on another device: joining again gives a token for the same place."""
        token = queue_token_of(self.request)
        try:
            verified_payer(token=token, customer_id=self.customer_id, hold_id=hold_id)
        except (QueueTokenRequired, QueueTokenInvalid):
            token = join_queue(customer_id=self.customer_id, concert_id=concert_id).token
            verified_payer(token=token, customer_id=self.customer_id, hold_id=hold_id)

    def _page(self, hold: Hold, status: int = 200, *, was_short: bool = False) -> HttpResponse:
        now = database_now()
        balance = wallet_balance(customer_id=self.customer_id)
        missing = max(0, hold.total_price - balance)
        context: dict[str, Any] = {
            "hold": hold,
            "performance": hold.performance,
            "concert": hold.performance.concert,
            "is_live": hold.status == Hold.Status.HELD and not hold.is_expired(now),
            "is_expired": hold.is_expired(now),
            "seconds_left": max(0, (hold.expires_at - now).total_seconds()),
            "balance": balance,
            "left_over": balance - hold.total_price,
            "missing": missing,
            "top_up_amount": min(missing, settings.CHARGE_LIMIT),
            "was_short": was_short,
            "key": new_key(),
            "top_up_key": new_key(),
        }
        return render(self.request, "storefront/checkout.html", context, status=status)


class ReleaseHoldView(PageView):
    """Give the seats back and choose again."""

    needs_login = True

    def post(self, request: HttpRequest, concert_id: int, hold_id: UUID) -> HttpResponse:
        try:
            release_hold(customer_id=self.customer_id, hold_id=hold_id)
        except (HoldExpired, HoldNotLive):
            return redirect("storefront:checkout", concert_id, hold_id)
        messages.info(request, _("The seats are free again."))
        return redirect("storefront:seats", concert_id)
