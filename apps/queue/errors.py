from apps.core.errors import AccessRefused, Conflict, NotFound


class QueueTokenRequired(AccessRefused):
    code = "QUEUE_TOKEN_REQUIRED"


class QueueTokenInvalid(AccessRefused):
    """Forged, altered, of another customer or of another concert."""

    code = "QUEUE_TOKEN_INVALID"


class QueueTokenNotActive(AccessRefused):
    """The visitor is still waiting; `retry_after` is when to ask again."""

    code = "QUEUE_TOKEN_NOT_ACTIVE"


class QueueTokenExpired(AccessRefused):
    """The visit is over; `details["expired_reason"]` says why."""

    code = "QUEUE_TOKEN_EXPIRED"


class QueueClosed(Conflict):
    code = "QUEUE_CLOSED"


class VisitorNotFound(NotFound):
    """The customer is not in this waiting room."""
