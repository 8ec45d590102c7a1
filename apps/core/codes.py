"""The one registry of answer codes: it feeds the exception handler, the OpenAPI document and the table in the docs.

A code never changes its meaning; the message is for people and may.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """`status` is the HTTP status; `retryable` says that the same call may succeed later without being changed."""

    code: str
    status: int
    message: str | Promise
    retryable: bool = False


_REGISTRY = (
    ErrorCode("VALIDATION_ERROR", 400, _("Some of the values are not valid.")),
    ErrorCode("MALFORMED_REQUEST", 400, _("The request could not be read.")),
    ErrorCode(
        "IDEMPOTENCY_KEY_REQUIRED",
        400,
        _("This call needs an Idempotency-Key header of 1 to 255 printable characters."),
    ),
    ErrorCode("AUTHENTICATION_REQUIRED", 401, _("Please log in.")),
    ErrorCode("INVALID_CREDENTIALS", 401, _("The email address or the password is wrong.")),
    ErrorCode(
        "INSUFFICIENT_BALANCE",
        402,
        _("The balance is too low. Top up and try again while your hold lives."),
    ),
    ErrorCode("PERMISSION_DENIED", 403, _("You are not allowed to do this.")),
    ErrorCode(
        "STAFF_ACCOUNT",
        403,
        _("Staff accounts cannot queue for seats or buy them. Please use an account of your own."),
    ),
    ErrorCode("QUEUE_TOKEN_REQUIRED", 403, _("Join the queue of this concert first.")),
    ErrorCode("QUEUE_TOKEN_INVALID", 403, _("This queue token is not valid here.")),
    ErrorCode("QUEUE_TOKEN_NOT_ACTIVE", 403, _("It is not your turn yet."), retryable=True),
    ErrorCode("QUEUE_TOKEN_EXPIRED", 403, _("Your turn is over. Join the queue again.")),
    ErrorCode("NOT_FOUND", 404, _("There is nothing here.")),
    ErrorCode("CONCERT_NOT_FOUND", 404, _("There is no such concert.")),
    ErrorCode("PERFORMANCE_NOT_FOUND", 404, _("There is no such performance.")),
    ErrorCode("SEAT_NOT_FOUND", 404, _("There is no such seat in this performance.")),
    ErrorCode("HOLD_NOT_FOUND", 404, _("There is no such hold.")),
    ErrorCode("RESERVATION_NOT_FOUND", 404, _("There is no such reservation.")),
    ErrorCode("METHOD_NOT_ALLOWED", 405, _("This address does not take that method.")),
    ErrorCode("NOT_ACCEPTABLE", 406, _("The answer cannot be given in the format you accept.")),
    ErrorCode("EMAIL_TAKEN", 409, _("There is an account with this email address already.")),
    ErrorCode("SALES_NOT_OPEN", 409, _("Sales have not opened yet."), retryable=True),
    ErrorCode("SALES_CLOSED", 409, _("Sales are over.")),
    ErrorCode("QUEUE_CLOSED", 409, _("The waiting room is closed.")),
    ErrorCode("SEAT_ALREADY_HELD", 409, _("This seat is held already."), retryable=True),
    ErrorCode("SEAT_ALREADY_RESERVED", 409, _("This seat is sold.")),
    ErrorCode("SEAT_LIMIT_EXCEEDED", 409, _("You cannot take more seats of this performance.")),
    ErrorCode(
        "UNPAID_LIMIT_EXCEEDED",
        409,
        _("Pay for the seats you hold, or release them, before you take more."),
    ),
    ErrorCode(
        "PRICE_LIMIT_EXCEEDED",
        409,
        _("In total these seats cost more than a balance can hold. Take fewer at a time."),
    ),
    ErrorCode(
        "SINGLE_SEAT_LEFT",
        409,
        _("This would leave a single seat on its own. Please choose differently."),
    ),
    ErrorCode("NOT_ENOUGH_SEATS", 409, _("There are not enough free seats."), retryable=True),
    ErrorCode("HOLD_EXPIRED", 409, _("The hold has expired. Choose your seats again.")),
    ErrorCode("HOLD_NOT_LIVE", 409, _("This hold is over already.")),
    ErrorCode("HOLD_NOT_EXTENDABLE", 409, _("This hold cannot be extended.")),
    ErrorCode("BALANCE_LIMIT_EXCEEDED", 409, _("The balance would exceed its limit.")),
    ErrorCode("ALREADY_CANCELLED", 409, _("This reservation is cancelled already.")),
    ErrorCode("CANCELLATION_CLOSED", 409, _("It is too late to cancel this reservation.")),
    ErrorCode(
        "IDEMPOTENCY_KEY_IN_USE",
        409,
        _("A call with this Idempotency-Key is under way."),
        retryable=True,
    ),
    ErrorCode("PAYLOAD_TOO_LARGE", 413, _("The request is too large.")),
    ErrorCode("UNSUPPORTED_MEDIA_TYPE", 415, _("Send the body as application/json.")),
    ErrorCode(
        "IDEMPOTENCY_KEY_REUSED", 422, _("This Idempotency-Key was used for another request.")
    ),
    ErrorCode("RATE_LIMITED", 429, _("Too many calls. Please slow down."), retryable=True),
    ErrorCode("INTERNAL_ERROR", 500, _("Something went wrong on our side.")),
    ErrorCode(
        "SERVICE_UNAVAILABLE", 503, _("The service is not available at the moment."), retryable=True
    ),
)

CODES = {entry.code: entry for entry in _REGISTRY}
