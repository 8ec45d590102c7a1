"""Order numbers: what customers read out and staff type, such as "K7PM-3XQ9".

PostgreSQL counts orders by a sequence, so no two have the same number and the index on it grows at its end. The count is mixed, so that
an order number tells nothing of how many there are, and written with seven of 32 letters and digits that are not taken for each
other. The eighth makes the eight symbols a word of a cyclic code over GF(32), in which no word becomes another by one wrong symbol
or by two that changed places (compare the checksum of BIP 173).
"""

import re
import unicodedata

from django.db.models import BigIntegerField, Func

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
SYMBOLS = 8  # the last is the check
SEQUENCE = "reservations_order_number"
NUMBERS = 1 << 5 * (SYMBOLS - 1)

# Odd, so that multiplying by them modulo a power of two can be undone.
_FIRST, _SECOND = 0x4_F1BB_CDCB, 0x2_545F_4915
_FIRST_UNDONE: int = pow(_FIRST, -1, NUMBERS)
_SECOND_UNDONE: int = pow(_SECOND, -1, NUMBERS)
# Bits, more than half of the 35: shifting by it and xoring is undone by doing it again.
_HALF = 18

_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}
_SEPARATORS = re.compile(r"[\W_]+")
# Symbols that no order number has, for those that they are taken for.
_MISREAD = str.maketrans("01IO", "QLLQ")


class NextOrderNumber(Func):
    """The next count, drawn by the row itself."""

    template = f"nextval('{SEQUENCE}')"
    output_field = BigIntegerField()


def printed_order_number(number: int) -> str:
    """Return how people read and write the number that an order has in the database."""
    mixed = number * _FIRST % NUMBERS
    mixed = (mixed ^ mixed >> _HALF) * _SECOND % NUMBERS
    values = [mixed >> 5 * place & 31 for place in reversed(range(SYMBOLS - 1))]
    symbols = "".join(ALPHABET[value] for value in [*values, _remainder([*values, 0])])
    return f"{symbols[:4]}-{symbols[4:]}"


def order_number_in(text: str) -> int | None:
    """Return the number that a text prints, in any spelling; None if no order has such a number."""
    typed = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text)).upper().translate(_MISREAD)
    if len(typed) != SYMBOLS or not set(typed) <= _VALUES.keys():
        return None
    values = [_VALUES[symbol] for symbol in typed]
    if _remainder(values):
        return None
    mixed = 0
    for value in values[:-1]:
        mixed = mixed << 5 | value
    mixed = mixed * _SECOND_UNDONE % NUMBERS
    return (mixed ^ mixed >> _HALF) * _FIRST_UNDONE % NUMBERS


def _remainder(values: list[int]) -> int:
    """Return the polynomial with these coefficients, the highest first, at the generator of GF(32) = GF(2)[x] / (x^5 + x^2 + 1)."""
    found = 0
    for value in values:
        found = found << 1 ^ value
        if found & 32:
            found ^= 0b100101
    return found
