from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class QueueConfig(AppConfig):
    name = "apps.queue"
    label = "queue"
    verbose_name = _("Waiting rooms")

    def ready(self) -> None:
        from apps.queue import receivers  # noqa: F401  (registers itself)
        from apps.queue.retention import QUEUE_EXITS
        from apps.queue.services import FINISH_PAID_VISITS
        from apps.shared.outbox import register_consumer
        from apps.shared.retention import register_retention

        register_consumer(FINISH_PAID_VISITS)
        register_retention(QUEUE_EXITS)
