"""Base of every page: logins, rate limits, and pages for what services refuse."""

import math
from typing import Any, ClassVar

import structlog
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views import View

from apps.api.refusal_counts import count_refusal
from apps.api.responses import error_body
from apps.api.throttling import hit_limit
from apps.core.codes import CODES
from apps.core.errors import DomainError, RateLimited, ServiceUnavailable
from apps.core.store import AWAY
from apps.storefront.wording import refusal_words

logger = structlog.get_logger(__name__)


class PageView(View):
    """A page. Refusals of the services become pages, or JSON for our own scripts, which ask for it.

    `rate_limits` names the limit of each method, as in the API; `needs_login` sends strangers to the login and back.
    """

    needs_login: ClassVar[bool] = False
    # For what costs nothing, whichever customer is logged in by now: a form of a page from before a login counts if the browser says that the
    # page was ours.
    takes_old_forms: ClassVar[bool] = False
    rate_limits: ClassVar[dict[str, str]] = {}
    http_method_names = ["get", "head", "post"]

    @property
    def customer_id(self) -> int:
        """Return the id of the customer who is logged in; for views that need a login."""
        customer_id = self.request.user.pk
        assert customer_id is not None
        return customer_id

    @property
    def is_script(self) -> bool:
        return wants_json(self.request)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            self.refuse_if_too_many()
            if self.needs_login and not request.user.is_authenticated:
                response: HttpResponseBase = self._to_login()
            else:
                response = super().dispatch(request, *args, **kwargs)
        except DomainError as error:
            count_refusal(error.code)
            response = self.handle_error(error)
        except AWAY as error:
            logger.exception("page_unavailable")
            response = self.handle_error(
                ServiceUnavailable(retry_after=2, cause=type(error).__name__)
            )
        # Pages of a customer are for no other one; those that may be kept say so themselves.
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Answer a visitor who opens the address of a form, after a refusal by "back" or the switch of languages, with a page of ours."""
        if request.method in ("GET", "HEAD"):
            return redirect(self.fallback_url())
        return super().http_method_not_allowed(request, *args, **kwargs)

    def fallback_url(self) -> str:
        """Return the page to which a form without a page of its own belongs."""
        if "concert_id" in self.kwargs:
            return reverse("storefront:concert", args=[self.kwargs["concert_id"]])
        return reverse("storefront:home")

    def form_url(self) -> str:
        """Return the address of the page that has this view's form."""
        return self.request.get_full_path() if hasattr(self, "get") else self.fallback_url()

    def form_out_of_date(self) -> HttpResponse:
        """Answer a form of a page from before a login: nothing is done, and the page comes anew."""
        messages.error(self.request, out_of_date_words())
        if self.is_script:
            return JsonResponse(error_body("PERMISSION_DENIED"), status=403)
        return redirect(self.form_url())

    def handle_error(self, error: DomainError) -> HttpResponse:
        """Show a refusal. Overridden where a page can say more, or knows the way on."""
        is_form = self.request.method == "POST"
        page_url = self.form_url() if is_form or error.retry_after else self.fallback_url()
        return error_response(self.request, error, for_script=self.is_script, page_url=page_url)

    def refuse_if_too_many(self) -> None:
        """:raises RateLimited: the caller has used up the limit of this method."""
        method = self.request.method or ""
        name = self.rate_limits.get(method, "write" if method == "POST" else None)
        if name is None or not settings.RATE_LIMIT_ENABLED:
            return
        quota = hit_limit(name, self.request)
        if quota is not None and quota.is_exceeded:
            raise RateLimited(retry_after=quota.resets_in)

    def _to_login(self) -> HttpResponse:
        if self.is_script:
            return JsonResponse(error_body("AUTHENTICATION_REQUIRED"), status=401)
        if self.request.method != "POST":
            return redirect_to_login(self.request.get_full_path())
        # A form cannot be sent again by itself, but its page can be shown.
        again = _(
            "Please log in again. Nothing was booked or paid; seats that you hold are still yours."
        )
        messages.info(self.request, again)
        return redirect_to_login(self.form_url())


def is_from_our_page(request: HttpRequest) -> bool:
    """Return whether the browser says that a form was on a page of ours. No site can make it say so of a form of its own."""
    ours = f"{request.scheme}://{request.get_host()}"
    return request.headers.get("Origin") == ours


def out_of_date_words() -> str:
    return _(
        "You have logged in or out since this page was opened. Nothing was changed; please try again."
    )


def say_out_of_date(request: HttpRequest) -> None:
    """Say that a form has no key: it was kept for long, or not made by us."""
    messages.error(
        request, _("This form was out of date. Nothing was booked; please send it again.")
    )


def message_of(error: DomainError) -> str:
    """Return what is said to people, in their language: with the figures of the refusal where it has some, else as the registry says it."""
    words = error.message or refusal_words(error.code, error.details)
    return words or str(CODES[error.code].message)


def wants_json(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def error_response(
    request: HttpRequest, error: DomainError, *, for_script: bool, page_url: str
) -> HttpResponse:
    """Return the page of an error code, or its envelope for a script, with the status that the API would give.

    `page_url` is where the visitor can try again.
    """
    entry = CODES[error.code]
    if for_script:
        response: HttpResponse = JsonResponse(
            error_body(error.code, error.details, message_of(error)), status=entry.status
        )
    else:
        template = (
            f"{entry.status}.html" if entry.status in (429, 503) else "storefront/refused.html"
        )
        context = {
            "entry": entry,
            "message": error.message,
            "retry_after": error.retry_after,
            "page_url": page_url,
        }
        response = render(request, template, context, status=entry.status)
    if entry.retryable:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after or 1))
    return response
