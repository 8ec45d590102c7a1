"""Things that staff do by a form of the administration, as the drill asks for them and finds them again."""

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from dev.api import Kind, Request
from dev.drill.history import Call

BUSY = "being bought"  # as staff are told of a seat that customers are at work on
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REFUNDED = re.compile(r"Refunded: ([0-9,]+) won")
_CHANGED = re.compile(r"^[0-9,]+ seats? changed")


class What(StrEnum):
    SELL = "sell"
    GIVE_BACK = "give back"  # some seats of an order, or money alone
    CANCEL = "cancel"  # all that is left of an order
    MOVE = "move"
    KEEP = "keep back"
    OPEN = "put on sale"
    RELEASE = "release"
    PAUSE = "pause"
    RESUME = "resume"
    CORRECT = "correct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Request):
    """A page of the administration, or a form of one, at its own address; `body` has what its fields send."""

    @property
    def url(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Act(Form):
    """A form that changes something. No other has its `reason`, so what it did is found by that, and counted.

    `subject` is the id of the order or hold that it is about, `seats` are ids, `amount` is in won, `customer_id` is whose money or
    seats it moves, if the clerk knows it.
    """

    kind: Kind = Kind.STAFF
    what: What
    reason: str
    subject: str = ""
    customer_id: int | None = None
    seats: tuple[int, ...] = ()
    amount: int = 0
    paid_by: str = ""


def made_by(call: Call) -> UUID | None:
    """Return the id of the order to whose tickets a form led; None if it led elsewhere."""
    found = _ID.search(call.data["location"])
    return UUID(found[0]) if found else None


def told(call: Call) -> list[str]:
    """Return what staff read when the form had acted; nothing if that answer was lost, and only the one to a repetition came."""
    words: list[str] = [] if call.answer.is_replay else call.data["told"]
    return words


def refund_told(call: Call) -> int | None:
    """Return the won that staff were told they have refunded; None if they were not told."""
    found = _REFUNDED.search(" ".join(told(call)))
    return int(found[1].replace(",", "")) if found else None


def has_changed_seats(call: Call) -> bool:
    return any(_CHANGED.match(words) for words in told(call))


def has_exceptions(call: Call, *, because: str = "") -> bool:
    """Tell whether a form left some of its seats as they were, or may have: nothing was told."""
    words = told(call)
    left = f"Not changed, {because}"
    return not words or any(sentence.startswith(left) for sentence in words)
