"""Work around every request of the admin."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.boxoffice.base.words import seen_by
from apps.boxoffice.refusals import is_admin, not_possible, refuse


class AdminMiddleware:
    """Lets links know who would follow them, and answers a method that a page does not know: Django's refusal of it is empty."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_admin(request):
            return self.get_response(request)
        with seen_by(request):
            response = self.get_response(request)
        if response.status_code != 405:
            return response
        refusal = refuse(request, not_possible())
        refusal.headers["Allow"] = response.headers["Allow"]
        return refusal
