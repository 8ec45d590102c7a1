"""Forms whose token is not valid: of a page from before a login, which changes all tokens; without cookies; or of another site."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.csrf import REASON_NO_CSRF_COOKIE
from django.shortcuts import render
from django.views import csrf

from apps.boxoffice import refusals as admin
from apps.storefront.views.base import PageView, is_from_our_page


def refuse_form(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Answer with the form's page anew, which has a token that is valid. Nothing is done, with the exception of `takes_old_forms`."""
    found = request.resolver_match
    view_class = getattr(found.func, "view_class", None) if found else None
    has_no_cookie = reason == REASON_NO_CSRF_COOKIE
    if (
        found is None
        or view_class is None
        or not issubclass(view_class, PageView)
        or (has_no_cookie and admin.is_admin(request))
    ):
        if admin.is_admin(request):
            return admin.refuse(request, admin.out_of_date())
        return csrf.csrf_failure(request, reason)
    view: PageView = view_class()
    view.setup(request, *found.args, **found.kwargs)
    if view.takes_old_forms and is_from_our_page(request):
        return view.dispatch(request, *found.args, **found.kwargs)
    if has_no_cookie:
        # Perhaps the browser keeps none: its page would refuse the form again, without a word.
        return render(request, "403_csrf.html", {"form_url": view.form_url()}, status=403)
    return view.form_out_of_date()
