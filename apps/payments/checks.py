from django.conf import settings
from django.core import checks

from apps.payments.models import BALANCE_CEILING, CHARGE_CEILING


@checks.register
def check_limits(**kwargs: object) -> list[checks.CheckMessage]:
    """Limits above what the constraints let through would turn refusals into errors."""
    limits = [
        ("CHARGE_LIMIT", settings.CHARGE_LIMIT, CHARGE_CEILING),
        ("BALANCE_LIMIT", settings.BALANCE_LIMIT, BALANCE_CEILING),
    ]
    return [
        checks.Error(
            f"{name} must be between 1 and {ceiling}, which the ledger's constraints let through.",
            id="payments.E001",
        )
        for name, limit, ceiling in limits
        if not 1 <= limit <= ceiling
    ]
