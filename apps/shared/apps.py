from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class SharedConfig(AppConfig):
    name = "apps.shared"
    label = "shared"
    verbose_name = _("Events and answers")

    def ready(self) -> None:
        from prometheus_client import REGISTRY

        from apps.shared import path_converters  # noqa: F401  (registers `int64`)
        from apps.shared.metrics import DeliveryCollector

        REGISTRY.register(DeliveryCollector())
        if settings.APPLICATION_ROLE:
            post_migrate.connect(_grant_rights, sender=self)


def _grant_rights(**_: Any) -> None:
    from apps.shared.grants import grant_rights

    grant_rights(**settings.APPLICATION_ROLE)
