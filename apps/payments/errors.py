from django.utils.translation import gettext as _

from apps.core.errors import Conflict, RuleViolation


class InsufficientBalance(RuleViolation):
    """`balance` and `required` are won."""

    code = "INSUFFICIENT_BALANCE"

    def __init__(self, *, balance: int, required: int) -> None:
        super().__init__(balance=balance, required=required)


class RefundExceedsPayment(Conflict):
    """Refuse to give back more than is left of a payment. `amount` and `refundable` are won."""

    code = "VALIDATION_ERROR"

    def __init__(self, *, amount: int, refundable: int) -> None:
        super().__init__(amount=amount, refundable=refundable)
        self.amount, self.refundable = amount, refundable

    @property
    def message(self) -> str:
        return _("%(amount)s won is more than can be refunded: %(refundable)s won.") % {
            "amount": f"{self.amount:,}",
            "refundable": f"{self.refundable:,}",
        }


class BalanceLimitExceeded(Conflict):
    """`balance` and `limit` are won."""

    code = "BALANCE_LIMIT_EXCEEDED"

    def __init__(self, *, balance: int, limit: int) -> None:
        super().__init__(balance=balance, limit=limit)
