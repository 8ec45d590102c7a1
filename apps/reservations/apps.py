from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReservationsConfig(AppConfig):
    name = "apps.reservations"
    label = "reservations"
    verbose_name = _("Reservations")

    def ready(self) -> None:
        from apps.boxoffice.base.jobs.kinds import register_kind
        from apps.concerts.publication import Follower, register_follower
        from apps.reservations import receivers  # noqa: F401
        from apps.reservations.jobs import GiveComplimentary
        from apps.reservations.moves import MoveCustomer
        from apps.reservations.selectors import holds_at_stake
        from apps.reservations.staff_jobs import register_kinds

        register_kinds()
        register_follower("reservations", Follower(holds_at_stake))
        register_kind(GiveComplimentary())
        register_kind(MoveCustomer())
