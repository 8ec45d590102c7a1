"""Answer from one Django view without middleware, a database or templates: the least that Django costs."""

import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=[],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_urlsafe(50),
)


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [path("", answer)]
application = get_wsgi_application()
