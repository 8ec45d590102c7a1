from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"

    def ready(self) -> None:
        from apps.core import path_converters  # noqa: F401  (registers `int64`)

        # Sent once for each app with models, which this one has not.
        post_migrate.connect(_set_rights, sender=apps.get_app_config("contenttypes"))


def _set_rights(**signal: Any) -> None:
    from apps.core.grants import grant_rights, guard_triggers

    if "plan" not in signal:
        return  # sent by `flush`, which changes no table
    guard_triggers()
    if settings.APPLICATION_ROLE:
        grant_rights(**settings.APPLICATION_ROLE)
