from django.utils.translation import gettext as _

from apps.core.errors import Conflict, NotFound, RuleViolation


class ConcertNotFound(NotFound):
    code = "CONCERT_NOT_FOUND"


class PerformanceNotFound(NotFound):
    code = "PERFORMANCE_NOT_FOUND"


class SeatNotFound(NotFound):
    code = "SEAT_NOT_FOUND"


class CalledOff(Conflict):
    """Refuse to move, or to call off again, what has been called off."""

    code = "VALIDATION_ERROR"

    @property
    def message(self) -> str:
        return _("This performance has been called off.")


class SalesNotOpen(Conflict):
    """`retry_after` tells how many seconds are left until sales open."""

    code = "SALES_NOT_OPEN"


class SalesClosed(Conflict):
    """The sales window is over, or the performance has begun."""

    code = "SALES_CLOSED"


class LayoutRefused(RuleViolation):
    """Seats cannot be generated like this; `details["errors"]` says why, as a validation error does."""

    code = "VALIDATION_ERROR"

    def __init__(self, reason: str) -> None:
        super().__init__(errors={"layout": [reason]})
        self.reason = reason


class PricesRefused(RuleViolation):
    """Seats cannot be given these prices; `reason` says why to people."""

    code = "VALIDATION_ERROR"

    def __init__(self, reason: str) -> None:
        super().__init__(errors={"prices": [reason]})
        self.reason = reason


class SeatMapRefused(RuleViolation):
    """A seat map cannot be changed like this; `reason` says why to people."""

    code = "VALIDATION_ERROR"

    def __init__(self, reason: str) -> None:
        super().__init__(errors={"seats": [reason]})
        self.reason = reason


class SeatMapChanged(SeatMapRefused):
    """The seat map is not the one whose changes were looked at."""


class DatesRefused(RuleViolation):
    """These dates cannot be made; `reason` says why to people."""

    code = "VALIDATION_ERROR"

    def __init__(self, reason: str) -> None:
        super().__init__(errors={"dates": [reason]})
        self.reason = reason


class PerformanceAlreadyScheduled(Conflict):
    """The concert has a performance at that time."""

    code = "VALIDATION_ERROR"


class AllocationRefused(RuleViolation):
    """Seats cannot be kept back, released or described like this; `reason` says why to people."""

    code = "VALIDATION_ERROR"

    def __init__(self, reason: str) -> None:
        super().__init__(errors={"seats": [reason]})
        self.reason = reason
