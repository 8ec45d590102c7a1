from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReservationsConfig(AppConfig):
    name = "apps.reservations"
    label = "reservations"
    verbose_name = _("Reservations")

    def ready(self) -> None:
        from prometheus_client import REGISTRY

        from apps.concerts.publication import Follower, register_follower
        from apps.reservations import receivers  # noqa: F401
        from apps.reservations.monitoring import InvariantCollector
        from apps.reservations.retention import HOLDS
        from apps.reservations.selectors import holds_at_stake
        from apps.reservations.services.external_sync import EXTERNAL_SYNC
        from apps.shared.outbox import register_consumer
        from apps.shared.retention import register_retention

        register_consumer(EXTERNAL_SYNC)
        register_follower("reservations", Follower(holds_at_stake))
        register_retention(HOLDS)
        REGISTRY.register(InvariantCollector())
