from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PaymentsConfig(AppConfig):
    name = "apps.payments"
    label = "payments"
    verbose_name = _("Payments")

    def ready(self) -> None:
        from apps.boxoffice.base.jobs.kinds import register_kind
        from apps.payments import checks  # noqa: F401  (registers itself)
        from apps.payments.corrections import WalletCorrection

        register_kind(WalletCorrection())
