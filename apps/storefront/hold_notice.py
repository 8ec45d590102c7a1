"""What a customer holds at this moment, on pages that are kept for everybody."""

from django.http import HttpRequest
from django.template.loader import render_to_string

from apps.reservations.selectors import has_live_hold, live_holds_of


def hold_notice(request: HttpRequest) -> str:
    """Return the notice with the time left and the way to the checkout, empty for a visitor who holds nothing."""
    customer_id = request.user.pk
    if customer_id is None or not has_live_hold(customer_id=customer_id):
        return ""
    context = {
        "holds": live_holds_of(customer_id=customer_id),
        "names_concert": True,
        "counts_down": True,
    }
    return render_to_string("storefront/_holds.html", context)
