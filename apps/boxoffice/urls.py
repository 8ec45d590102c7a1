from django.contrib import admin
from django.urls import path

from apps.boxoffice.cockpit import CockpitView, figures
from apps.queue.models import WaitingRoom

app_name = "boxoffice"

urlpatterns = [
    path(
        "cockpit/<int64:concert_id>/",
        admin.site.admin_view(
            CockpitView.as_view(model_admin=admin.site.get_model_admin(WaitingRoom))
        ),
        name="cockpit",
    ),
    path("cockpit/<int64:concert_id>/figures/", figures, name="cockpit-figures"),
]
