"""Find orders and tickets by what customers read out and lists show: order numbers, codes, seats."""

import re
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from apps.boxoffice.base.lookups import Named
from apps.concerts.selectors import seats_called
from apps.reservations.models import SeatClaim, Ticket
from apps.reservations.order_numbers import order_number_in

CODE_LENGTH = 16
ORDER_NUMBER = _("order number")
# A code begins with 8 of these at least to be told from a word; they are printed in fours.
_CODE = re.compile(r"[A-Z2-7]{8,16}")
_SEPARATORS = re.compile(r"[\W_]+")
# Digits that no code has, for the letters that they are taken for.
_MISREAD = str.maketrans("018", "OIB")


def tickets_coded(text: str) -> QuerySet[Ticket]:
    """Return the tickets whose code is a text or begins with it, as it is printed or typed: in groups, in small letters."""
    code = _SEPARATORS.sub("", text).upper().translate(_MISREAD)
    if not _CODE.fullmatch(code):
        return Ticket.objects.none()
    # The first and the last letter of the alphabet, in the order of every collation.
    first, last = code.ljust(CODE_LENGTH, "2"), code.ljust(CODE_LENGTH, "Z")
    return Ticket.objects.filter(code__range=(first, last))


@dataclass(frozen=True, slots=True)
class OrderNumbers:
    """An order number in any spelling: K7PM-3XQ9, "k7pm 3xq9"."""

    column: str = "number"
    label: Any = ORDER_NUMBER

    def find(self, text: str) -> Q | None:
        number = order_number_in(text)
        return None if number is None else Q(**{self.column: number})


def code_lookup(*, key: str = "pk") -> Named:
    return Named("pk", _("code of a ticket"), tickets_coded, key=key)


def ticket_seat_lookup() -> Named:
    """Return the lookup of reservations by one of their seats."""
    return Named("pk", _("seat"), _tickets_for, key="reservation")


def hold_seat_lookup() -> Named:
    """Return the lookup of holds by one of their seats."""
    return Named("pk", _("seat"), _claims_on, key="hold")


def _tickets_for(text: str) -> QuerySet[Ticket]:
    return Ticket.objects.filter(seat__in=seats_called(text))


def _claims_on(text: str) -> QuerySet[SeatClaim]:
    return SeatClaim.objects.filter(seat__in=seats_called(text))
