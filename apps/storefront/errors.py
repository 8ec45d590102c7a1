from apps.core.errors import RuleViolation


class InvalidChoice(RuleViolation):
    """What a form of ours sent cannot be what somebody chose on its page."""

    code = "VALIDATION_ERROR"
