"""Whole numbers as people type them, and as pages print them: 100000, 100,000, ₩100,000, 100 000원, １００，０００.

A text that could be read in two ways is no number: 1.000 is one or a thousand, and so is 1,00 a hundred or one. Needs no Django.
"""

import re

# The typographic forms of what has a plain one. Not NFKC, to which 10² is 102.
_PLAIN = {full: chr(full - 0xFEE0) for full in range(0xFF01, 0xFF5F)}
_PLAIN |= dict.fromkeys((0xA0, 0x2007, 0x2009, 0x202F, 0x3000), " ")
_PLAIN |= {0x2212: "-", 0x2013: "-", 0xFFE6: "₩"}

# Above any column; int() takes its time with longer ones.
_DIGITS = r"[0-9]{1,19}|[1-9][0-9]{0,2}(?:(?:,[0-9]{3}){1,6}|(?: [0-9]{3}){1,6})"
_COUNT = re.compile(rf"(?P<sign>[+-]?) ?(?P<digits>{_DIGITS})")
# The backslash is what many Korean keyboards give for the won sign.
_AMOUNT = re.compile(
    rf"(?P<sign>[+-]?) ?(?:(?:[₩\\]|KRW) ?)?(?P<inner_sign>[+-]?)(?P<digits>{_DIGITS})(?: ?(?:원|won|KRW))?",
    re.IGNORECASE,
)
_FIGURES = re.compile(r"[0-9][0-9 .,']*")


class NoWholeNumber(ValueError):
    """The text is none; `has_odd_separators` tells that its figures would be one without what stands between them."""

    def __init__(self, *, has_odd_separators: bool) -> None:
        super().__init__(has_odd_separators)
        self.has_odd_separators = has_odd_separators


def plain(text: str) -> str:
    """Return a text with full-width characters, odd spaces and minus signs in their plain forms, and no space around it."""
    return text.translate(_PLAIN).strip()


def read_whole_number(text: str, *, is_money: bool = False) -> int:
    """Return the number that was typed; an amount may have the won sign or its name beside it.

    :raises NoWholeNumber: it cannot be read, or not in one way only.
    """
    typed = plain(text)
    found = (_AMOUNT if is_money else _COUNT).fullmatch(typed)
    signs = found["sign"] + found.groupdict().get("inner_sign", "") if found else ""
    if found is None or len(signs) > 1:
        figures = _FIGURES.search(typed)
        raise NoWholeNumber(has_odd_separators=figures is not None and not figures[0].isdigit())
    number = int(re.sub("[ ,]", "", found["digits"]))
    return -number if signs == "-" else number
