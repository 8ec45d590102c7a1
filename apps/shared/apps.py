from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SharedConfig(AppConfig):
    name = "apps.shared"
    label = "shared"
    verbose_name = _("Events and answers")

    def ready(self) -> None:
        from apps.shared import path_converters  # noqa: F401  (registers `int64`)
