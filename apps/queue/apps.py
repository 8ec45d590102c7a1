from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class QueueConfig(AppConfig):
    name = "apps.queue"
    label = "queue"
    verbose_name = _("Waiting rooms")

    def ready(self) -> None:
        from apps.boxoffice.base.timeline import register_source
        from apps.concerts.publication import Follower, register_follower
        from apps.core.history import register_record
        from apps.queue import receivers  # noqa: F401  (registers itself)
        from apps.queue.selectors import (
            changes_of_rooms,
            publications_without_account,
            visitors_at_stake,
        )
        from apps.queue.services import follow_publication
        from apps.queue.timeline import moments_of_visit

        register_follower("queue", Follower(visitors_at_stake, follow_publication))
        # A room has all of its changes on record; of a concert the history lacks what was done without an account.
        register_record("queue.waitingroom", changes_of_rooms, is_all=True)
        register_record("concerts.concert", publications_without_account)
        register_source("queue.queueexit", moments_of_visit)
