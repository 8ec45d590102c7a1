"""Operations that have one effect for each `Idempotency-Key`, whether they are called through the API or a page."""

from enum import StrEnum


class Operation(StrEnum):
    """Name an operation. The value is stored beside the key."""

    CHARGE = "payments.charge"
    HOLD = "reservations.hold"
    HOLD_BEST_AVAILABLE = "reservations.hold_best_available"
    EXTEND = "reservations.extend"
    CONFIRM = "reservations.confirm"
    CANCEL = "reservations.cancel"

    @property
    def effect(self) -> str:
        """Return the field of its answer that names what it made or changed."""
        return _EFFECTS[self]


_EFFECTS = {
    Operation.CHARGE: "transaction_id",
    Operation.HOLD: "hold_id",
    Operation.HOLD_BEST_AVAILABLE: "hold_id",
    Operation.EXTEND: "hold_id",
    Operation.CONFIRM: "reservation_id",
    Operation.CANCEL: "reservation_id",
}
