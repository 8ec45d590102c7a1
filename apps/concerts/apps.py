from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConcertsConfig(AppConfig):
    name = "apps.concerts"
    label = "concerts"
    verbose_name = _("Concerts")

    def ready(self) -> None:
        from apps.boxoffice.base.jobs.kinds import register_kind
        from apps.concerts.generator_jobs import GenerateSeats
        from apps.concerts.jobs import ReleaseSeats
        from apps.concerts.seat_jobs import ChangeSeats, ChangeSeatsAndRelease

        register_kind(ReleaseSeats())
        register_kind(ChangeSeats())
        register_kind(ChangeSeatsAndRelease())
        register_kind(GenerateSeats())
