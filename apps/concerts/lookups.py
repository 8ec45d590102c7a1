"""How lists of the admin name concerts and seats, here and in the apps above."""

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.concerts.models import Concert
from apps.concerts.selectors import seats_called
from apps.shared.lookups import Named


def concert_lookup(column: str, *, only: Q | None = None) -> Named:
    """Return the lookup by the words of a title, an artist or a venue."""
    return Named(column, _("title, artist or venue"), Concert.objects.matching, only=only)


def seat_lookup(column: str) -> Named:
    """Return the lookup by a seat as it is printed."""
    return Named(column, _("seat"), seats_called)
