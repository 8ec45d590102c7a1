from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from apps.api.views import UnknownPathView
from apps.ops.health import livez, metrics, readyz
from apps.storefront.views.accounts import StaffLoginView, StaffPasswordView
from concert_project import error_handlers

handler400 = error_handlers.handler400
handler403 = error_handlers.handler403
handler404 = error_handlers.handler404
handler500 = error_handlers.handler500

api_v1: list[URLPattern | URLResolver] = [
    path("", include("apps.accounts.urls")),
    path("", include("apps.queue.urls")),
    path("", include("apps.concerts.urls")),
    path("", include("apps.payments.urls")),
    path("", include("apps.reservations.urls")),
    re_path("", UnknownPathView.as_view()),  # whatever else, line breaks included
]

urlpatterns = [
    path("api/v1/", include(api_v1)),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("admin/login/", StaffLoginView.as_view()),
    # Of the theme: it finds names of lists, and keeps what it found in a form that our cache does not take.
    path("admin/search/", RedirectView.as_view(url="/admin/")),
    path("admin/password_change/", StaffPasswordView.as_view()),
    path("admin/", include("apps.boxoffice.urls")),
    path("admin/", admin.site.urls),
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("", include("apps.storefront.urls")),
]
