from collections.abc import Mapping, Sequence
from enum import StrEnum

from django.utils.translation import gettext as _

from apps.core.errors import Conflict, NotFound, RuleViolation


class HoldNotFound(NotFound):
    code = "HOLD_NOT_FOUND"


class ReservationNotFound(NotFound):
    code = "RESERVATION_NOT_FOUND"


class SeatAlreadyHeld(Conflict):
    """Refuse seats of which another customer holds one, or is claiming it at this moment."""

    code = "SEAT_ALREADY_HELD"


class SeatAlreadyReserved(Conflict):
    """One of the seats is sold, or staff keep it back."""

    code = "SEAT_ALREADY_RESERVED"


class SeatLimitExceeded(Conflict):
    """`limit` is what one customer may have of the performance, `taken` what this one has already."""

    code = "SEAT_LIMIT_EXCEEDED"

    def __init__(self, *, limit: int, taken: int) -> None:
        super().__init__(limit=limit, taken=taken)


class UnpaidLimitExceeded(Conflict):
    """`limit` is how many seats of the concert one customer may hold without having paid, `unpaid` what this one holds already."""

    code = "UNPAID_LIMIT_EXCEEDED"

    def __init__(self, *, limit: int, unpaid: int) -> None:
        super().__init__(limit=limit, unpaid=unpaid)


class PriceLimitExceeded(Conflict):
    """The seats cost `total_price`, and no wallet may contain more than `limit`; both are won."""

    code = "PRICE_LIMIT_EXCEEDED"

    def __init__(self, *, total_price: int, limit: int) -> None:
        super().__init__(total_price=total_price, limit=limit)


class PriceChanged(RuleViolation):
    """Staff were shown another price than the seats have by now."""

    code = "VALIDATION_ERROR"


class MoveRefused(RuleViolation):
    """A customer cannot be moved like that; `reason` says why."""

    code = "VALIDATION_ERROR"

    class Reason(StrEnum):
        OTHER_CONCERT = "OTHER_CONCERT"
        OTHER_NUMBER = "OTHER_NUMBER"  # not as many seats as before
        SAME_SEATS = "SAME_SEATS"
        NOT_WHOLE = "NOT_WHOLE"  # a part was cancelled or refunded

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason=reason)


class SingleSeatLeft(Conflict):
    """The choice would leave a free seat without a free neighbour, where another one in its row would not.

    `seats` are those that it would leave, each with `section`, `row` and `number`.
    """

    code = "SINGLE_SEAT_LEFT"

    def __init__(self, *, seats: Sequence[Mapping[str, object]]) -> None:
        super().__init__(seats=list(seats))


class NotEnoughSeats(Conflict):
    code = "NOT_ENOUGH_SEATS"


class HoldExpired(Conflict):
    code = "HOLD_EXPIRED"


class HoldNotLive(Conflict):
    """Released or paid already."""

    code = "HOLD_NOT_LIVE"


class HoldNotExtendable(Conflict):
    """`reason` says why."""

    code = "HOLD_NOT_EXTENDABLE"

    class Reason(StrEnum):
        ALREADY_EXTENDED = "ALREADY_EXTENDED"
        SALES_END = "SALES_END"  # they end before the hold does
        WITHDRAWN = "WITHDRAWN"  # the concert is offline
        VISIT_OVER = "VISIT_OVER"  # no lease could cover it

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason=reason)


class TopUpNotNeeded(RuleViolation):
    """The top-up is more than what the balance lacks for the seats: it was shown before the balance rose."""

    code = "VALIDATION_ERROR"


class AlreadyCancelled(Conflict):
    code = "ALREADY_CANCELLED"


class CancellationClosed(Conflict):
    code = "CANCELLATION_CLOSED"


class SeatAlreadyCancelled(Conflict):
    """Refuse staff who would give back a seat that is not of the reservation any more."""

    code = "ALREADY_CANCELLED"

    @property
    def message(self) -> str:
        return _("One of these seats has been cancelled already.")


class ChangeRefused(Conflict):
    """Refuse a change by staff; `reason` says why to people."""

    code = "VALIDATION_ERROR"

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    @property
    def message(self) -> str:
        return self.reason


class RefundOutdated(Conflict):
    """Refuse staff whose form shows another amount as refunded than `refunded`, in won: a colleague was faster."""

    code = "VALIDATION_ERROR"

    def __init__(self, *, refunded: int) -> None:
        super().__init__(refunded=refunded)
        self.refunded = refunded

    @property
    def message(self) -> str:
        return _(
            "Something has been refunded in the meantime: %(refunded)s won in all. Check it again."
        ) % {"refunded": f"{self.refunded:,}"}
