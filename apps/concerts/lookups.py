"""Find concerts and seats by the names that lists of the admin show, here and in the apps above."""

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.boxoffice.base.lookups import Named
from apps.concerts.models import Concert
from apps.concerts.selectors import named_seats, seats_called

SEAT = _("seat")


def concert_lookup(column: str, *, only: Q | None = None) -> Named:
    """Return the lookup by the words of a title, an artist or a venue."""
    return Named(column, _("title, artist or venue"), Concert.objects.matching, only=only)


def seat_lookup(column: str) -> Named:
    """Return the lookup by a seat as it is printed, for lists of what belongs to seats."""
    return Named(column, SEAT, seats_called)


class SeatsThemselves:
    """Find seats as they are printed in the list of seats, where a section of a hall may have thousands."""

    label = SEAT

    def find(self, text: str) -> Q | None:
        return named_seats(text)
