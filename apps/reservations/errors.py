from apps.shared.errors import Conflict, NotFound


class HoldNotFound(NotFound):
    code = "HOLD_NOT_FOUND"


class ReservationNotFound(NotFound):
    code = "RESERVATION_NOT_FOUND"


class SeatAlreadyHeld(Conflict):
    """Somebody holds one of the seats, or is claiming it at this moment."""

    code = "SEAT_ALREADY_HELD"


class SeatAlreadyReserved(Conflict):
    """One of the seats is sold, or staff keep it back."""

    code = "SEAT_ALREADY_RESERVED"


class SeatLimitExceeded(Conflict):
    """`limit` is what one customer may have of the performance, `taken` what this one has already."""

    code = "SEAT_LIMIT_EXCEEDED"

    def __init__(self, *, limit: int, taken: int) -> None:
        super().__init__(limit=limit, taken=taken)


class NotEnoughSeats(Conflict):
    code = "NOT_ENOUGH_SEATS"


class HoldExpired(Conflict):
    code = "HOLD_EXPIRED"


class HoldNotLive(Conflict):
    """Released or paid already."""

    code = "HOLD_NOT_LIVE"


class AlreadyCancelled(Conflict):
    code = "ALREADY_CANCELLED"


class CancellationClosed(Conflict):
    code = "CANCELLATION_CLOSED"
