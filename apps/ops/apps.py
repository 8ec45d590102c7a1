from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OpsConfig(AppConfig):
    name = "apps.ops"
    label = "ops"
    verbose_name = _("Operations")

    def ready(self) -> None:
        from prometheus_client import REGISTRY

        from apps.ops.metrics import DeliveryCollector, RetentionCollector
        from apps.ops.monitoring import InvariantCollector

        for collector in (DeliveryCollector(), RetentionCollector(), InvariantCollector()):
            REGISTRY.register(collector)
