"""Refusals and failures within the admin: its own layout, what it was about, and why.

Where the server may be what has failed, nothing is asked of it: no login, no session, no rights.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, ValidationError
from django.db import DataError
from django.db.utils import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from apps.core.codes import CODES
from apps.core.errors import DomainError, ServiceUnavailable, TooBusy
from apps.core.store import AWAY

logger = structlog.get_logger(__name__)

ADMIN_PREFIX = "/admin/"

Words = str | Promise

# Raised where a value from an address or a form is used as a number, a date or a text of the database, and is none.
_ODD_VALUE = (DataError, OverflowError, ValueError, ValidationError)
_UNREADABLE: tuple[tuple[type[Exception], Words], ...] = (
    (TooManyFieldsSent, _("The form has too many fields. Select fewer rows.")),
    (RequestDataTooBig, _("The form is too large.")),
    (DisallowedModelAdminLookup, _("This list cannot be filtered like that.")),
)
_RIGHTS: dict[str, Words] = {
    "view": _("Your account is not allowed to view %(things)s."),
    "add": _("Your account is not allowed to add %(things)s."),
    "change": _("Your account is not allowed to change %(things)s."),
    "delete": _("Your account is not allowed to delete %(things)s."),
}
_RIGHT_OF_PAGE = {"changelist": "view", "history": "view", "change": "view"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """`is_bare` pages ask nothing of any server."""

    status: int
    title: Words
    reason: Words
    is_bare: bool = False
    retry_after: int | None = None


def is_admin(request: HttpRequest) -> bool:
    return request.path_info.startswith(ADMIN_PREFIX)


def unreadable(error: Exception) -> Refusal:
    reasons = (words for kind, words in _UNREADABLE if isinstance(error, kind))
    reason = next(reasons, _("The request could not be read."))
    # The same may be wrong with its login.
    return Refusal(400, _("The request was not understood"), reason, is_bare=True)


def not_found() -> Refusal:
    reason = _("There is nothing at this address. It may have been deleted.")
    return Refusal(404, _("Not found"), reason)


def not_possible() -> Refusal:
    reason = _(
        "This address only takes what a page sends. Go back, and use the buttons of the page."
    )
    return Refusal(405, _("Not possible like that"), reason)


def not_allowed(request: HttpRequest, error: Exception) -> Refusal:
    reason = str(error) or _missing_right(request)
    return Refusal(403, _("Not allowed"), reason)


def out_of_date() -> Refusal:
    reason = _(
        "Nothing was changed. Reload the page and send the form again. This happens after logging in or out in "
        "another tab, or when the browser refuses cookies."
    )
    return Refusal(403, _("This form is out of date"), reason, is_bare=True)


def failed(error: BaseException | None) -> Refusal:
    """Say what an exception that was not caught means to staff."""
    if isinstance(error, (ServiceUnavailable, *AWAY)):
        reason = _(
            "The database or another server took too long, or does not answer. Try again in a moment; if a list "
            "takes too long, search it by a full id or email address."
        )
        if isinstance(error, TooBusy):
            reason = _(
                "Very many people are logging in at this moment. Try again in a few seconds."
            )
        retry_after = getattr(error, "retry_after", None) or 1
        title = _("Not available at the moment")
        return Refusal(503, title, reason, is_bare=True, retry_after=retry_after)
    if isinstance(error, DomainError):
        return of_code(error)
    if isinstance(error, IntegrityError):
        # It may be a fault of ours as well, and answers below 500 are not logged.
        logger.error("admin_conflict", exc_info=error)
        reason = _(
            "This conflicts with something that was just saved. Reload the page and try again."
        )
        return Refusal(409, _("Not saved"), reason)
    if isinstance(error, _ODD_VALUE):
        # It has been logged with all there is to know, in case that the value was not the caller's.
        reason = _("Something in the address or in the form is not a value that can be read.")
        return Refusal(400, _("The request was not understood"), reason, is_bare=True)
    reason = _("The error has been logged. If it happens again, report it with the number below.")
    return Refusal(500, _("Something went wrong"), reason, is_bare=True)


def of_code(error: DomainError) -> Refusal:
    entry = CODES[error.code]
    reason = getattr(error, "reason", entry.message)
    retry_after = (error.retry_after or 1) if entry.retryable else None
    return Refusal(entry.status, _("Refused"), reason, retry_after=retry_after)


@never_cache
def refuse(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Answer with a page in the admin's layout; with its navigation for staff who are logged in."""
    is_bare = refusal.is_bare or not _is_staff(request)
    context: dict[str, Any] = {
        **admin.site.each_context(_nobody(request) if is_bare else request),
        "title": refusal.title,
        "content_title": refusal.title,
        "reason": refusal.reason,
        "request_id": request.META.get("HTTP_X_REQUEST_ID") if refusal.status >= 500 else None,
        "fallback_url": ADMIN_PREFIX,
        "again": request.get_full_path() if refusal.retry_after else None,
        "layout": "unfold/layouts/unauthenticated.html" if is_bare else "admin/base_site.html",
    }
    text = render_to_string("admin/refused.html", context, None if is_bare else request)
    response = HttpResponse(text, status=refusal.status)
    if refusal.retry_after:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def _is_staff(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    return user is not None and admin.site.has_permission(request)


def _nobody(request: HttpRequest) -> HttpRequest:
    stranger = HttpRequest()
    stranger.user = AnonymousUser()
    stranger.META["SCRIPT_NAME"] = request.META.get("SCRIPT_NAME", "")
    stranger.path = stranger.path_info = request.path_info
    return stranger


def _missing_right(request: HttpRequest) -> Words:
    """Name the right that an account lacks; if it lacks none, no account may do it."""
    match = request.resolver_match
    view = getattr(getattr(match, "func", None), "view_class", None)
    needed = list(getattr(view, "permission_required", ()))
    if not needed and match is not None and match.url_name:
        needed = _rights_of_page(match.url_name, is_sent=request.method == "POST")
    for right, model_admin in zip(needed, _admins_of(needed), strict=False):
        verb = right.partition(".")[2].partition("_")[0]
        if not request.user.has_perm(right) and verb in _RIGHTS:
            return str(_RIGHTS[verb]) % {"things": model_admin.opts.verbose_name_plural}
    if any(getattr(page, "is_read_only", False) for page in _admins_of(needed)):
        return _("These records are read-only.")
    if match is not None and any(
        (match.url_name or "").endswith(f"_{name}")
        for page in admin.site._registry.values()
        for name in getattr(page, "actions_detail", ())
    ):
        return _(
            "This is not possible any more, or your account is not allowed to do it. Load the page of the button again."
        )
    return _("Your account is not allowed to do this.")


def _rights_of_page(url_name: str, *, is_sent: bool) -> list[str]:
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}_"
        if url_name.startswith(name):
            page = url_name.removeprefix(name).partition("_")[0]
            verb = "change" if page == "change" and is_sent else _RIGHT_OF_PAGE.get(page, page)
            return [f"{model._meta.app_label}.{verb}_{model._meta.model_name}"]
    return []


def _admins_of(rights: Sequence[str]) -> list[Any]:
    """Return the `ModelAdmin` of what each right is about."""
    by_name = {
        f"{model._meta.app_label}.{model._meta.model_name}": model_admin
        for model, model_admin in admin.site._registry.items()
    }
    names = (re.sub(r"\.[a-z]+_", ".", right) for right in rights)
    return [by_name[name] for name in names if name in by_name]
