from django.apps import AppConfig
from django.contrib import admin
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class BoxOfficeConfig(AppConfig):
    name = "apps.boxoffice"
    label = "boxoffice"
    verbose_name = _("Box office")

    def ready(self) -> None:
        from apps.boxoffice import receivers  # noqa: F401
        from apps.boxoffice.roles import set_roles

        # The heading of the first page, as the sidebar calls it.
        admin.site.index_title = _("Overview")
        post_migrate.connect(set_roles, sender=self, dispatch_uid="boxoffice.set_roles")
