from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConcertsConfig(AppConfig):
    name = "apps.concerts"
    label = "concerts"
    verbose_name = _("Concerts")

    def ready(self) -> None:
        from apps.concerts import receivers, services  # noqa: F401
        from apps.shared.outbox import Consumer, register_consumer

        register_consumer(
            Consumer(
                name="ranking",
                event_types=frozenset(
                    {services.RESERVATION_CONFIRMED, services.RESERVATION_CANCELLED}
                ),
                effect=services.update_ranking,
                task="concerts.update_ranking",
            )
        )
