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
        from apps.shared.metrics import DeliveryCollector, RetentionCollector
        from apps.shared.retention import (
            ADMIN_LOG,
            EVENTS,
            IDEMPOTENCY_RECORDS,
            SESSIONS,
            register_retention,
        )

        for retention in (ADMIN_LOG, EVENTS, IDEMPOTENCY_RECORDS, SESSIONS):
            register_retention(retention)
        REGISTRY.register(DeliveryCollector())
        REGISTRY.register(RetentionCollector())
        post_migrate.connect(_set_rights, sender=self)


def _set_rights(**signal: Any) -> None:
    from apps.shared.grants import grant_rights, guard_triggers

    if "plan" not in signal:
        return  # sent by `flush`, which changes no table
    guard_triggers()
    if settings.APPLICATION_ROLE:
        grant_rights(**settings.APPLICATION_ROLE)
