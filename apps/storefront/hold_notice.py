"""Show what a customer holds at this moment, and offer more time for it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone

from apps.reservations.models import Hold
from apps.reservations.selectors import has_live_hold, live_holds_of
from apps.reservations.services import extensions_of
from apps.storefront.submissions import new_key


def extension_offers(holds: Iterable[Hold], *, at: datetime) -> dict[UUID, dict[str, Any]]:
    """Return what a page needs to offer more time for holds, by the id of each that may have it."""
    holds = list(holds)
    ends = extensions_of(holds, at=at)
    return {
        hold.pk: {
            "hold": hold,
            "until": ends[hold.pk],
            "seconds_left": (hold.expires_at - at).total_seconds(),
            "key": new_key(),
        }
        for hold in holds
        if hold.pk in ends
    }


def hold_notice(request: HttpRequest) -> str:
    """Return the notice with the time left and the way to the checkout, for pages that are kept for everybody.

    It is empty for a visitor who holds nothing.
    """
    customer_id = request.user.pk
    if customer_id is None or not has_live_hold(customer_id=customer_id):
        return ""
    holds = live_holds_of(customer_id=customer_id)
    context = {
        "holds": holds,
        "offers": extension_offers(holds, at=timezone.now()),
        "names_concert": True,
        "counts_down": True,
    }
    return render_to_string("storefront/_holds.html", context, request)
