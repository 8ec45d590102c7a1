from apps.core.errors import RuleViolation


class InvalidChoice(RuleViolation):
    """Refuse a form that sent what cannot be chosen on its page."""

    code = "VALIDATION_ERROR"
