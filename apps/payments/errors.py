from apps.core.errors import Conflict, RuleViolation


class InsufficientBalance(RuleViolation):
    """`balance` and `required` are won."""

    code = "INSUFFICIENT_BALANCE"

    def __init__(self, *, balance: int, required: int) -> None:
        super().__init__(balance=balance, required=required)


class BalanceLimitExceeded(Conflict):
    """`balance` and `limit` are won."""

    code = "BALANCE_LIMIT_EXCEEDED"

    def __init__(self, *, balance: int, limit: int) -> None:
        super().__init__(balance=balance, limit=limit)
