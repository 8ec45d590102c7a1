"""The families of refusals. They know nothing of HTTP: `codes.py` says what each code means to a caller."""

from typing import ClassVar


class DomainError(Exception):
    """A refusal with a stable code.

    `details` are put into the answer's `data`; `retry_after` is the number of seconds after which trying again makes sense.
    """

    code: ClassVar[str]

    def __init__(self, *, retry_after: int | None = None, **details: object) -> None:
        super().__init__(self.code)
        self.retry_after = retry_after
        self.details = details

    @property
    def message(self) -> str | None:
        """Say more to people than the message of the code does; None if there is no more to say."""
        return None


class NotFound(DomainError):
    """Refuse a call for something that does not exist, or belongs to another customer."""

    code = "NOT_FOUND"


class Conflict(DomainError):
    """The state of things does not allow it now."""


class RuleViolation(DomainError):
    """A rule of the business forbids it."""


class AccessRefused(DomainError):
    """The caller has not shown the right to do it."""


class RateLimited(DomainError):
    """The caller has called too often; `retry_after` tells when the next call is allowed."""

    code = "RATE_LIMITED"


class Unavailable(DomainError):
    """Something this needs does not answer at the moment."""


class ServiceUnavailable(Unavailable):
    code = "SERVICE_UNAVAILABLE"

    def __init__(self, *, retry_after: int = 1, **details: object) -> None:
        super().__init__(retry_after=retry_after, **details)


class TooBusy(ServiceUnavailable):
    """Refuse on purpose, so that a crowd does not take what others need. Nothing is wrong, and there is nothing to report."""


class IdempotencyKeyRequired(RuleViolation):
    code = "IDEMPOTENCY_KEY_REQUIRED"


class IdempotencyKeyInUse(Conflict):
    code = "IDEMPOTENCY_KEY_IN_USE"

    def __init__(self) -> None:
        super().__init__(retry_after=1)


class IdempotencyKeyReused(RuleViolation):
    code = "IDEMPOTENCY_KEY_REUSED"
