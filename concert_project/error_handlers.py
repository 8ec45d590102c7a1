"""Django's handlers of errors that no view has answered: each door, API, admin or pages, refuses in its own form."""

import sys

from django.http import HttpRequest, HttpResponse
from django.views import defaults
from django.views.decorators.cache import never_cache

from apps.api.exceptions import is_api, refuse_call
from apps.boxoffice import refusals as admin


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return refuse_call(request, "MALFORMED_REQUEST")
    if admin.is_admin(request):
        return admin.refuse(request, admin.unreadable(exception))
    return never_cache(defaults.bad_request)(request, exception)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return refuse_call(request, "PERMISSION_DENIED")
    if admin.is_admin(request):
        return admin.refuse(request, admin.not_allowed(request, exception))
    return never_cache(defaults.permission_denied)(request, exception)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return refuse_call(request, "NOT_FOUND")
    if admin.is_admin(request):
        return admin.refuse(request, admin.not_found())
    return never_cache(defaults.page_not_found)(request, exception)


def handler500(request: HttpRequest) -> HttpResponse:
    if is_api(request):
        return refuse_call(request, "INTERNAL_ERROR")
    # Django calls this while it handles the exception. Pages of ours never come here with a refusal; those of the admin do.
    if admin.is_admin(request):
        return admin.refuse(request, admin.failed(sys.exception()))
    return never_cache(defaults.server_error)(request)
