from typing import Any

from django.apps import AppConfig, apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"

    def ready(self) -> None:
        from apps.core import path_converters  # noqa: F401  (registers `int64`)

        # Sent once for each app with models, which this one has not.
        post_migrate.connect(_set_rights, sender=apps.get_app_config("contenttypes"))


def _set_rights(*, using: str, **signal: Any) -> None:
    from apps.core.grants import grant_rights, guard_triggers, set_timeouts

    if "plan" not in signal:
        return  # sent by `flush`, which changes no table
    application = connections[DEFAULT_DB_ALIAS].settings_dict
    guard_triggers(using=using)
    if using != DEFAULT_DB_ALIAS:
        grant_rights(role=application["USER"], password=application["PASSWORD"], using=using)
    set_timeouts(role=application["USER"], using=using)
