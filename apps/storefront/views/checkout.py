"""Pay for what is held."""

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.formats import time_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from apps.core.errors import IdempotencyKeyReused
from apps.core.transactions import database_now
from apps.payments.errors import BalanceLimitExceeded, InsufficientBalance
from apps.payments.selectors import wallet_balance
from apps.queue.errors import QueueTokenInvalid, QueueTokenRequired
from apps.queue.services import verify_token
from apps.reservations.errors import (
    HoldExpired,
    HoldNotExtendable,
    HoldNotFound,
    HoldNotLive,
    TopUpNotNeeded,
)
from apps.reservations.models import Hold
from apps.reservations.selectors import hold_of, reservation_of_hold
from apps.reservations.services import release_hold
from apps.storefront.forms import KeyedForm, TopUpForm
from apps.storefront.hold_notice import extension_offers
from apps.storefront.queue_cookie import forget_queue_token, queue_token_of
from apps.storefront.submissions import (
    new_key,
    submit_extension,
    submit_payment,
    submit_top_up_to_pay,
)
from apps.storefront.views.accounts import next_url
from apps.storefront.views.base import PageView, message_of, say_out_of_date
from apps.storefront.wording import won


class HoldPageView(PageView):
    """A page of a hold, below the concert that its seats are of."""

    needs_login = True

    def hold(self, concert_id: int, hold_id: UUID) -> Hold:
        """:raises HoldNotFound: there is none, it is another customer's, or of another concert."""
        hold = hold_of(customer_id=self.customer_id, hold_id=hold_id)
        if hold.performance.concert_id != concert_id:
            raise HoldNotFound
        return hold

    def fallback_url(self) -> str:
        return reverse("storefront:checkout", kwargs=self.kwargs)


class CheckoutView(HoldPageView):
    def get(self, request: HttpRequest, concert_id: int, hold_id: UUID) -> HttpResponse:
        hold = self.hold(concert_id, hold_id)
        if hold.status == Hold.Status.CONFIRMED:
            reservation = reservation_of_hold(customer_id=self.customer_id, hold_id=hold_id)
            return redirect("storefront:reservation", reservation.pk)
        return self._page(hold)

    def post(self, request: HttpRequest, concert_id: int, hold_id: UUID) -> HttpResponse:
        hold = self.hold(concert_id, hold_id)
        form = KeyedForm(request.POST)
        if not form.is_valid():
            say_out_of_date(request)
            return self._page(hold, status=400)
        # No token is asked for: a hold of one's own is the proof of admission, on every device and while the store is away.
        try:
            reservation_id = submit_payment(
                customer_id=self.customer_id, hold_id=hold_id, key=form.cleaned_data["key"]
            )
        except InsufficientBalance:
            return self._page(hold, status=402, was_short=True)
        except (HoldExpired, HoldNotLive):
            # Paid by another tab, or over: the page says which.
            return redirect(request.path)
        except IdempotencyKeyReused:
            say_out_of_date(request)
            return redirect(request.path)
        messages.success(request, _("Your seats are booked."))
        response = redirect("storefront:reservation", reservation_id)
        if self._was_paid_in_this_visit(hold):
            forget_queue_token(response, concert_id=concert_id)
        return response

    def _was_paid_in_this_visit(self, hold: Hold) -> bool:
        """Return whether the cookie names the visit that paying ends: the customer may have joined anew since the hold."""
        try:
            cookie = verify_token(
                token=queue_token_of(self.request),
                customer_id=self.customer_id,
                concert_id=hold.performance.concert_id,
            )
        except (QueueTokenRequired, QueueTokenInvalid):
            return True
        return (cookie.generation, cookie.slot) == (hold.queue_generation, hold.queue_slot)

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
            "offers": extension_offers([hold], at=now),
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


class ReleaseHoldView(HoldPageView):
    """Give the seats back and choose again."""

    def post(self, request: HttpRequest, concert_id: int, hold_id: UUID) -> HttpResponse:
        hold = self.hold(concert_id, hold_id)
        try:
            release_hold(customer_id=self.customer_id, hold_id=hold_id)
        except (HoldExpired, HoldNotLive):
            return redirect(self.fallback_url())
        messages.info(request, _("The seats are free again."))
        return redirect("storefront:seat_map", concert_id, hold.performance_id)


class ExtendHoldView(HoldPageView):
    """More time for who needs longer, from any page that shows the hold."""

    def post(self, request: HttpRequest, concert_id: int, hold_id: UUID) -> HttpResponse:
        self.hold(concert_id, hold_id)
        form = KeyedForm(request.POST)
        try:
            if not form.is_valid():
                say_out_of_date(request)
                return redirect(self.fallback_url())
            until = submit_extension(
                customer_id=self.customer_id, hold_id=hold_id, key=form.cleaned_data["key"]
            )
        except (HoldExpired, HoldNotLive):
            return redirect(self.fallback_url())
        except HoldNotExtendable as error_response:
            messages.info(request, message_of(error_response))
        except IdempotencyKeyReused:
            say_out_of_date(request)
        else:
            said = {"time": time_format(localtime(until), "TIME_FORMAT")}
            messages.success(request, _("Your seats are now held until %(time)s") % said)
        return redirect(next_url(request) if "next" in request.POST else self.fallback_url())


class TopUpForHoldView(HoldPageView):
    """Top up what is missing to pay for a hold; a customer who has paid meanwhile, in another tab, is not made richer."""

    rate_limits: ClassVar = {"POST": "charge"}

    def post(self, request: HttpRequest, concert_id: int, hold_id: UUID) -> HttpResponse:
        self.hold(concert_id, hold_id)
        form = TopUpForm(request.POST)
        if not form.is_valid():
            say_out_of_date(request)
            return redirect(self.fallback_url())
        try:
            balance = submit_top_up_to_pay(
                customer_id=self.customer_id, hold_id=hold_id, **form.cleaned_data
            )
        except (HoldExpired, HoldNotLive):
            messages.info(
                request,
                _("Nothing was topped up: these seats are no longer waiting to be paid for."),
            )
        except TopUpNotNeeded:
            messages.info(
                request,
                _(
                    "Nothing was topped up: your balance has changed in the meantime. This page shows what is missing now."
                ),
            )
        except BalanceLimitExceeded as error_response:
            messages.error(request, message_of(error_response))
        except IdempotencyKeyReused:
            say_out_of_date(request)
        else:
            said = {"won": won(balance)}
            messages.success(request, _("Topped up. Your balance is %(won)s.") % said)
        return redirect(self.fallback_url())
